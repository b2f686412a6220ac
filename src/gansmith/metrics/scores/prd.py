"""The precision-recall curve of distributions (PRD): how good images are, and how much they miss."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Int64
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.math.intervals import (
    Result,
    Rows,
    around,
    at_least,
    blocks,
    enough,
    few,
    full_precision,
    pair,
    sentences,
)

CLUSTERS, RUNS, ANGLES, BETA = 20, 10, 1001, 8.0
MOST_FITTED = 10_000  # Images the middles of clusters are fitted to; all are counted.
_STEPS, _RESAMPLES = 50, 20
_EDGE = 1e-10  # How near the angles come to 0 and 90 degrees.


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a precision-recall curve, from recall alone to precision alone; both in [0, 1].

    Example:
        >>> same = torch.tensor([5.0, 5.0])
        >>> round(curve(same, same).best(8), 2)
        1.0
    """

    precision: Float64[Tensor, " angles"]
    recall: Float64[Tensor, " angles"]

    def best(self, beta: float) -> float:
        """The greatest F_beta on the curve; beta above 1 favours recall."""
        weight = beta**2
        below = (weight * self.precision + self.recall).clamp(min=1e-300)
        return float(((1 + weight) * self.precision * self.recall / below).max())


@dataclass(frozen=True)
class Prd:
    """The curve to plot, and its two numbers.

    Example:
        >>> found = prd(torch.randn(200, 8), torch.randn(200, 8))
        >>> found.values["prd_f_8"].value
    """

    curve: Curve
    values: Result  # prd_f_8 (mostly recall) and prd_f_1_8 (mostly precision).


def curve(fake: Tensor, real: Tensor, angles: int = ANGLES) -> Curve:
    """The curve of two histograms over the same cells (Sajjadi 2018, equations 6 and 7).

    ``alpha = sum min(t p, q)`` and ``beta = sum min(p, q / t)`` for slopes t at even angles, with p the real
    and q the made distribution.

    Args:
        fake: counts or shares [cells], none negative, not all zero.
        real: counts or shares [cells].
        angles: points of the curve; at least 3.

    Raises:
        DataError: histograms of different lengths, of nothing, or with entries that are no counts.
        SettingError: fewer than 3 points.
    """
    at_least(3, angles=angles)
    if fake.shape != real.shape or fake.ndim != 1:
        rule = "Both histograms have the same cells in one row."
        raise DataError(f"{rule} Received: shapes {list(fake.shape)} and {list(real.shape)}.")
    q, p = (_shares(counts, name) for counts, name in ((fake, "generated"), (real, "real")))
    slopes = torch.linspace(_EDGE, math.pi / 2 - _EDGE, angles, dtype=torch.float64).tan()[:, None]
    return Curve(torch.minimum(slopes * p, q).sum(1), torch.minimum(p, q / slopes).sum(1))


def prd(
    fake: Rows,
    real: Rows,
    *,
    clusters: int = CLUSTERS,
    runs: int = RUNS,
    angles: int = ANGLES,
    seed: int = 0,
) -> Prd:
    """Precision and recall of features, over clusters of both sets together (Sajjadi 2018, section 4).

    Each run fits k-means (Arthur & Vassilvitskii's start, Lloyd's steps) to as many made as real images,
    at most 10,000 together, and counts all images of both sets in the clusters; curves are averaged.

    The numbers are F_8 and F_1/8 of the averaged curve. Their intervals are for other images and other
    runs: the counts of each run are drawn anew 20 times from what was counted. Where sets of one
    distribution are small, the curve stays below 1; the intervals do not cover that.

    Args:
        made: features [n, size].
        real: features [m, size].
        clusters: cells; at least 2, and no more than the images of either set.
        runs: clusterings; at least 1.
        angles: points of the curve; at least 3.
        seed: of the clusterings and the intervals.

    Raises:
        DataError: fewer images than clusters, different widths, numbers that are not finite.
        SettingError: too few clusters, runs or points.
    """
    at_least(2, clusters=clusters)
    at_least(1, runs=runs)
    first, second = pair(fake, real)
    enough(len(first), "generated", clusters)
    enough(len(second), "real", clusters)
    generator = torch.Generator().manual_seed(seed)
    centre = second.mean(0)  # Far from the origin float32 products would lose the distances.
    first, second = first - centre, second - centre
    counted = [_histograms(first, second, clusters, generator) for _ in range(runs)]
    whole = _average([curve(*counts, angles) for counts in counted])
    drawn = [
        _average([curve(_again(q, generator), _again(p, generator), angles) for q, p in counted])
        for _ in range(_RESAMPLES)
    ]
    note = sentences(few(len(first), len(second)))
    values = {}
    for name, beta in (("prd_f_8", BETA), ("prd_f_1_8", 1 / BETA)):
        runs_error = _spread([curve(*counts, angles).best(beta) for counts in counted]) / math.sqrt(runs)
        # Runs count the same images: what another draw of them changes is no smaller for many runs.
        error = math.hypot(_spread([each.best(beta) for each in drawn]) * math.sqrt(runs), runs_error)
        values[name] = around(whole.best(beta), error, note, low=0.0, high=1.0)
    return Prd(whole, values)


