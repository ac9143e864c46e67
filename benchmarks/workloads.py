"""seed -> event streams with the expected events.

Each workload exists for one branch of a parser. A stream is built from blocks, one for
each event and everything before it, so that "one event per read" is a way to cut it. The
same seed gives the same bytes. Nothing here is timed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from sse_core import ServerSentEvent

__all__ = ["READS", "WORKLOADS", "Workload", "build"]

SEED = 20_260_701
CREATED = 1_700_000_000

MAX_EVENT = 16 * 2**20
"""Bytes of the largest event, blank line included: the default limit accepts it."""

Block = tuple[bytes, ServerSentEvent]

READS: dict[str, int | None] = {
    "64k": 64 * 2**10,
    "16k": 16 * 2**10,
    "1400": 1400,  # fits into one TCP segment on Ethernet
    "512": 512,
    "event": None,
    "1": 1,
}
"""The ways to cut streams: the size of each read in bytes, or None for one event per read."""


@dataclass(frozen=True)
class Workload:
    """A kind of stream.

    ``size`` is the number of events, or of bytes if the stream is one large event;
    ``bytewise_size`` is the same for reads of one byte, which cost a call for each byte.
    """

    name: str
    title: str
    blocks: Callable[[Random, int], list[Block]]
    size: int
    bytewise_size: int
    reads: tuple[str, ...] = ("64k", "16k", "1400", "event", "1")


def build(
    workload: Workload, reads: str, *, seed: int = SEED, size: int | None = None
) -> tuple[list[bytes], list[ServerSentEvent]]:
    """Return the reads of a stream, and the expected events."""
    if size is None:
        size = workload.bytewise_size if reads == "1" else workload.size
    blocks = workload.blocks(Random(f"{workload.name} {seed}"), size)
    events = [event for _, event in blocks]
    length = READS[reads]
    if length is None:
        return [block for block, _ in blocks], events
    stream = b"".join(block for block, _ in blocks)
    return [stream[at : at + length] for at in range(0, len(stream), length)], events


def _pieces(text: str) -> list[str]:
    return text.split(" ")


WORDS = _pieces(
    "the of and to in is that for it as was with be by on not this are or an at which have "
    "from one can all there will more event stream parser network token answer model server "
    "connection retry message because through between example however function Therefore "
    "implementation , . : ; ( ) ! ? ** `code` 1 2 42 100 \n \n\n - # e.g. "
    "isn't ’s — café"
)
"""Pieces of text in the sizes of a language model's tokens."""

