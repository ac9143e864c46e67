"""The benchmarks are code: streams become the events they say, and verdicts are right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import conformance, foreign, memory, peers, plot
from benchmarks.__main__ import main
from benchmarks.measure import QUICK, Result, Settings, measure, verdict
from benchmarks.parsers import OURS, Adapter, Outcome, Parser, PythonParser, View
from benchmarks.report import Cell, Run, table
from benchmarks.workloads import MAX_EVENT, READS, WORKLOADS, Workload, build
from sse_core import EventStreamParser, ServerSentEvent

BRIEF = Settings(repeats=2, sample=0.0001, limit=2.0, budget=1.0)
CELLS = [(workload, reads) for workload in WORKLOADS.values() for reads in workload.reads]


def small(workload: Workload, reads: str) -> tuple[list[bytes], list[ServerSentEvent]]:
    return build(workload, reads, size=min(workload.bytewise_size, 2000))


@pytest.mark.parametrize(
    ("workload", "reads"), CELLS, ids=[f"{workload.name}-{reads}" for workload, reads in CELLS]
)
class TestWorkload:
    def test_ours_makes_the_events_it_says(self, workload: Workload, reads: str) -> None:
        """Every field, in every cut."""
        chunks, expected = small(workload, reads)
        parser = EventStreamParser()

        events = [event for chunk in chunks for event in parser.receive_data(chunk)]

        assert expected == events
        assert parser.receive_eof() is None

    def test_same_seed_same_stream(self, workload: Workload, reads: str) -> None:
        """A run can be repeated."""
        assert small(workload, reads) == small(workload, reads)

    def test_other_seed_other_stream(self, workload: Workload, reads: str) -> None:
        """The seed is in use."""
        size = min(workload.bytewise_size, 2000)

        assert build(workload, reads, seed=1, size=size) != build(
            workload, reads, seed=2, size=size
        )

    def test_reads_have_their_size(self, workload: Workload, reads: str) -> None:
        """All but the last; or each is one event."""
        chunks, events = small(workload, reads)

        length = READS[reads]
        if length is None:
            assert len(events) == len(chunks)
        else:
            assert {length} >= {len(chunk) for chunk in chunks[:-1]}
            assert 0 < len(chunks[-1]) <= length


def test_cuts_do_not_change_the_stream() -> None:
    """Reads are cut from one and the same stream."""
    workload = WORKLOADS["chat"]

    streams = {b"".join(build(workload, reads, size=100)[0]) for reads in READS}

    assert len(streams) == 1


def test_chat_events_are_as_long_as_real_ones() -> None:
    """Endpoints send 250 to 330 bytes for a token."""
    chunks, events = build(WORKLOADS["chat"], "event")

    assert 250 <= sum(map(len, chunks)) / len(chunks) <= 330
    assert events[-1] == ServerSentEvent("[DONE]")
    assert {"chat.completion.chunk"} == {event.json()["object"] for event in events[:-1]}


def test_responses_events_are_named_and_numbered() -> None:
    """The name stands in the data as well."""
    _, events = build(WORKLOADS["responses"], "event", size=20)

    assert [event.event for event in events] == [event.json()["type"] for event in events]
    assert list(range(20)) == [event.json()["sequence_number"] for event in events]


def test_multibyte_is_raw_utf8() -> None:
    """Text is not escaped."""
    chunks, _ = build(WORKLOADS["multibyte"], "event", size=100)

    assert not b"".join(chunks).isascii()
    assert b"\\u" not in b"".join(chunks)


def test_long_line_is_as_large_as_the_default_limit() -> None:
    """It goes through without raising the limit."""
    chunks, expected = build(WORKLOADS["longline"], "64k")
    parser = EventStreamParser()

    events = [event for chunk in chunks for event in parser.receive_data(chunk)]

    assert sum(map(len, chunks)) == MAX_EVENT
    assert expected == events


EXPECTED = [ServerSentEvent("a"), ServerSentEvent("b", "named", "7"), ServerSentEvent("c")]
VIEWS = [View("message", "a", ""), View("named", "b", "7"), View("message", "c", "")]


@pytest.mark.parametrize(
    ("said", "views"),
    [
        ("", VIEWS),
        ("", [view._replace(id=None) for view in VIEWS]),
        ("loses 2 of 3", VIEWS[:1]),
        ("adds 1 of 3", [*VIEWS, View("message", "", "7")]),
        ("adds 1 of 3", [*VIEWS, View("message", "", None)]),
        ("alters 1 of 3", [*VIEWS[:2], View("message", "C", "")]),
        ("alters 1, loses 1 of 3", [VIEWS[0], View("message", "C", "")]),
        ("reorders of 3", VIEWS[::-1]),
    ],
)
def test_verdict(said: str, views: list[View]) -> None:
    """What is wrong with the events is counted; an ID that is not told is not wrong."""
    assert said == verdict(EXPECTED, Outcome(views, None))


def test_verdict_of_an_error() -> None:
    """An error comes before the events."""
    assert verdict(EXPECTED, Outcome(VIEWS, None, "raises ValueError")) == "raises ValueError"


class FakeParser:
    """Takes the time it is told to, and keeps a diary."""

    version = "1.0"
    warm_up = 0.0
    tells_retry = True
    takes_last_event_id = False

    def __init__(self, name: str, seconds: float, outcome: Outcome, diary: list[str]) -> None:
        self.name = name
        self._seconds = seconds
        self._outcome = outcome
        self._diary = diary

    def load(self, chunks: Sequence[bytes]) -> None:
        self._diary.append(f"{self.name} loads")

    def outcome(self, limit: float, last_event_id: str = "") -> Outcome:
        return self._outcome

    def sample(self, loops: int) -> float:
        self._diary.append(f"{self.name} × {loops}")
        return self._seconds * loops


class TestMeasure:
    def test_takes_turns_and_leaves_out_who_raised(self) -> None:
        """One sample of each in every round; wrong events are timed, errors are not."""
        diary: list[str] = []
        parsers: list[Parser] = [
            FakeParser(OURS, 2**-7, Outcome(VIEWS, None), diary),
            FakeParser("lossy", 2**-5, Outcome(VIEWS[:2], None), diary),
            FakeParser("broken", 2**-7, Outcome([], None, "raises ValueError"), diary),
        ]

        results = measure(parsers, [b""], EXPECTED, QUICK)

        assert [
            Result(OURS, "", [2**-7] * 3),
            Result("lossy", "loses 1 of 3", [2**-5] * 3),
            Result("broken", "raises ValueError", []),
        ] == results
        assert diary[-6:] == [f"{OURS} × 3", "lossy × 1"] * 3

    def test_a_slow_parser_gets_fewer_rounds(self) -> None:
        """The budget bounds the run, but everyone has one sample."""
        diary: list[str] = []
        slow: Parser = FakeParser(OURS, 100.0, Outcome(VIEWS, None), diary)

        (result,) = measure([slow], [b""], EXPECTED, QUICK)

        assert len(result.samples) == 1


class Slow(Adapter):
    """Never gets through with its reads."""

    name = "slow"
    distribution = "no such distribution"

    def parse(self, chunks: Any, sink: Any) -> None:
        for _ in chunks:
            pass


class Raising(Slow):
    def parse(self, chunks: Any, sink: Any) -> None:
        raise UnicodeError


class TestPythonParser:
    def test_is_stopped_at_the_limit(self) -> None:
        """A quadratic peer does not stop the others."""
        parser = PythonParser(Slow())
        parser.load([b"x"])

        assert parser.outcome(-1.0).error == "takes over -1 s"

    def test_an_exception_is_an_outcome(self) -> None:
        """A peer that raises does not stop the others."""
        assert PythonParser(Raising()).outcome(1.0).error == "raises UnicodeError"


def all_parsers() -> list[Parser]:
    parsers, _ = peers.installed()
    return parsers


def test_what_is_not_installed_is_named() -> None:
    """Every peer is either there or left out with the reason."""
    parsers, left_out = peers.installed()

    assert parsers[0].name == OURS
    assert len(peers.ADAPTERS) == len(parsers) + len(left_out)


@pytest.mark.peers
@pytest.mark.parametrize("parser", all_parsers(), ids=lambda parser: parser.name)
@pytest.mark.parametrize("reads", ["16k", "event", "1"])
@pytest.mark.parametrize("name", ["chat", "responses", "full", "multibyte"])
def test_installed_peers_read_what_they_should(parser: Parser, reads: str, name: str) -> None:
    """The adapters are right: each peer can read the common streams."""
    chunks, events = build(WORKLOADS[name], reads, size=100)
    parser.load(chunks)

    assert verdict(events, parser.outcome(10.0)) == ""
    assert parser.sample(1) > 0


@pytest.fixture(scope="module")
def foreign_parsers() -> Iterator[list[Parser]]:
    with foreign.running() as (parsers, _, _):
        if not parsers:
            pytest.skip("no node and no go, or their packages are not installed")
        yield parsers


@pytest.mark.parametrize("name", ["chat", "responses", "full", "multibyte"])
@pytest.mark.parametrize("reads", ["64k", "event", "1"])
def test_foreign_peers_read_what_they_should(
    foreign_parsers: list[Parser], name: str, reads: str
) -> None:
    """As for the Python peers."""
    chunks, events = build(WORKLOADS[name], reads, size=100)
    for parser in foreign_parsers:
        parser.load(chunks)

        assert verdict(events, parser.outcome(10.0)) == ""
        assert parser.sample(1) > 0


def test_what_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither node nor Go is needed."""
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with foreign.running() as (parsers, left_out, versions):
        assert (parsers, versions) == ([], {})
        assert left_out == [
            "eventsource-parser, undici: no node",
            "donovanhide/eventsource and others in Go: no go",
        ]


