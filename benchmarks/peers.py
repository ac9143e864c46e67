"""bytes -> a peer's own events, in the shortest way that the peer offers.

Each adapter feeds the peer's decoder directly, without HTTP, and says how. If a decoder
takes text, the bytes are decoded first, at less cost than in its own package. If it can be
flushed at the end, it is. Peers are imported on demand, so none needs to be installed.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Iterable, Iterator
from importlib import import_module, metadata
from typing import Any

from .parsers import OURS, Adapter, Parser, PythonParser, Sink, View

__all__ = ["ADAPTERS", "REQUIREMENTS", "installed"]


def _texts(chunks: Iterable[bytes]) -> Iterator[str]:
    """UTF-8 cut anywhere -> text. Twice as fast as the standard library's incremental decoder."""
    pending = b""
    for chunk in chunks:
        if pending:
            chunk = pending + chunk
        text, used = utf_8_decode(chunk, "replace", False)
        pending = chunk[used:]
        if text:
            yield text
    if pending:
        yield pending.decode("utf-8", "replace")


class Ours(Adapter):
    """``EventStreamParser.receive_data`` for each read."""

    name = OURS
    distribution = "sse-toolkit"
    takes_last_event_id = True

    def __init__(self) -> None:
        self._parser: Any = import_module("sse_core").EventStreamParser
        self._retry: int | None = None

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        parser = self._parser(last_event_id=self.last_event_id)
        receive_data = parser.receive_data
        for chunk in chunks:
            if events := receive_data(chunk):
                sink(events)
        self._retry = parser.reconnection_time

    def retry(self, events: list[Any]) -> int | None:
        return self._retry


class HttpxSSE(Adapter):
    """httpx-sse's line decoder and event decoder, joined by ``map``."""

    name = "httpx-sse"
    distribution = "httpx-sse"

    def __init__(self) -> None:
        decoders = import_module("httpx_sse._decoders")
        self._lines: Any = decoders.SSELineDecoder
        self._events: Any = decoders.SSEDecoder

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        lines = self._lines()
        decode_lines = lines.decode
        decode_event = self._events().decode
        for text in _texts(chunks):
            if complete := decode_lines(text):
                sink(filter(None, map(decode_event, complete)))
        sink(filter(None, map(decode_event, lines.flush())))


class HttpxSSEPublic(Adapter):
    """httpx-sse as its users call it: ``iter_sse()``, over a response in memory."""

    name = "httpx-sse, iter_sse()"
    distribution = "httpx-sse"

    def __init__(self) -> None:
        self._response: Any = import_module("httpx").Response
        self._event_source: Any = import_module("httpx_sse").EventSource

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        headers = {"content-type": "text/event-stream"}
        response = self._response(200, headers=headers, content=iter(chunks))
        sink(self._event_source(response).iter_sse())


class Httpx2(Adapter):
    """httpx2's line decoder and event decoder, joined by ``map``, without its limit of 1 MiB."""

    name = "httpx2"
    distribution = "httpx2"

    def __init__(self) -> None:
        module = import_module("httpx2._sse")
        self._lines: Any = module._SSELineDecoder
        self._events: Any = module._SSEEventDecoder

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        lines = self._lines()
        decode_lines = lines.decode
        decode_event = self._events().decode
        for text in _texts(chunks):
            if complete := decode_lines(text):
                sink(filter(None, map(decode_event, complete)))
        sink(filter(None, map(decode_event, lines.flush())))


class Mcp(Adapter):
    """The parser in mcp's client: that of httpx2's ``EventSource``, under mcp's limit."""

    name = "mcp"
    distribution = "mcp"

    def __init__(self) -> None:
        self._limit: Any = import_module("mcp.client.streamable_http").DEFAULT_MAX_SSE_EVENT_SIZE
        self._parser: Any = import_module("httpx2._sse")._SSEParser

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        parser = self._parser(self._limit)
        decode = parser.decode
        for text in _texts(chunks):
            sink(decode(text))
        sink(parser.flush())


class OpenAI(Adapter):
    """openai's ``SSEDecoder.iter_bytes``: what its ``Stream`` reads, before any JSON."""

    name = "openai"
    distribution = "openai"

    def __init__(self) -> None:
        self._decoder: Any = import_module("openai._streaming").SSEDecoder

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        sink(self._decoder().iter_bytes(iter(chunks)))


class Anthropic(OpenAI):
    """anthropic's ``SSEDecoder.iter_bytes``: what its ``Stream`` reads, before any JSON."""

    name = "anthropic"
    distribution = "anthropic"

    def __init__(self) -> None:
        self._decoder = import_module("anthropic._streaming").SSEDecoder


class SSEClientPy(Adapter):
    """sseclient-py's ``SSEClient.events`` over an iterator of reads; ``id`` is the block's own."""

    name = "sseclient-py"
    distribution = "sseclient-py"
    tells_retry = False  # it does so as text, and only with an event

    def __init__(self) -> None:
        self._client: Any = import_module("sseclient").SSEClient

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        sink(self._client(iter(chunks)).events())

    def view(self, event: Any) -> View:
        return View(event.event, event.data, event.id)


class LaunchDarkly(Adapter):
    """launchdarkly-eventsource's line reader and event reader, which also yield comments."""

    name = "launchdarkly-eventsource"
    distribution = "launchdarkly-eventsource"
    takes_last_event_id = True

    def __init__(self) -> None:
        reader = import_module("ld_eventsource.reader")
        self._lines_from: Any = reader._BufferedLineReader.lines_from
        self._reader: Any = reader._SSEReader
        self._retries: list[int] = []

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        retries: list[int] = []
        self._retries = retries
        lines = self._lines_from(chunks)
        reader = self._reader(lines, self.last_event_id or None, retries.append)
        sink(reader.events_and_comments())

    def view(self, event: Any) -> View:
        return View(event.event, event.data, event.last_event_id or "")

    def retry(self, events: list[Any]) -> int | None:
        return self._retries[-1] if self._retries else None


class Niquests(Adapter):
    """niquests' SSE extension, which is urllib3-future's, over an iterator of reads."""

    name = "niquests"
    distribution = "niquests"

    def __init__(self) -> None:
        module = import_module("urllib3_future.contrib.webextensions.sse")
        self._extension: Any = module.ServerSideEventExtensionFromHTTP
        metadata.version(self.distribution)

    def parse(self, chunks: Iterable[bytes], sink: Sink) -> None:
        extension = self._extension()
        extension._response = extension  # what start() sets; only its presence is checked
        extension._stream = iter(chunks)
        sink(iter(extension.next_payload, None))


ADAPTERS: list[type[Adapter]] = [
    Ours,
    HttpxSSE,
    HttpxSSEPublic,
    Httpx2,
    Mcp,
    OpenAI,
    Anthropic,
    SSEClientPy,
    LaunchDarkly,
    Niquests,
]

REQUIREMENTS = ["httpx", *dict.fromkeys(adapter.distribution for adapter in ADAPTERS[1:])]
"""The distributions that ``--install`` installs."""


def installed() -> tuple[list[Parser], list[str]]:
    """Return the installed Python parsers, ours first, and the reasons why others are left out."""
    parsers: list[Parser] = []
    left_out = []
    for adapter in ADAPTERS:
        try:
            parsers.append(PythonParser(adapter()))
        except (ImportError, metadata.PackageNotFoundError):
            left_out.append(f"{adapter.name}: not installed")
        except AttributeError as exc:
            left_out.append(f"{adapter.name}: this version has changed ({exc})")
    return parsers, left_out
