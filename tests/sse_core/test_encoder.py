"""The way back: what ``encode`` writes is read as what was given, or is refused."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sse_core import (
    Comment,
    EventStreamParser,
    ServerSentEvent,
    encode,
    encode_comment,
    encode_retry,
)
from tests.support.examples import examples

LARGEST_RETRY = 10**640 - 1


def short_id(value: object) -> str | None:
    """Name a number that pytest, which uses ``str()``, could not or should not."""
    long = isinstance(value, int) and abs(value) > 10**20
    return "digits" if long else None


def parse(stream: bytes, **options: Any) -> list[ServerSentEvent | Comment]:
    parser: EventStreamParser[ServerSentEvent | Comment] = EventStreamParser(**options)
    return parser.receive_data(stream)


def parse_bytewise(stream: bytes, **options: Any) -> list[ServerSentEvent | Comment]:
    parser: EventStreamParser[ServerSentEvent | Comment] = EventStreamParser(**options)
    return [item for byte in stream for item in parser.receive_data(bytes([byte]))]


def scalar_values(text: str) -> str:
    """Return ``text`` as UTF-8 can carry it: halves of a pair joined, lone ones replaced."""
    result = ""
    for character in text:
        if result and "\ud800" <= result[-1] <= "\udbff" and "\udc00" <= character <= "\udfff":
            high, low = ord(result[-1]) - 0xD800, ord(character) - 0xDC00
            result = result[:-1] + chr(0x10000 + (high << 10) + low)
        else:
            result += character
    return "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in result)


def as_read(text: str) -> str:
    """Return ``text`` as it comes back: every line end is a line feed then."""
    return scalar_values(text).replace("\r\n", "\n").replace("\r", "\n")


# Every code point, surrogates too, and often those that mean something somewhere.
characters = st.characters(exclude_categories=()) | st.sampled_from(
    ":\r\n\0 \ufeff\ud83d\ude00\ud800\udfff\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\t"
)
texts = st.text(characters, max_size=30)
one_line = st.text(characters.filter(lambda character: character not in "\r\n"), max_size=20)
retries = st.none() | st.integers(0, 10**6) | st.sampled_from([LARGEST_RETRY, 2**31, 2**63])

events = st.builds(
    ServerSentEvent,
    data=texts,
    event=st.just("message") | one_line.filter(bool),
    id=one_line.filter(lambda text: "\0" not in text),
    retry=retries,
)


def read_back(event: ServerSentEvent, id: str = "") -> ServerSentEvent:
    return ServerSentEvent(
        as_read(event.data),
        scalar_values(event.event),
        scalar_values(event.id) or id,
        event.retry,
    )


@examples(1000)
@given(event=events)
@example(event=ServerSentEvent())
@example(event=ServerSentEvent("\ufeff"))
@example(event=ServerSentEvent(" two  spaces ", " event ", " id "))
@example(event=ServerSentEvent("\r\r\n\n\n\r"))
@example(event=ServerSentEvent("\ud83d\ude00 \ude00\ud83d", "\ud83d", "\ude00"))
@example(event=ServerSentEvent("", "message", "", 0))
@example(event=ServerSentEvent("data: x", ": y", "id: z", LARGEST_RETRY))
def test_round_trip(event: ServerSentEvent) -> None:
    """``parse(encode(x)) == [x]``, whole and byte by byte."""
    stream = encode(event)

    assert [read_back(event)] == parse(stream)
    assert [read_back(event)] == parse_bytewise(stream)


@examples(200)
@given(items=st.lists(events | texts | st.integers(0, 10**6), max_size=8))
def test_round_trip_of_a_stream(items: list[ServerSentEvent | str | int]) -> None:
    """Blocks follow one another: an empty ``id`` leaves the one in force, no other field stays."""
    stream = b""
    expected: list[ServerSentEvent | Comment] = []
    id = ""
    for item in items:
        if isinstance(item, ServerSentEvent):
            stream += encode(item)
            expected.append(read_back(item, id))
            id = scalar_values(item.id) or id
        elif isinstance(item, str):
            stream += encode_comment(item)
            expected += [Comment(line) for line in as_read(item).split("\n")]
        else:
            stream += encode_retry(item)

    assert expected == parse(stream, comments=True)
    assert expected == parse_bytewise(stream, comments=True)


@examples(300)
@given(data=st.text(st.sampled_from("abc\n"), max_size=12), id=st.sampled_from(["", "é"]))
def test_what_was_parsed_encodes_to_what_parses(data: str, id: str) -> None:
    """An event that came from a parser can be passed on as it is."""
    [event] = parse(encode(ServerSentEvent(data, id=id)), last_event_id="before")
    assert isinstance(event, ServerSentEvent)

    assert [event] == parse(encode(event))


@pytest.mark.parametrize(
    ("event", "stream"),
    [
        (ServerSentEvent(), b"data: \n\n"),
        (ServerSentEvent("hi"), b"data: hi\n\n"),
        (ServerSentEvent("a\nb"), b"data: a\ndata: b\n\n"),
        (ServerSentEvent("a\r\nb\rc\n"), b"data: a\ndata: b\ndata: c\ndata: \n\n"),
        (
            ServerSentEvent("て", "add", "é", 3000),
            "event: add\nid: é\nretry: 3000\ndata: て\n\n".encode(),
        ),
        (ServerSentEvent("\ud800"), b"data: \xef\xbf\xbd\n\n"),
        (ServerSentEvent("\x0b\x85\u2028"), "data: \x0b\x85\u2028\n\n".encode()),
    ],
)
def test_bytes(event: ServerSentEvent, stream: bytes) -> None:
    """The form on the wire: a field a line, ``data`` last, LF, one blank line."""
    assert stream == encode(event)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        # F58: each of these would begin another field, or be ignored by every reader.
        ("id", "a\nb", ValueError),
        ("id", "a\rb", ValueError),
        ("id", "a\r\nb", ValueError),
        ("id", "\n", ValueError),
        ("id", "a\0b", ValueError),
        ("event", "a\nb", ValueError),
        ("event", "a\rb", ValueError),
        ("event", "a\r\nb", ValueError),
        ("event", "message\ndata: x", ValueError),
        ("event", "", ValueError),
        # F59
        ("retry", -1, ValueError),
        ("retry", -(10**5000), ValueError),
        ("retry", 10**640, ValueError),
        ("retry", 10**5000, ValueError),
        ("retry", True, TypeError),
        ("retry", False, TypeError),
        ("retry", float("nan"), TypeError),
        ("retry", 3.0, TypeError),
        ("retry", "3", TypeError),
        ("retry", b"3", TypeError),
        ("data", None, TypeError),
        ("data", b"bytes", TypeError),
        ("data", 1, TypeError),
        ("data", {"json": 1}, TypeError),
        ("event", None, TypeError),
        ("event", b"bytes", TypeError),
        ("event", b"", TypeError),
        ("id", None, TypeError),
        ("id", b"bytes", TypeError),
        ("id", 0, TypeError),
        ("id", 1, TypeError),
    ],
    ids=short_id,
)
@pytest.mark.parametrize("how", ["constructor", "assignment"])
def test_refused(field: str, value: object, error: type[Exception], how: str) -> None:
    """What the wire cannot carry is refused, also when it was assigned after construction."""
    if how == "constructor":
        event = ServerSentEvent(**{field: value})  # type: ignore[arg-type]  # that is the point
    else:
        event = ServerSentEvent()
        setattr(event, field, value)

    with pytest.raises(error, match=field):
        encode(event)


@pytest.mark.parametrize("field", ["event", "id"])
def test_refusal_of_a_line_break_says_so(field: str) -> None:
    """The message names the fault and shows the value."""
    event = ServerSentEvent(**{field: "a\nb"})  # type: ignore[arg-type]  # mypy sees retry too

    with pytest.raises(ValueError, match=rf"^{field} holds a line break: 'a\\nb'$"):
        encode(event)


@pytest.mark.parametrize(
    ("retry", "message"),
    [
        (-1, "^retry must not be negative, got -1$"),
        (-10_000, "^retry must not be negative, got -10000$"),
        (1 - 10**640, "^retry must not be negative, got -9{640}$"),
        (-(10**640), "^retry must not be negative$"),
        (-(10**5000), "^retry must not be negative$"),
        (10**640, "^retry is longer than 640 digits$"),
        (True, "^retry must be an int, got bool$"),
        ("3", "^retry must be an int, got str$"),
    ],
    ids=short_id,
)
def test_refusal_of_a_retry_says_why(retry: Any, message: str) -> None:
    """The message says expected and got, also of numbers that ``str()`` refuses."""
    with pytest.raises((TypeError, ValueError), match=message):
        encode(ServerSentEvent(retry=retry))
    with pytest.raises((TypeError, ValueError), match=message):
        encode_retry(retry)


def test_refusal_of_nul_in_an_id_says_so() -> None:
    """Readers ignore such an ``id``: it would be lost without a word."""
    with pytest.raises(ValueError, match=r"^id holds NUL: '\\x00'$"):
        encode(ServerSentEvent(id="\0"))


@pytest.mark.parametrize("value", [None, b"bytes", 7])
def test_refusal_of_a_type_says_which(value: Any) -> None:
    """The message names the field and the type that came."""
    message = f"must be a str, got {type(value).__name__}$"
    for field in ("data", "event", "id"):
        with pytest.raises(TypeError, match=f"^{field} {message}"):
            encode(ServerSentEvent(**{field: value}))
    with pytest.raises(TypeError, match=f"^comment {message}"):
        encode_comment(value)


def test_nul_in_event_and_data() -> None:
    """Only an ``id`` is ignored for a NUL; type and data carry it."""
    event = ServerSentEvent("a\0b", "c\0d")

    assert [event] == parse(encode(event))


class LyingText(str):
    """A str that tells the encoder there is nothing to split, replace or find."""

    __slots__ = ()

    def encode(self, *args: Any, **options: Any) -> bytes:
        return b"lie\nid: injected"

    def splitlines(self, keepends: bool = False) -> list[str]:
        return ["lie"]

    def split(self, *args: Any, **options: Any) -> list[str]:
        return ["lie\n\ndata: injected"]

    def replace(self, *args: Any, **options: Any) -> str:
        return "lie\n\ndata: injected"

    def partition(self, separator: str) -> tuple[str, str, str]:
        return "lie", "\n", "data: injected"

    def strip(self, *args: Any) -> str:
        return "lie"

    def __contains__(self, key: object) -> bool:
        return False

    def __str__(self) -> str:
        return "lie\nid: injected"

    def __repr__(self) -> str:
        return "lie"

    def __format__(self, spec: str) -> str:
        return "lie\nid: injected"

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Any:
        return iter("lie")

    def __getitem__(self, key: Any) -> str:
        return "\n"

    def __add__(self, other: str) -> str:
        return "lie\n"

    def __mod__(self, other: object) -> str:
        return "lie\n"


class FlatteringText(LyingText):
    """As LyingText, and equal to whatever it is compared with."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


