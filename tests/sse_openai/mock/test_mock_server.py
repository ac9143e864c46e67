"""The mock as other people's tests use it: served from a thread, as a fixture, as a command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

import sse_openai
import sse_openai.sync
from sse_core import TransportError
from sse_openai.__main__ import main as sse_openai_command
from sse_openai.mock import MockOpenAI, MockServer
from tests.support.commands import LIMIT, SSE_OPENAI, running
from tests.support.shells import Shell, on_every_shell

ROOT = Path(__file__).parents[3]
ASK: Any = [{"role": "user", "content": "Hello?"}]


def chat(shell: Shell, server: MockServer, **options: Any) -> str:
    base = {"base_url": server.base_url, "api_key": server.api_key}
    stream = shell.stream_chat(model="m", messages=ASK, **base, **options)
    found, _, error = shell.collect(stream)
    assert error is None
    return str(found.completion.choices[0].message.content)


@on_every_shell
def test_served(shell: Shell) -> None:
    """It is there within the block, for blocking code and asynchronous code alike."""
    before = set(threading.enumerate())

    with MockServer() as server:
        server.script({"text": "hi"})
        assert "hi" == chat(shell, server)
        url = server.base_url

    assert not set(threading.enumerate()) - before
    with pytest.raises(RuntimeError, match="enter the block first"):
        _ = server.base_url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_closed_in_the_middle_of_an_answer() -> None:
    """The end of the block does not wait for answers that never end: they are cut."""
    before = set(threading.enumerate())
    with ExitStack() as stack:
        with MockServer() as server:
            server.script({"text": ["a", None]})
            base: Any = {"base_url": server.base_url, "api_key": server.api_key}
            stream = stack.enter_context(
                sse_openai.sync.stream_chat(model="m", messages=ASK, **base)
            )
            assert ["", "a"] == [next(stream).content for _ in range(2)]

        assert not set(threading.enumerate()) - before
        with pytest.raises(TransportError):
            next(stream)


def test_key() -> None:
    """The key is checked; a mock that takes any gets one all the same."""
    with MockServer() as server:
        with openai.OpenAI(base_url=server.base_url, api_key="other", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError):
                client.models.list()
    assert "sk-x" == MockServer(MockOpenAI(api_key="sk-x")).api_key
    assert "sk-y" == MockServer(MockOpenAI(), api_key="sk-y").api_key


def test_requests() -> None:
    """What was asked can be looked at, and shows no secrets by itself."""
    with MockServer() as server:
        headers = {"Authorization": f"Bearer {server.api_key}", "X-One": "1"}
        with httpx.Client(
            base_url=server.base_url, headers=headers, trust_env=False, verify=False
        ) as client:
            client.post("chat/completions?a=%20b&c", json={"model": "m", "messages": ASK})
            client.get("nowhere")
            client.post("chat/completions", content=b"{", headers={"authorization": "Bearer x"})
            client.post("chat/completions", content=b"{")
        first, nowhere, refused, bad = server.requests

    assert ("POST", "/v1/chat/completions", {"a": " b", "c": ""}) == (
        first.method,
        first.path,
        first.query,
    )
    assert "1" == first.headers["x-one"] == first.headers["X-ONE"]
    assert {"model": "m", "messages": ASK} == first.json
    assert ("GET", "/v1/nowhere", b"") == (nowhere.method, nowhere.path, nowhere.body)
    assert b"" == refused.body
    with pytest.raises(json.JSONDecodeError):
        _ = bad.json
    assert "<LoggedRequest POST /v1/chat/completions with 1 bytes>" == repr(bad)
    assert server.api_key not in repr([first.headers, first, server, server.mock])


@pytest.mark.anyio
async def test_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock that runs for days does not remember everything."""
    monkeypatch.setattr("sse_openai.mock.app.MAX_LOG", 2)
    app = MockOpenAI()

    async def receive() -> Any:
        raise AssertionError  # pragma: no cover - nothing is read

    async def send(message: Any) -> None:
        pass

    for path in ("/a", "/b", "/c"):
        scope: Any = {"type": "http", "method": "GET", "path": path, "headers": []}
        await app(scope, receive, send)

    assert ["/b", "/c"] == [request.path for request in app.requests]


PLUGIN = "sse_openai.pytest_plugin"
TESTS = """
import anyio
import openai
import pytest
from sse_openai import stream_chat
from sse_openai.mock import MockServer

ASK = [{"role": "user", "content": "Hello?"}]

def test_blocking(mock_openai):
    assert type(mock_openai) is MockServer
    mock_openai.script({"text": "hi"})
    with openai.OpenAI(base_url=mock_openai.base_url, api_key=mock_openai.api_key) as client:
        completion = client.chat.completions.create(model="m", messages=ASK)
    assert completion.choices[0].message.content == "hi"
    assert mock_openai.requests[0].json["model"] == "m"

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_async(mock_openai):
    assert mock_openai.requests == []  # a new one for each test
    mock_openai.script({"text": ["a", "b"]})
    base = {"base_url": mock_openai.base_url, "api_key": mock_openai.api_key}
    async with stream_chat(model="m", messages=ASK, **base) as chat:
        assert [chunk.content async for chunk in chat if chunk.content] == ["a", "b"]

def test_fails(mock_openai):
    assert mock_openai.base_url == ""
"""


