"""CIFAR-10 as its owner publishes it: five files of bare pixels, or five Python pickles.

A pickle is a program. The ones here are run by an interpreter that can make numbers, texts, lists and
tables, and an image of an array that is only its parts; whatever else a pickle asks for is refused. No
function of numpy, or of any other package, is called.

Format: https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky, 2009).
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.core.pickles import PlainUnpickler
from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.sources.arrays import ArraySource, Rows
from gansmith.data.sources.unpack import temporary
from gansmith.errors import DataError

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_LARGEST = 2**26  # Bytes of a pickle; the owner's have 31,000,000.
_NAMES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_Batch = tuple[Rows, NDArray[np.int64]]


def cifar_files(folder: Path, *, held_out: bool = False) -> list[Path]:
    """The batches that are there: training first; pickles, or bare pixels (.bin)."""
    names = (*_BATCHES, "test_batch") if held_out else _BATCHES
    for ending in (".bin", ""):
        files = [folder / f"{name}{ending}" for name in names]
        if any(file.is_file() for file in files):
            return [file for file in files if file.is_file()]
    return []


def open_cifar(folder: Path, name: str, *, held_out: bool) -> ArraySource:
    """CIFAR-10 from a folder with its files; what is damaged is left out and told.

    Args:
        folder: holds them.
        name: what the user called it.
        held_out: take the test images, too, and mark them as held out.

    Raises:
        DataError: no file can be used.
        StorageError: there is no room for the pixels out of pickles.
    """
    refused: list[Refused] = []
    batches: list[_Batch] = []
    for path in cifar_files(folder, held_out=held_out):
        try:
            batches.append(_from_pixels(path, refused) if path.suffix == ".bin" else _from_pickle(path))
        except (DataError, OSError) as error:
            refused.append(Refused(path.name, str(error), False))
    if not batches:
        reasons = "; ".join(f"{entry.name}: {entry.reason}" for entry in refused)
        raise DataError(
            f"The files of CIFAR-10 were expected. Received: {name} ({reasons}). Download it again."
        )
    labels = np.concatenate([labels for _, labels in batches])
    files = [rows for rows, _ in batches]
    held = np.repeat([rows.part.startswith("test") for rows in files], [rows.count for rows in files])
    facts = Facts(
        labels=labels,
        label_names=_NAMES,
        held_out=held if held.any() and not held.all() else None,
    )
    return ArraySource(name, files, _SHAPE, facts, refused)


def _from_pixels(path: Path, refused: list[Refused]) -> _Batch:
    """Rows of a label and the red, green and blue planes."""
    stride = 1 + _PIXELS
    count, rest = divmod(path.stat().st_size, stride)
    if not count:
        raise DataError("it holds no whole picture")
    if rest:
        refused.append(Refused(path.name, f"cut short: {count:,} whole pictures are there", False))
    table = np.memmap(path, dtype=np.uint8, mode="r", shape=(count, stride))
    return Rows(path.stem, path, 1, stride, count), _checked(table[:, 0].astype(np.int64))


def _from_pickle(path: Path) -> _Batch:
    if path.stat().st_size > _LARGEST:
        raise DataError(f"more than {_LARGEST:,} bytes; not a file of CIFAR-10")
    given = read_plain_pickle(path.read_bytes())
    table = _named(given) if isinstance(given, dict) else {}
    data, labels = table.get("data"), table.get("labels")
    pixels = data.data if isinstance(data, PlainArray) else b""
    if not isinstance(labels, list) or not all(type(label) is int for label in labels) or not labels:
        raise DataError("it has no list of labels")
    if not 0 <= min(labels) <= max(labels) < len(_NAMES):  # Before they are numbers of 64 bits.
        raise DataError(f"labels that are not 0 to {len(_NAMES) - 1}")
    if len(pixels) != len(labels) * _PIXELS:
        raise DataError(f"{len(pixels):,} bytes of pixels for {len(labels):,} labels")
    checked = _checked(np.array(labels, dtype=np.int64))
    target = temporary(path.name)
    target.write_bytes(pixels)
    return Rows(path.name, target, 0, _PIXELS, len(labels)), checked


def _checked(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    if not 0 <= labels.min() <= labels.max() < len(_NAMES):
        raise DataError(f"labels from {labels.min()} to {labels.max()}; CIFAR-10 has 0 to {len(_NAMES) - 1}")
    return labels


def _named(given: dict[Any, Any]) -> dict[str, Any]:
    """What a table holds under names; a key may be anything, and to write it out may take for ever."""
    texts = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in given.items()}
    return {key: value for key, value in texts.items() if isinstance(key, str)}


# --- Pickles ------------------------------------------------------------------------------------------


class PlainArray:
    """The parts a pickle gives for an array: nothing is made of them but ``data``, its bytes.

    Example:
        >>> table = read_plain_pickle(pickle.dumps({"data": np.zeros((2, 3072), np.uint8)}, protocol=2))
        >>> type(table["data"]).__name__, len(table["data"].data)
        ('PlainArray', 6144)
    """

    data = b""

    def __setstate__(self, state: object) -> None:
        # numpy: (version, shape, dtype, in Fortran's order, bytes)
        if isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], bytes) and not state[3]:
            self.data = state[4]


class _PlainType:
    """What a pickle gives for a dtype; only bytes are expected, and their number is checked later."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class _Made:
    """Stands for numpy's function that makes an array; without a place to put anything into it."""

    __slots__ = ()

    def __call__(self, *_: object) -> PlainArray:
        return PlainArray()


class _Encoded:
    """Stands for the function by which Python 3 writes bytes in the pickles of Python 2."""

    __slots__ = ()

    def __call__(self, text: object, coding: object = "latin1") -> bytes:
        if not isinstance(text, str) or coding != "latin1":
            raise pickle.UnpicklingError("bytes are expected in latin1")
        return text.encode("latin-1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Made(),
    ("numpy._core.multiarray", "_reconstruct"): _Made(),
    ("numpy", "ndarray"): PlainArray,
    ("numpy", "dtype"): _PlainType,
    ("_codecs", "encode"): _Encoded(),
}
# What the interpreter raises on programs that are damaged or meant to do harm.
_DAMAGED = (
    *(pickle.PickleError, EOFError, ValueError, TypeError, AttributeError, LookupError),
    *(RecursionError, MemoryError, OverflowError, ImportError, AssertionError),
)


class _PlainUnpickler(PlainUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which pictures do not need")
        return _ADMITTED[module, name]


def read_plain_pickle(raw: bytes) -> Any:
    """The numbers, texts, lists and tables of a pickle; arrays become `PlainArray`.

    Raises:
        DataError: it is damaged, or asks for anything else.
    """
    try:
        return _PlainUnpickler(io.BytesIO(raw), encoding="bytes").load()
    except _DAMAGED as error:
        raise DataError(
            f"it cannot be read: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error
