"""The commands ``sse`` and ``sse-openai``, as a person would use them."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sse_core.__main__ import main as sse
from sse_core.terminal import run
from sse_openai.__main__ import main as sse_openai
from tests.support.commands import LIMIT, SSE, SSE_OPENAI, running
from tests.support.scripted_server import HEAD, Script, ScriptedServer, chunked


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this machine may have configured out of the tests."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_prints_events(capfd: pytest.CaptureFixture[str]) -> None:
    """What comes out is an event stream again: whole events, with the ID in force."""
    stream = [b": hi\n\nevent: tick\nid: 7\ndata: a\nda", b"ta: b\n\n", "data: 日本\n\n".encode()]

    with ScriptedServer(chunked(stream)) as server:
        status = sse([server.url])

    assert ("event: tick\nid: 7\ndata: a\ndata: b\n\nid: 7\ndata: 日本\n\n", "") == tuple(
        capfd.readouterr()
    )
    assert status == 0


def test_sends_what_it_is_told(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """-X, -H, -d, --json and --last-event-id are those of curl, where it has them."""
    body = tmp_path / "body.json"
    body.write_bytes(b'{"stream": true}')
    scripts = [chunked([b"data: x\n\n"]) for _ in range(3)]

    with ScriptedServer(*scripts) as server:
        assert sse([server.url, "-X", "REPORT", "-H", "X-One: 1", "-d", "a=b"]) == 0
        assert sse([server.url, "--json", f"@{body}", "--last-event-id", "9"]) == 0
        assert sse([server.url, "--json", "{}", "-H", "content-type: application/x"]) == 0

    first, second, third = (script.request for script in scripts)
    assert first.startswith(b"REPORT /events HTTP/1.1\r\n")
    assert b"\r\nx-one: 1\r\n" in first
    assert first.endswith(b"\r\n\r\na=b")
    assert second.startswith(b"POST ")
    assert b"\r\ncontent-type: application/json\r\n" in second
    assert b"\r\nlast-event-id: 9\r\n" in second
    assert second.endswith(b'\r\n\r\n{"stream": true}')
    assert b"application/json" not in third


def test_reads_the_body_from_standard_input() -> None:
    """-d @- takes the body from a pipe."""
    script = chunked([b"data: x\n\n"])

    with ScriptedServer(script) as server:
        done = subprocess.run(
            [*SSE, server.url, "-d", "@-"], input=b"\xffpiped", capture_output=True, timeout=LIMIT
        )

    assert (b"data: x\n\n", b"", 0) == (done.stdout, done.stderr, done.returncode)
    assert script.request.endswith(b"\r\n\r\n\xffpiped")


def test_error_is_one_line_with_the_body(capfd: pytest.CaptureFixture[str]) -> None:
    """A refusal tells its status and what the server said, with nothing that moves a cursor."""
    body = b'{"error":\n "bad \x1b[31mkey"}'
    head = b"HTTP/1.1 401 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    with ScriptedServer(Script([head % len(body), body])) as server:
        status = sse([server.url])

    assert (
        "",
        'sse: expected an event stream, got 401 application/json: {"error": "bad \\x1b[31mkey"}\n',
    ) == tuple(capfd.readouterr())
    assert status == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://127.0.0.1:1/"],
        ["ftp://example.org/"],
        ["http://127.0.0.1:1/", "-H", "no colon"],
        ["http://127.0.0.1:1/", "-d", "@/no/such/file"],
    ],
    ids=["refused", "scheme", "header", "file"],
)
def test_errors_exit_with_1(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Errors are one line on standard error."""
    status = sse(arguments)

    out, err = capfd.readouterr()
    assert (1, "", 1) == (status, out, err.count("\n"))
    assert err.startswith("sse: ")