SCRIPTS = _pieces(
    "こんにちは 世界 です 日本語 の テキスト を 送り ます 。 、 サーバー から 届く イベント "
    "你好 世界 这 是 一个 中文 句子 ， 用于 测试 。 服务器 发送 事件 流 "
    "😀 🎉 👩‍💻 🇯🇵 ❤️ 안녕 하세요 Привет мир नमस्ते"
)
"""Pieces of text that take two to eighteen bytes in UTF-8, and are sent unescaped."""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _letters(random: Random, length: int) -> str:
    return "".join(random.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789", k=length))


def _data_only(data: str) -> Block:
    return b"data: %b\n\n" % data.encode(), ServerSentEvent(data)


def _chat(random: Random, size: int, pieces: list[str]) -> list[Block]:
    """One answer of a chat completions endpoint, down to its ``[DONE]``."""
    identity = {
        "id": f"chatcmpl-{_letters(random, 29)}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": f"fp_{random.getrandbits(40):010x}",
    }

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> Block:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        # Endpoints pad their chunks, so that lengths do not reveal the text.
        padding = _letters(random, random.randint(1, 16))
        return _data_only(_json({**identity, "choices": [choice], "obfuscation": padding}))

    blocks = [chunk({"role": "assistant", "content": "", "refusal": None})]
    blocks += [chunk({"content": f" {random.choice(pieces)}"}) for _ in range(size - 3)]
    blocks += [chunk({}, "stop"), _data_only("[DONE]")]
    return blocks


def _chat_stream(random: Random, size: int) -> list[Block]:
    return _chat(random, size, [word for word in WORDS if word.isascii()])


def _multi_byte(random: Random, size: int) -> list[Block]:
    return _chat(random, size, SCRIPTS)


def _crlf(random: Random, size: int) -> list[Block]:
    return [(block.replace(b"\n", b"\r\n"), event) for block, event in _chat_stream(random, size)]


def _heartbeats(random: Random, size: int) -> list[Block]:
    """A chat stream with a keep-alive comment before each event, as gateways send it."""
    blocks = _chat_stream(random, size)
    return [(b": keep-alive\n\n" + block, event) for block, event in blocks]


def _responses(random: Random, size: int) -> list[Block]:
    """One answer of a Responses endpoint: every event is named."""
    item = {"id": f"msg_{random.getrandbits(200):050x}", "type": "message", "role": "assistant"}
    response = {
        "id": f"resp_{random.getrandbits(200):050x}",
        "object": "response",
        "created_at": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
    }
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    blocks: list[Block] = []

    def add(name: str, **fields: Any) -> None:
        name = f"response.{name}"
        data = _json({"type": name, "sequence_number": len(blocks), **fields})
        block = f"event: {name}\ndata: {data}\n\n".encode()
        blocks.append((block, ServerSentEvent(data, name)))

    add("created", response={**response, "status": "in_progress"})
    add("output_item.added", output_index=0, item={**item, "status": "in_progress"})
    for _ in range(size - 4):
        delta = f" {random.choice(WORDS)}"
        padding = _letters(random, random.randint(1, 16))
        add("output_text.delta", **place, delta=delta, logprobs=[], obfuscation=padding)
    add("output_item.done", output_index=0, item={**item, "status": "completed"})
    add("completed", response={**response, "status": "completed"})
    return blocks


def _full_field(random: Random, size: int) -> list[Block]:
    """Every field in every event, as a resumable feed sends them."""
    blocks = []
    for number in range(1, size + 1):
        name = random.choice(["price", "trade", "quote"])
        retry = random.choice([1000, 3000, 10_000])
        price = random.randrange(10_000, 99_999) / 100
        data = _json({"symbol": _letters(random, 4), "price": price, "at": CREATED + number})
        block = f"event: {name}\nid: {number}\nretry: {retry}\ndata: {data}\n\n".encode()
        blocks.append((block, ServerSentEvent(data, name, str(number), retry)))
    return blocks


def _tiny(random: Random, size: int) -> list[Block]:
    return [_data_only(random.choice("xyz0")) for _ in range(size)]


def _multi_line(random: Random, size: int) -> list[Block]:
    """One event of lines of 100 bytes, line feed included."""
    lines = [_letters(random, 93) for _ in range(16)]
    lines = [random.choice(lines) for _ in range(size // 100)]
    stream = "".join([f"data: {line}\n" for line in lines]) + "\n"
    return [(stream.encode(), ServerSentEvent("\n".join(lines)))]


def _long_line(random: Random, size: int) -> list[Block]:
    """One event of one line; ``size`` bytes in all."""
    piece = _letters(random, 1000)
    length = size - len("data: \n\n")
    data = (piece * (length // len(piece) + 1))[:length]
    return [_data_only(data)]


_LARGE = ("64k", "16k", "1400", "512", "1")

WORKLOADS = {
    workload.name: workload
    for workload in [
        Workload("chat", "Chat completions stream", _chat_stream, 5000, 150),
        Workload("responses", "Responses stream, named events", _responses, 5000, 150),
        Workload("full", "All four fields in each event", _full_field, 5000, 500),
        Workload("tiny", "Events of one letter", _tiny, 20_000, 4000),
        Workload("crlf", "Chat stream with CR LF", _crlf, 5000, 150),
        Workload("heartbeats", "A comment before each event", _heartbeats, 5000, 150),
        Workload("multibyte", "Chat stream in many scripts", _multi_byte, 5000, 150),
        Workload("multiline", "One event of 100-byte lines", _multi_line, 10**7, 50_000, _LARGE),
        Workload("longline", "One line", _long_line, MAX_EVENT, 250_000, _LARGE),
    ]
}
