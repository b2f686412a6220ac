"""A data set that is small beside the memory of a GPU lives there, so that no step waits for a copy."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gansmith.data.dataset import DataSet, joined, rows_of
from gansmith.data.facts import Refused

_SHARE = 4  # A set may take a quarter of the memory that is free.
_AT_ONCE = 4096  # Rows moved at a time.


class DeviceDataSet:
    """Some columns of a data set, held on a device; rows may be asked for from there or from the CPU.

    Args:
        data: the set.
        columns: the columns wanted.
        device: where they are held.
    """

    in_arrays = True

    def __init__(self, data: DataSet, columns: Sequence[str], device: torch.device) -> None:
        self.name, self.fingerprint, self.about = data.name, data.fingerprint, data.about
        self.refused: tuple[Refused, ...] = data.refused
        self._device = device
        parts = [data.fetch(rows, columns) for rows in torch.split(torch.arange(len(data)), _AT_ONCE)]
        self._columns = {
            name: joined([part[name].to(device, non_blocking=True) for part in parts]) for name in columns
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of some columns (None: of all), in the order asked for, on the device."""
        there = rows.to(self._device, non_blocking=True)
        return {name: rows_of(self._columns[name], there) for name in columns or self._columns}


def on_device(data: DataSet, fields: Sequence[str], device: torch.device) -> DataSet:
    """The data set itself, or a copy of what is needed of it on a GPU that has room for it."""
    if device.type != "cuda" or not data.in_arrays:
        return data
    needed = [name for name in data.columns if name in (*fields, "images", "labels")]
    first = data.fetch(torch.zeros(1, dtype=torch.int64), needed)
    size = len(data) * sum(column[0].numel() * column.element_size() for column in first.values())
    free, _ = torch.cuda.mem_get_info(device)
    return DeviceDataSet(data, needed, device) if size <= free // _SHARE else data
