"""The updates of a step in order: which batch and which noise each sees, and the parts it is played in."""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch

from gansmith.core.noise import Noise
from gansmith.errors import SettingError
from gansmith.methods.base import Batch, Method, Turn
from gansmith.networks.bundle import Networks

N = TypeVar("N", bound=Networks)
B = TypeVar("B", bound=Batch)
P = TypeVar("P")


@dataclass(frozen=True)
class Update(Generic[N, B]):
    """One optimizer step of a turn, and which of the step's batches and noises it sees."""

    turn: Turn[N, B]
    batch_index: int
    noise: int
    grad_players: tuple[
        str, ...
    ]  # This player, and those that reuse its fakes: their weights take gradients.


def schedule_updates(method: Method[N, B, P]) -> list[Update[N, B]]:
    """All updates of a step in order; a repeated one, or one with ``new_batch``, sees a batch of its own."""
    updates: list[Update[N, B]] = []
    batch_index = 0
    for turn in method.turns():
        for repeat in range(turn.repeats):
            if updates and (repeat > 0 or turn.new_batch):
                batch_index += 1
            noise = len(updates)
            if updates and turn.reuse_fakes and repeat == 0:
                noise = updates[-1].noise
                updates = [
                    _with_grad_player(update, turn.player) if update.noise == noise else update
                    for update in updates
                ]
            updates.append(Update(turn, batch_index, noise, (turn.player,)))
    return updates


def _with_grad_player(update: Update[N, B], player: str) -> Update[N, B]:
    return replace(update, grad_players=tuple(dict.fromkeys((*update.grad_players, player))))


def micro_batch(batch: int, processes: int, max_size: int | None = None) -> int:
    """Pictures a process works on at a time: as many up to ``max_size`` as fill its part of the batch evenly.

    Raises:
        SettingError: the batch is not a multiple of the processes.
    """
    if batch % processes:
        near = max(processes, round(batch / processes) * processes)
        raise SettingError(
            f"train.batch must be a multiple of the processes. Received: train.batch={batch} and {processes} "
            f"processes. Try train.batch={near}."
        )
    part = batch // processes
    return max(n for n in range(1, min(max_size or part, part) + 1) if part % n == 0)


def in_parts(batch: B, noise: Noise, size: int) -> list[tuple[B, Noise]]:
    """A batch and its noise in equal parts."""
    if len(noise) == size:
        return [(batch, noise)]
    parts = [type(batch)(*columns) for columns in zip(*(torch.split(c, size) for c in batch), strict=True)]
    return [(part, Noise(seeds)) for part, seeds in zip(parts, torch.split(noise.seeds, size), strict=True)]