@pytest.mark.parametrize("liar", [LyingText, FlatteringText])
def test_text_whose_methods_lie(liar: type[LyingText]) -> None:
    """The characters count, whatever a subclass says of itself."""
    event = ServerSentEvent(liar("a\nid: b"), liar("add"), liar("7"))

    assert [ServerSentEvent("a\nid: b", "add", "7")] == parse(encode(event))
    assert [Comment("a"), Comment("data: b")] == parse(
        encode_comment(liar("a\ndata: b")), comments=True
    )


@pytest.mark.parametrize("liar", [LyingText, FlatteringText])
@pytest.mark.parametrize("field", ["event", "id"])
def test_text_that_hides_a_line_break(liar: type[LyingText], field: str) -> None:
    """A line break is found whatever a subclass says of itself."""
    event = ServerSentEvent(**{field: liar("a\ndata: injected")})  # type: ignore[arg-type]  # mypy sees retry too

    with pytest.raises(ValueError, match="holds a line break"):
        encode(event)


class LyingNumber(int):
    def __str__(self) -> str:
        return "1\nid: injected"

    def __repr__(self) -> str:
        return "1\nid: injected"

    def __format__(self, spec: str) -> str:
        return "1\nid: injected"

    def __int__(self) -> int:
        return 1

    def __index__(self) -> int:
        return 1

    def __lt__(self, other: int) -> bool:
        return False

    def __ge__(self, other: int) -> bool:
        return False


