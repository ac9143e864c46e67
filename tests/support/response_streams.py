"""Well-formed streams of the Responses API, for the properties: as the reference has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from sse_core import ServerSentEvent

JSON = dict[str, Any]


def event(value: Any, name: str = "message") -> ServerSentEvent:
    """Return the event whose data is that text, or that value as JSON."""
    return ServerSentEvent(value if isinstance(value, str) else json.dumps(value), name)


@dataclass
class WellFormed:
    """The events of a stream, and the response that the last of them has."""

    events: list[JSON]
    response: JSON

    @property
    def body(self) -> bytes:
        return b"".join(
            f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()
            for value in self.events
        )


# No lone surrogates: a prefix of a text is then a prefix of its characters.
PIECES = st.lists(st.text(max_size=6), max_size=5)
NAMES = st.text(alphabet="abc_", min_size=1, max_size=8)


PLACE = {"start_index": 0, "end_index": 1}
ANNOTATIONS = st.sampled_from(
    [
        {"type": "url_citation", "url": "u", "title": "t", **PLACE},
        {"type": "file_citation", "file_id": "f", "filename": "n", "index": 0},
        {"type": "file_path", "file_id": "f", "index": 3},
        {
            "type": "container_file_citation",
            "container_id": "c",
            "file_id": "f",
            "filename": "n",
            **PLACE,
        },
    ]
)


@st.composite
def logprobs(draw: st.DrawFn, text: str) -> list[JSON]:
    """Draw the log probabilities of a piece of text, often none."""
    if not draw(st.booleans()):
        return []
    token = {"token": text, "logprob": draw(st.floats(-10, 0))}
    return [token | {"top_logprobs": [token] * draw(st.integers(0, 2))}]


@st.composite
def text_parts(draw: st.DrawFn, index: int, at: JSON) -> tuple[JSON, list[JSON]]:
    pieces = draw(PIECES)
    text = "".join(pieces)
    at = at | {"content_index": index}
    if draw(st.booleans()):
        part: JSON = {"type": "refusal", "refusal": text}
        empty = {"type": "refusal", "refusal": ""}
        events = [
            *(at | {"type": "response.refusal.delta", "delta": piece} for piece in pieces),
            at | {"type": "response.refusal.done", "refusal": text},
        ]
    else:
        annotations = draw(st.lists(ANNOTATIONS, max_size=3))
        found = [draw(logprobs(piece)) for piece in pieces]
        every = [entry for each in found for entry in each]
        part = {"type": "output_text", "text": text, "annotations": annotations, "logprobs": every}
        empty = part | {"text": "", "annotations": [], "logprobs": []}
        delta = {"type": "response.output_text.delta"}
        annotation = {"type": "response.output_text.annotation.added"}
        events = [
            *(
                at | delta | {"delta": piece, "logprobs": each}
                for piece, each in zip(pieces, found, strict=True)
            ),
            *(
                at | annotation | {"annotation_index": number, "annotation": value}
                for number, value in enumerate(annotations)
            ),
            at | {"type": "response.output_text.done", "text": text, "logprobs": every},
        ]
    return part, [
        at | {"type": "response.content_part.added", "part": empty},
        *events,
        at | {"type": "response.content_part.done", "part": part},
    ]


@st.composite
def messages(draw: st.DrawFn, index: int) -> tuple[JSON, list[JSON]]:
    at = {"item_id": f"msg_{index}", "output_index": index}
    drawn = [draw(text_parts(number, at)) for number in range(draw(st.integers(0, 3)))]
    item = {"id": f"msg_{index}", "type": "message", "role": "assistant", "status": "completed"}
    events = [event for _, events in drawn for event in events]
    return item | {"content": [part for part, _ in drawn]}, events


@st.composite
def reasonings(draw: st.DrawFn, index: int) -> tuple[JSON, list[JSON]]:
    at = {"item_id": f"rs_{index}", "output_index": index}
    summary, content, events = [], [], []
    for number in range(draw(st.integers(0, 2))):
        here = at | {"summary_index": number}
        pieces = draw(PIECES)
        part = {"type": "summary_text", "text": "".join(pieces)}
        kind = "response.reasoning_summary"
        delta = {"type": f"{kind}_text.delta"}
        events += [
            here | {"type": f"{kind}_part.added", "part": part | {"text": ""}},
            *(here | delta | {"delta": piece} for piece in pieces),
            here | {"type": f"{kind}_text.done", "text": part["text"]},
            here | {"type": f"{kind}_part.done", "part": part},
        ]
        summary.append(part)
    for number in range(draw(st.integers(0, 2))):
        here = at | {"content_index": number}
        pieces = draw(PIECES)
        kind = "response.reasoning_text"
        events += [here | {"type": f"{kind}.delta", "delta": piece} for piece in ["", *pieces]]
        events.append(here | {"type": f"{kind}.done", "text": "".join(pieces)})
        content.append({"type": "reasoning_text", "text": "".join(pieces)})
    item = {"id": f"rs_{index}", "type": "reasoning", "summary": summary, "content": content}
    if draw(st.booleans()):
        item["encrypted_content"] = draw(NAMES)
    return item, events


# type of the item, type of its events, key of the text, further keys
CALLS: list[tuple[str, str, str, JSON]] = [
    ("function_call", "function_call_arguments", "arguments", {"call_id": "c", "name": "f"}),
    ("custom_tool_call", "custom_tool_call_input", "input", {"call_id": "c", "name": "f"}),
    ("mcp_call", "mcp_call_arguments", "arguments", {"name": "f", "server_label": "s"}),
    ("code_interpreter_call", "code_interpreter_call_code", "code", {"container_id": "x"}),
]


@st.composite
def calls(draw: st.DrawFn, index: int) -> tuple[JSON, list[JSON]]:
    type, kind, key, keys = draw(st.sampled_from(CALLS))
    at = {"item_id": f"call_{index}", "output_index": index}
    keys = {name: f"{value}{index}" for name, value in keys.items()}
    pieces = draw(PIECES)
    done = {"type": f"response.{kind}.done", key: "".join(pieces)}
    if type == "function_call":
        done["name"] = keys["name"]
    events = [
        *(at | {"type": f"response.{kind}.delta", "delta": piece} for piece in pieces),
        at | done,
    ]
    item = {"id": f"call_{index}", "type": type, "status": "completed", **keys}
    item[key] = "".join(pieces)
    if type == "mcp_call":
        item["status"] = status = draw(st.sampled_from(["completed", "failed"]))
        item |= {"error": ERROR, "output": None} if status == "failed" else {"output": draw(TEXTS)}
        events = [
            at | {"type": "response.mcp_call.in_progress"},
            *events,
            at | {"type": f"response.mcp_call.{status}"},
        ]
    elif type == "code_interpreter_call":
        item["outputs"] = draw(st.none() | st.lists(OUTPUTS, max_size=2))
        name = f"response.{type}"
        events = [
            at | {"type": f"{name}.in_progress"},
            *events,
            at | {"type": f"{name}.interpreting"},
            at | {"type": f"{name}.completed"},
        ]
    return item, events


ERROR = {"type": "http_error", "code": 500, "message": "m"}
TEXTS = st.text(max_size=6)
OUTPUTS = st.sampled_from([{"type": "logs", "logs": "l"}, {"type": "image", "url": "u"}])

# type of the item, what its status goes through, what it has when it is done
TOOLS: list[tuple[str, list[str], JSON]] = [
    (
        "web_search_call",
        ["in_progress", "searching", "completed"],
        {"action": {"type": "search", "query": "q", "sources": [{"type": "url", "url": "u"}]}},
    ),
    (
        "file_search_call",
        ["in_progress", "searching", "completed"],
        {"queries": ["q"], "results": [{"file_id": "f", "filename": "n", "score": 0.5}]},
    ),
    ("image_generation_call", ["in_progress", "generating", "completed"], {"result": "cG5n"}),
    (
        "mcp_list_tools",
        ["in_progress", "completed"],
        {"server_label": "s", "tools": [{"name": "t", "input_schema": {"type": "object"}}]},
    ),
    ("mcp_list_tools", ["in_progress", "failed"], {"server_label": "s", "tools": [], "error": "e"}),
]


@st.composite
def tools(draw: st.DrawFn, index: int) -> tuple[JSON, list[JSON]]:
    """Draw a call of a hosted tool, of which only the status is streamed, and images."""
    type, statuses, keys = draw(st.sampled_from(TOOLS))
    at = {"item_id": f"tool_{index}", "output_index": index}
    events = [at | {"type": f"response.{type}.{status}"} for status in statuses]
    if type == "image_generation_call":
        partial = {"type": f"response.{type}.partial_image", "partial_image_b64": "cA=="}
        events[-1:-1] = [
            at | partial | {"partial_image_index": number}
            for number in range(draw(st.integers(0, 3)))
        ]
    item = {"id": f"tool_{index}", "type": type, **keys}
    return item | ({} if type == "mcp_list_tools" else {"status": "completed"}), events


@st.composite
def shells(draw: st.DrawFn, index: int) -> tuple[JSON, list[JSON]]:
    """Draw a call of the shell, whose commands are streamed."""
    at: JSON = {"output_index": index}
    kind = "response.shell_call_command"
    commands, events = [], []
    for number in range(draw(st.integers(0, 2))):
        pieces = draw(PIECES)
        here = at | {"command_index": number}
        events += [
            here | {"type": f"{kind}.added", "command": ""},
            *(here | {"type": f"{kind}.delta", "delta": piece} for piece in pieces),
            here | {"type": f"{kind}.done", "command": "".join(pieces)},
        ]
        commands.append("".join(pieces))
    action = {"commands": commands, "timeout_ms": None, "max_output_length": None}
    item = {"id": f"sh_{index}", "type": "shell_call", "call_id": f"c{index}", "action": action}
    return item | {"status": "completed"}, events


EMPTY = ("content", "summary", "arguments", "input", "code")
LATER = ("result", "results", "outputs", "output", "error", "encrypted_content")
"""Keys that an item has when it is done only."""


ENDS: dict[str, JSON] = {
    "completed": {},
    "incomplete": {"incomplete_details": {"reason": "max_output_tokens"}},
    "failed": {"error": {"code": "server_error", "message": "m"}},
}


@st.composite
def well_formed(draw: st.DrawFn, ends: tuple[str, ...] = ("completed",)) -> WellFormed:
    """Draw a stream of up to four items, whose events are dealt into each other."""
    items, hands = [], []
    for index in range(draw(st.integers(0, 4))):
        kinds = [kind(index) for kind in (messages, reasonings, calls, tools, shells)]
        item, events = draw(st.one_of(kinds))
        empty = {key: type(item[key])() for key in EMPTY if key in item}
        started = item | empty | ({"status": "in_progress"} if "status" in item else {})
        started = {key: value for key, value in started.items() if key not in LATER}
        if item["type"] == "shell_call":
            started["action"] = item["action"] | {"commands": []}
        added = {"type": "response.output_item.added", "output_index": index, "item": started}
        done = {"type": "response.output_item.done", "output_index": index, "item": item}
        items.append(item)
        hands.append([added, *events, done])
    dealt: list[JSON] = []
    together = draw(st.booleans())
    while hands:
        hand = hands[draw(st.integers(0, len(hands) - 1)) if together else 0]
        dealt.append(hand.pop(0))
        hands = [hand for hand in hands if hand]
    end = draw(st.sampled_from(ends))
    response: JSON = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "model": draw(NAMES),
        "output": items,
        "status": end,
        "error": None,
        "incomplete_details": None,
        "metadata": {"a": "b"},
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": draw(st.integers(0, 99)),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 100,
        },
    }
    response |= ENDS[end]
    begun = response | {"status": "in_progress", "output": [], "usage": None}
    begun |= dict.fromkeys(("error", "incomplete_details"))
    states = ["created", *(["queued"] if draw(st.booleans()) else []), "in_progress"]
    values = [
        *({"type": f"response.{state}", "response": begun} for state in states),
        *dealt,
        {"type": f"response.{end}", "response": response},
    ]
    first = draw(st.integers(0, 3))
    numbered = [value | {"sequence_number": first + n} for n, value in enumerate(values)]
    return WellFormed(numbered, response)
