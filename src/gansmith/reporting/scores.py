"""What scores are called, which way is better, and how they are drawn over images seen."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gansmith.reporting.charts import Chart, Line
from gansmith.reporting.run_files import Log, Point

_INTERVAL = "The band is where the true value lies with 95 % confidence."


@dataclass(frozen=True)
class Score:
    """A metric in words; ``better`` is "lower", "higher" or empty where neither is always so."""

    title: str
    better: str = ""
    words: str = ""


_KNOWN = {
    "fid": Score("FID", "lower", "How far the generated pictures are from the real ones in their features."),
    "fid_infinity": Score(
        "FID, infinitely many pictures", "lower", "Does not hang on the number of pictures."
    ),
    "kid": Score("KID", "lower", "As FID, by a kernel; without bias, so it may fall a little below 0."),
    "is": Score("Inception score", "higher", "How clear and how different the pictures are to a classifier."),
    "precision": Score(
        "Precision", "higher", "The share of generated pictures that lie among real ones: quality."
    ),
    "recall": Score("Recall", "higher", "The share of real pictures that lie among generated ones: variety."),
    "density": Score(
        "Density", "", "How thickly real pictures lie around the generated ones; real ones have 1."
    ),
    "coverage": Score(
        "Coverage", "higher", "The share of real pictures with a generated one nearby: variety."
    ),
    "prd_f_8": Score("PRD F 8", "higher", "Variety, from the precision-recall curve."),
    "prd_f_1_8": Score("PRD F 1/8", "higher", "Quality, from the precision-recall curve."),
    "copying_z": Score("Copying, z", "", "Far below 0: nearer to training pictures than unseen ones are."),
    "copying_ratio": Score(
        "Copying, ratio", "", "Far below 1: nearer to training pictures than unseen ones are."
    ),
    "repeated": Score(
        "Repeated", "lower", "The share of generated pictures that look like another generated one."
    ),
    "swd": Score("Sliced Wasserstein distance", "lower"),
    "ppl": Score("Perceptual path length", "lower"),
    "lpips": Score("LPIPS", "lower"),
    "psnr": Score("PSNR", "higher"),
    "ssim": Score("SSIM", "higher"),
}


MAIN = 5  # Scores of a summary.
_SUMMARY = ("fid", "kid", "precision", "recall", "is")


def main(names: Iterable[str]) -> list[str]:
    """The few metrics a summary has room for: the best known, then others in the order given."""
    there = list(names)
    first = [name for name in _SUMMARY if name in there]
    return [*first, *(name for name in there if name not in first)][:MAIN]


def score(name: str) -> Score:
    """What is known of a metric; of an unknown one its own name."""
    return _KNOWN.get(name, Score(name[:1].upper() + name[1:].replace("_", " ")))


def words(name: str, points: Iterable[Point] = ()) -> str:
    """What a metric means, which direction is better, and what the band is, where these are known."""
    known = score(name)
    direction = f"{known.better.capitalize()} is better." if known.better else ""
    band = any(point.low is not None for point in points)
    return " ".join(filter(None, [known.words, direction, _INTERVAL if band else ""]))


def charts(metrics: Log) -> list[Chart]:
    """A chart for each metric, with its band."""
    return [
        Chart(score(name).title, (Line(score(name).title, points),), words(name, points))
        for name, points in metrics.series.items()
    ]


def best(name: str, points: Iterable[Point]) -> Point | None:
    """The best point of a metric whose direction is known; the earlier one of two equal ones."""
    known = [point for point in points if math.isfinite(point.value)]
    better = score(name).better
    if not known or not better:
        return None
    return (min if better == "lower" else max)(known, key=lambda point: point.value)
