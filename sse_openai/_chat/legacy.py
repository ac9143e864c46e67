"""Streams of the older ``/completions``, read as chats, which they nearly are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .stream import ChatStream


class CompletionStream(ChatStream):
    """Reads the events of one streamed ``/completions`` answer.

    It works as ``ChatStream`` does: the ``text`` of a choice becomes the ``content`` of its
    chunks and of its message, which has no role. Log probabilities have another form in this
    API; the chunks have them as sent, and the completion does not collect them.

    Args:
        loads: decodes JSON text; ``json.loads`` by default. It may raise ValueError or
            RecursionError.
    """

    def __init__(self, *, loads: Callable[[str], Any] = json.loads) -> None:
        super().__init__(loads=lambda data: _as_chat(loads(data)))


def _as_chat(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(choices := value.get("choices"), list):
        choices = [_as_choice(choice) for choice in choices]
        return value | {"choices": choices}
    return value


def _as_choice(choice: Any) -> Any:
    if isinstance(choice, dict) and "text" in choice:
        rest = {key: value for key, value in choice.items() if key != "text"}
        return rest | {"delta": {"content": choice["text"]}}
    return choice
