"""The page of a comparison: grids side by side, tables, and the runs' curves over each other."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gansmith.metrics.descriptions import describe
from gansmith.reporting import charts, html, scores
from gansmith.reporting.charts import Chart, Line
from gansmith.reporting.compare import Comparison, Group, rows_of, title_of
from gansmith.reporting.compare_text import MOST_DIFFERENCES
from gansmith.reporting.images import FRAMES_BYTES, embed
from gansmith.reporting.run_files import Log, Point, Record

MOST_GRIDS = 16
GRID_SIDE = 640

_BAND = "Lines of several seeds are their mean; the band goes from the lowest of them to the highest."
Pick = Callable[[Record], Log]


def build(comparison: Comparison) -> str:
    """The whole page."""
    measured = _charts(comparison, lambda record: record.metrics, lambda name: True)
    held = _charts(comparison, _stats, lambda name: name.startswith("held-out/"))
    rest = _charts(comparison, _stats, lambda name: not name.startswith("held-out/") and name != "seconds")
    runs = [name for name, _ in comparison.runs]
    several = any(len(group.runs) > 1 for group in comparison.groups)
    band = html.paragraph(_BAND, "quiet before") if several else ""
    body = [
        html.section("samples", "Samples", _gallery(comparison)),
        html.section("table", "Numbers", *_tables(comparison)),
        html.section("settings", "Settings that differ", _settings(comparison)),
        _section("scores", "Scores", measured, band, 0),
        _section("held", "Held out", held, band, len(measured)),
        _section("curves", "Training", rest, band, len(measured) + len(held)),
    ]
    title = f"{html.plural(len(runs), 'run')} side by side"
    head = html.paragraph(", ".join(runs), "lead") + html.notes(comparison.warnings)
    return html.page(title, head, body, charts.together(measured, held, rest))


def _section(name: str, title: str, drawn: Sequence[Chart], words: str, first: int) -> str:
    return html.section(name, title, words, charts.figures(drawn, first)) if drawn else ""


def _gallery(comparison: Comparison) -> str:
    runs = list(comparison.runs)
    each = FRAMES_BYTES // max(min(len(runs), MOST_GRIDS), 1)
    made = [_newest(name, record, each) for name, record in runs[:MOST_GRIDS]]
    more = f"The newest grids of the first {MOST_GRIDS} runs." if len(runs) > MOST_GRIDS else ""
    gallery = f'<div class="gallery small">{"".join(made)}</div>' if any(made) else ""
    return html.paragraph(more, "quiet before") + gallery


def _newest(name: str, record: Record, max_bytes: int) -> str:
    for images, file in reversed(record.grids):
        picture = embed(file, GRID_SIDE, max_bytes)
        if picture is not None:
            seen = f"after {html.count(images)} images"
            tag = picture.tag(f"Grid of pictures made by {name} {seen}")
            words = f"<b>{html.text(name)}</b><br>{html.text(record.recipe_name)}, {seen}"
            return f"<figure>{tag}<figcaption>{words}</figcaption></figure>"
    return ""


def _tables(comparison: Comparison) -> Iterator[str]:
    for group in comparison.groups:
        head, *rows = rows_of(group)
        yield html.table(head, rows, title_of(group))


def _settings(comparison: Comparison) -> str:
    shown = list(comparison.differences.items())
    if not shown:
        return ""
    head = ["setting", *(group.name for group in comparison.groups)]

    def part(rows: Sequence[tuple[str, tuple[object, ...]]], caption: str) -> str:
        return html.table(head, [(name, *values) for name, values in rows], caption) if rows else ""

    first = part(shown[:MOST_DIFFERENCES], "The first are those that all recipes have")
    return first + html.fold("All others", part(shown[MOST_DIFFERENCES:], "All others"))


# ---- curves ---------------------------------------------------------------------------------------------


def _stats(record: Record) -> Log:
    return record.stats


def _charts(comparison: Comparison, log: Pick, wanted: Callable[[str], bool]) -> list[Chart]:
    names = dict.fromkeys(name for _, record in comparison.runs for name in log(record).series)
    names = dict.fromkeys(sorted(names, key=lambda name: "/" not in name))  # The pace comes last.
    made = []
    for name in names:
        if not wanted(name):
            continue
        kind = charts.kind_of(name)
        lines = [_line(group, place, name, log) for place, group in enumerate(comparison.groups)]
        kept = tuple(line for line in lines if line.points)
        words = kind.words if log is _stats else scores.words(name)
        title = kind.title if log is _stats else describe(name).title
        if kept:
            made.append(Chart(title, kept, words, kind.percent, kind.limits, kind.reference))
    return made


def _line(group: Group, place: int, name: str, log: Pick) -> Line:
    label = group.name if len(group.runs) == 1 else f"{group.name}, {len(group.runs)} seeds"
    return Line(label, mean_line([log(record).series.get(name, ()) for record in group.records]), place)


def mean_line(series: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean of several lines where all of them are known, with a band from the lowest to the highest.

    Between its points a line is straight. Lines without a single number do not count; a lone line stays as
    it is.
    """
    known = [[point for point in points if math.isfinite(point.value)] for points in series]
    known = [points for points in known if points]
    if not known:
        return []
    if len(known) == 1:
        return known[0]
    start, end = max(points[0].images for points in known), min(points[-1].images for points in known)
    places = sorted({point.images for points in known for point in points if start <= point.images <= end})
    if not places:
        return []
    lines = np.stack(
        [
            np.interp(places, [point.images for point in points], [point.value for point in points])
            for points in known
        ]
    )
    rows = zip(places, lines.mean(0).tolist(), lines.min(0).tolist(), lines.max(0).tolist(), strict=True)
    return [Point(*row) for row in rows]
