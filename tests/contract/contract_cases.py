"""Cases 1 to 93 of docs/maintainers/contract_tests.md: the bytes written, and the right result."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sse_core import Comment, ServerSentEvent

Item = ServerSentEvent | Comment

BOM = b"\xef\xbb\xbf"


@dataclass
class Case:
    """One case. Each write has to reach the client as a read of its own."""

    number: int
    name: str
    writes: list[bytes] = field(repr=False)
    expected: list[Item] = field(repr=False)
    reported_first: bool = False
    """Whether a write waits until everything that came before it has been reported."""

    @property
    def id(self) -> str:
        return f"{self.number:03}-{self.name.replace(' ', '_')}"

    @property
    def comments(self) -> bool:
        return any(isinstance(item, Comment) for item in self.expected)


def event(data: str, event: str = "message", id: str = "") -> ServerSentEvent:
    return ServerSentEvent(data, event, id)


def whole(stream: bytes) -> list[bytes]:
    return [stream]


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def by_pairs(stream: bytes) -> list[bytes]:
    return [stream[i : i + 2] for i in range(0, len(stream), 2)]


CUTS: list[tuple[str, Callable[[bytes], list[bytes]]]] = [
    ("one write", whole),
    ("by bytes", bytewise),
    ("by pairs", by_pairs),
]

# Case 3 and 4: base64 of 5 MiB, incompressible as in the original.
LARGE = base64.b64encode(random.Random(3).randbytes(5 * 2**20))

TEXT = "data: €豆腐\n\n".encode()
MANY = b"".join(b"data: message %d\n\n" % number for number in range(100))

HELLO, WORLD = event("Hello"), event("World")
GREETING = event("Hello", "greeting")
GREETING_ABC = event("Hello", "greeting", "abc")


def parsing_cases() -> Iterator[Case]:
    """2.1."""
    yield Case(1, "one line", [b"data: Hello\n\n"], [HELLO])
    yield Case(
        2,
        "two events over three writes",
        [b"data: test", b"test\n\ndata:", b"test\n\n"],
        [event("testtest"), event("test")],
    )
    large = LARGE.decode()
    yield Case(3, "large event", [b"data: " + LARGE + b"\n\n"], [event(large)])
    yield Case(
        4, "large event, two writes", [b"data: " + LARGE, LARGE + b"\n\n"], [event(2 * large)]
    )
    yield Case(5, "one line, two writes", [b"data: Hel", b"lo\n\n"], [HELLO])
    yield Case(6, "two events", [b"data: Hello\n\ndata: World\n\n"], [HELLO, WORLD])
    yield Case(7, "two data lines", [b"data: Hello\ndata:World\n\n"], [event("Hello\nWorld")])
    yield Case(8, "empty data", [b"data:\n\n"], [event("")])
    yield Case(9, "event type", [b"event: greeting\ndata: Hello\n\n"], [GREETING])
    yield Case(10, "default type", [b"data: Hello\n\n"], [HELLO])
    yield Case(11, "id", [b"id: abc\ndata: Hello\n\n"], [event("Hello", id="abc")])
    yield Case(12, "type and id", [b"event: greeting\nid: abc\ndata: Hello\n\n"], [GREETING_ABC])
    yield Case(13, "NUL in the id", [b"id: a\0bc\ndata: Hello\n\n"], [HELLO])
    yield Case(
        14,
        "id persists",
        [b"id: abc\ndata: first\n\n", b"data: second\n\n"],
        [event("first", id="abc"), event("second", id="abc")],
    )
    yield Case(
        15,
        "id reset",
        [b"id: abc\ndata: first\n\n", b"id: \ndata: second\n\n"],
        [event("first", id="abc"), event("second")],
    )
    yield Case(16, "reverse order", [b"data: Hello\nid: abc\nevent: greeting\n\n"], [GREETING_ABC])
    yield Case(17, "unknown field", [b"event: greeting\ncolor: blue\ndata: Hello\n\n"], [GREETING])
    yield Case(18, "no space", [b"event:greeting\ndata:Hello\n\n"], [GREETING])
    yield Case(
        19, "two spaces", [b"event:  greeting\ndata:  Hello\n\n"], [event(" Hello", " greeting")]
    )
    yield Case(20, "no colon", [b"data\n\ndata\ndata\n\n"], [event(""), event("\n")])
    yield Case(21, "multi-byte text", [TEXT], [event("€豆腐")])
    yield Case(22, "many events", [MANY], [event(f"message {number}") for number in range(100)])
    yield Case(23, "multi-byte text by bytes", bytewise(TEXT), [event("€豆腐")])


def byte_order_mark_cases() -> Iterator[Case]:
    """2.2."""
    hello = b"data: Hello\n\n"
    yield Case(24, "mark", [BOM + hello], [HELLO])
    yield Case(
        25, "mark, all fields", [BOM + b"event: greeting\nid: abc\n" + hello], [GREETING_ABC]
    )
    yield Case(
        26,
        "mark, two events",
        [BOM + b"data: First\n\ndata: Second\n\n"],
        [event("First"), event("Second")],
    )
    yield Case(
        27,
        "mark in a later event",
        [b"data: First\n\n", b"data: " + BOM + b"Second\n\n"],
        [event("First"), event("\ufeffSecond")],
    )
    yield Case(28, "mark in two writes", [BOM[:2], BOM[2:] + hello], [HELLO])
    yield Case(29, "mark by bytes", [*bytewise(BOM), hello], [HELLO])
    yield Case(30, "mark twice", [BOM + b"data: " + BOM + b"Hello\n\n"], [event("\ufeffHello")])
    yield Case(31, "no mark", [hello], [HELLO])
    yield Case(
        32, "mark, two lines", [BOM + b"data: Line1\ndata: Line2\n\n"], [event("Line1\nLine2")]
    )
    yield Case(33, "mark, comment", [BOM + b":comment\n" + hello], [Comment("comment"), HELLO])
    yield Case(34, "mark, empty data", [BOM + b"data:\n\n"], [event("")])


def comment_cases() -> Iterator[Case]:
    """2.3."""
    comment, hello = b":Hello\n", b"data: Hello\n\n"
    yield Case(35, "comment", [comment], [Comment("Hello")])
    yield Case(
        36,
        "two comments",
        [comment, b":World\n"],
        [Comment("Hello"), Comment("World")],
        reported_first=True,
    )
    yield Case(37, "comment, event", [comment, hello], [Comment("Hello"), HELLO])
    yield Case(38, "event, comment", [hello, comment], [HELLO, Comment("Hello")])


LINES: list[tuple[str, str, list[Item]]] = [
    ("one event", "data: event 1~~", [event("event 1")]),
    (
        "two events",
        "data: event 1~~data: event 2 line 1~data: event 2 line 2~~",
        [event("event 1"), event("event 2 line 1\nevent 2 line 2")],
    ),
    ("empty first line", "data:~data: line2~data: line3~~", [event("\nline2\nline3")]),
    ("empty middle line", "data: line1~data:~data: line3~~", [event("line1\n\nline3")]),
    ("extra blank line", "data: event 1~~~data: event 2~~", [event("event 1"), event("event 2")]),
    ("two extra", "data: event 1~~~~data: event 2~~", [event("event 1"), event("event 2")]),
]
"""What 2.4 sends, with ~ for the line end."""


def line_end_cases() -> Iterator[Case]:
    """2.4."""
    number = 39
    for line_end, end in (("LF", b"\n"), ("CRLF", b"\r\n"), ("CR", b"\r")):
        for name, lines, expected in LINES:
            stream = lines.encode().replace(b"~", end)
            for cut_name, cut in CUTS:
                yield Case(number, f"{line_end}, {name}, {cut_name}", cut(stream), expected)
                number += 1
    mixed = [b"data: Hello\r", b"\ndata: World\r", b"\n\r\ndata: OK\r", b"\n", b"\r", b"\n"]
    yield Case(number, "CRLF in two writes", mixed, [event("Hello\nWorld"), event("OK")])


def all_cases() -> Iterable[Case]:
    yield from parsing_cases()
    yield from byte_order_mark_cases()
    yield from comment_cases()
    yield from line_end_cases()


CASES = list(all_cases())