class Milliseconds(enum.IntEnum):
    LATER = 5000


def test_number_whose_methods_lie() -> None:
    """The number counts, whatever a subclass says of itself."""
    assert [ServerSentEvent(retry=5)] == parse(encode(ServerSentEvent(retry=LyingNumber(5))))
    assert b"retry: 5\n\n" == encode_retry(LyingNumber(5))


@pytest.mark.parametrize("number", [-1, 10**640, 10**5000], ids=short_id)
def test_number_that_lies_about_its_size(number: int) -> None:
    """A number that no reader takes is refused whatever a subclass says of itself."""
    with pytest.raises(ValueError, match=r"^retry "):
        encode_retry(LyingNumber(number))


def test_int_subclass() -> None:
    """A member of an IntEnum is an integer like any other."""
    assert b"retry: 5000\n\n" == encode_retry(Milliseconds.LATER)
    assert b"retry: 5000\ndata: \n\n" == encode(ServerSentEvent(retry=Milliseconds.LATER))


@pytest.mark.parametrize(
    "milliseconds", [0, 1, 3000, 2**31, 2**63, 10**639, LARGEST_RETRY], ids=short_id
)
def test_encode_retry(milliseconds: int) -> None:
    """Sets the reconnection time and dispatches nothing, up to 640 digits."""
    parser = EventStreamParser()

    assert [] == parser.receive_data(encode_retry(milliseconds))
    assert milliseconds == parser.reconnection_time


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("", b": \n\n"),
        ("keep-alive", b": keep-alive\n\n"),
        ("a\nb\r\nc\rd", b": a\n: b\n: c\n: d\n\n"),
        ("\n", b": \n: \n\n"),
        (" x", b":  x\n\n"),
        (": x", b": : x\n\n"),
        ("\ufeff", b": \xef\xbb\xbf\n\n"),
        ("\udc80", b": \xef\xbf\xbd\n\n"),
        ("a\x0bb\u2028c", ": a\x0bb\u2028c\n\n".encode()),
    ],
)
def test_encode_comment(text: str, stream: bytes) -> None:
    """A comment line for each line of the text: none of them can be read as a field."""
    assert stream == encode_comment(text)
    assert [Comment(line) for line in as_read(text).split("\n")] == parse(stream, comments=True)
    assert [] == parse(stream)


def test_encode_comment_without_text() -> None:
    """Without a text it is what keeps a connection alive."""
    assert b": \n\n" == encode_comment()


def test_reset_of_the_last_event_id() -> None:
    """The docstring's way to reset the ID, as ``encode`` writes no empty one."""
    parser = EventStreamParser(last_event_id="7")

    assert [ServerSentEvent("x", id="7")] == parser.receive_data(encode(ServerSentEvent("x")))
    assert [] == parser.receive_data(b"id\n\n")
    assert [ServerSentEvent("y")] == parser.receive_data(encode(ServerSentEvent("y")))
