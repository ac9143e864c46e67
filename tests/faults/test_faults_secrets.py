"""T7, T8: what a redirect may carry along, and where to, over sockets."""

from __future__ import annotations

import pytest

from sse_core import ResponseError
from tests.support.scripted_server import WAIT, Script, ScriptedServer, chunked
from tests.support.shells import Shell, on_every_shell
from tests.support.tls import CLIENT, SERVER

MARK = b"s3cr3t"
HEADERS = {
    name: MARK.decode()
    for name in ("Authorization", "Cookie", "Proxy-Authorization", "api-key", "X-Own", "Referer")
}


@pytest.mark.sweep(quick=30)
@on_every_shell
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", ["//127.0.0.1:{port}/", "{tls}", "{name}", "/same"])
def test_t7_marks_are_searched_for_at_the_target(
    target: str, method: str, status: int, shell: Shell
) -> None:
    """To another origin goes no header of the caller's and no body; to the same go both."""
    plain, tls = chunked([b"data: a\n\n"]), chunked([b"data: a\n\n"])
    with ScriptedServer(plain) as other, ScriptedServer(tls, ssl_context=SERVER) as secure:
        location = target.format(
            tls=secure.url,
            port=other.port,
            name=other.url.replace("127.0.0.1", "localhost"),
        )
        head = b"HTTP/1.1 %d X\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
        redirect, same = Script([head % (status, location.encode())]), chunked([b"data: a\n\n"])
        content = MARK if method == "POST" else None
        with ScriptedServer(redirect, same) as server:
            items = shell.stream(
                server.url, headers=HEADERS, content=content, ssl_context=CLIENT, timeout=WAIT
            )
            _, events, error = shell.collect(items)

    assert MARK in redirect.request
    asked = [script for script in (plain, tls, same) if script.request]
    keeps_body = method == "POST" and status in (307, 308)
    if target == "/same":
        assert [same] == asked
        assert len(HEADERS) + keeps_body == same.request.count(MARK)
    elif keeps_body:
        assert isinstance(error, ResponseError)
        assert [] == asked
    else:
        assert (1, 1, None) == (len(asked), len(events), error)
        assert MARK not in asked[0].request


@on_every_shell
@pytest.mark.parametrize("scheme", ["http", "file", "ftp", "javascript"])
def test_t8_downgrade(scheme: str, shell: Shell) -> None:
    """From https to http, or to what is no HTTP, nothing is followed."""
    with ScriptedServer(chunked([b"data: a\n\n"])) as other:
        location = other.url.replace("http:", f"{scheme}:").encode()
        redirect = Script([b"HTTP/1.1 302 X\r\nLocation: %b\r\n\r\n" % location])
        with ScriptedServer(redirect, ssl_context=SERVER) as server:
            items = shell.stream(server.url, ssl_context=CLIENT, timeout=WAIT)
            _, _, error = shell.collect(items)
        assert not other.scripts[0].opened.is_set()

    assert isinstance(error, ResponseError)
    assert location.decode() == error.response.headers["location"]
