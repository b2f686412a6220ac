"""What scores are called, which way is better, and how they are drawn over images seen."""

import math
from collections.abc import Iterable

from gansmith.metrics.descriptions import describe, sentence
from gansmith.reporting.charts import Chart, Line
from gansmith.reporting.run_files import Log, Point

_INTERVAL = "The band is where the true value lies with 95 % confidence."


MAIN = 5  # Scores of a summary.
_SUMMARY = ("fid", "kid", "precision", "recall", "is")


def main(names: Iterable[str]) -> list[str]:
    """The few metrics a summary has room for: the best known, then others in the order given."""
    there = list(names)
    first = [name for name in _SUMMARY if name in there]
    return [*first, *(name for name in there if name not in first)][:MAIN]


def words(name: str, points: Iterable[Point] = ()) -> str:
    """What a metric means, which direction is better, and what the band is, where these are known."""
    meaning = sentence(name)
    known = f"{meaning[:1].upper()}{meaning[1:]}." if meaning else ""
    band = any(point.low is not None for point in points)
    return " ".join(filter(None, [known, _INTERVAL if band else ""]))


def charts(metrics: Log) -> list[Chart]:
    """A chart for each metric, with its band."""
    return [
        Chart(describe(name).title, (Line(describe(name).title, points),), words(name, points))
        for name, points in metrics.series.items()
    ]


def best(name: str, points: Iterable[Point]) -> Point | None:
    """The best point of a metric whose direction is known; the earlier one of two equal ones."""
    known = [point for point in points if math.isfinite(point.value)]
    better = describe(name).better
    if not known or not better:
        return None
    return (min if better == "lower" else max)(known, key=lambda point: point.value)
