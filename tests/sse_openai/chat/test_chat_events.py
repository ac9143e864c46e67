"""What chunks tell a user interface: event by event, next to the completion and openai-python."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from time import process_time
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk as OpenAIChunk

import sse_openai
from sse_core import EventStreamParser, ServerSentEvent
from sse_openai import (
    APIError,
    ArgumentsDelta,
    ChatCompletion,
    ChatCompletionChunk,
    ChatError,
    ChatEvent,
    ChatEvents,
    ChatStream,
    ChoiceDone,
    ContentDelta,
    MalformedChunk,
    ReasoningDelta,
    RefusalDelta,
    StreamTruncated,
    ToolCallDone,
    UsageReport,
    read_chat,
)
from tests.support.scripted_server import WAIT, Script, ScriptedServer, chunked
from tests.support.shells import (
    Cancelling,
    Shell,
    cancelled_at,
    on_every_shell,
    on_every_way_to_cancel,
)

DATA = Path(__file__).parents[2] / "data"


def choice(index: int = 0, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def call(index: int | None = 0, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """Return a fragment of a call; ``name`` is its function's."""
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {"index": index, **fields, "function": {**name, "arguments": arguments}}


def calls(*fragments: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the choices that bring these fragments, one each."""
    return [choice(tool_calls=[fragment]) for fragment in fragments]


def read(*choices: dict[str, Any], end: bool = True) -> list[Any]:
    """Return the events of chunks with one choice each, and of the end."""
    machine = ChatEvents()
    events: list[ChatEvent] = []
    for each in choices:
        events += machine.receive_chunk(ChatCompletionChunk.from_json({"choices": [each]}))
    return events + (machine.receive_eof() if end else [])


def told(events: list[ChatEvent]) -> list[Any]:
    """Return what events say, each in brief."""
    brief: list[Any] = []
    for event in events:
        match event:
            case ContentDelta() | ReasoningDelta() | RefusalDelta():
                brief.append((event.type.partition(".")[0], event.choice_index, event.delta))
            case ArgumentsDelta():
                brief.append(("arguments", event.index, event.arguments_delta))
            case ToolCallDone():
                brief.append(("call", event.index, event.arguments))
            case ChoiceDone():
                brief.append(("done", event.choice_index, event.finish_reason))
            case UsageReport():
                brief.append(("usage", event.usage))
    return brief


# Text.


def test_text() -> None:
    """Content, reasoning and refusal as they come; nothing of what is empty."""
    events = read(
        choice(role="assistant", content=""),
        choice(reasoning_content="r"),
        choice(content="a", refusal="n"),
        choice(content=None),
        choice(content="b"),
        choice(finish_reason="stop"),
    )

    assert [
        ("reasoning", 0, "r"),
        ("content", 0, "a"),
        ("refusal", 0, "n"),
        ("content", 0, "b"),
        ("done", 0, "stop"),
    ] == told(events)
    assert "content.delta" == events[1].type


def test_snapshot() -> None:
    """All of the text up to the delta, also when it is asked for later."""
    *events, _ = read(*(choice(content=text) for text in "abc"))

    assert ["a", "ab", "abc"] == [event.snapshot for event in events]


def test_choices() -> None:
    """Events say of which choice they are; choices take turns."""
    events = read(
        choice(1, content="b"),
        choice(0, content="a"),
        choice(1, finish_reason="stop"),
        choice(0, content="c", finish_reason="length"),
    )

    assert [
        ("content", 1, "b"),
        ("content", 0, "a"),
        ("done", 1, "stop"),
        ("content", 0, "c"),
        ("done", 0, "length"),
    ] == told(events)


@pytest.mark.parametrize("field", ["content", "reasoning", "refusal"])
def test_halves_of_a_character(field: str) -> None:
    """They are shown when both are there; one that stays alone is U+FFFD in the end."""
    texts = ["a\ud83d", "\ude00b", "\ud83d", "\ud83dc\ude00", "\ud83d"]
    events = read(
        *(choice(0, None, **{field: text}) for text in texts), choice(finish_reason="stop")
    )

    assert ["a", "😀b", "\ufffd\ufffdc\ufffd", "\ufffd"] == [
        text for _, _, text in told(events)[:-1]
    ]


# Tool calls.


def test_tool_call() -> None:
    """A fragment shows its text and what is known of the value; the end tells the whole."""
    machine = ChatEvents()
    known = []
    for each in calls(
        call(id="i", name="f", arguments=""),
        call(arguments='{"city": "Ky'),
        call(arguments="oto"),
        call(arguments='", "days": 3}'),
    ):
        event: Any
        (event,) = machine.receive_chunk(ChatCompletionChunk.from_json({"choices": [each]}))
        known.append((event.arguments_delta, event.arguments, repr(event.parsed_arguments)))
    finish = ChatCompletionChunk.from_json({"choices": [choice(finish_reason="tool_calls")]})
    done, _ = machine.receive_chunk(finish)

    assert [
        ("", "", "None"),
        ('{"city": "Ky', '{"city": "Ky', "{'city': 'Ky'}"),
        ("oto", '{"city": "Kyoto', "{'city': 'Kyoto'}"),
        ('", "days": 3}', '{"city": "Kyoto", "days": 3}', "{'city': 'Kyoto', 'days': 3}"),
    ] == known
    assert done == ToolCallDone(
        0, 0, "i", "f", '{"city": "Kyoto", "days": 3}', {"city": "Kyoto", "days": 3}
    )
    assert (event.choice_index, event.index, event.id, event.name) == (0, 0, "i", "f")
    assert not event.custom


@pytest.mark.parametrize(
    ("fragments", "reason", "expected"),
    [
        ([call(0, "{}"), call(1, "[]")], "stop",
         [("arguments", 0, "{}"), ("call", 0, "{}"), ("arguments", 1, "[]"), ("call", 1, "[]")]),
        ([call(0, "{"), call(1, "[]"), call(0, "}")], "stop",
         [("arguments", 0, "{"), ("arguments", 1, "[]"), ("arguments", 0, "}"),
          ("call", 0, "{}"), ("call", 1, "[]")]),
        ([call(0, "{"), call(1, "[]"), call(0, "}"), call(2)], "stop",
         [("arguments", 0, "{"), ("arguments", 1, "[]"), ("arguments", 0, "}"),
          ("call", 0, "{}"), ("call", 1, "[]"), ("arguments", 2, ""), ("call", 2, "")]),
        ([call(0), call(1)], "stop",
         [("arguments", 0, ""), ("arguments", 1, ""), ("call", 0, ""), ("call", 1, "")]),
        ([call(0)], "length", [("arguments", 0, "")]),
        ([call(0, "{")], "length", [("arguments", 0, "{")]),
        ([call(0, "{")], "stop", [("arguments", 0, "{")]),
        ([call(0, "{}")], "length", [("arguments", 0, "{}"), ("call", 0, "{}")]),
        ([call(0, "1"), call(1)], "stop",
         [("arguments", 0, "1"), ("arguments", 1, ""), ("call", 0, "1"), ("call", 1, "")]),
        ([call(0, "{'"), call(0, "}")], "stop", [("arguments", 0, "{'"), ("arguments", 0, "}")]),
        ([call(0, "{}"), call(1, "{}"), call(0, "x")], "stop",
         [("arguments", 0, "{}"), ("call", 0, "{}"), ("arguments", 1, "{}"),
          ("arguments", 0, "x"), ("call", 1, "{}")]),
        ([call(0, {"a": 1})], "stop", [("arguments", 0, '{"a":1}'), ("call", 0, '{"a":1}')]),
        ([call(None, "{}", id="a"), call(None, "{}", id="b")], None,
         [("arguments", 0, "{}"), ("call", 0, "{}"), ("arguments", 1, "{}"), ("call", 1, "{}")]),
    ],
    ids=["next begins", "in turns", "in turns, then the next", "no arguments", "cut before any",
         "cut", "unfinished", "whole although cut", "a number", "no JSON", "more after the end",
         "object", "no finish reason"],
)  # fmt: skip
def test_when_a_call_is_done(
    fragments: list[dict[str, Any]], reason: str | None, expected: list[Any]
) -> None:
    """When its JSON is whole and the next begins, or at the end; never where it was cut off."""
    events = read(*calls(*fragments), choice(finish_reason=reason))

    assert [*expected, ("done", 0, reason)] == told(events)


def test_nothing_is_done_without_an_end() -> None:
    """Of a stream that was cut no end is told."""
    events = read(*calls(call(0, "{}")), choice(content="\ud83d"), end=False)

    assert [("arguments", 0, "{}")] == told(events)


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_custom_tool(reason: str) -> None:
    """Its input is text, which is whole unless it was cut off."""
    fragments = [
        {"index": 0, "id": "i", "type": "custom", "custom": {"name": "sh", "input": ""}},
        {"index": 0, "custom": {"input": "ls ["}},
    ]
    events = read(*calls(*fragments), choice(finish_reason=reason))

    assert [True, True] == [event.custom for event in events[:2]]
    assert None is events[1].parsed_arguments
    done = [ToolCallDone(0, 0, "i", "sh", "ls [", None, custom=True)] if reason == "stop" else []
    assert [*done, ChoiceDone(0, reason)] == events[2:]


def test_arguments_that_are_no_json() -> None:
    """What was known before the fault stays; the text is all there."""
    events = read(*calls(call(0, '{"a": 1, '), call(0, "b"), call(0, "}")))

    last = events[2]
    assert isinstance(last, ArgumentsDelta)
    assert ({"a": 1}, '{"a": 1, b}') == (last.parsed_arguments, last.arguments)


def test_halves_of_a_character_in_arguments() -> None:
    """As themselves or as escapes of the inner JSON, they are joined."""
    events = read(
        *calls(call(0, '["\ud83d'), call(0, "\ude00\\ud83d"), call(0, '\\ude00"]')),
        *calls(call(1, '"a\ud83d')),
        choice(finish_reason="stop"),
    )

    assert [
        ("arguments", 0, '["'),
        ("arguments", 0, "😀\\ud83d"),
        ("arguments", 0, '\\ude00"]'),
        ("call", 0, '["😀\\ud83d\\ude00"]'),
        ("arguments", 1, '"a'),
        ("arguments", 1, "\ufffd"),
        ("done", 0, "stop"),
    ] == told(events)
    assert ["😀😀"] == events[3].parsed_arguments


def test_parsed_arguments_are_live() -> None:
    """One object that grows; the texts of an event stay what they were."""
    first, second, *_ = read(*calls(call(0, '["a'), call(0, 'b"]')))

    assert isinstance(first, ArgumentsDelta)
    assert isinstance(second, ArgumentsDelta)
    assert first.parsed_arguments is second.parsed_arguments
    assert ['["a', '["ab"]'] == [first.arguments, second.arguments]


def test_too_many_calls() -> None:
    """ChatStream refuses such a chunk; here the call is left out."""
    events = read(*calls(*(call(index, id=str(index)) for index in range(130))))

    assert 2 * 128 + 1 == len(events)


# Ends.


def test_finish_reasons() -> None:
    """Told once, and again where a server changes its mind; text may still follow."""
    events = read(
        choice(content="a", finish_reason="stop"),
        choice(finish_reason="stop"),
        choice(finish_reason=""),
        choice(content="b"),
        choice(finish_reason="length"),
    )

    assert [
        ("content", 0, "a"),
        ("done", 0, "stop"),
        ("content", 0, "b"),
        ("done", 0, "length"),
    ] == told(events)


def test_calls_after_the_finish() -> None:
    """Some servers finish first; such calls are done at the end of the stream."""
    events = read(choice(finish_reason="tool_calls"), *calls(call(0, "{}")))

    assert [("done", 0, "tool_calls"), ("arguments", 0, "{}"), ("call", 0, "{}")] == told(events)


def test_no_finish_reason() -> None:
    """[DONE] without one finishes a choice, and none is made up."""
    assert [("content", 0, "a"), ("done", 0, None)] == told(read(choice(content="a")))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"usage": {"total_tokens": 1}}, [("usage", {"total_tokens": 1})]),
        ({"x_groq": {"usage": {"total_tokens": 1}}}, [("usage", {"total_tokens": 1})]),
        ({"usage": None}, []),
        ({"usage": 5}, []),
        ({"x_groq": {"id": "x"}}, []),
        ({"x_groq": "x"}, []),
    ],
)
def test_usage(fields: dict[str, Any], expected: list[Any]) -> None:
    """Told whenever a chunk brings it, behind what its choices tell."""
    chunk = ChatCompletionChunk.from_json({"choices": [choice(content="a")], **fields})

    assert [("content", 0, "a"), *expected] == told(ChatEvents().receive_chunk(chunk))


# Laws.


def folded(events: list[ChatEvent]) -> dict[int, Any]:
    """Return what the deltas add up to."""
    choices: dict[int, Any] = {}
    for event in events:
        if isinstance(event, UsageReport):
            continue
        text = choices.setdefault(event.choice_index, {"calls": {}, "reason": None})
        match event:
            case ContentDelta() | ReasoningDelta() | RefusalDelta():
                text[event.type] = text.get(event.type, "") + event.delta
                assert text[event.type] == event.snapshot
            case ArgumentsDelta():
                before = text["calls"].get(event.index, "")
                text["calls"][event.index] = before + event.arguments_delta
                assert text["calls"][event.index] == event.arguments
            case ToolCallDone():
                assert text["calls"][event.index] == event.arguments
                if event.arguments and not event.custom:
                    assert repr(json.loads(event.arguments)) == repr(event.parsed_arguments)
            case ChoiceDone():
                text["reason"] = event.finish_reason
    return choices


def of_completion(completion: ChatCompletion) -> dict[int, Any]:
    """Return the same of a completion."""
    choices: dict[int, Any] = {}
    for each in completion.choices:
        message = each.message
        texts = {
            "content.delta": message.content,
            "reasoning.delta": message.reasoning,
            "refusal.delta": message.refusal,
        }
        arguments = [
            call.custom.input if call.custom else call.function and call.function.arguments
            for call in message.tool_calls
        ]
        choices[each.index] = {
            "calls": dict(enumerate(arguments)),
            "reason": each.finish_reason,
            **{key: text for key, text in texts.items() if text},
        }
    return choices


TEXTS = st.text(st.sampled_from('ab"{}\\:é\ud83d\ude00\ude00'), max_size=4)
FRAGMENTS = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 1, None])},
    optional={
        "id": st.sampled_from(["", "x", "y"]),
        "function": st.fixed_dictionaries({"arguments": TEXTS}, optional={"name": TEXTS}),
    },
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": TEXTS,
        "reasoning": TEXTS,
        "refusal": TEXTS,
        "tool_calls": st.lists(FRAGMENTS, max_size=3),
    },
)
CHUNKS = st.lists(st.tuples(st.sampled_from([0, 0, 1]), DELTAS), max_size=10)


@given(CHUNKS, st.sampled_from([None, "stop", "length"]))
def test_deltas_add_up_to_the_completion(
    deltas: list[tuple[int, dict[str, Any]]], reason: str | None
) -> None:
    """Whatever comes, in whatever pieces."""
    chat, machine = ChatStream(), ChatEvents()
    events: list[ChatEvent] = []
    finishes = [choice(index, reason) for index in {index for index, _ in deltas}]

    for each in [*(choice(index, **delta) for index, delta in deltas), *finishes]:
        chunk = chat.receive_event(ServerSentEvent(json.dumps({"choices": [each]})))
        assert chunk is not None
        events += machine.receive_chunk(chunk)
    events += machine.receive_eof()

    assert of_completion(chat.completion) == folded(events)


CASES = [
    pytest.param(case, id=case["name"])
    for case in json.loads((DATA / "chat_streams.json").read_text())
    if case["expect"]["outcome"] == "complete"
]


@pytest.mark.sweep(quick=25)
@pytest.mark.parametrize("case", CASES)
def test_recorded_streams(case: dict[str, Any]) -> None:
    """Of every kind of server, the events add up to the completion."""
    chat = read_chat(base64.b64decode(piece) for piece in case["segments_b64"])

    events = list(chat.events())

    assert of_completion(chat.completion) == folded(events)
    reports = [event.usage for event in events if isinstance(event, UsageReport)]
    assert chat.completion.usage == (reports[-1] if reports else None)


def test_as_openai_python() -> None:
    """Where its helper has an event, ours says the same."""
    asked = [
        choice(role="assistant", content=""),
        choice(content="Let me "),
        choice(content="see."),
        *calls(
            call(0, "", id="a", name="f", type="function"),
            call(0, '{"x":'),
            call(0, ' "y"}'),
            call(1, "", id="b", name="g", type="function"),
            call(1, "{}"),
        ),
        choice(refusal="no"),
        choice(finish_reason="tool_calls"),
    ]
    state: Any = ChatCompletionStreamState()
    theirs = []
    for each in asked:
        fields = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        chunk = OpenAIChunk.model_validate({**fields, "choices": [each]})
        theirs += [event.to_dict() for event in state.handle_chunk(chunk)]

    shared = {
        "content.delta": ("delta", "snapshot"),
        "refusal.delta": ("delta", "snapshot"),
        "tool_calls.function.arguments.delta": ("name", "index", "arguments", "arguments_delta"),
        "tool_calls.function.arguments.done": ("name", "index", "arguments"),
    }

    expected = [
        (event["type"], *(event[key] for key in shared[event["type"]]))
        for event in theirs
        if event["type"] in shared and event.get("delta") != ""
    ]
    found = [
        (event.type, *(getattr(event, key) for key in shared[event.type]))
        for event in read(*asked)
        if event.type in shared
    ]
    # Theirs has a call done behind the first fragment of the next, ours before it.
    assert sorted(expected, key=repr) == sorted(found, key=repr)
    assert 10 == len(found)


@pytest.mark.slow
def test_linear() -> None:
    """Eight times the arguments, looked at with every delta, take about eight times."""

    def seconds(size: int) -> float:
        text = json.dumps({"path": "a.py", "code": "x = 1\n" * (size // 7)})
        chunks = [
            ChatCompletionChunk.from_json({"choices": calls(call(0, text[at : at + 20]))})
            for at in range(0, len(text), 20)
        ]
        machine = ChatEvents()
        started = process_time()
        for chunk in chunks:
            for event in machine.receive_chunk(chunk):
                assert isinstance(event, ArgumentsDelta)
                assert event.parsed_arguments is not None
        return process_time() - started

    small, large = 32 * 2**10, 256 * 2**10
    assert min(seconds(large) for _ in range(3)) < 24 * min(seconds(small) for _ in range(3))


# The shells.


def data(*choices: dict[str, Any], **fields: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": choices, **fields}).encode()


CALL = data(*calls(call(0, '{"a":', id="i", name="f")))
REST = data(*calls(call(0, "1}")))
FINISH = data(choice(finish_reason="tool_calls"))
DONE = b"data: [DONE]\n\n"


async def events_of(shell: Shell, chat: Any) -> tuple[list[Any], Exception | None]:
    """Return a chat's events and what it raised; the iteration is over then, and stays so."""
    found: list[Any] = []
    try:
        if shell.blocking:
            with chat:
                assert chat.events() is chat.events()
                for event in chat.events():
                    found.append(event)  # noqa: PERF402  # one by one: a failure keeps what came
                assert None is next(chat.events(), None)
        else:
            async with chat:
                assert chat.events() is chat.events()
                async for event in chat.events():
                    found.append(event)  # noqa: PERF401  # one by one: a failure keeps what came
                assert None is await anext(chat.events(), None)
    except ChatError as exc:
        if shell.blocking:
            assert None is next(chat.events(), None)
        else:
            assert None is await anext(chat.events(), None)
        return found, exc
    return found, None


@on_every_shell
@pytest.mark.parametrize(
    ("pieces", "last", "exception"),
    [
        ([CALL, REST, FINISH, DONE], [("call", 0, '{"a":1}'), ("done", 0, "tool_calls")], None),
        ([CALL, REST, FINISH], [("call", 0, '{"a":1}'), ("done", 0, "tool_calls")], None),
        ([CALL, REST, DONE], [("call", 0, '{"a":1}'), ("done", 0, None)], None),
        ([CALL, REST], [], StreamTruncated),
        ([CALL, REST, b'data: {"error": "m"}\n\n'], [], APIError),
        ([CALL, REST, b"data: {\n\n"], [], MalformedChunk),
    ],
    ids=["done", "finished", "done only", "truncated", "error", "malformed"],
)
def test_over_a_socket(
    pieces: list[bytes], last: list[Any], exception: type[Exception] | None, shell: Shell
) -> None:
    """Events, then the end; nothing is told done where the stream was cut."""
    with ScriptedServer(chunked(pieces)) as server:
        chat = shell.stream_chat(model="m", messages=[], base_url=server.url, timeout=WAIT)
        if shell.blocking:
            try:
                events_of(shell, chat).send(None)
            except StopIteration as stop:
                events, error = stop.value
        else:
            events, error = anyio.run(events_of, shell, chat, backend=shell.name)

    assert [("arguments", 0, '{"a":'), ("arguments", 0, "1}"), *last] == told(events)
    assert exception is (type(error) if error else None)


@on_every_way_to_cancel
def test_cancelled_next(backend: str, way: Cancelling) -> None:
    """Cancelled at any suspension, it can be called again: no event is lost or told twice."""
    both = data(*calls(call(0, "{}", id="i", name="f"), call(1, "[]", id="j", name="g")))

    async def scenario(url: str, suspension: int) -> bool:
        async with sse_openai.stream_chat(model="m", messages=[], base_url=url) as chat:
            received: list[Any] = []

            async def reader() -> None:
                async for event in chat.events():
                    received.append(event)  # noqa: PERF401  # seen even when cancelled

            cancelled, _ = await cancelled_at(suspension, way, reader())
            await reader()
            assert [
                ("arguments", 0, "{}"),
                ("call", 0, "{}"),
                ("arguments", 1, "[]"),
                ("call", 1, "[]"),
                ("done", 0, "tool_calls"),
            ] == told(received)
            return cancelled

    for suspension in range(1, 40):
        with ScriptedServer(Script(chunked([both, FINISH, DONE]).pieces)) as server:
            if not anyio.run(scenario, server.url, suspension, backend=backend):
                return
    raise AssertionError("never ran to its end")


def test_events_and_completion() -> None:
    """The machine beside ChatStream: what the module's own example shows."""
    body = CALL + REST + FINISH + DONE
    chat, machine = ChatStream(), ChatEvents()
    events: list[ChatEvent] = []

    for event in EventStreamParser().receive_data(body):
        if chunk := chat.receive_event(event):
            events += machine.receive_chunk(chunk)

    assert of_completion(chat.completion) == folded(events)
