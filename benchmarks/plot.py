"""results -> one picture (SVG): the times by workload, as multiples of ours.

It is written by hand, so that drawing needs no package. It has its own background and both
colour schemes. All panels share one scale; the line marks our time.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from .measure import Result
from .parsers import OURS
from .report import Cell, Run, said

__all__ = ["PANELS", "svg"]

PANELS = [
    ("chat", "16k"),
    ("chat", "event"),
    ("responses", "16k"),
    ("full", "16k"),
    ("multibyte", "16k"),
    ("multiline", "16k"),
]
"""The cells to draw, if a run has any of them; otherwise all of its cells are drawn."""

COLUMNS = 2
WIDTH = 480  # of a panel
NAMES = 226  # of the names left of the bars
SCALE = 20  # of 1 × ours
LIMIT = 10.0  # the longest bar, × ours; longer ones are cut
ROW = 18
HEAD = 62  # of a panel, above its bars
TOP = 84

JAVASCRIPT = ("eventsource-parser", "undici")
GO = "/"  # occurs only in the names of modules

STYLE = """
svg { --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --rule: #d1d9e0;
      --ours: #0969da; --python: #9aa4af; --javascript: #d4a72c;
      --go: #2da49d; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #0d1117; --ink: #f0f6fc; --faint: #9198a1; --rule: #3d444d;
        --ours: #4493f8; --python: #6e7781; --javascript: #bb8009;
        --go: #1f8a83; } }
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.heading { font-size: 18px; font-weight: 600; }
.title { font-size: 13px; font-weight: 600; }
.faint { fill: var(--faint); }
.name { text-anchor: end; }
.us { font-weight: 600; }
.wrong { opacity: 0.45; }
""".strip()


def svg(run: Run) -> str:
    """Return the picture of a run."""
    by_name = {(cell.workload, cell.reads): cell for cell in run.cells}
    cells = [by_name[panel] for panel in PANELS if panel in by_name] or run.cells
    height = HEAD + ROW * max((len(cell.results) for cell in cells), default=0) + 16
    rows = -(-len(cells) // COLUMNS)
    width, total = WIDTH * COLUMNS, TOP + rows * height
    namespace = "http://www.w3.org/2000/svg"
    parts = [
        f'<svg xmlns="{namespace}" viewBox="0 0 {width} {total}" width="{width}" role="img">',
        "<title>How many times our time each parser takes</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{total}" rx="6" fill="var(--paper)"/>',
        '<text class="heading" x="20" y="32">Time per event, in multiples of ours</text>',
        f'<text class="faint" x="20" y="70">Medians. {escape(run.machine)}</text>',
        *_legend(),
    ]
    for number, cell in enumerate(cells):
        x = WIDTH * (number % COLUMNS)
        y = TOP + height * (number // COLUMNS)
        parts.append(f'<g transform="translate({x} {y})">')
        parts += _panel(cell)
        parts.append("</g>")
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _legend() -> list[str]:
    parts = []
    x = 20
    for colour, words in [
        ("ours", "sse-toolkit"),
        ("python", "Python"),
        ("javascript", "JavaScript, on V8"),
        ("go", "Go"),
    ]:
        parts.append(f'<rect x="{x}" y="42" width="12" height="12" fill="var(--{colour})"/>')
        parts.append(f'<text class="faint" x="{x + 17}" y="52">{words}</text>')
        x += 40 + 7 * len(words)
    parts.append(f'<text class="faint" x="{x}" y="52">(pale: wrong events)</text>')
    return parts


def _panel(cell: Cell) -> list[str]:
    title = f"{cell.title}, {said(cell.reads)}"
    ours = cell.ours
    parts = [f'<text class="title" x="20" y="24">{escape(title)}</text>']
    if ours and ours.samples:
        seconds = ours.median / cell.events
        time = f"{seconds * 1e9:,.0f} ns" if seconds < 1e-4 else f"{seconds * 1e3:,.1f} ms"
        per_event = f"{time} per event"
        rate = f"{cell.bytes / ours.median / 1e6:,.0f} MB/s"
        parts.append(f'<text class="faint" x="20" y="42">ours: {per_event}, {rate}</text>')
    results = sorted(cell.results, key=lambda result: cell.ratio(result) or float("inf"))
    for row, result in enumerate(results):
        parts += _bar(HEAD - 8 + ROW * row, result, cell.ratio(result))
    line, bottom = NAMES + SCALE, HEAD - 8 + ROW * len(results)
    parts.append(
        f'<path d="M{line} {HEAD - 12}V{bottom}" stroke="var(--ours)" stroke-width="1.5"/>'
    )
    return parts


def _bar(y: int, result: Result, ratio: float | None) -> list[str]:
    us = result.parser == OURS
    baseline = y + 11
    parser = escape(result.parser)
    name = f'<text class="name{" us" * us}" x="{NAMES - 8}" y="{baseline}">{parser}</text>'
    if ratio is None:
        verdict = escape(result.verdict)
        return [
            name,
            f'<text class="faint" x="{NAMES + SCALE + 6}" y="{baseline}">{verdict}</text>',
        ]
    colour = "ours" if us else "python"
    if result.parser.startswith(JAVASCRIPT):
        colour = "javascript"
    elif GO in result.parser:
        colour = "go"
    length = round(SCALE * min(ratio, LIMIT), 1)
    label = f"{ratio:.2f}×" if ratio < 10 else f"{ratio:,.0f}×"
    wrong = ""
    if result.verdict:
        label = f"({label}) {result.verdict}"
        wrong = ' class="wrong"'
    bar = (
        f'<rect{wrong} x="{NAMES}" y="{y}" width="{length}" height="{ROW - 5}" rx="2" '
        f'fill="var(--{colour})"/>'
    )
    parts = [name, bar]
    end = NAMES + length
    if ratio > LIMIT:  # two strokes through the bar: it is longer
        strokes = "".join(f"M{end - back} {y + ROW - 4}l5 -{ROW - 3}" for back in (14, 8))
        parts.append(f'<path d="{strokes}" stroke="var(--paper)" stroke-width="2"/>')
    text = (
        f'<text class="{"us" if us else "faint"}" x="{max(end, NAMES + SCALE) + 6}" y="{baseline}">'
    )
    return [*parts, f"{text}{escape(label)}</text>"]
