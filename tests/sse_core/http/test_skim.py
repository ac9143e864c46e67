"""Whole plain chunks do not reach h11, and that changes nothing but the time it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_core import Connection, ProtocolError, Request
from sse_core._http.chunks import chunk_length, skim
from tests.fuzz import chunked

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CASES, BATCH = 4000, 500


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# Of sizes with one and with two digits; one has what looks like chunks in it.
CHUNKS = [
    chunk(b"data: 1\n\n"),
    chunk(b"data: 2\r\n\r\n"),
    chunk(b"data: 3\n\n: \r\n5\r\nhello\r\n0\r\n\r\n\n"),
    chunk(b"data: 4\n"),
    chunk(b"\n"),
]
NUMBERS = ["1", "2", "3", "4"]


@pytest.fixture
def read_by_h11(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes that h11 got, call by call."""
    calls: list[bytes] = []
    receive_data: Callable[[h11.Connection, bytes], None] = h11.Connection.receive_data

    def recorded(connection: h11.Connection, data: bytes) -> None:
        calls.append(bytes(data))
        receive_data(connection, data)

    monkeypatch.setattr(h11.Connection, "receive_data", recorded)
    return calls


def receive(reads: list[bytes]) -> tuple[list[str], str | None]:
    connection: Connection[Any] = Connection(Request("http://h"))
    connection.data_to_send()
    events = [event for read in reads if read for event in connection.receive_data(read)]
    return [event.data for event in events], connection.end


def cut_into(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.sweep(quick=1)
@pytest.mark.parametrize("first", range(0, CASES, BATCH))
def test_skimming_changes_nothing(first: int) -> None:
    """Events, errors, ends, limits: the same as when h11 reads every byte."""
    for number in range(first, first + BATCH):
        chunked.check(chunked.make_case(number))


def test_each_whole_chunk_is_skimmed(read_by_h11: list[bytes]) -> None:
    """Two reads with any border between them: h11 gets the chunk that it cuts, and the end."""
    body = b"".join(CHUNKS)
    starts = [len(b"".join(CHUNKS[:number])) for number in range(len(CHUNKS))]

    for border in range(1, len(body)):
        read_by_h11.clear()
        assert (NUMBERS, "complete") == receive([HEAD + body[:border], body[border:] + LAST_CHUNK])
        cut = [
            chunk
            for start, chunk in zip(starts, CHUNKS, strict=True)
            if start < border < start + len(chunk)
        ]
        assert [HEAD, *cut, LAST_CHUNK] == [read_by_h11[0], *joined(read_by_h11[1:-1]), LAST_CHUNK]


def joined(calls: list[bytes]) -> list[bytes]:
    return [b"".join(calls)] if calls else []


def test_head_cut_anywhere(read_by_h11: list[bytes]) -> None:
    """However the response's head is cut, all chunks behind it are skimmed."""
    early = b"HTTP/1.1 100 C\r\n\r\n" + HEAD.replace(b"\r\n", b"\n")
    rest = b"".join(CHUNKS) + LAST_CHUNK

    for head in (HEAD, early):
        for border in range(1, len(head) + 1):
            read_by_h11.clear()
            assert (NUMBERS, "complete") == receive([head[:border], head[border:] + rest])
            assert head + LAST_CHUNK == b"".join(read_by_h11)


@pytest.mark.parametrize(
    "odd",
    [
        b"9;a=b\r\ndata: x\n\n\r\n",
        b"9;\ra\r\ndata: x\n\n\r\n",
        b"9 \t\r\ndata: x\n\n\r\n",
        b"00000000000000009\r\ndata: x\n\n\r\n",
        b"00000000000000000009\r\ndata: x\n\n\r\n",
    ],
)
def test_after_a_chunk_that_is_not_plain(odd: bytes, read_by_h11: list[bytes]) -> None:
    """h11 gets that chunk by itself, however it is cut, and skimming goes on behind it."""
    rest = b"".join(CHUNKS) + LAST_CHUNK
    for border in range(len(odd) + 1):
        read_by_h11.clear()
        events, _ = receive([HEAD + CHUNKS[0] + odd[:border], odd[border:] + rest])
        assert ["1", "x", *NUMBERS] == events
        assert HEAD + odd + LAST_CHUNK == b"".join(read_by_h11)


def test_trailers_go_to_h11_in_one_piece(read_by_h11: list[bytes]) -> None:
    """What is wrong with them is found before their size, however the chunks were read."""
    trailers = b"0;" + 20_000 * b"x" + b"\r\nno colon\r\n\r\n"

    with pytest.raises(ProtocolError, match="illegal header line"):
        receive([HEAD, CHUNKS[-1] + trailers])
    assert [HEAD, trailers] == read_by_h11


def test_burst(read_by_h11: list[bytes]) -> None:
    """Of a burst in large reads, h11 gets the chunks that their borders cut."""
    event = b"data: " + 190 * b"x" + b"\n\n"
    reads = cut_into(HEAD + 1000 * chunk(event) + LAST_CHUNK, 16384)

    events, end = receive(reads)

    assert (1000, "complete") == (len(events), end)
    assert sum(map(len, read_by_h11)) < len(HEAD) + len(reads) * len(chunk(event))


def test_one_chunk_each_read(read_by_h11: list[bytes]) -> None:
    """Where each read is a chunk, h11 gets none of them."""
    receive([HEAD, *CHUNKS, LAST_CHUNK])

    assert [HEAD, LAST_CHUNK] == read_by_h11


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=30),
    st.lists(st.integers(1, 60), min_size=1, max_size=60),
)
def test_any_reads_of_plain_chunks(pieces: list[bytes], sizes: list[int]) -> None:
    """A body comes out as it went in, whatever is in it."""
    body = HEAD + b"".join(map(chunk, pieces)) + LAST_CHUNK
    reads = []
    for size in sizes:
        reads.append(body[:size])
        body = body[size:]
    connection: Connection[Any] = Connection(Request("http://h"))
    recorder = chunked.Recorder()
    connection.parser = recorder  # type: ignore[assignment]  # it has what is called
    connection.data_to_send()
    for read in [*reads, body]:
        if read:
            connection.receive_data(read)

    assert b"".join(pieces) == recorder.data
    assert connection.end == "complete"