def run_pytest(folder: Path, *arguments: str, **environment: str) -> Any:
    path = os.pathsep.join([str(ROOT), *environment.pop("PYTHONPATH", "").split(os.pathsep)])
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_fixture_by_name(tmp_path: Path) -> None:
    """`-p` loads the plugin where nothing else does."""
    (tmp_path / "test_it.py").write_text(TESTS)

    done = run_pytest(
        tmp_path, "-p", PLUGIN, "-p", "anyio.pytest_plugin", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
    )

    assert "3 passed, 1 failed" in done.stdout.replace("1 failed, 3 passed", "3 passed, 1 failed")
    assert "FAILED test_it.py::test_fails" in done.stdout


@pytest.mark.slow
def test_fixture_by_entry_point(tmp_path: Path) -> None:
    """An installed package brings the fixture, without a word in the tests; with -p as well."""
    info = tmp_path / "site" / "fresh-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fresh\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{PLUGIN} = {PLUGIN}\n")
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_it.py").write_text(TESTS)

    for arguments in ([], ["-p", PLUGIN]):
        done = run_pytest(tests, "-k", "not fails", *arguments, PYTHONPATH=str(info.parent))
        assert "3 passed" in done.stdout, done.stdout
    done = run_pytest(tests, "--fixtures", PYTHONPATH=str(info.parent))
    assert "mock_openai -- " in done.stdout


def test_plugin_is_light() -> None:
    """What every start of pytest pays: the plugin itself, and no server, no event loop."""
    code = f"""
import sys, pytest, {PLUGIN}
heavy = {{"anyio", "h11", "asyncio", "sse_openai.mock", "sse_core._server.host"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True
    )

    assert "[]\n" == done.stdout


@pytest.mark.slow
def test_documented_tests_pass(tmp_path: Path) -> None:
    """The tests in docs/testing.md, with their scripts beside them."""
    page = (ROOT / "docs" / "testing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    tests = [block for block in blocks if re.search(r"^(async )?def test_", block, re.MULTILINE)]
    for number, block in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(block)
    for name, content in re.findall(r"`(\w+\.json)`:\n\n```json\n(.*?)^```$", page, re.M | re.S):
        (tmp_path / name).write_text(content)

    done = run_pytest(
        tmp_path, "-p", PLUGIN, "-p", "anyio.pytest_plugin", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
    )

    assert 0 == done.returncode, done.stdout
    assert len(tests) >= 3


# The command


def served_command(*arguments: str) -> Any:
    return running([*SSE_OPENAI, "mock", "--port", "0", *arguments])


def test_command(tmp_path: Path) -> None:
    """`sse-openai mock --script FILE` answers what the file says, and ends with Ctrl-C."""
    (tmp_path / "script.json").write_text('[{"text": "from the file"}, {"status": 429}]')
    (tmp_path / "tape.sse").write_bytes(b"data: {}\n\n")

    with served_command(
        *("--script", str(tmp_path / "script.json"), "--api-key", "k"),
        *("--rate", "1000", "--jitter", "0.5", "--seed", "3"),
        *("--recording", f"tape={tmp_path / 'tape.sse'}"),
    ) as process:
        _, _, url = process.stderr.readline().decode().strip().partition("=")
        fields: Any = {"base_url": url, "api_key": "k", "messages": ASK, "max_retries": 0}
        with sse_openai.sync.stream_chat(model="m", **fields) as stream:
            text = "".join(chunk.content or "" for chunk in stream)
        with pytest.raises(sse_openai.RateLimitError):
            sse_openai.sync.stream_chat(model="m", **fields).__enter__()
        with sse_openai.sync.stream_chat(model="tape", **fields) as stream:
            with pytest.raises(sse_openai.StreamTruncated):
                list(stream)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)

    assert ("from the file", b"", 130) == (text, err, process.returncode)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--script", "bad.json"], "bad.json[0].text: expected a string, or a list"),
        (["--script", "no.json"], "[Errno 2] No such file or directory: 'no.json'"),
        (["--recording", "tape"], "--recording expects MODEL=FILE, got 'tape'"),
        (["--recording", "=tape"], "--recording expects MODEL=FILE, got '=tape'"),
        (["--rate", "0"], "expected a rate above 0, and no delay beside it"),
    ],
    ids=str,
)
def test_command_mistakes(
    arguments: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A mistake is one line that says what it is."""
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text('[{"text": 1}]')

    status = sse_openai_command(["mock", "--port", "0", *arguments])

    err = capfd.readouterr().err
    assert 1 == status
    assert err.startswith(f"sse-openai: {error}")
    assert 1 == err.count("\n")
