"""What the metrics share: features that have been checked, and intervals that need no table."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gansmith.errors import DataError, SettingError


@dataclass(frozen=True)
class Value:
    """One number; ``low`` and ``high`` bound it with 95 % confidence where that is known.

    Example:
        >>> Value(12.3, low=11.9, high=12.7).value
        12.3
    """

    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""  # A warning in one plain sentence, such as too few samples.


Result = Mapping[str, Value]
"""Name of a metric, in lower case -> its value."""


Rows = Tensor | NDArray[Any]
"""Features, [images, numbers per picture]."""

Z = 1.959963984540054  # 95 % of a normal distribution lie within this many standard deviations.
USUAL = 10_000  # Images below which the usual metrics of distributions are known to mislead.


def tensor(values: Rows) -> Tensor:
    """The same numbers as a tensor, without gradients, on a device that knows float64."""
    if isinstance(values, np.ndarray):
        # torch warns of read-only memory, such as a file opened with mmap_mode="r".
        return torch.from_numpy(values if values.flags.writeable else values.copy())
    return values.detach().cpu() if values.device.type == "mps" else values.detach()


def matrix(features: Rows, name: str, min_count: int = 2) -> Tensor:
    """Features as a tensor [n, size] of float32 or float64.

    Args:
        features: numbers of any kind.
        name: what a message calls the images, such as "generated".
        min_count: images that are needed.

    Raises:
        DataError: another shape, too few images, or numbers that are not finite.
    """
    rows = tensor(features)
    if rows.ndim != 2 or rows.shape[1] == 0:
        rule = f"Features of the {name} pictures are one row a picture, one column a number."
        raise DataError(f"{rule} Received: shape {list(rows.shape)}.")
    enough(len(rows), name, min_count)
    rows = rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
    bad = torch.cat([~part.isfinite().all(1) for part in blocks(rows, 4096)])
    if bool(bad.any()):
        raise DataError(
            f"Features must be finite numbers. Received: nan or inf in {int(bad.sum())} of {len(rows)} "
            f"rows of the {name} pictures, first in row {int(bad.nonzero()[0])}. Look at that picture, "
            "and whether the feature network ran in half precision."
        )
    return rows


def blocks(rows: Tensor, size: int) -> Iterator[Tensor]:
    """The rows, ``size`` at a time; the last ones may be fewer."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def enough(count: int, name: str, min_count: int) -> None:
    """DataError for fewer images than ``min_count``."""
    if count < min_count:
        raise DataError(
            f"At least {min_count} {name} pictures are needed here. Received: {count}. Give more pictures."
        )


def pair(fake: Rows, real: Rows, min_count: int = 2) -> tuple[Tensor, Tensor]:
    """Both sets checked, of one width, one precision and on one device; DataError as ``matrix``."""
    first, second = matrix(fake, "generated", min_count), matrix(real, "real", min_count)
    same_width(first.shape[1], second.shape[1])
    kind = torch.promote_types(first.dtype, second.dtype)
    return first.to(kind), second.to(first.device, kind)


def same_width(fake: int, real: int) -> None:
    """DataError for features of different lengths."""
    if fake != real:
        raise DataError(
            "Generated and real pictures must have features of one and the same network. "
            f"Received: {fake} numbers per generated picture, {real} per real one."
        )


def at_least(minimum: int, /, **given: int) -> None:
    """SettingError for an argument below ``minimum``."""
    for name, value in given.items():
        if value < minimum:
            raise SettingError(f"{name} must be at least {minimum}. Received: {name}={value}.")


def around(
    value: float, error: float, note: str = "", *, low: float = -math.inf, high: float = math.inf
) -> Value:
    """A value with the 95 % interval of a normal distribution, cut to where such values can be.

    Args:
        value: the estimate.
        error: its standard error.
        note: what is to be said about it.
        low: the least possible value.
        high: the greatest possible value.
    """
    return Value(value, max(low, value - Z * error), min(high, value + Z * error), note)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``count`` independent yes-or-no answers (Wilson 1927).

    Unlike a bootstrap of the answers it has a width where all of them agree.
    """
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    # The ends are exact there; rounding must not leave the share outside its own interval.
    return (max(0.0, middle - half) if share > 0 else 0.0), (min(1.0, middle + half) if share < 1 else 1.0)


def share(answers: Tensor, note: str = "") -> Value:
    """The mean of yes-or-no answers, [n], with its Wilson interval."""
    value = float(answers.double().mean())
    return Value(value, *wilson(value, len(answers)), note)


def student(freedom: int) -> float:
    """Within how many standard errors 95 % of Student's t lie, for 3 degrees of freedom or more.

    The expansion of Fisher and Cornish (1960); 0.7 % too small for 3 degrees, 0.01 % for 9.
    """
    assert freedom >= 3
    z = Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def few(fake: int, real: int, usual: int = USUAL) -> str:
    """A sentence for sets smaller than what is usual, else nothing."""
    if min(fake, real) >= usual:
        return ""
    return f"Few pictures: {fake} generated and {real} real, where {usual} or more of each are usual."


def sentences(*notes: str) -> str:
    """The notes there are, one behind the other."""
    return " ".join(note for note in notes if note)


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 products keep all their digits meanwhile, whatever training has set."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


_RESAMPLES = 1000
_AT_ONCE = 4_000_000  # Numbers in memory.
_LEAST = 10  # Numbers below which an interval would be a guess.


def mean_value(scores: Float[Tensor, " pictures"], seed: int = 0, note: str = "") -> Value:
    """The mean and its 95 % bootstrap interval (Efron 1979, percentiles of 1000 resamples).

    Args:
        scores: one or more numbers, finite.
        seed: of the resampling.
        note: what else is to be said.

    Returns: without an interval below 10 numbers, and a note that says so.
    """
    values = scores.double().cpu().numpy()
    mean = float(values.mean())
    if len(values) < _LEAST:
        few = f"Only {len(values)} to average: too few for an interval."
        return Value(mean, note=sentences(few, note))
    low, high = np.quantile(_means(values, np.random.default_rng(seed)), (0.025, 0.975))
    # Rounding must not leave the mean of equal numbers outside.
    return Value(mean, min(float(low), mean), max(float(high), mean), note)


def _means(values: NDArray[np.float64], draws: np.random.Generator) -> NDArray[np.float64]:
    rows = max(1, _AT_ONCE // len(values))
    means = []
    for first in range(0, _RESAMPLES, rows):
        chosen = draws.integers(0, len(values), (min(rows, _RESAMPLES - first), len(values)))
        means.append(values[chosen].mean(1))
    return np.concatenate(means)
