"""A data set and a position in the run -> batches on the device, images in [-1, 1] or standardized."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch
from torch import Tensor

from gansmith.core.noise import Noise, mix_seeds
from gansmith.core.normalization import Scale
from gansmith.core.normalization import measure as measure_scale
from gansmith.core.tensors import Batch, BytePictures, Images
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.device import on_device
from gansmith.data.loading.augment import augment
from gansmith.data.loading.streams import Stream, streams
from gansmith.data.pair_views import MASK

B = TypeVar("B", bound=Batch)
_CHANCE = 3  # Keeps the stream of augmentation apart from others of the same seed.
_MEASURED = 20_000  # Images a scale is measured on, at most.


def to_float(pictures: BytePictures) -> Images:
    """0..255 -> [-1, 1]."""
    return pictures.float().div_(127.5).sub_(1.0)


class Loader(Generic[B]):
    """Training batches by position, and the held-out images.

    The next batch is fetched by a thread while the step runs, so a data set may decode lazily. A set that
    is small beside the memory of a GPU is kept there whole, as bytes.

    Args:
        data: where rows come from.
        batch_type: the NamedTuple of the method; its field names are columns of ``data``, or ``a`` and
            ``b`` for two domains without pairs.
        config: chance changes, the scale and the held-out share.
        seed: of the run.
        device: where batches are wanted.
        part: (rank, processes): each process gets its own part of every batch, and all together get all
            of it once.

    Raises:
        DataError: the data lack what the method trains on.

    Example:
        >>> loader = Loader(data, ImageBatch, DataConfig(size=Size(32, 32)), 0, torch.device("cpu"))
        >>> loader.batch(position=0, count=16).images.shape
        torch.Size([16, 3, 32, 32])
        >>> loader.close()
    """

    def __init__(
        self,
        data: DataSet,
        batch_type: Callable[..., B],
        config: DataConfig,
        seed: int,
        device: torch.device,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self._fields: tuple[str, ...] = batch_type._fields  # type: ignore[attr-defined]
        self._batch_type, self._config = batch_type, config
        self._seed, self._device, self._part = seed, device, part
        self._streams: tuple[Stream, ...] = streams(
            on_device(data, self._fields, device), self._fields, config, seed
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gansmith-loader")
        self._ahead: dict[tuple[int, int], Future[dict[str, Tensor]]] = {}
        self.waited = 0.0  # Seconds that batches were waited for.

    @property
    def training(self) -> Tensor:
        """Rows for training, int64; of two domains, those of the first."""
        return self._streams[0].training

    @property
    def held_out(self) -> Tensor:
        """Rows never trained on, int64; of two domains, those of the first."""
        return self._streams[0].held_out

    def batch(self, position: int, count: int, next_position: int | None = None) -> B:
        """``count`` training rows from ``position`` on; ``next_position`` is fetched meanwhile.

        Where several processes share the work, this is this one's part of them.
        """
        start, mine = self._span(position, count)
        future = self._ahead.pop((position, count), None)
        before = time.perf_counter()
        columns = future.result() if future else self._fetch(position, count)
        self.waited += time.perf_counter() - before
        if next_position is not None:
            key = (next_position, count)
            self._ahead = {key: self._ahead.get(key) or self._thread.submit(self._fetch, *key)}
        return self._batch(self._changed(self._to_device(columns), start, mine))

    def held_out_batches(self, size: int, max_count: int) -> Iterator[B]:
        """Up to ``max_count`` held-out rows in whole batches of ``size``, or in one where there are fewer."""
        rows = [stream.held_out[:max_count] for stream in self._streams]
        fewest = min(len(part) for part in rows)
        for start in range(0, max(fewest - size, 0) + 1, size):
            if fewest:
                yield self._rows([part[start : min(start + size, fewest)] for part in rows])

    def held_out_rows(self, start: int, stop: int, fields: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Held-out rows ``start`` up to ``stop`` by column, again from the first where there are no more.

        Training rows where nothing is held out.

        Args:
            start: the first place.
            stop: behind the last.
            fields: of the batch; None for all.
        """
        places, columns = torch.arange(start, stop), dict[str, Tensor]()
        for stream in self._streams:
            rows = stream.measured
            wanted = [name for name in fields or stream.fields if name in stream.fields]
            if wanted:
                columns |= stream.fetch(rows[places % len(rows)], wanted)
        return self._scaled(self._to_device(columns))

    def sample(self, count: int, seed: int = 0) -> B:
        """Training rows for looking at, not for training: a fixed choice by ``seed``."""
        fewest = min(count, *(len(stream.training) for stream in self._streams))
        return self._rows([stream.sample(fewest, seed) for stream in self._streams])

    def columns(self, names: tuple[str, ...], count: int) -> dict[str, Tensor]:
        """Some columns of up to ``count`` training rows, on the CPU: a fixed choice of fair chance."""
        stream = self._streams[0]
        rows = stream.sample(min(count, len(stream.training)), 0)
        return {name: column.cpu() for name, column in stream.fetch(rows, names).items()}

    def measure_scale(self) -> Scale:
        """Mean and standard deviation of each channel over the training images, up to 20,000 of them."""
        stream = self._streams[0]
        rows = stream.training[:: max(1, -(-len(stream.training) // _MEASURED))]
        return measure_scale(
            column.cpu()
            for part in torch.split(rows, 256)
            for name, column in stream.fetch(part).items()
            if _is_pictures(column) and name != MASK
        )

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _rows(self, rows: list[Tensor]) -> B:
        columns: dict[str, Tensor] = {}
        for stream, part in zip(self._streams, rows, strict=True):
            columns |= stream.fetch(part)
        return self._batch(self._to_device(columns))

    def _span(self, position: int, count: int) -> tuple[int, int]:
        """(first position, number of images) of this process's part of a batch."""
        rank, processes = self._part
        start, stop = rank * count // processes, (rank + 1) * count // processes
        return position + start, stop - start

    def _fetch(self, position: int, count: int) -> dict[str, Tensor]:
        start, mine = self._span(position, count)
        columns: dict[str, Tensor] = {}
        for stream in self._streams:
            columns |= stream.fetch(stream.rows(start, mine))
        if self._device.type == "cuda":  # Pinned memory is what lets the copy run beside the step.
            return {name: c if c.is_cuda else c.pin_memory() for name, c in columns.items()}
        return columns

    def _to_device(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        moved = {name: column.to(self._device, non_blocking=True) for name, column in columns.items()}
        return {
            name: to_float(column).contiguous(memory_format=torch.channels_last)
            if _is_pictures(column)
            else column
            for name, column in moved.items()
        }

    def _changed(self, columns: dict[str, Tensor], position: int, count: int) -> dict[str, Tensor]:
        """With what chance does to training images; a function of (seed, position) and nothing else."""
        positions = torch.arange(position, position + count, device=self._device)
        noise = Noise(positions + mix_seeds(self._seed, _CHANCE) // 2)
        shown = {name: column for name, column in columns.items() if column.dim() == 4}
        changed, landmarks = augment(
            self._config.augment, self._config.mirror, shown, columns.get("landmarks"), noise
        )
        return columns | changed if landmarks is None else columns | changed | {"landmarks": landmarks}

    def _batch(self, columns: Mapping[str, Tensor]) -> B:
        columns = self._scaled(columns)
        return self._batch_type(*(columns[name] for name in self._fields))

    def _scaled(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scale = self._config.scale
        return {
            name: scale.to_network(column) if scale is not None and _has_levels(name, column) else column
            for name, column in columns.items()
        }


def _has_levels(name: str, column: Tensor) -> bool:
    """Whether a column holds images whose levels mean something; a mask's do not."""
    return column.dim() == 4 and name != MASK


def _is_pictures(column: Tensor) -> bool:
    return column.dtype == torch.uint8 and column.dim() == 4
