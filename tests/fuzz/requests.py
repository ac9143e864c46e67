"""Mutated requests against an ASGI application that serves its OpenAPI description.

    python -m tests.fuzz.requests --requests 10000
    python -m tests.fuzz.requests --seed 7 --case 1234          # one again, shown
    python -m tests.fuzz.requests --app some.module:make_app    # another application

Requests are made from the description, most are then mutated (their JSON, their bytes, their
heads), and some clients leave before the end. Each goes over a socket of its own. What has
to hold: every answer is whole, none is a 5xx that ``--allow`` does not name, each status is
one that the description has for the operation, and so is its JSON; a body that its schema
forbids is answered 400, 413 or 415; the application raises nothing, answers within ``LIMIT``
seconds, and at the end there is no task that was not there before. The tests run some
hundreds of cases.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any
from urllib.parse import quote

import anyio
import h11

from sse_core import EventStreamParser, serve
from sse_core.asgi import ASGIApp as App
from sse_core.asgi import Receive, Send
from sse_openai.mock import MockOpenAI

LIMIT = 20.0
"""Seconds for one answer, and for the tasks to end."""
CLIENTS = 8
"""Requests at the same time."""

JSON = Any
Schema = dict[str, Any]

TEXTS = ["", "a", "Hello?", "get_weather", "空行\u2028\x00\x1b[31m<b>", "\ud800", "x" * 3000]
NAMES = ["get_weather", "a", "_-9"]
NUMBERS = [0, 1, -1, 2, 3, 129, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308]
ODD_TEXTS = ["{", "[" * 100_000, "NaN", '{"a": NaN}', "1e999", '"\\ud800"', "", " ", "null"]
ODD_BYTES = [
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b'"',
    b"{",
    b"]",
    b"\n",
    b"9" * 5000,
]
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "QUERY"]
QUERIES = [
    *["", "stream=true", "stream=false", "stream=1", "stream", "starting_after=3"],
    *["stream=true&starting_after=0", "stream=true&starting_after=-1", "stream=true&a=%FF"],
    *["stream=true&starting_after=99999999999999999999", "&&&==%00", "stream=true&stream=false"],
]
KEYS = ["Bearer k", "Bearer", "", "Basic a2V5", "bearer k", "Bearer \xff", "Bearer " + "k" * 9000]


@dataclass
class Case:
    """One request, and what is known of what its answer has to be."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    operation: Schema | None
    """Its description; None where there is no such operation."""
    forbidden: bool = False
    """Whether the schema forbids the body, and nothing else is wrong with the request."""
    leaves_after: int | None = None
    """Bytes of the answer that the client waits for; None: all."""
    sends: int | None = None
    """Bytes of the request that the client sends; None: all."""

    @property
    def data(self) -> bytes:
        head = f"{self.method} {self.path} HTTP/1.1\r\n".encode("latin-1")
        fields = b"".join(b"%b: %b\r\n" % each for each in self.headers)
        return (head + fields + b"\r\n" + self.body)[: self.sends]


