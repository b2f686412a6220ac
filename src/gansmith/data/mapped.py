"""A prepared set as training sees it: columns of tensors, read from the mapped files row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gansmith.core.image_size import Form
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet, DatasetInfo, MemoryDataSet, joined
from gansmith.data.decode.resize import place
from gansmith.data.load import MEMORY_LIMIT, fitted, free_memory, with_channels
from gansmith.data.metadata.captions import LONGEST, to_column
from gansmith.data.metadata.fact_types import Refused, is_repeated
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.schema import PICTURE_COLUMNS
from gansmith.data.prepare.shard_set import is_sharded

_AT_ONCE = 1024  # Images brought to another size in one go.


class MappedDataSet:
    """The columns of a prepared set, in the form asked for; images already in that form are only copied.

    Args:
        folder: the set.
        config: size, channels (None: the set's own) and fit.

    Example:
        >>> data = MappedDataSet(PreparedFolder("faces64"), DataConfig(size=Size(32, 32)))
        >>> data.fetch(torch.tensor([0]), ("images",))["images"].shape
        torch.Size([1, 3, 32, 32])
    """

    def __init__(self, folder: PreparedFolder, config: DataConfig) -> None:
        self.name, self.fingerprint = folder.name, folder.fingerprint
        self.refused: tuple[Refused, ...] = tuple(item for item in folder.refused if not is_repeated(item))
        self._folder = folder
        self.in_arrays = not is_sharded(folder.path)
        channels = config.channels or folder.channels
        self._form = Form(size=config.size, channels=channels, fit=config.fit, box=config.box)
        self._placement = place(folder.size.width, folder.size.height, self._form)
        self.info = _info(folder)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        known = [name for name in self._folder.arrays if name != "held_out"]
        return (*known, *(name for name in self._folder.description["texts"] if name == "captions"))

    def __len__(self) -> int:
        return len(self._folder)

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of the columns asked for (None: of all), in the order asked for."""
        chosen = rows.numpy()
        return {name: self._column(name, chosen) for name in (self.columns if columns is None else columns)}

    def in_memory(self) -> MemoryDataSet:
        """All of it, read once."""
        parts = [
            self.fetch(torch.arange(start, min(start + _AT_ONCE, len(self))))
            for start in range(0, len(self), _AT_ONCE)
        ]
        columns = {name: joined([part[name] for part in parts]) for name in self.columns}
        return MemoryDataSet(self.name, columns, self.fingerprint, self.refused, self.info)

    def _column(self, name: str, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Tensor:
        if name == "captions":
            captions = self._folder.captions
            assert captions is not None
            width = min(self._folder.description["caption_bytes"], LONGEST)
            return to_column([captions[int(row)] for row in rows], width)
        values = self._folder.arrays[name][rows]
        if name == "landmarks":
            return torch.from_numpy(self._placement.points(values.reshape(-1, 2)).reshape(values.shape))
        column = torch.from_numpy(values)
        return self._formed(column) if name in PICTURE_COLUMNS else column

    def _formed(self, pictures: Tensor) -> Tensor:
        """Bytes [n, height, width, channels] as they lie in the file -> [n, channels, height, width]."""
        pictures = pictures.permute(0, 3, 1, 2)  # In memory this is torch's channels_last: nothing is moved.
        if self._form.size == self._folder.size and self._form.box is None:
            return with_channels(pictures, self._form.channels)
        pictures = with_channels(pictures, self._form.channels)
        return fitted(pictures, self._form.size, self._form.fit, self._form.box)


def _info(folder: PreparedFolder) -> DatasetInfo:
    held_out = folder.arrays.get("held_out")
    told = folder.description
    return DatasetInfo(
        None if held_out is None else torch.from_numpy(np.array(held_out)),
        tuple(told["label_names"]),
        tuple(told["attribute_names"]),
        tuple(told["landmark_names"]),
        folder.licence,
        folder.names,
    )


def open_prepared(folder: PreparedFolder, config: DataConfig) -> DataSet:
    """A prepared set in the form of ``config``: mapped where it is in that form already, else in memory."""
    config = replace(config, channels=config.channels or folder.channels)
    data = MappedDataSet(folder, config)
    native = config.size == folder.size and config.channels == folder.channels and config.box is None
    pictures = len(folder) * sum(name in PICTURE_COLUMNS for name in data.columns)
    needed = pictures * (config.channels or 3) * config.size.width * config.size.height
    if native or needed > min(MEMORY_LIMIT, free_memory() // 3):
        return data
    return data.in_memory()
