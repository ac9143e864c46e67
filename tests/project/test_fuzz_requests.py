"""Mutated requests against the mock; and that what should be found would be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from sse_core.asgi import ASGIApp as App
from sse_core.asgi import Receive, Send
from sse_openai.mock import MockOpenAI
from tests.fuzz import requests
from tests.fuzz.requests import Description, Found, Fuzzer, main, mock

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_mock(seed: int) -> None:
    """Whatever it is sent, the mock answers, and as its description says."""
    fuzzer = Fuzzer(mock(), seed=seed)

    await fuzzer.run(range(500))

    assert 500 == fuzzer.statuses.total()
    assert fuzzer.statuses[200] > 100
    assert {200, 400, 401, 404, 405} <= set(fuzzer.statuses)


async def test_scripted_statuses_are_allowed() -> None:
    """A 5xx is a finding unless it is expected."""
    scripted = {"status": 503, "times": None}

    await Fuzzer(MockOpenAI([scripted]), allow=[503]).run(range(20))
    with pytest.raises(ExceptionGroup) as caught:
        await Fuzzer(MockOpenAI([scripted])).run(range(20))

    assert caught.group_contains(Found, match="status 503")


async def hang(app: App, scope: Any, receive: Receive, send: Send) -> None:
    await anyio.sleep_forever()


async def fail(app: App, scope: Any, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)
    raise ZeroDivisionError


async def cut(app: App, scope: Any, receive: Receive, send: Send) -> None:
    async def drop(message: Any) -> None:
        if message["type"] == "http.response.start" or message.get("body"):
            await send(message)

    await app(scope, receive, drop)
    await send({"type": "sse_toolkit.abort"})


def changed(**values: Any) -> Callable[..., Any]:
    async def change(app: App, scope: Any, receive: Receive, send: Send) -> None:
        async def changing(message: Any) -> None:
            await send({**message, **(values if "status" in message else {})})

        await app(scope, receive, changing)

    return change


async def misspell(app: App, scope: Any, receive: Receive, send: Send) -> None:
    async def misspelling(message: Any) -> None:
        if "body" in message:
            message["body"] = message["body"].replace(b'"object"', b'"abject"')
        await send(message)

    await app(scope, receive, misspelling)


@pytest.mark.parametrize(
    ("broken", "finding"),
    [
        (hang, "TimeoutError"),
        (fail, "the application raised"),
        (cut, "RemoteProtocolError"),
        (changed(status=418), "no status that is described: 418"),
        (changed(status=200), "but the status is 200"),
        (
            changed(headers=[(b"content-type", b"text/html")]),
            "no content type that is described: text/html",
        ),
        (misspell, "not what the schema says: "),
    ],
    ids=lambda value: getattr(value, "__name__", value)[:30],
)
async def test_findings(broken: Any, finding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these is found, and named by its case."""
    monkeypatch.setattr(requests, "CLIENTS", 1)  # so that the first finding is always the same
    if broken is hang:
        monkeypatch.setattr(requests, "LIMIT", 0.5)
    inner = mock()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        whole = scope["type"] != "http" or scope["path"] == "/openapi.json"
        await (inner(scope, receive, send) if whole else broken(inner, scope, receive, send))

    with pytest.raises((ExceptionGroup, Found)) as caught:
        await Fuzzer(app).run(range(60))

    error: BaseException = caught.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Found)
    assert finding in repr(caught.value) or finding in str(error)


async def test_leaked_tasks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that outlives its request is a finding."""
    monkeypatch.setattr(requests, "LIMIT", 1)
    inner = mock()

    async with anyio.create_task_group() as tasks:

        async def app(scope: Any, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] != "/openapi.json":
                tasks.start_soon(anyio.sleep_forever)
            await inner(scope, receive, send)

        with pytest.raises(ExceptionGroup) as caught:
            await Fuzzer(app).run(range(3))
        assert caught.group_contains(TimeoutError)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("schema", "allowed", "forbidden"),
    [
        ({}, [None, 1, {}], []),
        ({"type": "integer", "minimum": 1, "maximum": 2}, [1, 2], [0, 3, True, 1.0, None]),
        ({"type": "string", "minLength": 1, "pattern": "^a"}, ["ab"], ["", "b", 1]),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 1}, [[], [None]], [[1], {}]),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"enum": [1, None]}}},
            [{"a": 1}, {"a": None, "b": 2}],
            [{}, {"a": True}, []],
        ),
        ({"anyOf": [{"type": "boolean"}, {"const": "x"}]}, [True, "x"], [1, "y"]),
        ({"type": "string", "not": {"const": "x"}}, ["y"], ["x", 1]),
        ({"$ref": "#/components/schemas/S"}, [True], [None]),
    ],
    ids=str,
)
def test_schemas(schema: Any, allowed: list[Any], forbidden: list[Any]) -> None:
    """Of JSON Schema, what the descriptions use."""
    document = {"paths": {}, "components": {"schemas": {"S": {"type": "boolean"}}}}
    description = Description(document)

    assert [] == [value for value in allowed if not description.allows(schema, value)]
    assert [] == [value for value in forbidden if description.allows(schema, value)]


async def test_description() -> None:
    """The description names each operation once, and below which path they are."""
    app = mock()
    found: list[Any] = []

    messages = [{"type": "http.request"}]

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    async def send(message: Any) -> None:
        found.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "path": "/openapi.json", "headers": []}
    await app(scope, receive, send)
    description = Description(json.loads(b"".join(found)))

    for method, path, operation in description.operations:
        assert operation is description.find(method, path.replace("{response_id}", "resp_1"))
    assert ["/v1/chat/completions", "/v1/responses"] == [
        path for _, path, operation in description.operations if "requestBody" in operation
    ]


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The command counts; a case can be shown again, and the application be another."""
    main(["--requests", "30", "--app", "tests.fuzz.requests:mock", "--backend", "trio"])
    counted = capsys.readouterr().out
    main(["--case", "3", "--seed", "2"])
    shown = capsys.readouterr().out

    assert counted.startswith("30 requests in ")
    assert " HTTP/1.1" in shown
    assert shown.splitlines()[-1].startswith("1 requests in ")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_relay(backend: str) -> None:
    """The relay in front of the mock holds to its description as well."""
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.requests", "--requests", "400"]
    options = ["--app", "tests.fuzz.relayed:relay", "--backend", backend]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("400 requests in ")