class Description:
    """An OpenAPI document: the operations that it has, the values that it allows."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        prefix = document.get("servers", [{"url": ""}])[0]["url"].rstrip("/")
        self.operations = [
            (method.upper(), prefix + path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if method != "parameters"
        ]

    def resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            found: Any = self._document
            for name in schema["$ref"].split("/")[1:]:
                found = found[name]
            schema = found
        return schema

    def find(self, method: str, path: str) -> Schema | None:
        for known, template, operation in self.operations:
            parts = map(re.escape, re.split(r"\{\w+\}", template))
            if method == known and re.fullmatch("[^/]+".join(parts), path):
                found: Schema = operation
                return found
        return None

    def request_schema(self, operation: Schema) -> Schema | None:
        content = operation.get("requestBody", {}).get("content", {})
        return content["application/json"]["schema"] if content else None

    def allows(self, schema: Schema, value: JSON) -> bool:
        """Whether ``value`` is what ``schema`` says; of JSON Schema, what such documents use."""
        schema = self.resolved(schema)
        if "anyOf" in schema:
            return any(self.allows(each, value) for each in schema["anyOf"])
        if "not" in schema and self.allows(schema["not"], value):
            return False
        if "const" in schema:
            return same(schema["const"], value)
        if "enum" in schema:
            return any(same(each, value) for each in schema["enum"])
        types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
        kind = schema.get("type")
        if isinstance(kind, list):
            return any(self.allows(schema | {"type": each}, value) for each in kind)
        if kind == "null":
            return value is None
        if kind is not None and type(value) is not types[kind]:
            return False
        if isinstance(value, dict):
            known = schema.get("properties", {})
            return set(schema.get("required", ())) <= set(value) and all(
                self.allows(known.get(name, {}), item) for name, item in value.items()
            )
        if isinstance(value, list):
            return schema.get("minItems", 0) <= len(value) <= schema.get(
                "maxItems", len(value)
            ) and all(self.allows(schema.get("items", {}), item) for item in value)
        if isinstance(value, str):
            return len(value) >= schema.get("minLength", 0) and bool(
                re.search(schema.get("pattern", ""), value)
            )
        if type(value) is int:
            return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
        return True

    def example(self, schema: Schema, random: Random) -> JSON:
        """Return a value that ``schema`` allows."""
        schema = self.resolved(schema)
        if "anyOf" in schema:
            return self.example(random.choice(schema["anyOf"]), random)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return random.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                required = schema.get("required", ())
                return {
                    name: self.example(item, random)
                    for name, item in schema.get("properties", {}).items()
                    if name in required or random.random() < 0.25
                }
            case "array":
                count = random.randint(schema.get("minItems", 0), 2)
                return [self.example(schema.get("items", {}), random) for _ in range(count)]
            case "integer":
                low = schema.get("minimum", 0)
                return random.randint(low, min(schema.get("maximum", low + 5), low + 5))
            case "boolean":
                return random.random() < 0.5
            case "null":
                return None
            case _ if "pattern" in schema:
                return random.choice(NAMES)
            case _:
                return random.choice(TEXTS[1 if "minLength" in schema else 0 : -2])


def same(first: JSON, second: JSON) -> bool:
    """To Python, 1 is true."""
    return type(first) is type(second) and bool(first == second)


def make_case(description: Description, random: Random, ids: Sequence[str]) -> Case:
    method, template, operation = random.choice(description.operations)
    path = re.sub(r"\{\w+\}", lambda _: random.choice(ids), template)
    schema = description.request_schema(operation)
    body, forbidden = b"", False
    if schema is not None:
        value = description.example(schema, random)
        for _ in range(random.choice([0, 0, 1, 1, 2, 3])):
            value = mutated(value, random)
        body = json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "replace")
        value = json.loads(body)
        forbidden = not description.allows(schema, value)
        if random.random() < 0.2:
            body, forbidden = mutated_bytes(body, random), False
    query = random.choice(QUERIES) if random.random() < 0.4 and method == "GET" else ""
    case = Case(method, path, [(b"host", b"127.0.0.1")], body, operation, forbidden)
    key = "Bearer k"
    if random.random() < 0.1:
        case.forbidden, what = False, random.randrange(3)
        if what == 0:
            case.method = random.choice(METHODS)
        elif what == 1:
            case.path += random.choice(["/", "/x", "%00", "%2F", "x", "//"])
        else:
            key = random.choice(KEYS)
    case.operation = description.find(case.method, case.path)
    case.path += f"?{query}" if query else ""
    length = len(body)
    if random.random() < 0.05:
        case.leaves_after = random.choice([0, 1, 300, 1000])
    if random.random() < 0.03:
        length = random.choice([0, length + 1, 10**9])
        case.leaves_after = 0
    case.headers += [
        (b"authorization", key.encode("latin-1")),
        (b"content-type", random.choice([b"application/json", b"text/plain", b"\xff"])),
        (b"content-length", b"%d" % length),
        (b"connection", b"close"),
    ]
    if random.random() < 0.03:
        case.sends = random.randrange(len(case.data))
        case.leaves_after = 0
    return case


def mutated(value: JSON, random: Random) -> JSON:
    """Return ``value`` with one thing in it changed."""
    if isinstance(value, dict | list) and value and random.random() < 0.8:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = random.choice(keys)
        copy: Any = value.copy()
        what = random.randrange(5)
        if what == 0:
            del copy[key]
        elif what == 1 and isinstance(copy, dict):
            copy[random.choice(["", "stream", "n", "type", f"{key}x"])] = odd(random)
        else:
            copy[key] = mutated(copy[key], random)
        return copy
    return odd(random)


def odd(random: Random) -> JSON:
    match random.randrange(8):
        case 0:
            return None
        case 1:
            return random.random() < 0.5
        case 2:
            return random.choice(NUMBERS)
        case 3:
            nested: JSON = {}
            for _ in range(random.choice([1, 3, 200])):
                nested = {"a": nested} if random.random() < 0.5 else [nested]
            return nested
        case 4:
            return [random.choice(TEXTS) for _ in range(random.choice([0, 1, 5]))]
        case 5:
            return {random.choice(TEXTS): random.choice(TEXTS)}
        case _:
            return random.choice(TEXTS)


def mutated_bytes(body: bytes, random: Random) -> bytes:
    match random.randrange(5):
        case 0:
            return random.choice(ODD_TEXTS).encode()
        case 1:
            return body[: random.randrange(len(body) + 1)]
        case 2:
            place = random.randrange(len(body) + 1)
            return body[:place] + random.choice(ODD_BYTES) + body[place:]
        case 3:
            place = random.randrange(len(body))
            return body[:place] + bytes([random.randrange(256)]) + body[place + 1 :]
        case _:
            return body + body


class Found(Exception):
    """What should not be."""


@dataclass
class Watched:
    """An application, and what can be seen from outside of it."""

    app: App
    running: int = 0
    failures: list[BaseException] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.running += 1
        try:
            await self.app(scope, receive, send)
        except Exception as exc:
            self.failures.append(exc)
            raise
        finally:
            self.running -= 1


class Fuzzer:
    """Sends cases to an application and looks at its answers.

    Args:
        app: any ASGI application with an OpenAPI description.
        path: where the description is.
        seed: of the cases, which are numbered.
        allow: statuses from 500 on that are no finding.
    """

    def __init__(
        self, app: App, *, path: str = "/openapi.json", seed: int = 0, allow: Sequence[int] = ()
    ) -> None:
        self.statuses: Counter[int] = Counter()
        self._app = Watched(app)
        self._path = path
        self._seed = seed
        self._allow = allow

    async def run(self, numbers: Sequence[int], *, show: bool = False) -> None:
        """Send the cases with these numbers.

        Raises:
            Found: with the number of the case; several in an ExceptionGroup.
        """
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(serve, self._app)
            answer = await self._answer(port, _get(self._path))
            assert answer is not None
            description = Description(json.loads(answer[2]))
            before = len(anyio.get_running_tasks())
            left = list(reversed(numbers))

            async def client() -> None:
                while left:
                    number = left.pop()
                    random = Random(f"{self._seed} {number}")
                    # Some that were created, most likely; some that never were.
                    made = [f"resp_{random.randrange(1, number + 2):06d}" for _ in range(6)]
                    ids = [*made, quote("a/ü", ""), "."]
                    case = make_case(description, random, ids)
                    try:
                        await self._send(port, description, case, show=show)
                    except Exception as exc:
                        raise Found(f"--seed {self._seed} --case {number}: {exc!r}") from exc

            async with anyio.create_task_group() as clients:
                for _ in range(CLIENTS):
                    clients.start_soon(client)
            with anyio.fail_after(LIMIT):
                # There is nothing to wait on: a leaked task is one that nobody waits for.
                while self._app.running or len(anyio.get_running_tasks()) > before:  # noqa: ASYNC110
                    await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
        if self._app.failures:
            raise Found("the application raised") from self._app.failures[0]

    async def _send(self, port: int, description: Description, case: Case, *, show: bool) -> None:
        if show:
            print(case.data.decode("latin-1"))
        answer = await self._answer(port, case)
        if answer is None:
            self.statuses[0] += 1
            return
        status, headers, body = answer
        if show:
            print(status, headers, body.decode("utf-8", "replace"), sep="\n")
        self.statuses[status] += 1
        _check(description, case, status, headers, body, self._allow)

    async def _answer(self, port: int, case: Case) -> tuple[int, dict[bytes, bytes], bytes] | None:
        """Return the answer; None where the client did not wait for it."""
        wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
        # h11 has to know of the request's method to read the answer.
        wire.send(h11.Request(method=case.method, target="/", headers=[("host", "a")]))
        wire.send(h11.EndOfMessage())
        head: h11.Response | None = None
        body = bytearray()
        received = 0
        with anyio.fail_after(LIMIT):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(case.data)
                while case.leaves_after is None or received < case.leaves_after:
                    event = wire.next_event()
                    if event is h11.NEED_DATA:
                        try:
                            data = await stream.receive()
                        except anyio.EndOfStream:
                            data = b""
                        received += len(data)
                        wire.receive_data(data)
                    elif isinstance(event, h11.Response):
                        head = event
                    elif isinstance(event, h11.Data):
                        body += event.data
                    elif isinstance(event, h11.EndOfMessage):
                        assert head is not None
                        return head.status_code, dict(head.headers), bytes(body)
        return None


def _get(path: str) -> Case:
    headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer k"), (b"connection", b"close")]
    return Case("GET", path, headers, b"", None)


def _check(
    description: Description,
    case: Case,
    status: int,
    headers: dict[bytes, bytes],
    body: bytes,
    allow: Sequence[int],
) -> None:
    if status in allow:
        return
    if status >= 500:
        raise Found(f"status {status}: {body[:200]!r}")
    if case.forbidden and status not in (400, 413, 415):
        raise Found(f"the schema forbids the body, but the status is {status}")
    if case.operation is None:
        if not 400 <= status < 500:
            raise Found(f"there is no such operation, but the status is {status}")
        return
    if str(status) not in case.operation["responses"]:
        raise Found(f"no status that is described: {status}")
    content = description.resolved(case.operation["responses"][str(status)]).get("content", {})
    if not content and not body:
        return
    media_type = headers[b"content-type"].decode().partition(";")[0]
    if media_type not in content:
        raise Found(f"no content type that is described: {media_type}")
    if case.method == "HEAD":
        return
    if media_type == "application/json":
        if not description.allows(content[media_type].get("schema", {}), json.loads(body)):
            raise Found(f"not what the schema says: {body[:200]!r}")
    elif media_type == "text/event-stream" and body and not EventStreamParser().receive_data(body):
        raise Found(f"no event stream: {body[:200]!r}")


def mock() -> App:
    """Return a mock that is short of words, so that there is time for more requests."""
    return MockOpenAI(["A", " B", "。"])


def main(arguments: list[str] | None = None) -> None:
    """Run as a command; an exception is a finding."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--app", default=f"{__name__}:mock", help="module:name of a factory")
    parser.add_argument("--description", default="/openapi.json", help="the path of it")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="only this one, shown")
    parser.add_argument("--allow", type=int, nargs="*", default=[], help="statuses from 500 on")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    options = parser.parse_args(arguments)
    module, _, name = options.app.partition(":")
    make: Callable[[], App] = (
        mock if module == __name__ else getattr(importlib.import_module(module), name)
    )
    fuzzer = Fuzzer(make(), path=options.description, seed=options.seed, allow=options.allow)
    numbers = range(options.requests) if options.case is None else [options.case]
    start = time.perf_counter()
    run = partial(fuzzer.run, numbers, show=options.case is not None)
    anyio.run(run, backend=options.backend)
    counted = ", ".join(f"{status or 'left'}: {n}" for status, n in sorted(fuzzer.statuses.items()))
    print(f"{len(numbers)} requests in {time.perf_counter() - start:.0f} s; {counted}")


if __name__ == "__main__":
    main()
