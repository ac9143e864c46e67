"""The command ``sse-openai``: chat with an endpoint, serve a mock of one, or relay one."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio

from sse_core import serve
from sse_core.terminal import Output, run

from ._endpoint.client import stream_chat
from ._endpoint.request import Endpoint
from .mock import MockOpenAI, Recording, Script
from .relay import Relay


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 for errors, 2 for usage, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], Coroutine[Any, Any, None]] = options.command
    return run("sse-openai", lambda: anyio.run(command, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sse-openai", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="stream an answer from a mock in this process, over a real socket"
    )
    demo.add_argument("prompt", metavar="PROMPT")
    demo.add_argument("--delay", type=float, default=0.02, metavar="SECONDS", help="between tokens")
    demo.set_defaults(command=_demo)

    chat = commands.add_parser("chat", help="stream an answer from the configured endpoint")
    chat.add_argument("prompt", metavar="PROMPT")
    chat.add_argument("--model", default=os.environ.get("OPENAI_MODEL", "gpt-5-mini"))
    chat.add_argument("--base-url", metavar="URL", help="default: OPENAI_BASE_URL, or OpenAI")
    chat.set_defaults(command=_chat)

    mock = commands.add_parser("mock", help="serve a mock endpoint for tests and experiments")
    mock.add_argument("--host", default="127.0.0.1")
    mock.add_argument("--port", type=int, default=8000)
    mock.add_argument("--script", metavar="FILE", help="the answers to give; see docs/testing.md")
    pace = mock.add_mutually_exclusive_group()
    pace.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="between tokens")
    pace.add_argument("--rate", type=float, metavar="N", help="tokens per second")
    mock.add_argument(
        "--jitter", type=float, default=0.0, metavar="0..1", help="the random share of each delay"
    )
    mock.add_argument("--seed", type=int, default=0, metavar="N", help="of the jitter; default: 0")
    mock.add_argument(
        "--recording",
        action="append",
        default=[],
        metavar="MODEL=FILE",
        help="answer requests for MODEL with a recorded stream; repeatable",
    )
    mock.add_argument("--api-key", metavar="KEY", help="the only key to accept; default: any")
    mock.set_defaults(command=_mock)

    relay = commands.add_parser(
        "relay", help="serve a chat page and relay it to the configured endpoint, for one person"
    )
    relay.add_argument("--host", default="127.0.0.1")
    relay.add_argument("--port", type=int, default=8080)
    relay.add_argument("--upstream", metavar="URL", help="default: OPENAI_BASE_URL, or OpenAI")
    relay.add_argument(
        "--model", action="append", metavar="NAME", help="allow only this model; repeatable"
    )
    relay.add_argument(
        "--token", action="append", default=[], help="accept this token from callers; repeatable"
    )
    relay.add_argument(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="accept requests for this host; repeatable; default: loopback names",
    )
    relay.set_defaults(command=_relay)
    return parser


async def _demo(options: argparse.Namespace) -> None:
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(serve, MockOpenAI(delay=options.delay))
        await _print_answer("mock", options.prompt, f"http://127.0.0.1:{port}/v1", "demo")
        # Coverage on CPython 3.11 loses this frame in the await above. The line does run:
        # without it, the server would continue and the demo would never end.
        tasks.cancel_scope.cancel()  # pragma: no cover


async def _chat(options: argparse.Namespace) -> None:
    base_url = options.base_url or os.environ.get("OPENAI_BASE_URL")
    if not (base_url or os.environ.get("OPENAI_API_KEY")):
        raise ValueError(
            "set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server; "
            "`sse-openai demo PROMPT` needs neither"
        )
    await _print_answer(options.model, options.prompt, base_url, None)


async def _mock(options: argparse.Namespace) -> None:
    recordings = {}
    for given in options.recording:
        model, equals, path = given.partition("=")
        if not (model and equals):
            raise ValueError(f"--recording expects MODEL=FILE, got {given!r}")
        recordings[model] = Recording.from_path(path)
    app = MockOpenAI(
        Script.from_path(options.script) if options.script else None,
        api_key=options.api_key,
        delay=options.delay,
        rate=options.rate,
        jitter=options.jitter,
        seed=options.seed,
        recordings=recordings,
    )
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(partial(serve, app, host=options.host, port=options.port))
        print(f"OPENAI_BASE_URL=http://{options.host}:{port}/v1", file=sys.stderr, flush=True)


async def _relay(options: argparse.Namespace) -> None:
    loopback = options.host in ("127.0.0.1", "::1", "localhost")
    if not loopback and not options.token:
        raise ValueError("other machines can reach this host: set a --token for its callers")
    app = Relay(
        Endpoint(base_url=options.upstream),
        models=options.model,
        tokens=options.token,
        hosts=options.allow_host or (None if loopback else [options.host]),
    )
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(partial(serve, app, host=options.host, port=options.port))
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(
            f"http://{host}:{port}/\n"
            "For more than one person: uvicorn --factory sse_openai.relay:from_environment",
            file=sys.stderr,
            flush=True,
        )


async def _print_answer(model: str, prompt: str, base_url: str | None, key: str | None) -> None:
    output = Output()
    chunks = pieces = 0
    first = last = start = time.perf_counter()
    async with stream_chat(
        model=model, messages=[{"role": "user", "content": prompt}], base_url=base_url, api_key=key
    ) as chat:
        try:
            async for chunk in chat:
                chunks += 1
                if chunk.content:
                    last = time.perf_counter()
                    first = last if pieces == 0 else first
                    pieces += 1
                    output.write(chunk.content)
        finally:
            output.write("\n", final=True)
    usage: dict[str, Any] = chat.completion.usage or {}
    tokens = usage.get("completion_tokens", pieces)
    rate = f"{(pieces - 1) / (last - first):.0f} tokens/s" if pieces > 1 else "one piece"
    print(
        f"{chunks} chunks, {tokens} tokens, first after {(first - start) * 1000:.0f} ms, {rate}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main())
