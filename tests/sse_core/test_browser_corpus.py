"""3,000 random nasty streams, with the events that Chromium's EventSource made of them."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sse_core import EventStreamParser

CORPUS = Path(__file__).parents[1] / "data" / "chromium_streams.jsonl.gz"

with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
    STREAMS: list[dict[str, Any]] = [json.loads(line) for line in lines]

Cut = Callable[[list[bytes], random.Random], list[bytes]]


def as_stored(chunks: list[bytes], choose: random.Random) -> list[bytes]:
    return chunks


def by_reads_of_a_few_bytes(chunks: list[bytes], choose: random.Random) -> list[bytes]:
    return cut(b"".join(chunks), lambda: choose.randint(1, 4))


def by_reads_of_any_size(chunks: list[bytes], choose: random.Random) -> list[bytes]:
    return cut(b"".join(chunks), lambda: choose.choice([0, 1, 3, 9, 27, 81, 243]))


def by_reads_of_half_a_stream(chunks: list[bytes], choose: random.Random) -> list[bytes]:
    stream = b"".join(chunks)
    return cut(stream, lambda: choose.randint(0, 1 + len(stream)))


def cut(stream: bytes, size: Callable[[], int]) -> list[bytes]:
    chunks = []
    while stream:
        at = size()
        chunks.append(stream[:at])
        stream = stream[at:]
    return chunks


CUTS = [as_stored, by_reads_of_a_few_bytes, by_reads_of_any_size, by_reads_of_half_a_stream]


def test_corpus_is_whole() -> None:
    """Nothing of the corpus went missing on its way here."""
    assert 3000 == len(STREAMS)
    assert 7503 == sum(len(stream["events"]) for stream in STREAMS)


@pytest.mark.sweep(quick=1)
@pytest.mark.usefixtures("general_path")
@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: str(cut.__name__))
def test_same_events_as_the_browser(cut: Cut) -> None:
    """No stream on which the parser and Chromium differ, however it is cut."""
    choose = random.Random(cut.__name__)
    different = []
    for number, stream in enumerate(STREAMS):
        chunks = [base64.b64decode(chunk) for chunk in stream["chunks_b64"]]
        parser = EventStreamParser()
        events = [
            {"event": event.event, "data": event.data, "id": event.id}
            for chunk in cut(chunks, choose)
            for event in parser.receive_data(chunk)
        ]
        # What the browser sent when it reconnected: it cuts spaces off the ends. Where it
        # lost the first event to a byte order mark, a note says so, and there is no header.
        header = parser.last_event_id.strip(" ")
        if events != stream["events"] or (
            "note" not in stream and header != stream.get("last_event_id_header", "")
        ):
            different.append(number)

    assert [] == different
