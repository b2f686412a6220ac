"""The Frechet distance: how far mean and spread of features are from those of real images."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.math.intervals import (
    Rows,
    Value,
    Z,
    around,
    at_least,
    blocks,
    few,
    matrix,
    same_width,
    sentences,
    student,
)
from gansmith.metrics.math.moments import Moments, MomentsAccumulator

__all__ = ["Moments", "MomentsAccumulator", "class_fid", "fid", "fid_infinity", "floor"]

_EPS = torch.finfo(torch.float64).eps


def fid(fake: Moments | Rows, real: Moments | Rows) -> Value:
    """The Frechet distance between Gaussians with the moments of two sets (Heusel 2017, equation 6).

    ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1^(1/2) S2 S1^(1/2))^(1/2))``. The last trace is the sum of the
    singular values of ``F1' F2`` for any ``S = F F'``; no square root of a product is taken, and singular
    covariances lose no digits. 0 for equal sets, never negative, no upper end.

    The interval is for another draw of as many images, by the derivative of the distance with respect to
    the weight of each image (the limit law of Rippl, Munk & Sturm 2016, with measured fourth moments in
    place of Gaussian ones). It does not cover the bias, which the note names; where the bias is most of the
    value, it is about 1.4 times too wide. Saved moments without a sample have no interval.

    Args:
        made: features [n, size], or their moments.
        real: features [n, size], or their moments.

    Raises:
        DataError: fewer than two images, different widths, numbers that are not finite.
    """
    first, second = _moments(fake, "generated"), _moments(real, "real")
    same_width(first.size, second.size)
    value, error = _distance(first, second)
    note = sentences(_sample_note(first, second), *_singular(first, "generated"), *_singular(second, "real"))
    return Value(value, None, None, note) if error is None else around(value, error, note, low=0.0)


def class_fid(
    fake: tuple[Tensor, Tensor], real: tuple[Tensor, Tensor], names: Sequence[str] = ()
) -> dict[str, Value]:
    """The mean over classes of the ``fid`` within each (Miyato & Koyama 2018, "intra FID").

    A class counts where both sets have more images of it than there are features: with fewer a covariance is
    singular. The others are named in the note.

    Args:
        fake: features [n, size] and labels [n].
        real: likewise.
        names: of the classes.

    Returns: ``class_fid``.

    Raises:
        DataError: no class has enough images.
    """
    size = fake[0].shape[1]
    labels = sorted(set(fake[1].tolist()) | set(real[1].tolist()))
    parts = {label: tuple(rows[kinds.cpu() == label] for rows, kinds in (fake, real)) for label in labels}
    enough = [label for label in labels if min(len(part) for part in parts[label]) > max(size, 1)]
    if not enough:
        most = max(min(len(part) for part in parts[label]) for label in labels)
        raise DataError(
            f"A class counts from {size + 1} images of it in both sets on, one more than there are features. "
            f"Received: {most} at most. Use more --samples, or features of fewer numbers (--features pixels)."
        )
    found = [fid(*parts[label]) for label in enough]
    left_out = [names[label] if label < len(names) else str(label) for label in labels if label not in enough]
    note = f"Too few images, left out: {', '.join(left_out)}." if left_out else ""
    return {"class_fid": Value(sum(value.value for value in found) / len(found), None, None, note)}


def floor(real: Moments, fake_count: int, real_count: int) -> float:
    """About the distance that two samples of one and the same distribution show for being finite.

    To second order for Gaussian features with variances l_i: ``(1/n1 + 1/n2) (tr S + sum_i l_i / 2 +
    sum_(i != j) l_i l_j / (2 (l_i + l_j)))``. With fewer images than features the true floor is higher.

    Args:
        real: moments of the distribution.
        made_count: images of one sample.
        real_count: images of the other.
    """
    spreads = torch.linalg.eigvalsh(real.covariance)
    spreads = spreads[spreads > 0]
    pairs = spreads[:, None] * spreads / (spreads[:, None] + spreads)
    # The diagonal of pairs is l / 2; the formula wants l there, and half of everything.
    once = spreads.sum() + (pairs.sum() + spreads.sum() / 2) / 2
    return float(once) * (1 / fake_count + 1 / real_count)


def fid_infinity(
    fake: Rows, real: Moments | Rows, *, points: int = 15, min_count: int | None = None, seed: int = 0
) -> Value:
    """The distance that infinitely many images would show (Chong & Forsyth 2020): a line over 1/n, at 0.

    Random subsets of a share f of the generated images, and of the real ones where their features are
    given, are measured; the bias of each is nearly proportional to 1/f. The interval is that of the intercept
    (independent subsets, Student's t) widened by the spread of ``fid`` over draws of the whole set.

    Args:
        made: features [n, size], n at least 20.
        real: features [n, size]; with moments alone their own bias stays.
        points: subsets, evenly from ``min_count`` to all images; at least 5.
        min_count: images of the smallest subset; None for a tenth, though twice the features, at most half.
        seed: of the subsets.

    Raises:
        DataError: what ``fid`` refuses, or fewer than 20 images.
        SettingError: fewer than 5 points, or a smallest subset of fewer than 2 images.
    """
    at_least(5, points=points)
    rows = matrix(fake, "generated", 20)
    others = None if isinstance(real, Moments) else matrix(real, "real", 20)
    whole = Moments.of(rows), _moments(real, "real")
    same_width(whole[0].size, whole[1].size)
    count, size = rows.shape
    smallest = min_count if min_count is not None else max(2, min(count // 2, max(count // 10, 2 * size)))
    at_least(2, min_count=smallest)
    generator = torch.Generator().manual_seed(seed)
    value, error = _distance(*whole)
    inverses, found = [1.0], [value]
    for share in torch.linspace(min(smallest / count, 1.0), 1.0, points, dtype=torch.float64)[:-1].tolist():
        part = _subset(rows, share, generator)
        other = whole[1] if others is None else _subset(others, share, generator)
        inverses.append(count / part.count)
        found.append(_distance(part, other, spread=False)[0])
    end, end_error = _intercept(torch.tensor(inverses).double(), torch.tensor(found).double())
    noise = "A value below zero is noise: no distance was found." if end < 0 else ""
    note = sentences(
        noise, *_line_notes(smallest, size, fixed=others is None), *_singular(whole[0], "generated")
    )
    return around(end, math.hypot(end_error, error or 0.0), note, low=min(end, 0.0))


def _moments(given: Moments | Rows, name: str) -> Moments:
    return given if isinstance(given, Moments) else Moments.of(matrix(given, name))


def _subset(rows: Tensor, share: float, generator: torch.Generator) -> Moments:
    chosen = torch.randperm(len(rows), generator=generator)[: max(2, round(share * len(rows)))]
    return Moments.of(rows[chosen.to(rows.device)])


def _root(covariance: Tensor) -> Tensor:
    """Some F with ``F F' = covariance``, [size, rank]."""
    triangle: Tensor
    triangle, failed = torch.linalg.cholesky_ex(covariance)
    pivots = triangle.diagonal().square()
    if not int(failed) and float(pivots.min()) > len(covariance) * _EPS * float(pivots.max()):
        return triangle
    # Singular, or nearly so: what is left of eigenvalues that should be zero is noise, and is dropped.
    spreads, directions = torch.linalg.eigh(covariance)
    kept = spreads > len(covariance) * _EPS * spreads[-1].clamp(min=0)
    root: Tensor = directions[:, kept] * spreads[kept].sqrt()
    return root


def _distance(fake: Moments, real: Moments, *, spread: bool = True) -> tuple[float, float | None]:
    """The distance, and its standard error where samples are there to tell and ``spread`` asks for it."""
    roots = _root(fake.covariance), _root(real.covariance)
    product = roots[0].T @ roots[1]
    apart = fake.mean - real.mean
    traces = float(fake.covariance.trace() + real.covariance.trace())
    if not spread or fake.sample is None or real.sample is None:
        return _total(apart, traces, torch.linalg.svdvals(product)), None
    left, shared, right = torch.linalg.svd(product, full_matrices=False)
    there, back = _transport(roots[1], right.T, shared), _transport(roots[0], left, shared)
    variance = _influence(fake, fake.sample, apart, there) / fake.count
    variance += _influence(real, real.sample, -apart, back) / real.count
    return _total(apart, traces, shared), math.sqrt(variance)


def _total(apart: Tensor, traces: float, shared: Tensor) -> float:
    means = float(apart.square().sum())
    value = means + traces - 2 * float(shared.sum())
    # Less than the rounding of the traces is nothing.
    return value if value > 64 * _EPS * (means + traces) else 0.0


def _transport(root: Tensor, directions: Tensor, shared: Tensor) -> Tensor:
    """M with ``M M'`` the linear map that carries one Gaussian onto the other: F2 Q / sqrt(sigma)."""
    kept = shared > len(root) * _EPS * shared.max() if len(shared) else shared > 0
    return root @ directions[:, kept] / shared[kept].sqrt()


def _influence(moments: Moments, sample: Tensor, apart: Tensor, onto: Tensor) -> float:
    """Variance over images of the distance's derivative with respect to an image's weight."""
    parts = []
    for rows in blocks(sample, 1024):
        centred = rows.to(moments.mean) - moments.mean
        squares = centred.square().sum(1) - (centred @ onto).square().sum(1)
        parts.append(2 * centred @ apart + squares)
    return float(torch.cat(parts).var())


def _intercept(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Where the line of least squares meets x = 0, and its standard error scaled for a normal interval."""
    if float(x.max() - x.min()) < 1e-9:
        raise DataError(
            "The subsets of an extrapolation must differ in size. Received: all as large as the whole set. "
            "Set least to fewer pictures than there are."
        )
    mean, freedom = x.mean(), len(x) - 2
    squares = (x - mean).square().sum()
    slope = ((x - mean) * y).sum() / squares
    end = y.mean() - slope * mean
    residual = (y - end - slope * x).square().sum() / freedom
    error = (residual * (1 / len(x) + mean.square() / squares)).sqrt()
    return float(end), float(error) * student(freedom) / Z


def _line_notes(smallest: int, size: int, *, fixed: bool) -> tuple[str, str]:
    bent = f"The smallest subsets have {smallest} pictures for {size} features, where the bias is no line."
    kept = "The features of the real pictures are not there, so the bias of their number stays."
    return bent if smallest < 2 * size else "", kept if fixed else ""


def _sample_note(fake: Moments, real: Moments) -> str:
    sentence = few(fake.count, real.count)
    if not sentence:
        return ""
    beyond = " or more" if min(fake.count, real.count) <= fake.size else ""
    nothing = floor(real, fake.count, real.count)
    return f"{sentence[:-1]}; a perfect generator would score about {nothing:.3g}{beyond} for that, not 0."


def _singular(moments: Moments, name: str) -> tuple[str, str]:
    # The mean of equal numbers is off by a rounding, so their variance is not quite zero.
    still = moments.covariance.diagonal() <= (1e-12 * moments.mean).square()
    rank = f"Only {moments.count} {name} pictures for {moments.size} features: their covariance is singular."
    constant = f"{int(still.sum())} of {moments.size} features are the same in all {name} pictures."
    return rank if moments.count <= moments.size else "", constant if bool(still.any()) else ""