@pytest.fixture
def run() -> Run:
    results = [
        Result(OURS, "", [0.001, 0.002, 0.003]),
        Result("lossy", "loses 1 of 1,000", [0.004]),
        Result("eventsource-parser", "", [0.1]),
        Result("broken", "raises ValueError"),
    ]
    cell = Cell("chat", "Chat <stream>", "16k", 1000, 250_000, results)
    versions = {OURS: "0.1.0", "lossy": "2", "eventsource-parser": "4", "broken": "1"}
    return Run("a machine", versions, ["absent: not installed"], QUICK, [cell])


class TestReport:
    def test_cell(self, run: Run) -> None:
        """The times of wrong events stand in brackets; who raised has none."""
        lines = run.cells[0].markdown().splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[6:]]

        assert rows == [
            [OURS, "1,000", "2,000", "125.0", "1.00", "1.00", ""],
            ["lossy", "(4,000)", "(4,000)", "(62.5)", "(4.00)", "(2.00)", "loses 1 of 1,000"],
            ["eventsource-parser", "100,000", "100,000", "2.5", "100.00", "50.00", ""],
            ["broken", "–", "–", "–", "–", "–", "raises ValueError"],
        ]

    def test_summary(self, run: Run) -> None:
        """One line for a cell: our time, then ratios of medians."""
        row = [cell.strip() for cell in run.summary().splitlines()[2].strip("|").split("|")]

        assert row == ["chat", "16 KiB reads", "2,000", "(2.00)", "50", "raises ValueError"]

    def test_head(self, run: Run) -> None:
        """Machine, versions, what is missing, how it was measured."""
        head = run.head()

        for words in ["a machine", "lossy 2", "absent: not installed", "3 rounds", "collector on"]:
            assert words in head

    def test_json(self, run: Run, tmp_path: Path) -> None:
        """What was saved is what is loaded."""
        run.save(tmp_path / "results.json")

        assert run == Run.load(tmp_path / "results.json")

    def test_a_run_without_ours_has_no_ratios(self, run: Run) -> None:
        """Nothing to compare with."""
        del run.cells[0].results[0]

        assert run.cells[0].ratio(run.cells[0].results[0]) is None
        assert "(4,000)" in run.cells[0].markdown()

    def test_table(self) -> None:
        """Columns are as wide as their longest cell."""
        assert table(["a", "bb"], [["1", "2"]]) == "| a | bb |\n| - | -- |\n| 1 | 2  |"


