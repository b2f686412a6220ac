"""The mean of some numbers with an interval that assumes nothing of how they are distributed."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gansmith.metrics.math.intervals import sentences
from gansmith.metrics.math.values import Value

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
