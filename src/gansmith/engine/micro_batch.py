"""A batch in equal parts, as many images at a time as memory holds."""

from typing import TypeVar

import torch

from gansmith.core.noise import Noise
from gansmith.core.tensors import Batch
from gansmith.errors import SettingError

B = TypeVar("B", bound=Batch)


def micro_batch(batch: int, processes: int, max_size: int | None = None) -> int:
    """Images a process works on at a time: as many up to ``max_size`` as fill its part of the batch evenly.

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
    return next(n for n in range(min(max_size or part, part), 0, -1) if part % n == 0)


def in_parts(batch: B, noise: Noise, size: int) -> list[tuple[B, Noise]]:
    """A batch and its noise in equal parts."""
    if len(noise) == size:
        return [(batch, noise)]
    parts = [type(batch)(*columns) for columns in zip(*(torch.split(c, size) for c in batch), strict=True)]
    return [(part, Noise(seeds)) for part, seeds in zip(parts, torch.split(noise.seeds, size), strict=True)]
