"""A data set that is small beside the memory of a GPU lives there, so that no step waits for a copy."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gansmith.data.dataset import DataSet, MemoryDataSet, joined

_SHARE = 4  # A set may take a quarter of the memory that is free.
_AT_ONCE = 4096  # Rows moved at a time.


class DeviceDataSet(MemoryDataSet):
    """Some columns of a data set, held on a device; rows may be asked for from there or from the CPU.

    Args:
        data: the set.
        columns: the columns wanted.
        device: where they are held.

    Example:
        >>> DeviceDataSet(data, ("images",), torch.device("cpu")).fetch(torch.tensor([0]))["images"].device
        device(type='cpu')
    """

    def __init__(self, data: DataSet, columns: Sequence[str], device: torch.device) -> None:
        parts = [data.fetch(rows, columns) for rows in torch.split(torch.arange(len(data)), _AT_ONCE)]
        there = {
            name: joined([part[name].to(device, non_blocking=True) for part in parts]) for name in columns
        }
        super().__init__(data.name, there, data.fingerprint, data.refused, data.info)
        self._device = device

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of some columns (None: of all), in the order asked for, on the device."""
        return super().fetch(rows.to(self._device, non_blocking=True), columns)


def on_device(data: DataSet, fields: Sequence[str], device: torch.device) -> DataSet:
    """The data set itself, or a copy of what is needed of it on a GPU that has room for it."""
    if device.type != "cuda" or not data.in_arrays:
        return data
    others = (field.removeprefix("other_") for field in fields)
    needed = [name for name in data.columns if name in (*fields, *others, "images", "labels")]
    first = data.fetch(torch.zeros(1, dtype=torch.int64), needed)
    size = len(data) * sum(column[0].numel() * column.element_size() for column in first.values())
    free, _ = torch.cuda.mem_get_info(device)
    return DeviceDataSet(data, needed, device) if size <= free // _SHARE else data