class TestPlot:
    def test_is_an_image_that_says_what_it_shows(self, run: Run) -> None:
        """Well formed; every parser is in it, with its ratio or its error."""
        root = ElementTree.fromstring(plot.svg(run))
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]

        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        for text in [
            "Chat <stream>, 16 KiB reads",
            "1.00×",
            "(2.00×) loses 1 of 1,000",
            "50×",
            "raises ValueError",
        ]:
            assert text in texts

    def test_the_usual_cells_are_drawn(self, run: Run) -> None:
        """Where a run has one of the panels, other cells are left out."""
        run.cells.append(Cell("tiny", "Tiny", "1", 1, 1, run.cells[0].results))

        assert "Tiny" not in plot.svg(run)

    def test_other_cells_are_drawn_where_there_is_nothing_else(self, run: Run) -> None:
        """Any run can be drawn."""
        run.cells = [Cell("tiny", "Tiny", "1", 1, 1, run.cells[0].results)]

        assert "Tiny" in plot.svg(run)


VECTORS = conformance.load(conformance.VECTORS)


class TestConformance:
    def test_ours_passes_all(self) -> None:
        """Whole and byte by byte, with reconnection times."""
        ours, *_ = all_parsers()

        score = conformance.score(ours, VECTORS)

        assert {"passed"} == set(score.results.values())
        assert conformance.broken([score]) == f"* {OURS}: none"

    @pytest.mark.parametrize(
        ("result", "outcome"),
        [
            ("passed", Outcome([View("message", "x", "")], 5)),
            ("failed", Outcome([View("message", "x", "")], None)),
            ("failed", Outcome([], 5)),
            ("raised", Outcome([], None, "raises ValueError")),
        ],
    )
    def test_score(self, result: str, outcome: Outcome) -> None:
        """Events and the reconnection time both count."""
        parser: Parser = FakeParser("fake", 0.0, outcome, [])
        vector = conformance.Vector("eol-lf", b"", [ServerSentEvent("x")], 5, "")

        assert {"eol-lf": result} == conformance.score(parser, [vector]).results

    def test_a_last_event_id_does_not_apply_to_who_takes_none(self) -> None:
        """A parser is not blamed for what it does not offer."""
        parser: Parser = FakeParser("fake", 0.0, Outcome([], None), [])
        vector = conformance.Vector("id-x", b"", [], None, "before")

        assert conformance.score(parser, [vector]).results == {"id-x": "not applicable"}

    def test_table(self) -> None:
        """A row for each group, then the totals."""
        vectors = [
            conformance.Vector(name, b"", [], None, "") for name in ("eol-a", "eol-b", "new-c")
        ]
        results = {"eol-a": "failed", "eol-b": "raised", "new-c": "passed"}
        score = conformance.Score("fake", "1.0", results)

        lines = conformance.markdown([score], vectors).splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:8]]

        assert rows == [
            ["rules (3 vectors)", "fake 1.0"],
            ["-" * 17, "-" * 8],
            ["line ends (2)", "1 + 1!"],
            ["new (1)", "ok"],
            ["passed", "1"],
            ["failed", "1"],
            ["raised", "1"],
            ["not applicable", "0"],
        ]
        assert conformance.broken([score]) == "* fake: eol-a, eol-b!"


