"""Logged numbers become charts: which lines belong together, what they mean, what the page's script needs."""

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gansmith.reporting.html import count, share, short, text
from gansmith.reporting.run_files import Log, Point

MOST_POINTS = 600  # Of a line; longer ones are averaged over neighbours.
_LOG_FROM = 5.0  # Greatest over smallest value from which a logarithmic axis is offered.
_LOG_AT_FIRST = 8.0  # Greatest over middle value from which it is what a reader sees first.

# Symbols at the ends of lines, so that nobody needs to tell colours apart; as many as the style has colours.
_SYMBOLS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.8 4.4 3.4H-4.4z",
    "M0-5.2 5.2 0 0 5.2-5.2 0z",
    "M0 4.8 4.4-3.4H-4.4z",
    "M-1.4-4.6h2.8v3.2h3.2v2.8h-3.2v3.2h-2.8v-3.2h-3.2v-2.8h3.2z",
    "M-4.6-2h9.2v4h-9.2z",
    "M-2-4.6h4v9.2h-4z",
)


@dataclass(frozen=True)
class Line:
    """One curve; its points may carry a band.

    Example:
        >>> Line("fid", (Point(1000, 80.0), Point(2000, 60.0))).name
        'fid'
    """

    name: str
    points: Sequence[Point]
    mark: int | None = None  # Its colour and symbol; None for the next of the chart.


@dataclass(frozen=True)
class Chart:
    """One chart of a report: curves in one frame, over images seen.

    Example:
        >>> line = Line("fid", (Point(1000, 80.0), Point(2000, 60.0)))
        >>> html = figures([Chart("FID", (line,), words="Lower is better.")])
    """

    title: str
    lines: tuple[Line, ...]
    words: str = ""  # What it means, for somebody who meets it for the first time.
    percent: bool = False
    limits: tuple[float, float] | None = None
    reference: float | None = None  # A value worth a dotted line.


@dataclass(frozen=True)
class _Kind:
    title: str
    belongs: Callable[[str], bool]  # Of the part of a name behind its slash.
    words: str
    percent: bool = False
    limits: tuple[float, float] | None = None
    reference: float | None = None


_KINDS = (
    _Kind(
        "Losses",
        lambda part: part.endswith("loss"),
        "What each turn minimizes. Losses of a GAN do not fall towards zero when all goes well: "
        "the pictures and the scores say more.",
    ),
    _Kind(
        "What the discriminator says",
        lambda part: part.startswith("D("),
        "D(x) of real pictures, D(G(z)) of generated ones: 1 is surely real, 0 surely made. "
        "Near 0.5 it cannot tell them apart.",
        limits=(0.0, 1.0),
        reference=0.5,
    ),
    _Kind(
        "Sorted rightly",
        lambda part: "accuracy" in part,
        "The share of pictures the discriminator sorts rightly. Held out: pictures it never trains on; "
        "far lower there than on training pictures means that it learns those by heart.",
        percent=True,
        limits=(0.0, 1.0),
        reference=0.5,
    ),
    _Kind("Penalties", lambda part: "penalt" in part, "Penalties on gradients, as the method logs them."),
    _Kind(
        "Gradient norms",
        lambda part: "grad" in part or "norm" in part,
        "The length of the gradients. Sudden jumps come before a collapse.",
    ),
)
_APART = (
    "How far real and generated pictures are kept apart. A held-out line far below the training line means "
    "that training pictures are learnt by heart."
)
_WORDS = {
    "margin": _APART,
    "distance": _APART,
    "spread": "How much samples differ from each other, beside real pictures: 1 is as much, 0 is one picture "
    "over and over. Every training starts near 0.",
    "overfitting": "How far held-out pictures score below training pictures, on the way down to generated "
    "ones: 0 is not at all; at 1 the discriminator knows its pictures by heart.",
}
_PACE = {
    "images_per_second": Chart("Images a second", (), "Measured between two log lines."),
    "data_wait": Chart(
        "Waiting for pictures", (), "The share of time in which training waited for data.", True, (0.0, 1.0)
    ),
}
_NOT_DRAWN = {"seconds"}


def training_charts(log: Log) -> list[Chart]:
    """Losses, outputs, accuracies, penalties and gradients, then a chart for each other number."""
    left = [name for name in log.series if name not in _PACE and name not in _NOT_DRAWN]
    made = []
    for kind in _KINDS:
        mine = [name for name in left if kind.belongs(part_of(name))]
        left = [name for name in left if name not in mine]
        made.append(
            Chart(kind.title, _lines(log, mine), kind.words, kind.percent, kind.limits, kind.reference)
        )
    for part in dict.fromkeys(part_of(name) for name in left):
        mine = [name for name in left if part_of(name) == part]
        made.append(Chart(part[:1].upper() + part[1:], _lines(log, mine), _WORDS.get(part, "")))
    return [chart for chart in made if chart.lines]


def pace_charts(log: Log) -> list[Chart]:
    """Images a second, and the share of time spent waiting for data."""
    return [
        Chart(chart.title, _lines(log, [name]), chart.words, chart.percent, chart.limits)
        for name, chart in _PACE.items()
        if name in log.series
    ]


def part_of(name: str) -> str:
    """``"generator/loss"`` -> ``"loss"``."""
    return name.rpartition("/")[2]


def kind_of(name: str) -> Chart:
    """How a number of ``stats.jsonl`` is drawn by itself: its limits, per cent and words, without lines."""
    found = next((kind for kind in _KINDS if kind.belongs(part_of(name))), None)
    if found is None:
        known = _PACE.get(name)
        return known or Chart(name, (), _WORDS.get(part_of(name), ""))
    return Chart(name, (), found.words, found.percent, found.limits, found.reference)


