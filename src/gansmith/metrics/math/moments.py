"""Mean and covariance of features: all that the Frechet distance needs to know of a set of images."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.math.intervals import Rows, blocks, enough, matrix

BLOCK = 1024  # Rows folded in at a time, whatever batches they came in.


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of the features of ``count`` images.

    Raises:
        DataError: fewer than two images, shapes that do not fit, numbers that are not finite.

    Example:
        >>> Moments.of(torch.randn(100, 8)).covariance.shape
        torch.Size([8, 8])
    """

    mean: Float64[Tensor, " size"]
    covariance: Float64[Tensor, "rows columns"]  # Unbiased: divided by count - 1.
    count: int
    sample: Float[Tensor, "some size"] | None = None  # Some of the rows at random, for intervals.

    def __post_init__(self) -> None:
        enough(self.count, "measured", 2)
        size = len(self.mean)
        if self.covariance.shape != (size, size):
            rule = "A covariance has a row and a column for each number of the mean."
            raise DataError(f"{rule} Received: {size} means, shape {list(self.covariance.shape)}.")
        if self.mean.dim() != 1 or (self.sample is not None and self.sample.shape[1:] != (size,)):
            given = [list(self.mean.shape), [] if self.sample is None else list(self.sample.shape)]
            rule = "A mean is a row of numbers, and a sample has rows of as many."
            raise DataError(f"{rule} Received: shapes {given[0]} and {given[1]}.")
        if not bool(self.mean.isfinite().all() and self.covariance.isfinite().all()):
            raise DataError(
                "Mean and covariance must be finite numbers. Received: nan or inf. Either the file is "
                "damaged or the features are so large that their squares overflow; measure them again."
            )

    @property
    def size(self) -> int:
        """Numbers per image."""
        return len(self.mean)

    @classmethod
    def of(cls, features: Rows) -> "Moments":
        """Of features [n, size], n at least 2; all rows are the sample. DataError for what is not."""
        rows = matrix(features, "measured")
        part = _Part.none(rows.shape[1])
        for block in blocks(rows, BLOCK):
            part = part.joined(_Part.of(block.double()))
        return cls(part.mean.cpu(), part.covariance.cpu(), part.count, rows)


@dataclass(frozen=True, eq=False)
class _Part:
    count: int
    mean: Tensor
    scatter: Tensor  # Sum of the outer products of what differs from the mean.

    @classmethod
    def none(cls, size: int) -> "_Part":
        return cls(0, torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64))

    @classmethod
    def of(cls, rows: Tensor) -> "_Part":
        mean = rows.mean(0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    def joined(self, other: "_Part") -> "_Part":
        """Both together (Chan, Golub & LeVeque 1983); squares of large means never meet."""
        if not self.count:
            return other
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        scatter = self.scatter + other.scatter
        scatter.addr_(apart, apart, alpha=self.count * other.count / count)
        return _Part(count, mean, scatter)

    @property
    def covariance(self) -> Tensor:
        return self.scatter / max(1, self.count - 1)


class MomentsAccumulator:
    """Mean and covariance of a stream of features, in memory that does not grow with it.

    Float64 throughout. Rows are folded in ``BLOCK`` at a time however they come, so that the size of the
    batches does not change the result at all; their order changes it by rounding only. Besides, ``keep``
    rows drawn at random (seeded) are kept for intervals.

    Example:
        >>> seen = MomentsAccumulator()
        >>> seen.add(torch.randn(64, 8))
        >>> seen.moments().count
        64
    """

    def __init__(self, keep: int = 2_000, seed: int = 0) -> None:
        self._part: _Part | None = None
        self._waiting: list[Tensor] = []
        self._keep = keep
        self._draws = np.random.default_rng(seed)
        self._kept: Tensor | None = None
        self._lots = torch.empty(0, dtype=torch.float64)
        self.count = 0

    def add(self, features: Rows) -> None:
        """Take in features [n, size], n at least 1.

        Raises:
            DataError: another shape than before, no rows, numbers that are not finite.
        """
        rows = matrix(features, "measured", 1).to(torch.float64, copy=True)
        self._fit(rows.shape[1])
        self.count += len(rows)
        self._draw(rows.cpu(), torch.from_numpy(self._draws.random(len(rows))))
        self._take(rows)

    def merge(self, other: "MomentsAccumulator") -> None:
        """Take in all that another accumulator has seen; DataError for features of another length."""
        if other._part is None:
            return
        part = self._fit(other._part.mean.shape[0])
        self.count += other.count
        if other._kept is not None:
            self._draw(other._kept, other._lots)
        if other._part.count:
            self._part = part.joined(other._part)
        for rows in other._waiting:
            self._take(rows)

    def moments(self) -> Moments:
        """Of all rows so far; DataError for fewer than two."""
        enough(self.count, "measured", 2)
        assert self._part is not None
        part = self._part
        if self._waiting:
            part = part.joined(_Part.of(torch.cat(self._waiting)))
        return Moments(part.mean.cpu(), part.covariance.cpu(), part.count, self._kept)

    def _fit(self, size: int) -> _Part:
        self._part = self._part or _Part.none(size)
        if len(self._part.mean) != size:
            rule = f"All batches have features of one length, {len(self._part.mean)} numbers a picture."
            raise DataError(f"{rule} Received: {size}.")
        return self._part

    def _take(self, rows: Tensor) -> None:
        assert self._part is not None
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) < BLOCK:
            return
        *full, rest = _blocks(torch.cat(self._waiting))
        for block in full:
            self._part = self._part.joined(_Part.of(block))
        self._waiting = [rest] if len(rest) else []

    def _draw(self, rows: Tensor, lots: Tensor) -> None:
        """Keep the rows with the smallest random keys: a fair sample of a stream of unknown length."""
        if self._keep < 1:
            return
        kept = rows if self._kept is None else torch.cat([self._kept, rows])
        lots = torch.cat([self._lots, lots])
        chosen = lots.argsort()[: self._keep].sort().values
        self._kept, self._lots = kept[chosen], lots[chosen]


def _blocks(rows: Tensor) -> list[Tensor]:
    """Full blocks, and behind them the rest, which may have no rows."""
    whole = len(rows) // BLOCK * BLOCK
    # A copy: a rest that is a view would keep the whole in memory.
    return [*blocks(rows[:whole], BLOCK), rows[whole:].clone()]