@pytest.mark.parametrize("size", [b"3", b"03", b"0000000000000003"])
def test_skim(size: bytes) -> None:
    """What is plain and whole is taken, up to what is not."""
    plain = size + b"\r\nabc\r\n"

    assert (b"abc", len(plain)) == skim(plain, 0)
    assert (b"abcabc", 2 + 2 * len(plain)) == skim(b"xx" + plain + plain + plain[:-1], 2)


@pytest.mark.parametrize("size", [b"b", b"B", b"0b", b"0B"])
def test_digits_have_no_case(size: bytes) -> None:
    """As h11 has it."""
    assert b"hello world" == skim(size + b"\r\nhello world\r\n", 0)[0]


@pytest.mark.parametrize(
    "data",
    [
        *[b"", b"3", b"3\r", b"3\r\n", b"3\r\nabc", b"3\r\nabc\r"],
        *[b"0\r\n\r\n", b"000\r\n\r\n"],
        *[b"3\nabc\r\n", b"3\r\nabc\n", b"3\r\nabc\n\n", b"3\rabc\r\n", b"3\r\nabc\r\r"],
        *[b"3;\r\nabc\r\n", b"3;a=b\r\nabc\r\n", b"3 \r\nabc\r\n", b" 3\r\nabc\r\n"],
        *[b"0x3\r\nabc\r\n", b"+3\r\nabc\r\n", b"-3\r\nabc\r\n", b"0_3\r\nabc\r\n"],
        *[b"\xd9\xa3\r\nabc\r\n", b"g\r\nabc\r\n", b"\r\n3\r\nabc\r\n"],
        *[b"2\r\nabc\r\n", b"4\r\nabc\r\n", b"00000000000000003\r\nabc\r\n"],
        *[b"ffffffffffffffff\r\nabc\r\n", b"f" * 21 + b"\r\nabc\r\n"],
    ],
)
def test_not_skimmed(data: bytes) -> None:
    """Everything else is h11's."""
    assert (b"", 0) == skim(data, 0)
    assert (b"ab", 7) == skim(b"2\r\nab\r\n" + data, 0)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"3\r\n", 8),
        (b"3\r\nabc\r\n3\r\n", 8),
        (b"00003;a=b\r\nab", 16),
        (b"3 \t\r\n", 10),
        (b"F;\r;\r\n", 23),
        (b"0\r\n\r\n", 0),
        (b"000;a\r\nA: b\r\n\r\n", 0),
        (b"f" * 20 + b"\r\n", 16**20 + 23),
        (b"3", 0),
        (b"3\r", 0),
        (b"3\n", 0),
        (b"g\r\n", 0),
        (b"\r\n", 0),
        (b"", 0),
    ],
)
def test_chunk_length(data: bytes, length: int) -> None:
    """A chunk is as long as its head says, as soon as that is there."""
    assert length == chunk_length(data, 0)
    assert length == chunk_length(b"5\r\n" + data, 3)
