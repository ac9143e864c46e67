"""An atheris target: the parser against the naive reference, on fuzzed bytes in fuzzed pieces.

    python -m tests.fuzz.fuzz_parser --seconds 600

Needs atheris (``pip install atheris``) for that; ``check`` itself needs nothing, and
the tests run it on the seed corpus. ``--write-seeds`` makes the corpus anew from
``tests/data/vectors.json``. See README.md beside this file.

An input is three bytes that choose the options, the limit and the cuts, then the stream.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
import tempfile
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
VECTORS = HERE.parent / "data" / "vectors.json"

HEADER = 3
LONGEST_SEED = 300

COMMENTS, DISPATCH_EMPTY, LIMITED, SEEDED = 1, 2, 4, 8


def check(fuzzed: bytes) -> None:
    """Raise AssertionError where parser and reference differ on ``fuzzed``."""
    # Here and not at the top: atheris instruments what it sees being imported.
    from sse_core import Comment, EventStreamParser, EventTooLarge, ServerSentEvent
    from tests.support.reference_parser import read

    flags, limit, cuts = fuzzed[:HEADER].ljust(HEADER, b"\0")
    stream = fuzzed[HEADER:]
    last_event_id = "seed" if flags & SEEDED else ""
    max_event_size = limit if flags & LIMITED else None
    comments = bool(flags & COMMENTS)
    dispatch_empty = bool(flags & DISPATCH_EMPTY)

    parser: EventStreamParser[ServerSentEvent | Comment] = EventStreamParser(
        last_event_id, max_event_size, comments, dispatch_empty
    )
    items: list[ServerSentEvent | Comment] = []
    broken_off = None
    too_large = False
    try:
        for chunk in pieces(stream, cuts):
            items += parser.receive_data(chunk)
        broken_off = parser.receive_eof()
    except EventTooLarge:
        too_large = True

    expected = read(
        stream,
        last_event_id=last_event_id,
        max_event_size=max_event_size,
        comments=comments,
        dispatch_empty=dispatch_empty,
    )
    assert expected.too_large_at_eof == too_large, (expected, items)
    assert expected.items == items, (expected, items)
    assert expected.broken_off == broken_off, (expected, broken_off)
    assert expected.last_event_id == parser.last_event_id, expected
    assert expected.reconnection_time == parser.reconnection_time, expected


def pieces(stream: bytes, cuts: int) -> list[bytes]:
    """Cut ``stream``: 0 leaves it whole, 1 to 15 cut into so many bytes, the rest at random."""
    if cuts == 0:
        return [stream]
    if cuts < 16:
        return [stream[at : at + cuts] for at in range(0, len(stream), cuts)]
    choose = random.Random(cuts)
    chunks = []
    at = 0
    while at < len(stream):
        size = choose.choice([0, 1, 2, 3, 5, 8, 13, 40])
        chunks.append(stream[at : at + size])
        at += size
    return chunks


def write_seeds() -> None:
    """Make the seed corpus: each short vector, under options that differ."""
    CORPUS.mkdir(exist_ok=True)
    for number, vector in enumerate(json.loads(VECTORS.read_text())):
        stream = b"".join(base64.b64decode(chunk) for chunk in vector["chunks_b64"])
        if len(stream) <= LONGEST_SEED:
            header = bytes([number % 16, 7 * number % 64, 5 * number % 40])
            name = "".join(letter if letter.isalnum() else "-" for letter in vector["name"])
            (CORPUS / name).write_bytes(header + stream)


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz.fuzz_parser")
    arguments.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    arguments.add_argument("--seed", type=int, default=0, help="0: another one each time")
    arguments.add_argument("--replay", type=Path, nargs="+", help="only check these inputs")
    arguments.add_argument("--write-seeds", action="store_true", help="only make the corpus")
    options = arguments.parse_args()
    if options.write_seeds:
        write_seeds()
        return
    if options.replay:
        for path in options.replay:
            check(path.read_bytes())
        return

    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["sse_core._parser"]):
        import_module("sse_core._parser")

    # What it finds on its way stays out of the checkout; a crash is written to ./crash-…
    with tempfile.TemporaryDirectory() as found:
        command = [
            sys.argv[0],
            f"-max_total_time={options.seconds}",
            f"-seed={options.seed}",
            "-max_len=400",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            f"-dict={HERE / 'sse.dict'}",
            found,
            str(CORPUS),
        ]
        atheris.Setup(command, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