@pytest.mark.parametrize("command", [SSE, SSE_OPENAI], ids=["sse", "sse-openai"])
def test_usage_exits_with_2(command: list[str]) -> None:
    """A command that cannot be understood is a usage error."""
    done = subprocess.run([*command, "--no-such-option"], capture_output=True, timeout=LIMIT)

    assert done.returncode == 2
    assert b"usage: " in done.stderr


def test_interrupt_exits_with_130_and_no_traceback() -> None:
    """Ctrl-C ends a waiting stream at once."""
    with ScriptedServer(chunked([b"data: x\n\n"], "hold", last_chunk=False)) as server:
        with running([*SSE, server.url]) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"data: x\n"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=LIMIT)

    assert (b"", 130) == (err, process.returncode)


def test_closed_pipe_is_quiet() -> None:
    """`sse URL | head -1` is no error."""
    with ScriptedServer(chunked([b"data: x\n\n"] * 2000)) as server:
        with running([*SSE, server.url]) as process:
            assert process.stdout is not None
            process.stdout.close()
            process.stdout = None
            _, err = process.communicate(timeout=LIMIT)

    assert (b"", 0) == (err, process.returncode)


def test_closed_pipe_is_quiet_for_the_demo() -> None:
    """`sse-openai demo | head -1` is no error either, with a server in the same process."""
    with running([*SSE_OPENAI, "demo", "hi", "--delay", "0"]) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=LIMIT)

    assert (b"", 0) == (err, process.returncode)


def test_mock_on_a_port_in_use(capfd: pytest.CaptureFixture[str]) -> None:
    """One line, as for every error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status = sse_openai(["mock", "--port", str(taken.getsockname()[1])])

    out, err = capfd.readouterr()
    assert (1, "", 1) == (status, out, err.count("\n"))
    assert err.startswith("sse-openai: ")


def test_several_failures_at_once_are_no_errors_of_a_peer() -> None:
    """A group of more than one is shown as it is: a bug, not a fault."""

    def command() -> None:
        raise ExceptionGroup("two", [ValueError("1"), ValueError("2")])

    with pytest.raises(ExceptionGroup, match="two"):
        run("sse", command)


def on_a_terminal(command: list[str]) -> bytes:
    """Run a command on a pseudo-terminal; return all that it showed."""
    controller, terminal = pty.openpty()
    with running_on(command, terminal):
        os.close(terminal)
        shown = b""
        while True:
            try:
                data = os.read(controller, 65536)
            except OSError:  # what Linux says when the last writer has closed
                break
            if not data:
                break
            shown += data
    os.close(controller)
    return shown


@contextmanager
def running_on(command: list[str], terminal: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    try:
        yield
    finally:
        process.wait(LIMIT)


def test_control_characters_are_escaped_on_a_terminal() -> None:
    """A peer's text cannot drive the terminal: ESC, C1, bidirectional marks, line separators."""
    text = "a\x1b[2J\x9b\u202eb\u2028c\td"

    with ScriptedServer(chunked([f"data: {text}\n\n".encode()])) as server:
        shown = on_a_terminal([*SSE, server.url])

    assert rb"data: a\x1b[2J\x9b\u202eb\u2028c" + b"\td\r\n\r\n" == shown


def test_control_characters_are_kept_in_a_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    """A file gets what was sent."""
    with ScriptedServer(chunked([b"data: a\x1b[2J\n\n"])) as server:
        sse([server.url])

    assert capfd.readouterr().out == "data: a\x1b[2J\n\n"


def test_output_that_cannot_be_encoded() -> None:
    """In an ASCII locale other characters are written as escapes."""
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}

    with ScriptedServer(chunked(["data: é\n\n".encode()])) as server:
        done = subprocess.run(
            [*SSE, server.url], capture_output=True, timeout=LIMIT, env=environment
        )

    assert b"data: \\xe9\n\n" == done.stdout


def test_demo_streams_from_the_mock(capfd: pytest.CaptureFixture[str]) -> None:
    """The main job in one command: a real socket, tokens, a closing line."""
    status = sse_openai(["demo", "What are Server-Sent Events?", "--delay", "0"])

    out, err = capfd.readouterr()
    assert status == 0
    assert out.startswith("Server-Sent Events ")
    assert "です。" in out
    assert out.endswith("你好！\n")
    assert err.count("\n") == 1
    assert " tokens, first after " in err


