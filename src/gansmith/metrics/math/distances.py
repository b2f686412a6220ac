"""Which of very many distances are small, and which are below a bound: in blocks of bounded memory."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gansmith.metrics.math.intervals import blocks, full_precision

_PAIRS = 256  # Measured exactly at a time; few enough for the processor's cache.
_SPARE = 8  # Neighbours beyond those asked for that are measured exactly.
_SAME = 1e-12  # Relative; squared distances nearer than this are equal.
_SNAP = 1e-13  # Relative to the mean; what differs less is rounding of the mean.


@dataclass(frozen=True, eq=False)
class Space:
    """Rows moved to a common centre and scale, where float32 products lose the fewest digits.

    A distance is first taken from a float32 product, ``|x|^2 + |y|^2 - 2 x . y``. Where that is nearer to a
    bound than its error can be, ``slack * (|x|^2 + |y|^2)``, the pair is measured again in float64 from the
    differences of the original numbers. The slack is 16 float32 roundings; products of 2,048 numbers err by
    1 or 2 (the worst case for hostile numbers is larger), so that the answers are those of float64.

    Example:
        >>> rows = torch.tensor([[0.0], [1.0], [3.0]])
        >>> space = Space.of([rows], memory=2**20)
        >>> nearest = space.radii(rows, [1])[0].sqrt() * space.scale
    """

    centre: Tensor
    scale: float
    memory: int

    slack = 16 * torch.finfo(torch.float32).eps

    @classmethod
    def of(cls, sets: Sequence[Tensor], memory: int) -> "Space":
        """The space of some sets of rows [n, size]; work takes about ``memory`` bytes beyond them."""
        centre = sets[0].new_zeros(sets[0].shape[1], dtype=torch.float64)
        for part in _parts(sets):
            centre += part.double().sum(0)
        space = cls(centre / sum(map(len, sets)), 1.0, memory)
        top = 0.0
        for part in _parts(sets):
            top = max(top, float(space._moved(part).abs().max()))
        return cls(space.centre, top or 1.0, memory)

    @property
    def side(self) -> int:
        """Rows of a block: a square of 24 bytes an entry and two strips of 8 bytes a number fit."""
        strip = 8 * len(self.centre)
        return max(1, int((math.sqrt(strip**2 + 24 * self.memory) - strip) / 24))

    def _moved(self, rows: Tensor) -> Tensor:
        moved = rows.double() - self.centre
        return moved.masked_fill_(moved.abs() <= _SNAP * self.centre.abs(), 0).div_(self.scale)

    def placed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The rows in this space, [n, size], and their squared lengths, [n], float32."""
        placed, lengths = rows.new_empty(rows.shape, dtype=torch.float32), rows.new_empty(len(rows))
        for number, part in enumerate(blocks(rows, _PAIRS)):
            moved, some = self._moved(part), slice(number * _PAIRS, (number + 1) * _PAIRS)
            placed[some], lengths[some] = moved, moved.square().sum(1)
        return placed, lengths.float()

    def between(self, x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Tensor:
        """Squared distances of placed rows, [n, m] float32, to within the slack."""
        with full_precision():
            product = x[0] @ y[0].T
        return product.mul_(-2).add_(x[1][:, None]).add_(y[1]).clamp_(min=0)

    def exactly(self, x: Tensor, y: Tensor) -> Tensor:
        """Squared distances in this space of original rows, pair by pair, [n] float64."""
        found = x.new_empty(len(x), dtype=torch.float64)
        for start in range(0, len(x), _PAIRS):
            some = slice(start, start + _PAIRS)
            found[some] = x[some].double().sub_(y[some]).div_(self.scale).square_().sum(1)
        return found

    def radii(self, rows: Tensor, nearest: Sequence[int]) -> list[Tensor]:
        """Squared distance of each row to its k-th neighbour among the others, [n] float64, for each k.

        Each pair of blocks is multiplied once. The nearest k + 8 by float32 are measured exactly.
        """
        count = len(rows)
        width = min(max(nearest) + _SPARE, count - 1)
        best = torch.full((count, width), math.inf, device=rows.device)
        who = torch.zeros((count, width), dtype=torch.int64, device=rows.device)
        for first, a in self.tiles(rows):
            for second, b in self.tiles(rows[first:]):
                second += first
                apart = self.between(a, b)
                if first == second:
                    apart.fill_diagonal_(math.inf)
                else:
                    _keep_nearest(best, who, apart.T, second, first)
                _keep_nearest(best, who, apart, first, second)
        return self._kth(rows, who, nearest)

    def _kth(self, rows: Tensor, who: Tensor, nearest: Sequence[int]) -> list[Tensor]:
        width = who.shape[1]
        distances = rows.new_empty(who.shape, dtype=torch.float64)
        step = _PAIRS // width + 1
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            repeated, near = rows[some].repeat_interleave(width, 0), rows[who[some].flatten()]
            distances[some] = self.exactly(repeated, near).view(-1, width)
        distances = distances.sort(1).values
        return [distances[:, k - 1] for k in nearest]

    def tiles(self, rows: Tensor) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        """Blocks of placed rows, each with its first row's number."""
        return (
            (number * self.side, self.placed(part)) for number, part in enumerate(blocks(rows, self.side))
        )


@dataclass(frozen=True, eq=False)
class Tile:
    """The squared distances of some rows x to some rows y, and the rows themselves.

    Example:
        >>> placed = space.placed(rows)
        >>> tile = Tile(space, space.between(placed, placed), (placed[1], placed[1]), rows, rows)
        >>> tile.within(space.radii(rows, [1])[0], closed=True).diagonal().all()
        tensor(True)
    """

    space: Space
    apart: Tensor
    lengths: tuple[Tensor, Tensor]  # Squared.
    x: Tensor
    y: Tensor

    def within(self, radii: Tensor, *, closed: bool) -> Tensor:
        """Whether each x lies in the ball around each y, [n, m]; ``radii`` are squared, [m] float64.

        Args:
            radii: squared radius of the ball around each y.
            closed: whether what lies on the ball's surface is inside.
        """
        error = self.space.slack * (self.lengths[0].max() + self.lengths[1])
        inside = self.apart <= radii.float() + error
        unsure = (inside ^ (self.apart < radii.float() - error)).nonzero()
        for some in blocks(unsure, _PAIRS):
            row, column = some.T
            exact = self.space.exactly(self.x[row], self.y[column])
            bound = radii[column] * (1 + (_SAME if closed else -_SAME))
            inside[row, column] = exact <= bound if closed else exact < bound
        return inside


def _parts(sets: Sequence[Tensor]) -> Iterator[Tensor]:
    return (part for rows in sets for part in blocks(rows, _PAIRS))


def _keep_nearest(best: Tensor, who: Tensor, apart: Tensor, row: int, column: int) -> None:
    """Merge the distances of a block, whose corner is (row, column), into the nearest so far."""
    width = best.shape[1]
    near = apart.topk(min(width, apart.shape[1]), dim=1, largest=False)
    place = slice(row, row + len(apart))
    distances = torch.cat([best[place], near.values], 1)
    names = torch.cat([who[place], near.indices + column], 1)
    best[place], chosen = distances.topk(width, dim=1, largest=False)
    who[place] = names.gather(1, chosen)
