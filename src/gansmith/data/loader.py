"""A data set and a position in the run -> batches on the device, pictures in [-1, 1]."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from gansmith.data.dataset import DataSet
from gansmith.data.sampler import Sampler, split
from gansmith.errors import DataError
from gansmith.method import Batch
from gansmith.noise import Noise, mix_seeds
from gansmith.recipe import DataConfig
from gansmith.tensors import BytePictures, Images

B = TypeVar("B", bound=Batch)
_MIRROR = 3  # Keeps the stream of coin flips apart from others of the same seed.


def to_float(pictures: BytePictures) -> Images:
    """0..255 -> [-1, 1]."""
    return pictures.float().div_(127.5).sub_(1.0)


class Loader(Generic[B]):
    """Training batches by position, and the held-out pictures.

    The next batch is fetched by a thread while the step runs, so a data set may decode lazily.

    Args:
        data: where rows come from.
        batch_type: the NamedTuple of the method; its field names are columns of ``data``.
        config: mirroring and the held-out share.
        seed: of the run.
        device: where batches are wanted.
    """

    def __init__(
        self, data: DataSet, batch_type: Callable[..., B], config: DataConfig, seed: int, device: torch.device
    ) -> None:
        self._fields: tuple[str, ...] = batch_type._fields  # type: ignore[attr-defined]
        missing = [name for name in self._fields if name not in data.columns]
        if missing:
            raise DataError(
                f"This method trains on {', '.join(self._fields)}. Received: {data.name}, which has "
                f"{', '.join(data.columns)} and no {' and no '.join(missing)}."
            )
        if config.mirror and "landmarks" in self._fields:
            raise DataError(
                "data.mirror flips pictures and not their landmarks, and this method trains on landmarks. "
                "Use --set data.mirror=false."
            )
        self._data, self._batch_type, self._config = data, batch_type, config
        self._seed, self._device = seed, device
        self.training, self.held_out = split(len(data), config.validation, seed)
        self._sampler = Sampler(len(self.training), seed)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gansmith-loader")
        self._ahead: dict[tuple[int, int], Future[tuple[Tensor, ...]]] = {}

    def batch(self, position: int, count: int, next_position: int | None = None) -> B:
        """``count`` training rows from ``position`` on; ``next_position`` is fetched meanwhile."""
        future = self._ahead.pop((position, count), None)
        columns = future.result() if future else self._fetch(position, count)
        if next_position is not None:
            key = (next_position, count)
            self._ahead = {key: self._ahead.get(key) or self._thread.submit(self._fetch, *key)}
        batch = self._to_batch(columns)
        return self._mirror(batch, position, count) if self._config.mirror else batch

    def held_out_batches(self, size: int, most: int) -> Iterator[B]:
        """Up to ``most`` held-out rows in whole batches of ``size``, or in one where there are fewer."""
        rows = self.held_out[:most]
        for start in range(0, max(len(rows) - size, 0) + 1, size):
            if len(rows):
                yield self._rows(rows[start : start + size])

    def sample(self, count: int, seed: int = 0) -> B:
        """Training rows for looking at, not for training: a fixed choice by ``seed``."""
        order = torch.randperm(len(self.training), generator=torch.Generator().manual_seed(seed))
        return self._rows(self.training[order[:count]])

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _rows(self, rows: Tensor) -> B:
        return self._to_batch(self._select(self._data.fetch(rows)))

    def _fetch(self, position: int, count: int) -> tuple[Tensor, ...]:
        rows = self.training[self._sampler.rows(position, count)]
        columns = self._select(self._data.fetch(rows))
        # Pinned memory is what lets the copy to a GPU run beside the step.
        return tuple(c.pin_memory() for c in columns) if self._device.type == "cuda" else columns

    def _select(self, columns: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(columns[name] for name in self._fields)

    def _to_batch(self, columns: tuple[Tensor, ...]) -> B:
        return self._batch_type(*(self._to_device(column) for column in columns))

    def _to_device(self, column: Tensor) -> Tensor:
        column = column.to(self._device, non_blocking=True)
        if column.dtype == torch.uint8 and column.dim() == 4:
            return to_float(column).contiguous(memory_format=torch.channels_last)
        return column

    def _mirror(self, batch: B, position: int, count: int) -> B:
        positions = torch.arange(position, position + count, device=self._device)
        flip = (Noise(positions + mix_seeds(self._seed, _MIRROR) // 2).uniform(1) < 0.5).view(-1, 1, 1, 1)
        # Where-ing both versions needs no count of the flipped ones, hence no wait for the device.
        flipped = {
            name: torch.where(flip, value.flip(3), value)
            for name, value in zip(self._fields, batch, strict=True)
            if value.dim() == 4
        }
        return _replaced(batch, flipped)


def _replaced(batch: B, changes: Mapping[str, Any]) -> B:
    return batch._replace(**changes)  # type: ignore[attr-defined,no-any-return]
