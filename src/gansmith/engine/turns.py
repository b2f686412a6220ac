"""The moves of a step in order: which batch and which noise each sees, and the parts it is played in."""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch

from gansmith.core.noise import Noise
from gansmith.errors import SettingError
from gansmith.methods.base import Batch, Method, Networks, Turn

N = TypeVar("N", bound=Networks)
B = TypeVar("B", bound=Batch)
P = TypeVar("P")


@dataclass(frozen=True)
class Move(Generic[N, B]):
    """One move of a turn, and which of the step's batches and noises it sees."""

    turn: Turn[N, B]
    draw: int
    noise: int
    takers: tuple[str, ...]  # The player, and those who go on with what this one made: they take gradients.


def moves_of(method: Method[N, B, P]) -> list[Move[N, B]]:
    """All moves of a step in order; a repeated move, or a turn that asks for it, draws a fresh batch."""
    moves: list[Move[N, B]] = []
    draw = 0
    for turn in method.turns():
        for repeat in range(turn.repeats):
            if moves and (repeat > 0 or turn.fresh):
                draw += 1
            noise = len(moves)
            if moves and turn.shares and repeat == 0:
                noise = moves[-1].noise
                moves = [_with_taker(move, turn.player) if move.noise == noise else move for move in moves]
            moves.append(Move(turn, draw, noise, (turn.player,)))
    return moves


def _with_taker(move: Move[N, B], player: str) -> Move[N, B]:
    return replace(move, takers=tuple(dict.fromkeys((*move.takers, player))))


def micro_batch(batch: int, processes: int, most: int | None = None) -> int:
    """Pictures a process works on at a time: the most up to ``most`` that fill its part of the batch evenly.

    Raises:
        SettingError: the batch is no multiple of the processes, or the part is none of what was asked for.
    """
    if batch % processes:
        near = max(processes, round(batch / processes) * processes)
        raise SettingError(
            f"train.batch must be a multiple of the processes. Received: train.batch={batch} and {processes} "
            f"processes. Try train.batch={near}."
        )
    part = batch // processes
    return max(n for n in range(1, min(most or part, part) + 1) if part % n == 0)


def in_parts(batch: B, noise: Noise, size: int) -> list[tuple[B, Noise]]:
    """A batch and its noise in equal parts."""
    if len(noise) == size:
        return [(batch, noise)]
    parts = [type(batch)(*columns) for columns in zip(*(torch.split(c, size) for c in batch), strict=True)]
    return [(part, Noise(seeds)) for part, seeds in zip(parts, torch.split(noise.seeds, size), strict=True)]
