"""Does a generator copy? Its images against the nearest training images, held-out ones for comparison."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.math.intervals import Value

Rows = Float[Tensor, "_ _"]
"""Features of images, one row each."""

COPYING = -3.0
"""z of the three-sample test below which a generator is said to copy: one in 740 by chance."""

REPEATED = 0.25
"""Two samples nearer than this share of the usual distance between samples count as one image."""

_BLOCK = 2**26  # Numbers of a block of distances: 256 MiB in float32.
_FEW = 4  # Candidates for the nearest that are measured exactly.
_WORST = 16  # Pairs shown.


@dataclass(frozen=True)
class Nearest:
    """For each row the nearest other row: its distance and its number.

    Example:
        >>> nearest(torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [5.0]])).index
        tensor([0, 1])
    """

    distance: Float[Tensor, " rows"]
    index: Int[Tensor, " rows"]


@dataclass(frozen=True)
class Memorization:
    """The result of the test of copying.

    Attributes:
        z: of the three-sample test (Meehan, Chaudhuri, Dasgupta 2020): below zero, samples are nearer to the
            training images than held-out images are.
        ratio: the median distance of samples to training images over that of held-out ones.
        repeated: the share of samples that look like another sample.
        nearest: for each sample the nearest training image.
        worst: samples, nearest to a training image first.
        copying: whether the test says that the generator copies.
        verdict: the same in words.

    Example:
        >>> found = memorization(torch.randn(50, 8), torch.randn(200, 8), torch.randn(50, 8))
        >>> found.copying, found.verdict
    """

    z: Value
    ratio: Value
    repeated: Value
    nearest: Nearest
    worst: tuple[int, ...]
    copying: bool
    verdict: str


def memorization(fake: Rows, training: Rows, held_out: Rows) -> Memorization:
    """Whether ``fake`` images lie nearer to ``training`` images than ``held_out`` ones do.

    All three are features of the same network. Held-out images come from where the training images come
    from and were never trained on, so that a generator that only learnt the kind is as far from the training
    images as they are; the test is Mann and Whitney's on the two sets of distances.

    Raises:
        DataError: fewer than two images of a kind, other sizes, or numbers that are not finite.
    """
    _check(fake, training, held_out)
    ours, theirs = nearest(fake, training), nearest(held_out, training)
    z = _mann_whitney(ours.distance, theirs.distance)
    ratio = _ratio(ours.distance, theirs.distance)
    within = nearest(fake, fake, same=True).distance
    usual = _usual_distance(fake)
    twice = float((within < REPEATED * usual).float().mean()) if usual > 0 else 1.0
    order = torch.argsort(ours.distance, stable=True)[:_WORST]
    copying = z < COPYING
    return Memorization(
        z=Value(z, z - 1.96, z + 1.96),
        ratio=ratio,
        repeated=Value(twice, *_share_interval(twice, len(fake))),
        nearest=ours,
        worst=tuple(int(row) for row in order),
        copying=copying,
        verdict=_verdict(z, ratio, len(fake), len(held_out)),
    )


def nearest(rows: Rows, others: Rows, *, same: bool = False) -> Nearest:
    """The nearest of ``others`` to each row, by Euclidean distance, in blocks of bounded memory.

    Args:
        rows: [n, d].
        others: [m, d].
        same: ``others`` are the rows themselves, and a row is not its own neighbour.
    """
    step = max(1, _BLOCK // max(len(others), 1))
    distances, indices = [], []
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        found = (others * others).sum(1) - 2 * block @ others.T  # Squared distance, less what a row shares.
        if same:
            own = torch.arange(len(block), device=rows.device)
            found[own, own + start] = math.inf
        # A matrix product is fast, and small distances cancel in it: the best few are measured exactly.
        few = found.topk(min(_FEW, len(others) - same), largest=False).indices
        exact = (block[:, None].double() - others[few].double()).norm(dim=2)
        best = exact.min(1)
        distances.append(best.values.to(rows.dtype))
        indices.append(few.gather(1, best.indices[:, None])[:, 0])
    return Nearest(torch.cat(distances), torch.cat(indices))


def _check(*kinds: Rows) -> None:
    for rows in kinds:
        if len(rows) < 2 or rows.shape[1] != kinds[0].shape[1]:
            raise DataError(
                "Memorization needs two or more generated, training and held-out pictures in the same "
                f"features. Received: {', '.join('x'.join(map(str, kind.shape)) for kind in kinds)}."
            )
        if not bool(rows.isfinite().all()):
            raise DataError("Features must be finite numbers. Received: some that are not (NaN or infinite).")


def _mann_whitney(ours: Tensor, theirs: Tensor) -> float:
    """Z of Mann and Whitney's U, ties corrected: below 0 where ``ours`` tend to be smaller."""
    both = torch.cat([ours, theirs]).double()
    values, places, counts = torch.unique(both, return_inverse=True, return_counts=True)
    del values
    last = torch.cumsum(counts, 0).double()
    ranks = (last - (counts.double() - 1) / 2)[places]
    n, m = len(ours), len(theirs)
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    total = n + m
    ties = float((counts.double() ** 3 - counts.double()).sum())
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    return (u - n * m / 2) / math.sqrt(variance) if variance > 0 else 0.0


def _ratio(ours: Tensor, theirs: Tensor, resamples: int = 500) -> Value:
    """Median over median, with a bootstrap interval."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = ours.cpu().double(), theirs.cpu().double()

    def medians(values: Tensor) -> Tensor:
        rows = torch.randint(len(values), (resamples, len(values)), generator=generator)
        return values[rows].median(1).values

    base = float(theirs.median())
    if base == 0:
        return Value(math.nan, note="Held-out pictures are copies of training pictures: nothing can be said.")
    drawn = medians(ours) / medians(theirs).clamp_min(1e-300)
    low, high = torch.quantile(drawn, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Value(float(ours.median()) / base, low, high)


def _usual_distance(fake: Rows, max_count: int = 1000) -> float:
    """The median distance between different samples."""
    some = fake[:max_count]
    return float(torch.nn.functional.pdist(some).median())


def _share_interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _verdict(z: float, ratio: Value, fake: int, held_out: int) -> str:
    few = min(fake, held_out) < 100
    sure = f"z = {z:.1f}, {fake} samples against {held_out} held-out pictures"
    if z < COPYING:
        text = f"It copies: its pictures are nearer to training pictures than held-out ones are ({sure})."
    elif z < -1.96:
        text = f"There is a hint of copying, not yet a finding ({sure})."
    elif math.isnan(ratio.value):
        text = "Held-out pictures are copies of training pictures, so the split cannot tell."
    else:
        text = f"No sign of copying: samples are as far from training pictures as held-out ones ({sure})."
    return text + (" Few pictures: more would be surer." if few else "")
