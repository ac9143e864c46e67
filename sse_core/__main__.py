"""The command ``sse``: print the events of any endpoint as they arrive."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ._encoder import encode
from .sync import stream
from .terminal import Output, run


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 for errors, 2 for usage, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    return run("sse", lambda: _print_events(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sse",
        description="Print the events of a Server-Sent Events endpoint as they arrive: "
        "like `curl -N`, but only complete events, and errors are reported as such.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument(
        "-X", "--request", metavar="METHOD", help="default: GET, or POST with a body"
    )
    parser.add_argument(
        "-H", "--header", metavar="'NAME: VALUE'", action="append", default=[], help="repeatable"
    )
    body = parser.add_mutually_exclusive_group()
    body.add_argument(
        "-d", "--data", metavar="DATA", help="the body; @FILE reads a file, @- reads stdin"
    )
    body.add_argument("--json", metavar="DATA", help="like -d, with Content-Type: application/json")
    parser.add_argument("--last-event-id", metavar="ID", default="", help="resume after this event")
    parser.add_argument("-x", "--proxy", metavar="URL", help="default: from the environment")
    parser.add_argument(
        "--unix-socket", metavar="PATH", help="connect to this socket, whatever the URL says"
    )
    return parser


def _print_events(options: argparse.Namespace) -> None:
    headers = [_header(text) for text in options.header]
    content = options.data
    if options.json is not None:
        content = options.json
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "application/json"))
    output = Output()
    with stream(
        options.url,
        method=options.request,
        headers=headers,
        content=_read(content),
        last_event_id=options.last_event_id,
        proxy=options.proxy,
        uds=options.unix_socket,
    ) as events:
        for event in events:
            output.write(encode(event).decode())


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise ValueError(f"expected 'NAME: VALUE', got {name!r}")
    return name, value.strip()


def _read(data: str | None) -> bytes | None:
    if data is None or not data.startswith("@"):
        return None if data is None else data.encode("utf-8", "surrogateescape")
    return sys.stdin.buffer.read() if data == "@-" else Path(data[1:]).read_bytes()


if __name__ == "__main__":
    sys.exit(main())
