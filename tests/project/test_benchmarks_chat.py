"""The benchmark of chat readers: streams say what they claim, verdicts and targets are right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import chat, chat_readers
from benchmarks.__main__ import main
from benchmarks.chat import Figure, Growth, Run, arguments, content
from benchmarks.chat_readers import FLOOR, FOLDED, TYPED, Body
from benchmarks.measure import Settings

BRIEF = Settings(repeats=1, sample=0.0001, limit=2.0, budget=1.0)
READERS, _ = chat_readers.installed()


@pytest.mark.parametrize("body", [content(60), arguments(1000)], ids=["content", "arguments"])
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_every_reader_reads_the_text(reader: chat_readers.Reader, body: Body) -> None:
    """It is checked on what is timed."""
    assert body.text == reader.text(body)
    assert reader.sample(body, 2) > 0


def test_streams() -> None:
    """As long as asked for, and the same each time."""
    assert 60 == len(content(60).data) + 1
    assert content(60) == content(60)
    assert 1000 <= len(arguments(1000).text) < 1100
    assert json.loads(arguments(1000).text)["done"]


class Wrong:
    """A reader that loses all."""

    name, version, warm_up = "wrong", "1", 0.0

    def text(self, body: Body) -> str:
        return ""

    def sample(self, body: Body, loops: int) -> float:
        raise AssertionError("timed although wrong")


def test_wrong_text_is_not_timed() -> None:
    """Its verdict stands in place of figures."""
    (figure,) = chat._take_turns("content", content(60), [Wrong()], BRIEF)

    assert ("reads another text", []) == (figure.verdict, figure.samples)


def test_targets() -> None:
    """Ratios are of medians; what was not measured is neither met nor missed."""
    times = {FLOOR: 1.0, TYPED: 1.8, FOLDED: 2.0, "openai create": 30.0}
    figures = [Figure("content", name, "", [99.0, each, 0.1]) for name, each in times.items()]
    figures.append(Figure("content", "wrong", "reads another text"))
    growth = [Growth("x", "chunks", [1, 2], [1.0, 1.4])]
    run = Run("a machine", {"wrong": "1"}, ["absent: not installed"], BRIEF, figures, growth)

    rows = [[cell.strip() for cell in line.split("|")[2:4]] for line in run.targets().splitlines()]

    assert [
        ["1.80x", "missed"],
        ["2.00x", "met"],
        ["–", "–"],
        ["15.00x", "met"],
        ["–", "–"],
        ["1.40x", "missed"],
    ] == rows[2:]
    assert "reads another text" in run.markdown()
    assert "absent: not installed" in run.markdown()


def test_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole run, in small, without node."""
    monkeypatch.setattr("benchmarks.__main__.QUICK", BRIEF)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr(chat, "CHUNKS", 500)
    results = tmp_path / "results.json"

    assert main(["chat", "--quick", "--json", str(results)]) == 0

    out = capsys.readouterr().out
    assert all(reader.name in out for reader in READERS)
    assert "openai-node: no node" in out
    assert {"content", "arguments"} == {
        figure["stream"] for figure in json.loads(results.read_text())["figures"]
    }
