"""Laws of the parser, on streams made to be nasty: the naive reference agrees, cuts do not matter.

``SSE_SLOW=1`` in the environment runs fifty times as many examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sse_core import Comment, EventStreamParser, EventTooLarge, ServerSentEvent
from tests.fuzz.fuzz_parser import check
from tests.support.examples import examples
from tests.support.reference_parser import Reading, read

Options = dict[str, Any]
Item = ServerSentEvent | Comment


TOKENS = [
    *[b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r"],
    *[b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xbf", b"\0", b":", b" ", b": ", b"\t"],
    *[b"data", b"event", b"id", b"retry", b"data: ", b"data:", b"event: ", b"id: ", b"retry: "],
    *[b"dat", b"a", b"Data: ", b"id:", b"retry:", b"event:", b"data\n", b"id\n", b"retry\n"],
    *[b"0", b"5", b"00", b"1234567890", b"+", b"-", b"_", b".", "\u0665".encode(), b"9" * 700],
    *[b"\xff", b"\xc3", b"\xa9", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xed\xa0\x80"],
    *["é".encode(), "€".encode(), "😀".encode(), "\u2028".encode(), "\x85".encode()],
    *[b"\x0b", b"\x0c", b"\x1c", b"\x7f", b"\x1a", b"message"],
    *[b"event: a\ndata: b\n\n", b"event: a\r\ndata: b\r\n\r\n", b"event\ndata: b\n\n"],
    *[b"data: hi\n\n", b"data: hi\r\n\r\n", b"\ndata: ", b"\n\ndata: ", b"\n\nevent: "],
    *[b"data: \n\n", b"data: a\n\ndata: b\n\n", b"data: \xff\n\n"],
    *[b": comment\n", b":\n", b"unknown: field\n", b"x" * 40, b"x" * 5000],
]

VALUES = [b"", b"a", b"ab", b" ", b"5", b"12", b"\0", b"\xff", "é".encode(), b"\xf0\x9f\x98", b":"]

lines = st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from([b"data", b"data", b"id", b"event", b"retry", b"", b"datax", b"dat", b"x"]),
    st.sampled_from([b": ", b": ", b":", b"", b" ", b":  "]),
    st.sampled_from(VALUES),
    st.sampled_from([b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n"]),
)
pieces = lines | st.sampled_from(TOKENS) | st.binary(max_size=3)
streams = st.lists(lines | pieces, max_size=20).map(b"".join)

limits = (
    st.integers(0, 9)
    | st.integers(30, 80)
    | st.none()
    | st.sampled_from([4095, 4096, 4097, 5000, 16 * 2**20])
)

options_of_parsers = st.fixed_dictionaries(
    {},
    optional={
        "last_event_id": st.sampled_from(["", "0", "é", "\0", "line\nbreak"]),
        "max_event_size": limits,
        "comments": st.booleans(),
        "dispatch_empty": st.booleans(),
    },
)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    """A stream in pieces, some of them empty."""
    stream = draw(streams)
    every = draw(st.sampled_from([0, 0, 1, 2, 3, 7]))
    if every:
        return [stream[at : at + every] for at in range(0, len(stream), every)]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@dataclass
class Outcome:
    """All that a parser has told when its stream is over."""

    items: list[Item]
    last_event_id: str
    reconnection_time: int | None
    too_large: bool
    broken_off: ServerSentEvent | None


def outcome_of(chunks: list[bytes], options: Options) -> Outcome:
    parser: EventStreamParser[Any] = EventStreamParser(**options)
    outcome = Outcome([], "", None, False, None)
    try:
        for chunk in chunks:
            outcome.items += parser.receive_data(chunk)
        outcome.broken_off = parser.receive_eof()
    except EventTooLarge:
        outcome.too_large = True
    outcome.last_event_id = parser.last_event_id
    outcome.reconnection_time = parser.reconnection_time
    return outcome


def outcome_by_reference(stream: bytes, options: Options) -> Outcome:
    reading = read(stream, **{"max_event_size": 16 * 2**20, **options})
    return Outcome(
        reading.items,
        reading.last_event_id,
        reading.reconnection_time,
        reading.too_large_at_eof,
        reading.broken_off,
    )


@pytest.mark.usefixtures("general_path")
@examples(1500)
@given(chunks=cut_streams(), options=options_of_parsers)
@example(chunks=[b"data: xx\n:c\n"], options={"max_event_size": 1, "comments": True})
@example(chunks=[b"data: xx\nretry: 5\n"], options={"max_event_size": 1})
@example(chunks=[b"data: a\n\ndata: too large"], options={"max_event_size": 4})
@example(chunks=[b"data: \xff\xff\xff\xff\n\n"], options={"max_event_size": 10})
@example(chunks=[b"data: a\n", b"datax", b"\n\n"], options={"max_event_size": 3})
@example(chunks=[b"data: x\n", b"data: y\n\ndata: b\n\n"], options={"max_event_size": 4})
@example(chunks=[b"data: a\n", b"data: b\ndata: c\n\n\n"], options={"max_event_size": 42})
@example(chunks=[b"data: a", b"b\n\n"] * 100, options={"max_event_size": 10})
def test_reference(chunks: list[bytes], options: Options) -> None:
    """Whatever the bytes, the cuts and the options: the reference says the same."""
    assert outcome_by_reference(b"".join(chunks), options) == outcome_of(chunks, options)


@pytest.mark.slow
@examples(1000)
@given(chunks=cut_streams(), options=options_of_parsers)
def test_chunking(chunks: list[bytes], options: Options) -> None:
    """Where the stream is cut changes nothing at all."""
    stream = b"".join(chunks)
    whole = outcome_of([stream], options)

    assert whole == outcome_of(chunks, options)
    assert whole == outcome_of([stream[at : at + 1] for at in range(len(stream))], options)


texts = st.text(st.characters(codec="utf-8"), max_size=9) | st.sampled_from(
    ["", " ", "\ufeff", "data: ", "\x85", "\u2028", "[DONE]", "a\n\ndata: b", "a\ndata: b", "\r"]
)


@pytest.mark.slow
@pytest.mark.usefixtures("general_path")
@examples(500)
@given(
    blocks=st.lists(st.tuples(st.just("") | texts, texts), min_size=1, max_size=9),
    newline=st.sampled_from(["\n", "\n", "\r\n", "\r"]),
    tail=streams,
    options=options_of_parsers,
    size=st.integers(1, 99),
)
def test_streams_of_language_models(
    blocks: list[tuple[str, str]], newline: str, tail: bytes, options: Options, size: int
) -> None:
    """Blocks of data, named or not, with anything after them: the reference says the same."""
    stream = b""
    for name, data in blocks:
        event = f"event: {name}{newline}" if name else ""
        stream += f"{event}data: {data}{newline}{newline}".encode()
    stream += tail
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    expected = outcome_by_reference(stream, options)

    assert expected == outcome_of([stream], options)
    assert expected == outcome_of(chunks, options)


def forms(data: bytes) -> Iterator[Any]:
    yield data
    yield bytearray(data)
    yield memoryview(data)
    yield memoryview(bytes(value for byte in data for value in (byte, 10)))[::2]


class ParserBesideReference(RuleBasedStateMachine):
    """Drives a parser read by read, and has the reference read all that came so far."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = b""
        self.items: list[Item] = []
        self.refused = False

    @initialize(options=options_of_parsers)
    def start(self, options: Options) -> None:
        self.options: Options = {"max_event_size": 16 * 2**20, **options}
        self.parser: EventStreamParser[Any] = EventStreamParser(**options)

    def reading(self) -> Reading:
        return read(self.stream, **self.options)

    def receive(self, data: Any) -> None:
        before = self.reading()
        self.stream += bytes(data)
        after = self.reading()
        try:
            items = self.parser.receive_data(data)
        except EventTooLarge:
            assert after.too_large or after.unfinished_too_large
            self.refused = True
        else:
            # A line that has ended too large is refused by the next call at the latest.
            assert not before.too_large
            assert not self.refused
            self.items += items

    @rule(data=pieces, form=st.integers(0, 3))
    def receive_piece(self, data: bytes, form: int) -> None:
        self.receive(list(forms(data))[form])

    @rule(data=streams)
    def receive_stream(self, data: bytes) -> None:
        self.receive(data)

    @rule(data=st.sampled_from(TOKENS))
    def receive_and_overwrite(self, data: bytes) -> None:
        """The caller's buffer is the caller's again after the call."""
        buffer = bytearray(data)
        self.receive(buffer)
        buffer[:] = b"\n" * (len(buffer) + 1)

    @rule()
    def receive_nothing(self) -> None:
        self.receive(b"")

    @invariant()
    def agree(self) -> None:
        reading = self.reading()

        assert reading.items == self.items
        assert reading.last_event_id == self.parser.last_event_id
        assert reading.reconnection_time == self.parser.reconnection_time

    def teardown(self) -> None:
        if not hasattr(self, "parser"):
            return
        reading = self.reading()
        try:
            broken_off = self.parser.receive_eof()
        except EventTooLarge:
            assert reading.too_large_at_eof
        else:
            assert not reading.too_large_at_eof
            assert reading.broken_off == broken_off
        with pytest.raises((RuntimeError, EventTooLarge)):
            self.parser.receive_data(b"")
        self.agree()


@pytest.mark.slow
def test_parser_beside_reference() -> None:
    """At every moment, not only at the end, parser and reference agree."""
    run_state_machine_as_test(
        ParserBesideReference, settings=settings(examples(150), stateful_step_count=25)
    )


SEEDS = sorted((Path(__file__).parents[1] / "fuzz" / "corpus").iterdir())


@pytest.mark.sweep(quick=40)
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: str(seed.name))
def test_fuzz_seed(seed: Path) -> None:
    """The fuzz target finds nothing in its own seeds, with atheris or without."""
    check(seed.read_bytes())
