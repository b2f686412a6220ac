"""Files of tensors by name, in the format of safetensors, whose header is known before a tensor is read.

Written out here because a header has to be judged before anything is made of it, because names of files need
not be UTF-8, and because a map of a file that somebody cuts short kills the process. The format is
https://github.com/huggingface/safetensors#format: 8 bytes of length, a header in JSON, the tensors' bytes.
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from gansmith.core.json_files import parse_json
from gansmith.core.memory import machine_memory
from gansmith.core.text import in_bytes

_MOST_HEADER = 16 * 2**20
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class Layout:
    """The type and shape of a tensor, without its numbers.

    Example:
        >>> str(Layout.of(torch.zeros(2, 3)))
        'float32 [2, 3]'
    """

    dtype: torch.dtype
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> "Layout":
        """Of a tensor on any device, meta included."""
        return cls(tensor.dtype, tuple(tensor.shape))

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {list(self.shape)}"


@dataclass(frozen=True)
class Header:
    """The header of a file: its tensors in the order of their bytes, and texts by name.

    Example:
        >>> header = Header({"weight": Layout(torch.float32, (2, 3))}, {"format": "gansmith-1"}, start=128)
        >>> header.layouts["weight"].size
        24
    """

    layouts: Mapping[str, Layout]
    metadata: Mapping[str, str]
    start: int  # Of the first tensor's bytes in the file.


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file of tensors, which are on the CPU, contiguous and of the types that safetensors knows.

    Raises:
        OSError: the disk refuses.
    """
    # Wide numbers first, so that each begins at a multiple of its width.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    tree: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in names:
        layout = Layout.of(tensors[name])
        span = [end, end + layout.size]
        tree[name] = {"dtype": _NAMES[layout.dtype], "shape": list(layout.shape), "data_offsets": span}
        end = span[1]
    header = json.dumps(tree, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for name in names:
            if tensors[name].numel():
                file.write(_bytes_of(tensors[name].detach()))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """All tensors of a file, and its texts.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged or another kind of file.
    """
    with open(path, "rb") as file:
        header = read_header(file)
        return read_body(file, header), header.metadata


def read_metadata(path: Path) -> Mapping[str, str]:
    """The texts in a file's header, and no tensor.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged or another kind of file.
    """
    with open(path, "rb") as file:
        return read_header(file).metadata


def read_header(file: BinaryIO) -> Header:
    """What a file says it holds; no tensor is made, and the file is exactly as long as it has to be.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged or another kind of file.
    """
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= _MOST_HEADER:
        raise ValueError("it does not begin with the length of a header")
    raw = file.read(length)
    if len(raw) < length or raw[:1] != b"{":
        raise ValueError("its header is cut short, or is none")
    try:
        tree = parse_json(raw, _MOST_HEADER, _unique)
    except ValueError as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    metadata = tree.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its header has metadata that are no texts")
    layouts, end = _layouts(tree)
    there = file.seek(0, 2)
    if there != 8 + length + end:
        raise ValueError(f"it has {there:,} bytes, and its header says {8 + length + end:,}")
    return Header(layouts, metadata, 8 + length)


def read_body(file: BinaryIO, header: Header) -> dict[str, Tensor]:
    """The tensors of a file whose header was read, each in memory of its own.

    Raises:
        OSError: it cannot be read.
        ValueError: it was cut short meanwhile, or is larger than the memory.
    """
    size, there = sum(layout.size for layout in header.layouts.values()), machine_memory()
    if there is not None and size > there:
        raise ValueError(f"it takes {in_bytes(size)} of memory, and this machine has {in_bytes(there)}")
    file.seek(header.start)
    tensors = {}
    for name, layout in header.layouts.items():
        tensor = torch.empty(layout.shape, dtype=layout.dtype)
        if tensor.numel():
            held = _bytes_of(tensor)
            if file.readinto(held) != layout.size:  # type: ignore[attr-defined]
                raise ValueError("it was cut short while it was read")
            if layout.dtype == torch.bool and int(tensor.view(torch.uint8).max()) > 1:
                raise ValueError(f"{name} has truths that are neither 0 nor 1")
        tensors[name] = tensor
    return tensors


def _layouts(tree: Mapping[str, Any]) -> tuple[dict[str, Layout], int]:
    """The tensors in the order of their bytes, and where the last one ends."""
    spans: list[tuple[int, int, str]] = []
    layouts = {}
    for name, told in tree.items():
        try:
            dtype, shape, (begin, end) = _DTYPES[told["dtype"]], told["shape"], told["data_offsets"]
            whole = all(type(number) is int and 0 <= number < 2**48 for number in (*shape, begin, end))
        except (TypeError, LookupError, ValueError):
            whole = False
        if not whole or end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"its header describes a tensor {name!r:.80} that cannot be")
        layouts[name] = Layout(dtype, tuple(shape))
        spans.append((begin, end, name))
    last = 0
    for begin, end, _ in sorted(spans):
        if begin != last:
            raise ValueError("its header describes tensors that overlap, or bytes that are nobody's")
        last = end
    return {name: layouts[name] for _, _, name in sorted(spans)}, last


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("a name is given twice")
    return tree


def _bytes_of(tensor: Tensor) -> memoryview:
    """A contiguous tensor's own bytes, to be read or filled."""
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
