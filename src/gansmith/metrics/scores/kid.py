"""The kernel distance (KID): like the Frechet distance, but unbiased, so that few images do."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gansmith.metrics.math.intervals import (
    Result,
    Rows,
    Value,
    around,
    at_least,
    blocks,
    few,
    full_precision,
    pair,
    sentences,
)

SUBSETS, SUBSET_SIZE, SEED = 100, 1000, 2020  # As torch-fidelity has them.


def kid(
    fake: Rows, real: Rows, *, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, seed: int = SEED
) -> Result:
    """Mean squared maximum mean discrepancy of random subsets (Binkowski 2018, section 4).

    Kernel ``(x . y / size + 1)^3``, unbiased (its equation 4), so around 0, also below, for equal
    distributions. The subsets are those torch-fidelity draws for the same seed.

    The interval is for another draw of as many images. It adds the variance of the full statistic
    (terms of first and second order, from the row means and row variances of each subset's kernel matrices)
    and that of having measured only some subsets. The usual "plus or minus" of this metric is neither, but
    the spread of single subsets; it is given as ``kid_std``.

    Args:
        made: features [n, size], float32.
        real: features [n, size].
        subsets: how many; at least 1.
        subset_size: images of each set in each; at least 2. Sets with fewer are used whole.
        seed: of the subsets.

    Returns: ``kid`` and ``kid_std``.

    Raises:
        DataError: fewer than two images, different widths, numbers that are not finite.
        SettingError: no subsets, or subsets of fewer than 2 images.
    """
    at_least(1, subsets=subsets)
    at_least(2, subset_size=subset_size)
    first, second = pair(fake, real)
    counts = len(first), len(second)
    size = min(subset_size, *counts)
    draws = np.random.RandomState(seed)
    found = []
    for _ in range(subsets):
        chosen = [torch.from_numpy(draws.choice(count, size, replace=False)) for count in counts]
        found.append(
            _discrepancy(first[chosen[0].to(first.device)], second[chosen[1].to(first.device)], size)
        )
    values = np.array([each.value for each in found])
    full = float(np.mean([each.variance(*counts) for each in found]))
    whole = f"A set has fewer than {subset_size} pictures: subsets of {size}." if size < subset_size else ""
    note = sentences(_below(float(values.mean())), whole)
    error = math.sqrt(full + values.var() / subsets)
    return {"kid": around(float(values.mean()), error, note), "kid_std": Value(float(values.std()))}


def kid_full(fake: Rows, real: Rows, *, memory: int = 2**28) -> Value:
    """The same discrepancy of all images at once: the best estimate there is, without any drawing of lots.

    Costs ``4 n^2 size`` multiplications (10 s on one core for two sets of 5,000 images and 2048 features),
    in blocks of at most ``memory`` bytes. Interval as ``kid``.

    Raises:
        DataError: as ``kid``.
    """
    first, second = pair(fake, real)
    rows = max(1, memory // (32 * max(len(first), len(second))))
    found = _discrepancy(first, second, rows)
    error = math.sqrt(found.variance(len(first), len(second)))
    return around(
        found.value, error, sentences(_below(found.value), few(len(first), len(second), SUBSET_SIZE))
    )


@dataclass(frozen=True)
class _Found:
    value: float
    fake: float  # Variance over generated images of the mean kernel against all others.
    real: float
    within: tuple[float, float, float]  # Variance of the kernel along a row: made, real, across.

    def variance(self, fake: int, real: int) -> float:
        """Of the unbiased statistic of so many images (Hoeffding's decomposition)."""
        own, others, across = self.within
        first = 4 * self.fake / fake + 4 * self.real / real
        return first + 2 * own / fake**2 + 2 * others / real**2 + 4 * across / (fake * real)


def _discrepancy(fake: Tensor, real: Tensor, rows: int) -> _Found:
    own, own_spread = _row_means(fake, fake, rows, same=True)
    others, others_spread = _row_means(real, real, rows, same=True)
    there, there_spread = _row_means(fake, real, rows, same=False)
    back, back_spread = _row_means(real, fake, rows, same=False)
    # Row means carry the noise of finite rows, which is no variance over images.
    made_noise = own_spread / (len(fake) - 1) + there_spread / len(real)
    real_noise = others_spread / (len(real) - 1) + back_spread / len(fake)
    return _Found(
        float((own - there).mean() + (others - back).mean()),
        max(0.0, float((own - there).var()) - made_noise),
        max(0.0, float((others - back).var()) - real_noise),
        (own_spread, others_spread, (there_spread + back_spread) / 2),
    )


def _row_means(x: Tensor, y: Tensor, rows: int, *, same: bool) -> tuple[Tensor, float]:
    """Mean of k(x_i, y_j) over j, [n] float64, and its mean variance over j; j is not i where ``same``."""
    count = len(y) - same
    means, variances = [], []
    for kernel, row in _kernels(x, y, rows):
        if same:
            places = torch.arange(len(kernel), device=kernel.device)
            mean = (kernel.sum(1) - kernel[places, row + places]) / count
            kernel[places, row + places] = mean  # So that it adds no variance.
        else:
            mean = kernel.mean(1)
        means.append(mean)
        variances.append((kernel - mean[:, None]).square().sum(1) / max(1, count - 1))
    return torch.cat(means), float(torch.cat(variances).mean())


def _kernels(x: Tensor, y: Tensor, rows: int) -> Iterator[tuple[Tensor, int]]:
    """Blocks of the kernel matrix, float64, each with its first row's number."""
    row = 0
    with full_precision():
        for block in blocks(x, rows):
            # Products in float32 as everywhere; their cubes and sums, where digits cancel, in float64.
            base = (block @ y.T).double().div_(x.shape[1]).add_(1)
            yield base * base * base, row
            row += len(block)


def _below(value: float) -> str:
    return (
        "A value below zero means that no difference was found; the estimate is unbiased."
        if value < 0
        else ""
    )