def _lines(log: Log, names: Sequence[str]) -> tuple[Line, ...]:
    alike = len({part_of(name) for name in names}) == 1
    return tuple(Line(_label(name, alike), log.series[name]) for name in names)


def _label(name: str, alike: bool) -> str:
    """The turn where all lines of a chart are the same number, else the number and its turn."""
    turn, slash, part = name.rpartition("/")
    turn = "held out" if turn == "held-out" else turn
    if not slash:
        return name.replace("_", " ")
    return turn if alike else f"{part}, {turn}"


# ---- for the page ---------------------------------------------------------------------------------------


def as_json(chart: Chart) -> dict[str, Any]:
    """What the script draws: ``lines`` of ``x``, ``y`` and, where there is a band, ``low`` and ``high``."""
    values = [point.value for line in chart.lines for point in line.points if math.isfinite(point.value)]
    tall = bool(values) and min(values) > 0 and max(values) / statistics.median(values) >= _LOG_AT_FIRST
    return {
        "percent": chart.percent,
        "limits": chart.limits,
        "reference": chart.reference,
        "log": chart.limits is None and tall,
        "lines": [_line_json(line, place) for place, line in enumerate(chart.lines)],
    }


def _mark(line: Line, place: int) -> int:
    return (place if line.mark is None else line.mark) % len(_SYMBOLS)


def _line_json(line: Line, place: int) -> dict[str, Any]:
    points = few(line.points)
    told: dict[str, Any] = {
        "mark": _mark(line, place),
        "x": [round(point.images) for point in points],
        "y": [_rounded(point.value) for point in points],
    }
    if any(point.low is not None and point.high is not None for point in points):
        told["low"] = [_rounded(point.value if point.low is None else point.low) for point in points]
        told["high"] = [_rounded(point.value if point.high is None else point.high) for point in points]
    return told


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def few(points: Sequence[Point], max_count: int = MOST_POINTS) -> list[Point]:
    """At most ``max_count`` points: each the mean of its neighbours, at the place of the last of them."""
    if len(points) <= max_count:
        return list(points)
    size = math.ceil(len(points) / max_count)
    return [_mean(points[start : start + size]) for start in range(0, len(points), size)]


def _mean(points: Sequence[Point]) -> Point:
    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None and math.isfinite(value)]
        return math.fsum(known) / len(known) if known else None

    value = mean(point.value for point in points)
    low, high = mean(point.low for point in points), mean(point.high for point in points)
    return Point(points[-1].images, math.nan if value is None else value, low, high)


def figures(charts: Sequence[Chart], first: int = 0) -> str:
    """The frames the script draws into, each with a legend that stands without it.

    Args:
        first: the place of the first chart among all of the page.
    """
    made = [_figure(chart, first + place) for place, chart in enumerate(charts)]
    return f'<div class="charts">\n{"".join(made)}</div>' if made else ""


def _figure(chart: Chart, number: int) -> str:
    values = [point.value for line in chart.lines for point in line.points if math.isfinite(point.value)]
    wide = bool(values) and min(values) > 0 and max(values) / min(values) >= _LOG_FROM
    buttons = '<button type="button" data-do="smooth" aria-pressed="false">Smooth</button>'
    if wide and chart.limits is None:
        buttons += '<button type="button" data-do="log" aria-pressed="false">Log</button>'
    legend = "".join(_entry(line, chart, _mark(line, place)) for place, line in enumerate(chart.lines))
    words = f'<p class="words">{text(chart.words)}</p>' if chart.words else ""
    return (
        f'<figure class="chart" data-chart="{number}"><figcaption><h3>{text(chart.title)}</h3>'
        f'<div class="tools" hidden>{buttons}</div></figcaption>\n'
        f'<ul class="legend">{legend}</ul>\n'
        f'<div class="plot" tabindex="0" role="group" aria-label="{text(_summary(chart))}"></div>{words}'
        '<p class="unseen" aria-live="polite"></p></figure>\n'
    )


def _entry(line: Line, chart: Chart, mark: int) -> str:
    last = next((point.value for point in reversed(line.points) if math.isfinite(point.value)), math.nan)
    return (
        f'<li><svg class="key c{mark}" viewBox="-13 -6 26 12" aria-hidden="true">'
        f'<path class="line" d="M-13 0H13"/><path class="end" d="{_SYMBOLS[mark]}"/></svg>'
        f"<span>{text(line.name)}</span> <b>{share(last) if chart.percent else short(last)}</b></li>"
    )


def _summary(chart: Chart) -> str:
    """The chart in one breath, for those who cannot see it."""
    show = share if chart.percent else short
    told = []
    for line in chart.lines:
        known = [point for point in line.points if math.isfinite(point.value)]
        if not known:
            told.append(f"{line.name}: no numbers")
            continue
        values = [point.value for point in known]
        told.append(
            f"{line.name}: from {show(values[0])} to {show(values[-1])} at {count(known[-1].images)} images, "
            f"lowest {show(min(values))}, highest {show(max(values))}"
        )
    return f"{chart.title}, over images seen. {'; '.join(told)}. Arrow keys read single points."


def together(*groups: Sequence[Chart]) -> Mapping[str, Any]:
    """The ``charts`` of a page's data, in the order in which ``figures`` counts them."""
    every = list(itertools.chain(*groups))
    max_count = max(
        (point.images for chart in every for line in chart.lines for point in line.points), default=0
    )
    return {"charts": [as_json(chart) for chart in every], "most": max_count}
