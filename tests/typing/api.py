"""The types that users rely on, for mypy and pyright; not run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import sse_core
import sse_core.sync
import sse_openai
import sse_openai.sync
from sse_core import Comment, EventStreamParser, ServerSentEvent, aiter_events, iter_events
from sse_openai import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatError,
    ChatEvent,
    ChatStream,
    CompletionStream,
    ContentDelta,
    JSONObject,
    Response,
    ResponseFunctionToolCall,
    ResponseLifecycleEvent,
    ResponseOutputItemDoneEvent,
    ResponseStream,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
    StreamTruncated,
    TypedEvent,
    TypedEventStream,
    UnknownEvent,
    aread_chat,
    read_chat,
)


def parser() -> None:
    """Comments are in the lists of those who ask for them, and of nobody else."""
    events = EventStreamParser()
    assert_type(events, EventStreamParser[ServerSentEvent])
    assert_type(events.receive_data(b""), list[ServerSentEvent])
    assert_type(events.receive_data(bytearray()), list[ServerSentEvent])
    assert_type(events.receive_data(memoryview(b"")), list[ServerSentEvent])
    assert_type(events.receive_eof(), ServerSentEvent | None)
    assert_type(events.last_event_id, str)
    assert_type(events.reconnection_time, int | None)

    items = EventStreamParser("7", None, comments=True)
    assert_type(items.receive_data(b""), list[ServerSentEvent | Comment])


def iterators(chunks: list[bytes], more: AsyncIterator[bytes]) -> None:
    """The same for iterators."""
    assert_type(iter_events(chunks), Iterator[ServerSentEvent])
    assert_type(iter_events(chunks, comments=True), Iterator[ServerSentEvent | Comment])
    assert_type(aiter_events(more), AsyncIterator[ServerSentEvent])
    assert_type(aiter_events(more, comments=True), AsyncIterator[ServerSentEvent | Comment])


def event(event: ServerSentEvent) -> None:
    """Fields and matching."""
    assert_type(event.data, str)
    assert_type(event.retry, int | None)
    assert_type(event.json(), Any)
    match event:
        case ServerSentEvent(data, "tick"):
            assert_type(data, str)


async def streams() -> None:
    """Both shells, with and without comments."""
    async with sse_core.stream("http://example.org", json={}, timeout=5) as events:
        assert_type(events, sse_core.EventStream[ServerSentEvent])
        async for event in events:
            assert_type(event, ServerSentEvent)
    async with sse_core.stream("http://example.org", comments=True) as items:
        async for item in items:
            assert_type(item, ServerSentEvent | Comment)
    async with sse_core.stream("http://example.org", proxy="p:1", trust_env=False) as proxied:
        assert_type(proxied, sse_core.EventStream[ServerSentEvent])
    with sse_core.sync.stream("http://example.org", headers={"X-One": "1"}, uds="s") as blocking:
        for event in blocking:
            assert_type(event, ServerSentEvent)
    with sse_core.sync.stream("http://example.org", comments=True) as more:
        for item in more:
            assert_type(item, ServerSentEvent | Comment)


async def chats(chat: ChatStream, event: ServerSentEvent, bodies: AsyncIterator[bytes]) -> None:
    """Chunks and what they add up to."""
    assert_type(chat.receive_event(event), ChatCompletionChunk | None)
    assert_type(chat.completion, ChatCompletion)
    async with sse_openai.stream_chat(model="m", messages=[{"role": "user"}]) as stream:
        async for chunk in stream:
            assert_type(chunk, ChatCompletionChunk)
            assert_type(chunk.content, str | None)
        async for told in stream.events():
            assert_type(told, ChatEvent)
            if told.type == "content.delta":
                assert_type(told, ContentDelta)
                assert_type(told.snapshot, str)
    async for chunk in aread_chat(bodies):
        assert_type(chunk, ChatCompletionChunk)
    for chunk in read_chat([b""]):
        assert_type(chunk, ChatCompletionChunk)
    for told in read_chat([b""], loads=json.loads).events():
        assert_type(told, ChatEvent)
    with sse_openai.sync.stream_chat(model="m", messages=[], temperature=0.5) as blocking:
        for chunk in blocking:
            assert_type(chunk.choices[0].delta.content, str | None)
        assert_type(blocking.completion.choices[0].message.content, str | None)


def responses(stream: ResponseStream, event: ServerSentEvent) -> None:
    """Fields have the types of the reference, in attributes and in patterns."""
    assert_type(stream.receive_event(event), ResponseStreamEvent | None)
    assert_type(stream.sequence_number, int | None)
    match stream.receive_event(event):
        case ResponseTextDeltaEvent(delta=text, content_index=index):
            assert_type(text, str)
            assert_type(index, int | None)
        case ResponseOutputItemDoneEvent(item=item, output_index=place):
            assert_type(item, JSONObject)
            assert_type(place, int | None)
        case ResponseLifecycleEvent() as lifecycle:
            assert_type(lifecycle.response, Response)
        case UnknownEvent(type, data):
            assert_type(type, str)
            assert_type(data, JSONObject)
    response = stream.response
    assert_type(response, Response)
    assert_type(response.id, str | None)
    assert_type(response.created_at, float | None)
    assert_type(response.status, str | None)
    assert_type(response.usage, JSONObject | None)
    assert_type(response.output, list[JSONObject])
    assert_type(response.output_text, str)
    assert_type(response.refusal, str | None)
    assert_type(response.function_calls, list[ResponseFunctionToolCall])
    assert_type(response.function_calls[0].arguments, str)
    try:
        stream.receive_eof()
    except StreamTruncated as exc:
        assert_type(exc.response, Response | None)
        assert_type(exc.completion, ChatCompletion)
    except ChatError as exc:
        assert_type(exc.response, Response | None)


def typed_events(stream: TypedEventStream, event: ServerSentEvent) -> None:
    """Types and objects; the older completions are chats."""
    assert_type(stream.receive_event(event), TypedEvent | None)
    assert_type(stream.complete, bool)
    older = CompletionStream()
    assert_type(older.receive_event(event), ChatCompletionChunk | None)
    assert_type(older.completion, ChatCompletion)
