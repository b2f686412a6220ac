"""The endless order of images: a function of seed and position, so it can start anywhere."""

import torch
from torch import Tensor

from gansmith.core.noise import mix_seeds

_SHUFFLE, _SPLIT = 1, 2  # Keeps the streams of one seed apart.


def split(length: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows for training, sorted, and rows held out, shuffled; a function of (length, share, seed).

    At least one image is held out where ``share`` is positive and there are two or more.
    """
    held = min(max(round(length * share), 1), length - 1) if share > 0 else 0
    order = _permutation(length, mix_seeds(seed, _SPLIT))
    held_out = order[:held].clone()
    del order  # Of ten million rows it takes 80 MB.
    training = torch.ones(length, dtype=torch.bool)
    training[held_out] = False
    return training.nonzero()[:, 0], held_out


class Sampler:
    """Positions -> rows. Each pass over the rows is shuffled by (seed, pass).

    Args:
        length: number of rows.
        seed: of the run.

    Example:
        >>> Sampler(length=5, seed=0).rows(position=0, count=5).sort().values
        tensor([0, 1, 2, 3, 4])
    """

    def __init__(self, length: int, seed: int) -> None:
        self._length = length
        self._seed = seed
        self._pass = (-1, torch.empty(0, dtype=torch.int64))  # Replaced as one: threads may share a sampler.

    def rows(self, position: int, count: int) -> Tensor:
        """The rows at positions ``position`` .. ``position + count - 1`` of the endless order."""
        parts = []
        while count > 0:
            epoch, offset = divmod(position, self._length)
            known, order = self._pass
            if epoch != known:
                order = _permutation(self._length, mix_seeds(self._seed, _SHUFFLE, epoch))
                self._pass = (epoch, order)
            parts.append(order[offset : offset + count])
            position += len(parts[-1])
            count -= len(parts[-1])
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def _permutation(length: int, seed: int) -> Tensor:
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed))
