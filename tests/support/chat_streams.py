"""Well-formed streams of chat completions, for the properties: as the reference has them.

What OpenAI's own endpoint keeps to, and its client relies on: a choice begins after those
with a lower index, a call's fragments are in one piece, its id, type and name come first, and
what is the same in every chunk is in every chunk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support.response_streams import JSON, NAMES, PIECES

TEXTS = st.text(max_size=6)
FINISHES = st.sampled_from(["stop", "length", "content_filter", "tool_calls"])


@dataclass
class WellFormedChat:
    """The chunks of a stream."""

    chunks: list[JSON]

    @property
    def body(self) -> bytes:
        data = [*map(json.dumps, self.chunks), "[DONE]"]
        return "".join(f"data: {each}\n\n" for each in data).encode()


@st.composite
def logprobs(draw: st.DrawFn, key: str) -> JSON:
    token = {"token": draw(TEXTS), "logprob": draw(st.floats(-10, 0)), "bytes": [1, 2]}
    top = [token | {"logprob": -1.5}] * draw(st.integers(0, 2))
    found: JSON = {"content": None, "refusal": None}
    return found | {key: [token | {"top_logprobs": top}]}


@st.composite
def texts(draw: st.DrawFn, key: str) -> list[JSON]:
    """Draw the deltas of content, refusal or reasoning, some with log probabilities."""
    return [
        {"delta": {key: piece}}
        | (
            {"logprobs": draw(logprobs(key))}
            if key in ("content", "refusal") and draw(st.booleans())
            else {}
        )
        for piece in draw(PIECES)
    ]


def cut(draw: st.DrawFn, text: str) -> list[str]:
    """Draw where a text is cut into pieces, some of them empty."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


ARGUMENTS = st.dictionaries(
    TEXTS, st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, st.lists, max_leaves=4)
)


@st.composite
def tool_calls(draw: st.DrawFn, for_events: bool) -> list[JSON]:
    """Draw the fragments of several calls, one call after the other.

    For events, each in a chunk of its own, and no custom tools: the official client has no
    events of them, and its snapshot of a fragment is one of the whole chunk.
    """
    deltas: list[JSON] = []
    for index in range(draw(st.integers(1, 3))):
        kind = "function" if for_events else draw(st.sampled_from(["function", "custom"]))
        key = "arguments" if kind == "function" else "input"
        text = json.dumps(draw(ARGUMENTS), ensure_ascii=draw(st.booleans()))
        first = {"index": index, "id": f"call_{index}", "type": kind}
        fragments = [
            first | {kind: {"name": draw(NAMES), key: ""}},
            *({"index": index, kind: {key: piece}} for piece in cut(draw, text)),
        ]
        while fragments:  # one to each chunk, or more
            taken = 1 if for_events else draw(st.integers(1, 2))
            deltas.append({"delta": {"tool_calls": fragments[:taken]}})
            fragments = fragments[taken:]
    return deltas


@st.composite
def audio(draw: st.DrawFn) -> list[JSON]:
    """Draw the deltas of an answer that is spoken."""
    return [
        {"delta": {"audio": {"id": "audio_1"}}},
        *({"delta": {"audio": {"data": piece}}} for piece in draw(PIECES)),
        *({"delta": {"audio": {"transcript": piece}}} for piece in draw(PIECES)),
        {"delta": {"audio": {"expires_at": draw(st.integers(1, 2**31))}}},
    ]


@st.composite
def function_call(draw: st.DrawFn) -> list[JSON]:
    """Draw the fragments of the older kind of call."""
    text = json.dumps(draw(ARGUMENTS))
    return [
        {"delta": {"function_call": {"name": draw(NAMES), "arguments": ""}}},
        *({"delta": {"function_call": {"arguments": piece}}} for piece in cut(draw, text)),
    ]


@st.composite
def usages(draw: st.DrawFn) -> JSON:
    counts = st.integers(0, 9999)
    usage: JSON = {
        "prompt_tokens": draw(counts),
        "completion_tokens": draw(counts),
        "total_tokens": draw(counts),
    }
    details = ["cached_tokens", "audio_tokens"], ["reasoning_tokens", "accepted_prediction_tokens"]
    for key, names in zip(("prompt", "completion"), details, strict=True):
        if draw(st.booleans()):
            usage[f"{key}_tokens_details"] = {name: draw(counts) for name in names}
    return usage


@st.composite
def choices(draw: st.DrawFn, index: int, for_events: bool) -> list[JSON]:
    """Draw what a choice's part of the chunks is, in order."""
    first = {"role": "assistant"} | draw(
        st.sampled_from(
            [{}, {"content": ""}, {"content": None}, {"content": None, "refusal": None}]
        )
    )
    kinds = [
        *(texts(key) for key in ("reasoning_content", "content", "refusal")),
        *(tool_calls(for_events), audio(), function_call()),
    ]
    chosen = draw(st.lists(st.sampled_from(range(len(kinds))), max_size=3, unique=True))
    last: JSON = {"delta": {}, "finish_reason": draw(FINISHES)}
    parts = [{"delta": first}, *(part for at in sorted(chosen) for part in draw(kinds[at])), last]
    return [{"index": index, "finish_reason": None, "logprobs": None} | part for part in parts]


@st.composite
def well_formed_chats(draw: st.DrawFn, for_events: bool = False) -> WellFormedChat:
    """Draw a stream of up to three choices, whose chunks are dealt into each other."""
    hands = [draw(choices(index, for_events)) for index in range(draw(st.integers(1, 3)))]
    base: JSON = {
        "id": f"chatcmpl-{draw(st.integers(0, 99))}",
        "object": "chat.completion.chunk",
        "created": draw(st.integers(0, 2**31)),
        "model": draw(NAMES),
    }
    for key in ("service_tier", "system_fingerprint"):
        if draw(st.booleans()):
            base[key] = draw(NAMES)
    with_usage = draw(st.booleans())
    if with_usage:
        base["usage"] = None
    dealt: list[JSON] = []
    begun = 1
    while any(hands):
        # A choice begins when those before it have, and may go on whenever it likes.
        able = [at for at in range(begun) if hands[at]]
        if begun < len(hands):
            able.append(begun)
        at = draw(st.sampled_from(able)) if dealt else 0
        begun = max(begun, at + 1)
        chunk = base | {"choices": [hands[at].pop(0)]}
        if draw(st.booleans()):
            chunk["obfuscation"] = draw(NAMES)
        dealt.append(chunk)
    if with_usage:
        dealt.append(base | {"choices": [], "usage": draw(usages())})
    return WellFormedChat(dealt)
