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
    APIError,
    ArgumentsDelta,
    ChatCompletion,
    ChatCompletionChunk,
    ChatError,
    ChatEvent,
    ChatEvents,
    ChatStream,
    Choice,
    ChoiceDone,
    CompletionStream,
    ContentDelta,
    Delta,
    Endpoint,
    Function,
    JSONObject,
    MalformedChunk,
    PartialJSON,
    RateLimit,
    RateLimitError,
    ReasoningDelta,
    RefusalDelta,
    Response,
    ResponseCompletedEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseItemStatusEvent,
    ResponseLifecycleEvent,
    ResponseOutputItemDoneEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseStream,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
    StreamTruncated,
    ToolCall,
    ToolCallDelta,
    ToolCallDone,
    TypedEvent,
    TypedEventStream,
    UnknownEvent,
    UsageReport,
    aread_chat,
    chat_request,
    read_chat,
    responses_request,
)
from sse_openai.mock import LoggedRequest, MockOpenAI, MockServer, Script


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


def chunks(chunk: ChatCompletionChunk, completion: ChatCompletion) -> None:
    """Values all the way down; what is only handed on is a JSON object."""
    assert_type(chunk.choices, list[Choice])
    assert_type(chunk.choices[0].delta, Delta)
    assert_type(chunk.choices[0].logprobs, JSONObject | None)
    assert_type(chunk.tool_calls, list[ToolCallDelta])
    assert_type(chunk.reasoning, str | None)
    assert_type(chunk.finish_reason, str | None)
    assert_type(chunk.usage, JSONObject | None)
    if chunk.usage:
        assert_type(chunk.usage.total_tokens, Any)
    assert_type(chunk.extra, dict[str, Any])
    message = completion.choices[0].message
    assert_type(message.tool_calls, list[ToolCall])
    assert_type(message.tool_calls[0].function, Function | None)
    assert_type(message.reasoning, str | None)
    assert_type(completion.choices[0].finish_reason, str | None)


def events(event: ChatEvent, chunk: ChatCompletionChunk) -> str:
    """A match over classes is exhaustive, and so are comparisons of types."""
    match event:
        case ContentDelta(delta=text, choice_index=index):
            assert_type(text, str)
            assert_type(index, int)
            found = "content"
        case ReasoningDelta() | RefusalDelta():
            assert_type(event.snapshot, str)
            found = "other text"
        case ArgumentsDelta(name=name, arguments_delta=text):
            assert_type(name, str | None)
            assert_type(event.arguments, str)
            assert_type(event.parsed_arguments, Any)
            assert_type(event.custom, bool)
            found = "fragment"
        case ToolCallDone(id=id, parsed_arguments=arguments):
            assert_type(id, str | None)
            assert_type(arguments, Any)
            found = "call"
        case ChoiceDone(finish_reason=reason):
            assert_type(reason, str | None)
            found = "done"
        case UsageReport(usage=usage):
            assert_type(usage, JSONObject)
            found = "usage"
    if event.type == "tool_calls.function.arguments.done":
        assert_type(event, ToolCallDone)
    elif event.type == "choice.done":
        assert_type(event, ChoiceDone)
    machine = ChatEvents()
    assert_type(machine.receive_chunk(chunk), list[ChatEvent])
    assert_type(machine.receive_eof(), list[ChatEvent])
    return found  # unbound, unless every event has its case


