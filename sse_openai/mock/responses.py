"""A turn -> a response in the API's format: whole, in typed events, and again later.

All events of a response are made when it is created; ``Responses`` keeps the responses that
can be retrieved again. A background response does not depend on a clock, so tests always see
the same: it is queued when created, in progress when first retrieved, and finished when
retrieved again, or when a stream of it has been read to the end.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final, TypeAlias

from .._refusal import Refusal
from .chat import CREATED
from .errors import error_events, error_object
from .reply import Piece, Reply, event, json_reply, stream_reply
from .request import ResponsesRequest
from .turn import Part, Token, Turn

MAX_STORED: Final = 1000
"""Number of responses that can be retrieved; the oldest are dropped first."""

_Event: TypeAlias = tuple[float, str, dict[str, Any]]
"""The pause before an event, its type and its fields."""

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_FINISHED: Final = ("completed", "failed", "incomplete")


class Response:
    """One answer to one request."""

    def __init__(self, number: int, request: ResponsesRequest, turn: Turn) -> None:
        self.id = f"resp_{number:06d}"
        self.request = request
        self._number = number
        self._turn = turn
        self._error = None if turn.error is None else error_object(turn.error)
        self._breaks_off = self._error is not None and turn.shape != "failed"
        self._status = "queued" if request.background else "in_progress"
        self._end = self._final()
        self._pieces = list(self._encoded())

    def created(self, *, stream: bool) -> Reply:
        """Answer the request that created it."""
        if stream:
            return stream_reply(self._rest(-1))
        if self.request.background:
            return json_reply(200, self._as_of_now())
        self._status = self._end["status"]
        status, value = (500, {"error": self._error}) if self._breaks_off else (200, self._end)
        return json_reply(status, value, pause=self._turn.seconds)

    def retrieved(self) -> Reply:
        """Answer a status request."""
        if self._status == "queued":
            self._status = "in_progress"
        elif self._status == "in_progress":
            self._status = self._end["status"]
        return json_reply(200, self._as_of_now())

    def resumed(self, after: int) -> Reply:
        """Resume streaming after a given event."""
        if not (self.request.background and self.request.stream):
            reason = "it was not created with 'background' and 'stream'"
            raise Refusal(f"This response cannot be streamed because {reason}.", "stream")
        return stream_reply(self._rest(after))

    def cancelled(self) -> Reply:
        """Cancel it. Streams of it are cut off without a final event."""
        if not self.request.background:
            raise Refusal("Only responses that were created with 'background' can be cancelled.")
        if self._status not in _FINISHED:
            self._status = "cancelled"
        return json_reply(200, self._as_of_now())

    def _rest(self, after: int) -> Iterator[Piece]:
        for pause, data in self._pieces[after + 1 :]:
            if self._status == "cancelled":
                return
            yield pause, data
        self._status = self._end["status"]

    def _as_of_now(self) -> dict[str, Any]:
        return self._end if self._status in _FINISHED else self._snapshot(self._status)

    def _snapshot(self, status: str, **fields: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "background": self.request.background,
            "error": None,
            "incomplete_details": None,
            "model": self.request.model,
            "output": [],
            "store": self.request.store,
            "temperature": 1.0,
            "top_p": 1.0,
            "usage": None,
            **self.request.echoed,
            **fields,
        }

    def _final(self) -> dict[str, Any]:
        output = [item for _, item, _ in self._items()]
        if self._error is not None:
            code = str(self._error["code"] or "server_error")
            error = {"code": code, "message": self._error["message"]}
            return self._snapshot("failed", output=output, error=error)
        reason = _INCOMPLETE.get(self._turn.finish_reason)
        status, details = ("incomplete", {"reason": reason}) if reason else ("completed", None)
        usage = self._usage()
        return self._snapshot(status, output=output, usage=usage, incomplete_details=details)

    def _encoded(self) -> Iterator[Piece]:
        events = list(self._events())
        while self._breaks_off and events[-1][1].endswith(".done"):
            events.pop()  # nothing is reported as complete
        for number, (pause, kind, fields) in enumerate(events):
            yield pause, event({"type": kind, "sequence_number": number, **fields}, kind)
        if self._error is not None and self._breaks_off:
            shape, pause = self._turn.shape, self._turn.pause
            yield pause, error_events(shape, self._error, chunk=None, sequence_number=len(events))

    def _events(self) -> Iterator[_Event]:
        states = ["queued"] if self.request.background else []
        for state in ("created", *states, "in_progress"):
            status = "in_progress" if state == "in_progress" else self._status
            yield 0.0, f"response.{state}", {"response": self._snapshot(status)}
        for index, (empty, item, parts) in enumerate(self._items()):
            yield 0.0, "response.output_item.added", {"output_index": index, "item": empty}
            place = {"item_id": item["id"], "output_index": index}
            for part, tokens in enumerate(parts):
                yield from _part_events(item, part, tokens, place)
            yield 0.0, "response.output_item.done", {"output_index": index, "item": item}
        if not self._breaks_off:
            yield self._turn.pause, f"response.{self._end['status']}", {"response": self._end}

    def _items(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[list[Token]]]]:
        """Yield each output item as it begins and as it ends, with the tokens of each part."""
        turn = self._turn
        by_part = {
            part: list(tokens)
            for part, tokens in itertools.groupby(turn.tokens, key=attrgetter("part"))
        }
        if "reasoning" in by_part:
            head = {"id": f"rs_{self._number:06d}", "type": "reasoning"}
            summary = [{"type": "summary_text", "text": turn.text("reasoning")}]
            yield {**head, "summary": []}, {**head, "summary": summary}, [by_part["reasoning"]]
        spoken = [by_part[part] for part in ("text", "refusal") if part in by_part]
        status = "incomplete" if turn.finish_reason in _INCOMPLETE or self._error else "completed"
        if spoken or not turn.calls:
            head = {"id": f"msg_{self._number:06d}", "type": "message", "role": "assistant"}
            content = [_content(tokens[0].part, tokens) for tokens in spoken]
            yield (
                {**head, "status": "in_progress", "content": []},
                {**head, "status": status, "content": content},
                spoken,
            )
        for index, call in enumerate(turn.calls):
            head = {
                "id": f"fc_{self._number:06d}_{index}",
                "type": "function_call",
                "call_id": call.id or f"call_{self._number:06d}_{index}",
                "name": call.name,
            }
            arguments = turn.text(index) or ""
            yield (
                {**head, "status": "in_progress", "arguments": ""},
                {**head, "status": status, "arguments": arguments},
                [by_part[index]],
            )

    def _usage(self) -> dict[str, Any]:
        given = self._turn.usage or {}
        tokens = self._turn.tokens
        read = given.get("input_tokens", self.request.prompt_tokens)
        written = given.get("output_tokens", len(tokens))
        thought = sum(token.part == "reasoning" for token in tokens)
        return {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": given.get("cached_tokens", 0)},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": given.get("reasoning_tokens", thought)},
            "total_tokens": read + written,
        }


def _part_events(
    item: dict[str, Any], index: int, tokens: list[Token], place: dict[str, Any]
) -> Iterator[_Event]:
    """Yield the events of one part of an item, or of a call, which has no parts."""
    part = tokens[0].part
    kind, key, index_key, part_kind = _KINDS.get(part, _CALL)
    if index_key:
        place = {**place, index_key: index}
        yield 0.0, f"response.{part_kind}.added", {**place, "part": _content(part, [])}
    # The reference gives these two events of a text ``logprobs`` as well.
    more: dict[str, Any] = {"logprobs": []} if part == "text" else {}
    for token in tokens:
        yield token.pause, f"response.{kind}.delta", {**place, "delta": token.text, **more}
    name = {} if index_key else {"name": item["name"]}
    whole = "".join(token.text for token in tokens)
    yield 0.0, f"response.{kind}.done", {**place, **name, key: whole, **more}
    if index_key:
        yield 0.0, f"response.{part_kind}.done", {**place, "part": _content(part, tokens)}


# For each kind of part: the type of its text events, the key of the complete text, the key
# of the part's index, and the type of the part's own events.
_KINDS: Final[dict[Part, tuple[str, str, str, str]]] = {
    "reasoning": ("reasoning_summary_text", "text", "summary_index", "reasoning_summary_part"),
    "text": ("output_text", "text", "content_index", "content_part"),
    "refusal": ("refusal", "refusal", "content_index", "content_part"),
}
_CALL: Final = ("function_call_arguments", "arguments", "", "")


def _content(part: Part, tokens: list[Token]) -> dict[str, Any]:
    text = "".join(token.text for token in tokens)
    if part == "refusal":
        return {"type": "refusal", "refusal": text}
    if part == "reasoning":
        return {"type": "summary_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class Responses:
    """The stored responses, by ID."""

    def __init__(self) -> None:
        self._stored: OrderedDict[str, Response] = OrderedDict()

    def add(self, response: Response) -> None:
        if response.request.store:
            self._stored[response.id] = response
            if len(self._stored) > MAX_STORED:
                self._stored.popitem(last=False)

    def find(self, id: str) -> Response:
        """Return a response; raise Refusal if there is none with this ID."""
        if id not in self._stored:
            raise Refusal(f"Response with id '{id}' not found.", "response_id", status=404)
        return self._stored[id]

    def retrieved(self, id: str, query: dict[str, str]) -> Reply:
        """Answer ``GET /responses/{id}``."""
        response = self.find(id)
        stream = query.get("stream", "false")
        if stream not in ("true", "false"):
            raise Refusal("Invalid 'stream': expected true or false.", "stream")
        after = query.get("starting_after")
        if after is None:
            return response.resumed(-1) if stream == "true" else response.retrieved()
        if stream == "false":
            raise Refusal("Invalid 'starting_after': it needs 'stream'.", "starting_after")
        if not (after.isascii() and after.isdigit() and len(after) < 10):
            raise Refusal("Invalid 'starting_after': expected an integer.", "starting_after")
        return response.resumed(int(after))
