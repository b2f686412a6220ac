"""What the losses of a step want remembered: means of signals and rows of the batch, on every process."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gansmith.core.distributed import World
from gansmith.methods.base import Loss


class StepSignals:
    """Collects ``Loss.signals`` and ``Loss.rows`` over the moves and parts of a step.

    Args:
        world: the processes that train together.

    Example:
        >>> signals = StepSignals(SINGLE_PROCESS)
        >>> signals.add(Loss(torch.tensor(0.5), signals={"sign": torch.tensor(1.0)}))
        >>> signals.result()
        {'sign': tensor(1.)}
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._rows: dict[str, list[list[Tensor]]] = {}  # Name -> moves -> parts.
        self._begun: set[str] = set()

    def begin_move(self) -> None:
        """What is added from here on belongs to another move."""
        self._begun = set()

    def add(self, loss: Loss) -> None:
        """What one part of one move returned."""
        for name, value in loss.signals.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1
        for name, rows in loss.rows.items():
            moves = self._rows.setdefault(name, [])
            if name not in self._begun:
                self._begun.add(name)
                moves.append([])
            moves[-1].append(rows.detach())

    def result(self) -> Mapping[str, Tensor]:
        """Means over parts, moves and processes; rows of whole batches in order, move after move."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._world.average(list(means.values()))
        gathered = {
            name: torch.cat([row for parts in moves for row in self._world.all_gather(torch.cat(parts))])
            for name, moves in self._rows.items()
        }
        return means | gathered
