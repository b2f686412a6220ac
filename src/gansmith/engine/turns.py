"""The updates of a step in order: which batch and which noise each sees, and the parts it is played in."""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from gansmith.methods.base import Batch, Method, Turn
from gansmith.networks.bundle import Networks

N = TypeVar("N", bound=Networks)
B = TypeVar("B", bound=Batch)
P = TypeVar("P")


@dataclass(frozen=True)
class Update(Generic[N, B]):
    """One optimizer step of a turn, and which of the step's batches and noises it sees.

    Example:
        >>> [(update.turn.name, update.batch_index) for update in schedule_updates(WGAN(critic_moves=2))]
        [('critic', 0), ('critic', 1), ('generator', 1)]
    """

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