async def clients() -> None:
    """Both clients, with the same names."""
    endpoint = Endpoint.azure("https://a", deployment="d", api_version="v", api_key="k")
    assert_type(endpoint, Endpoint)
    assert_type(endpoint.request("models"), sse_core.Request)
    assert_type(chat_request(model="m", messages=[]), sse_core.Request)
    assert_type(responses_request(model="m", input="x", endpoint=endpoint), sse_core.Request)
    async with sse_openai.Client(endpoint=endpoint, timeout=5, max_retries=0) as client:
        assert_type(client, sse_openai.Client)
        assert_type(client.endpoint, Endpoint)
        async with client.chat(model="m", messages=[{"role": "user"}], n=2) as chat:
            assert_type(chat, sse_openai.ChatEventStream)
            assert_type(chat.response, sse_core.Response)
            assert_type(chat.request_id, str | None)
            assert_type(chat.rate_limit, RateLimit)
            assert_type(chat.rate_limit.remaining_tokens, int | None)
            assert_type(chat.rate_limit.reset_tokens, float | None)
            assert_type(await anext(chat), ChatCompletionChunk)
            async for event in chat.events():
                assert_type(event, ChatEvent)
        async with client.responses(model="m", input="x", resume=True) as responses:
            assert_type(responses, sse_openai.ResponseEventStream)
            async for response_event in responses:
                assert_type(response_event, ResponseStreamEvent)
            assert_type(responses.response, Response)
            assert_type(responses.http_response, sse_core.Response)
            assert_type(responses.rate_limit, RateLimit)
    with sse_openai.sync.Client(loads=json.loads) as blocking:
        with blocking.chat(model="m", messages=[], timeout=None) as blocking_chat:
            assert_type(blocking_chat, sse_openai.sync.ChatEventStream)
            assert_type(next(blocking_chat), ChatCompletionChunk)
            for event in blocking_chat.events():
                assert_type(event, ChatEvent)
        with blocking.responses(model="m", input=[{"role": "user"}]) as blocking_responses:
            for response_event in blocking_responses:
                assert_type(response_event, ResponseStreamEvent)


def response_events(event: ResponseStreamEvent) -> None:
    """Each class has its fields, in patterns and as attributes; every event the common ones."""
    assert_type(event.type, str)
    assert_type(event.data, JSONObject)
    assert_type(event.sequence_number, int | None)
    assert_type(event.output_index, int | None)
    assert_type(event.item_id, str | None)
    match event:
        case ResponseReasoningSummaryTextDeltaEvent(delta=text, summary_index=index):
            assert_type(text, str)
            assert_type(index, int | None)
        case ResponseFunctionCallArgumentsDoneEvent(arguments=text, name=name):
            assert_type(text, str)
            assert_type(name, str | None)
        case ResponseItemStatusEvent(status=status):
            assert_type(status, str)
        case ResponseCompletedEvent(response=response):
            assert_type(response.output_text, str)


def errors(error: Exception) -> None:
    """What each exception knows."""
    match error:
        case RateLimitError():
            assert_type(error.rate_limit, RateLimit)
            assert_type(error.retry_after, float | None)
        case APIError():
            assert_type(error.message, str)
            assert_type(error.code, str | int | None)
            assert_type(error.status, int | None)
            assert_type(error.request_id, str | None)
            assert_type(error.completion, ChatCompletion | None)
            assert_type(error.response, Response | None)
            assert_type(error.body, bytes)
        case MalformedChunk():
            assert_type(error.event, ServerSentEvent)
            assert_type(error.completion, ChatCompletion)


def partial_json(reader: PartialJSON) -> None:
    """Any value."""
    assert_type(reader.receive_text("{"), None)
    assert_type(reader.value, Any)
    assert_type(reader.complete, bool)
    assert_type(reader.receive_eof(), Any)


def mock(server: MockServer) -> None:
    """What the fixture ``mock_openai`` gives; every kind of script."""
    assert_type(server.base_url, str)
    assert_type(server.api_key, str)
    assert_type(server.mock, MockOpenAI)
    assert_type(server.requests, list[LoggedRequest])
    assert_type(server.requests[0].headers["x"], str)
    server.script({"text": "a"}, Script.from_value([{"status": 429}]), "script.json")
    MockOpenAI(["a", "b"])
    MockOpenAI([{"text": ["a", 0.5, None]}, {"status": 500}])
    with MockServer(MockOpenAI(Script.from_path("script.json"))) as served:
        assert_type(served, MockServer)