def test_chat_without_an_endpoint_names_the_demo(capfd: pytest.CaptureFixture[str]) -> None:
    """Without key and base URL it says what to set, and what needs neither."""
    status = sse_openai(["chat", "hi"])

    out, err = capfd.readouterr()
    assert (1, "", 1) == (status, out, err.count("\n"))
    assert "OPENAI_API_KEY" in err
    assert "sse-openai demo" in err


def chat_script(*contents: str) -> Script:
    frames = [f'data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}\n\n' for text in contents]
    return chunked([frame.encode() for frame in [*frames, "data: [DONE]\n\n"]])


def test_chat_prints_the_answer(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halves of a character in two deltas are one character; tokens are counted where told."""
    script = chat_script(r"a\ud83d", r"\ude00b", r"\ud83d")

    with ScriptedServer(script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        status = sse_openai(["chat", "hi", "--model", "m"])

    out, err = capfd.readouterr()
    assert (0, "a😀b\N{REPLACEMENT CHARACTER}\n") == (status, out)
    assert err.startswith("3 chunks, 3 tokens, first after ")


def test_chat_with_one_piece(capfd: pytest.CaptureFixture[str]) -> None:
    """A rate needs two pieces."""
    with ScriptedServer(chat_script("Hello")) as server:
        status = sse_openai(["chat", "hi", "--base-url", server.url])

    out, err = capfd.readouterr()
    assert (0, "Hello\n") == (status, out)
    assert err.endswith(" ms, one piece\n")


def test_chat_that_breaks_off(capfd: pytest.CaptureFixture[str]) -> None:
    """What had arrived is on the screen, and the error says that more was to come."""
    frame = b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'

    with ScriptedServer(chunked([frame])) as server:
        status = sse_openai(["chat", "hi", "--base-url", server.url])

    out, err = capfd.readouterr()
    assert (1, "Hel\n") == (status, out)
    assert (
        err == "sse-openai: the stream ended before [DONE] and before every choice had finished\n"
    )


def test_chat_error_is_the_endpoint_s(capfd: pytest.CaptureFixture[str]) -> None:
    """A wrong key is said in the endpoint's words."""
    body = b'{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}'
    head = b"HTTP/1.1 401 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    with ScriptedServer(Script([head % len(body), body])) as server:
        status = sse_openai(["chat", "hi", "--base-url", server.url])

    assert ("", "sse-openai: Incorrect API key provided\n") == tuple(capfd.readouterr())
    assert status == 1


def test_mock_serves_until_interrupted() -> None:
    """`sse-openai mock` says where it is, answers, and ends with Ctrl-C."""
    command = [*SSE_OPENAI, "mock", "--port", "0", "--api-key", "k"]

    with running(command) as process:
        assert process.stderr is not None
        name, _, url = process.stderr.readline().decode().strip().partition("=")
        answer = subprocess.run(
            [*SSE_OPENAI, "chat", "hi", "--base-url", url],
            env=os.environ | {"OPENAI_API_KEY": "k"},
            capture_output=True,
            timeout=LIMIT,
        )
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)

    assert name == "OPENAI_BASE_URL"
    assert answer.stdout.decode().startswith("Server-Sent Events ")
    assert (b"", b"", 130) == (out, err, process.returncode)


def test_head_is_not_a_stream(capfd: pytest.CaptureFixture[str]) -> None:
    """An empty error body leaves the line as it is."""
    script = Script([HEAD.replace(b"200", b"500") + b"Content-Length: 0\r\n\r\n"])

    with ScriptedServer(script) as server:
        status = sse([server.url])

    assert capfd.readouterr().err == "sse: expected an event stream, got 500 text/event-stream\n"
    assert status == 1
