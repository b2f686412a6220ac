"""Precision, recall, density and coverage: how far generated and real images lie among each other."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gansmith.metrics.math.distances import Space, Tile
from gansmith.metrics.math.intervals import Result, Rows, around, at_least, few, pair, sentences, share

NEAREST, NEAREST_DENSITY = 3, 5
MEMORY = 2**30


def neighbours(
    fake: Rows,
    real: Rows,
    *,
    nearest: int = NEAREST,
    nearest_density: int = NEAREST_DENSITY,
    memory: int = MEMORY,
) -> Result:
    """All four metrics of balls around images, in one pass over the distances.

    With a ball around every image that reaches to its k-th neighbour in its own set:

    - precision: share of generated images in the ball of any real one (Kynkaanniemi 2019, equation 2, k 3);
    - recall: share of real images in the ball of any made one (the same, sets exchanged);
    - density: real balls that a generated image is in, over k, on average (Naeem 2020, equation 4, k 5);
    - coverage: share of real balls that hold a generated image (Naeem 2020, equation 5, k 5).

    The first two count the surface of a ball as inside, the last two do not, as the authors' programs do;
    so equal sets have 1 everywhere. Images with equal features are neighbours at distance 0; a real one
    with k of them has an empty ball for density and coverage, and the note tells how many have.

    Intervals are for other images to be judged by the same balls (Wilson's for shares, which is what a
    bootstrap of the yes-or-no answers tends to; normal for density). They do not cover that another set would
    have other balls.

    Distances are float32 products, and float64 differences wherever that could matter (see ``Space``), on the
    device of ``fake``. Beyond the features it takes about ``memory`` bytes. Two sets of n cost
    ``4 n^2 size`` multiplications.

    Args:
        made: features [n, size], float32.
        real: features [m, size].
        nearest: the k of precision and recall; at least 1.
        nearest_density: the k of density and coverage; at least 1.
        memory: bytes for the work; at least 1 MiB.

    Returns: ``precision``, ``recall``, ``density``, ``coverage``.

    Raises:
        DataError: no more images than k, different widths, numbers that are not finite.
        SettingError: a k below 1, or too little memory.
    """
    at_least(1, nearest=nearest, nearest_density=nearest_density)
    at_least(2**20, memory=memory)
    first, second = pair(fake, real, max(nearest, nearest_density) + 1)
    found = _count(first, second, (nearest, nearest_density), memory)
    counts = len(first), len(second)
    uneven = "Recall depends on the number of generated pictures: compare it for equal numbers only."
    note = sentences(few(*counts), uneven if max(counts) > 2 * min(counts) else "")
    empty = f"{found.empty} real pictures have {nearest_density} duplicates, so their balls hold nothing."
    ball_note = sentences(note, empty if found.empty else "")
    density = found.balls.double() / nearest_density
    error = float(density.std()) / len(density) ** 0.5
    return {
        "precision": share(found.precise, note),
        "recall": share(found.recalled, note),
        "density": around(float(density.mean()), error, ball_note, low=0.0),
        "coverage": share(found.covered, ball_note),
    }


@dataclass(frozen=True, eq=False)
class _Found:
    precise: Tensor  # Of each generated image: whether it is in a real ball.
    balls: Tensor  # Of each generated image: how many real balls it is in.
    recalled: Tensor  # Of each real image: whether it is in a made ball.
    covered: Tensor  # Of each real image: whether its ball holds a generated one.
    empty: int  # Real balls of no size, as their middles have duplicates.


def _count(fake: Tensor, real: Tensor, nearest: tuple[int, int], memory: int) -> _Found:
    space = Space.of((fake, real), memory)
    wide, wider = space.radii(real, nearest)
    (reach,) = space.radii(fake, nearest[:1])
    precise, balls = fake.new_zeros(len(fake), dtype=torch.bool), fake.new_zeros(len(fake), dtype=torch.int64)
    recalled, covered = (fake.new_zeros(len(real), dtype=torch.bool) for _ in range(2))
    for row, x in space.tiles(fake):
        m = slice(row, row + len(x[0]))
        for column, y in space.tiles(real):
            r = slice(column, column + len(y[0]))
            tile = Tile(space, space.between(x, y), (x[1], y[1]), fake[m], real[r])
            precise[m] |= tile.within(wide[r], closed=True).any(1)
            inside = tile.within(wider[r], closed=False)
            balls[m] += inside.sum(1)
            covered[r] |= inside.any(0)
            turned = Tile(space, tile.apart.T, (y[1], x[1]), real[r], fake[m])
            recalled[r] |= turned.within(reach[m], closed=True).any(1)
    return _Found(precise, balls, recalled, covered, int((wider == 0).sum()))