class TestMemory:
    @pytest.mark.parametrize("shape", memory.SHAPES)
    def test_every_shape_is_one_event(self, shape: str) -> None:
        """Of the size asked for, more or less; the peak is at least its text."""
        size = 500_000
        data = b"".join(memory.reads(shape, size))

        (event,) = EventStreamParser().receive_data(data)

        assert 0.75 * size < len(data) <= size
        assert event.data
        assert memory.traced_peak(shape, size) > size / 3

    def test_table(self) -> None:
        """Peaks are multiples of the size; not every platform tells the resident one."""
        peaks = [memory.Peak("line", 3 * 2**20, 2**20), memory.Peak("lines", 2**20, None)]

        text = memory.markdown(peaks, 2**20)

        assert "| one line, ASCII           | 3.00           | 1.00             |" in text
        assert "| lines of 100 bytes, ASCII | 1.00           | –                |" in text


class TestCommands:
    def test_parser_and_plot(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """From the measurement to the picture."""
        monkeypatch.setattr("benchmarks.__main__.QUICK", BRIEF)
        monkeypatch.setattr(shutil, "which", lambda _: None)
        results, picture = tmp_path / "results.json", tmp_path / "picture.svg"
        command = "parser --quick --workload tiny --reads 16k --reads 512 --parser none"

        assert main([*command.split(), "--json", str(results)]) == 0
        assert main(["plot", str(results), str(picture)]) == 0

        assert "### Events of one letter (`tiny`), 16 KiB reads" in capsys.readouterr().out
        assert [cell["reads"] for cell in json.loads(results.read_text())["cells"]] == ["16k"]
        assert picture.read_text().startswith("<svg")

    def test_conformance(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Vectors may come from any file."""
        monkeypatch.setattr(shutil, "which", lambda _: None)
        vectors = tmp_path / "vectors.json"
        vectors.write_text('[{"name": "eol-x", "chunks_b64": [], "events": [], "retry": null}]')

        assert main(["conformance", "--vectors", str(vectors), "--names"]) == 0

        out = capsys.readouterr().out
        assert "line ends (1)" in out
        assert f"* {OURS}: none" in out

    def test_memory(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Every shape has its line."""
        assert main(["memory", "--size", "200000"]) == 0

        out = capsys.readouterr().out
        assert all(title in out for title in memory.SHAPES.values())
