"""The files of MNIST and of sets made like it: pixels and labels in the idx format, packed or not.

Format: https://yann.lecun.com/exdb/mnist/ (LeCun, Cortes, Burges), "The IDX file format".
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.sources.arrays import ArraySource, Rows
from gansmith.data.sources.unpack import plain
from gansmith.errors import DataError

_LARGEST = 4096  # Pixels a side.
_DIGITS = tuple("0123456789")
_CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def idx_file(folder: Path, part: str, kind: str) -> Path | None:
    """The file of a part (train, t10k) and kind (images-idx3, labels-idx1), as any publisher spells it."""
    spellings = (f"{part}-{kind}-ubyte", f"{part}-{kind.replace('-', '.')}-ubyte")
    files = [folder / f"{name}{ending}" for ending in ("", ".gz") for name in spellings]
    return next((file for file in files if file.is_file()), None)


def open_idx(folder: Path, name: str, *, held_out: bool) -> ArraySource:
    """The images of a folder with idx files.

    Args:
        folder: holds them.
        name: what the user called it.
        held_out: take the test images (t10k), too, and mark them as held out.

    Raises:
        DataError: the pixels are not in the idx format.
    """
    refused: list[Refused] = []
    files: list[Rows] = []
    labels: list[NDArray[np.int64] | None] = []
    sizes: set[tuple[int, int]] = set()
    for part in ("train", "t10k") if held_out else ("train",):
        images = idx_file(folder, part, "images-idx3")
        if images is not None:
            rows, size = _pictures(part, images, refused)
            files.append(rows)
            sizes.add(size)
            labels.append(_labels(idx_file(folder, part, "labels-idx1"), rows.count, refused))
    if len(sizes) != 1:
        raise DataError(f"All pictures of a set have one size here. Received: {name} with {sorted(sizes)}.")
    height, width = sizes.pop()
    return ArraySource(name, files, (1, height, width), _facts(folder, files, labels), refused)


def _facts(folder: Path, files: list[Rows], labels: list[NDArray[np.int64] | None]) -> Facts:
    held = np.repeat([rows.part != "train" for rows in files], [rows.count for rows in files])
    split = held if held.any() and not held.all() else None
    known = [part for part in labels if part is not None]
    if len(known) < len(labels):
        return Facts(held_out=split)
    every = np.concatenate(known)
    names = _CLOTHES if "fashion" in str(folder.resolve()).lower() else _DIGITS
    most = int(every.max(initial=-1))
    if most >= len(names):
        names = tuple(str(number) for number in range(most + 1))
    return Facts(labels=every, label_names=names, held_out=split)


def _pictures(part: str, path: Path, refused: list[Refused]) -> tuple[Rows, tuple[int, int]]:
    file = plain(path)
    with file.path.open("rb") as opened:
        start = opened.read(16)
    if len(start) < 16 or start[:4] != b"\x00\x00\x08\x03":
        raise DataError(
            f"Pictures in the idx format begin with 0, 0, 8, 3. Received: {path} with {list(start[:4])}. "
            "Download it again."
        )
    count, height, width = struct.unpack(">3I", start[4:])
    if not (1 <= height <= _LARGEST and 1 <= width <= _LARGEST):
        raise DataError(
            f"Pictures have 1 to {_LARGEST} pixels a side. Received: {path} with {width}x{height}."
        )
    there = min(count, (file.path.stat().st_size - 16) // (height * width))
    if there < count:
        refused.append(Refused(path.name, f"cut short: {there:,} of {count:,} pictures are there", False))
    return Rows(part, file.path, 16, height * width, there), (height, width)


def _labels(path: Path | None, count: int, refused: list[Refused]) -> NDArray[np.int64] | None:
    """The first ``count`` labels; None where there are fewer, or none."""
    if path is None:
        return None
    raw = plain(path).path.read_bytes()
    if raw[:4] != b"\x00\x00\x08\x01" or len(raw) - 8 < count:
        reason = f"{max(len(raw) - 8, 0):,} labels for {count:,} pictures, or another format"
        refused.append(Refused(path.name, f"{reason}; labels are not used", False))
        return None
    return np.frombuffer(raw, dtype=np.uint8, offset=8)[:count].astype(np.int64)