def _shares(counts: Tensor, name: str) -> Tensor:
    exact = counts.double()
    if not bool((exact >= 0).all() and exact.isfinite().all() and exact.sum() > 0):
        rule = f"The histogram of the {name} pictures has counts that are 0 or more, not all 0."
        raise DataError(f"{rule} Received: {counts.tolist()[:8]}.")
    return exact / exact.sum()


def _average(curves: list[Curve]) -> Curve:
    return Curve(
        torch.stack([each.precision for each in curves]).mean(0),
        torch.stack([each.recall for each in curves]).mean(0),
    )


def _spread(values: list[float]) -> float:
    return float(torch.tensor(values).double().std()) if len(values) > 1 else 0.0


def _again(counts: Tensor, generator: torch.Generator) -> Tensor:
    """Counts of as many images drawn with replacement."""
    total = int(counts.sum())
    drawn = torch.multinomial(counts.double(), total, replacement=True, generator=generator)
    return torch.bincount(drawn, minlength=len(counts))


def _histograms(
    fake: Tensor, real: Tensor, clusters: int, generator: torch.Generator
) -> tuple[Int64[Tensor, " clusters"], Int64[Tensor, " clusters"]]:
    each = min(len(fake), len(real), MOST_FITTED // 2)
    some = [
        rows[torch.randperm(len(rows), generator=generator)[:each].to(rows.device)] for rows in (fake, real)
    ]
    middles = _k_means(torch.cat(some), clusters, generator)
    return _counted(fake, middles), _counted(real, middles)


def _counted(rows: Tensor, middles: Tensor) -> Tensor:
    nearest = torch.cat([_nearest(part, middles).cpu() for part in blocks(rows, 4096)])
    return torch.bincount(nearest, minlength=len(middles))


def _nearest(rows: Tensor, middles: Tensor) -> Tensor:
    with full_precision():
        return (middles.square().sum(1) - 2 * rows @ middles.T).argmin(1)


def _k_means(rows: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Middles of clusters, [clusters, size]; with fewer different rows than clusters, some are equal."""
    middles = _start(rows, clusters, generator)
    before = None
    for _ in range(_STEPS):
        nearest = _nearest(rows, middles)
        if before is not None and torch.equal(nearest, before):
            break
        members = F.one_hot(nearest, clusters).to(rows.dtype)
        with full_precision():
            sums = members.T @ rows
        counts = members.sum(0)[:, None]
        # A middle that lost all its images stays where it was.
        middles = torch.where(counts > 0, sums / counts.clamp(min=1), middles)
        before = nearest
    return middles


def _start(rows: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Rows far apart: each drawn in proportion to its squared distance from those before."""
    chosen = [int(torch.randint(len(rows), (), generator=generator))]
    apart = (rows - rows[chosen[0]]).square().sum(1)
    for _ in range(clusters - 1):
        weights = apart.double().cpu()
        weights = weights if bool(weights.sum() > 0) else torch.ones_like(weights)
        chosen.append(int(torch.multinomial(weights / weights.max(), 1, generator=generator)))
        apart = torch.minimum(apart, (rows - rows[chosen[-1]]).square().sum(1))
    return rows[chosen]
