"""What a prepared set must be: every part of its description and every column of one kind, and all in accord.

One place checks it, when a set is opened. What does not hold is told as damage: whoever made such a set can
make it again, and nothing after this needs to ask.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.data.inspect.measure import FORMATS, MODES, SEEN
from gansmith.data.prepare.columns import damaged, pieces

PICTURE_COLUMNS = ("images", "source", "target")
"""Columns that hold images: ``images``, or ``source`` and ``target`` in a set of pairs."""

FACT_COLUMNS = ("labels", "attributes", "landmarks", "held_out")
"""Columns of facts, where they are known."""

_CLASSES = 100_000  # That labels without names may have.
_TEXTS = ("names", "captions")
_LARGEST = 2**15  # Pixels a side.
_KINDS: Mapping[str, tuple[str, int]] = {
    **{name: ("uint8", 4) for name in PICTURE_COLUMNS},
    "labels": ("int64", 1),
    "attributes": ("uint8", 2),
    "landmarks": ("float32", 3),
    "held_out": ("bool", 1),
}
"""Column -> its type and number of dimensions."""

_PARTS: Mapping[str, type] = {
    "columns": dict,
    "texts": list,
    "fingerprint": str,
    "caption_bytes": int,
    "label_names": list,
    "attribute_names": list,
    "landmark_names": list,
}
"""Part of the description -> its kind; all texts in lists."""


def wrong_parts(told: Mapping[str, Any]) -> list[str]:
    """The parts of a description that are missing, of another kind, or name what no set has."""
    wrong = [key for key, kind in _PARTS.items() if not isinstance(told.get(key), kind)]
    lists = [key for key, kind in _PARTS.items() if kind is list and key not in wrong]
    wrong += [key for key in lists if not all(isinstance(each, str) for each in told[key])]
    if "columns" not in wrong and not set(told["columns"]) <= _KINDS.keys():
        wrong.append("columns")
    if "texts" not in wrong and not set(told["texts"]) <= set(_TEXTS):
        wrong.append("texts")
    if "caption_bytes" not in wrong and (told["caption_bytes"] is True or told["caption_bytes"] < 0):
        wrong.append("caption_bytes")
    return wrong


def check(
    path: Path, told: Mapping[str, Any], arrays: Mapping[str, Any], texts: Mapping[str, Sequence[str]]
) -> None:
    """Every column is of its kind, as long as the others, and in accord with the description.

    Args:
        path: of the set.
        told: its description; ``wrong_parts`` has found nothing.
        arrays: its columns by name, as far as ``told`` has them.
        texts: its columns of texts.

    Raises:
        DataError: one is not.
    """
    for name, array in arrays.items():
        if shaped(array) != told["columns"][name]:
            said = f"{name}.npy holds {shaped(array)}, and its description says {told['columns'][name]}"
            raise damaged(path, said)
        kind, dimensions = _KINDS[name]
        if str(array.dtype) != kind or array.ndim != dimensions:
            raise damaged(path, f"{name} are {kind} with {dimensions} dimensions, not {shaped(array)}")
    lengths = {name: len(column) for name, column in (*texts.items(), *arrays.items())}
    if len(set(lengths.values())) > 1:
        raise damaged(path, f"its columns differ in length ({lengths})")
    if not lengths["names"]:
        raise damaged(path, "there is no picture in it")
    for why in _contradictions(told, arrays):
        raise damaged(path, why)


def check_seen(path: Path, seen: NDArray[Any], count: int) -> None:
    """What was measured of each image is of its kind, and names formats and modes that there are.

    Raises:
        DataError: it is not.
    """
    if seen.dtype != SEEN or seen.shape != (count,):
        raise damaged(path, "seen.npy is not of this set")
    beyond = (seen["format"] >= len(FORMATS)) | (seen["mode"] >= len(MODES))
    if (beyond | (seen["width"] < 1) | (seen["height"] < 1)).any():
        raise damaged(path, "seen.npy tells of pictures that cannot be")


def check_places(folder: Path, places: NDArray[Any]) -> None:
    """Every image lies inside a shard of the set.

    Args:
        folder: of the set.
        places: number of the shard, offset and size of each image.

    Raises:
        DataError: one does not.
    """
    if str(places.dtype) != "int64" or places.ndim != 2 or places.shape[1] != 3:
        raise damaged(folder, f"places are int64 [n, 3], not {shaped(places)}")
    shards = {int(path.stem): path.stat().st_size for path in folder.glob("[0-9]" * 6 + ".tar")}
    sizes = np.full(max(shards, default=0) + 2, -1)  # The last one is no shard's.
    sizes[list(shards)] = list(shards.values())
    for piece in pieces(places):
        number, offset, length = piece.T
        size = sizes[np.where((number < 0) | (number >= len(sizes)), -1, number)]
        # Not their sum: that of two numbers of 64 bits may be none.
        wrong = (size < 0) | (offset < 0) | (length < 1) | (length > size) | (offset > size - length)
        if wrong.any():
            where = [int(each) for each in piece[int(wrong.argmax())]]
            raise damaged(folder, f"a picture has the place {where}, where no shard has one")


def shaped(array: Any) -> dict[str, Any]:
    """Type and shape of a column, as the description tells them."""
    return {"dtype": str(array.dtype), "shape": list(array.shape)}


def _contradictions(told: Mapping[str, Any], arrays: Mapping[str, Any]) -> Iterator[str]:
    """What columns of the right kinds still get wrong."""
    for name, array in arrays.items():
        yield from _BY_NAME.get(name, _of_pictures)(told, array)


def _of_pictures(told: Mapping[str, Any], pictures: Any) -> Iterator[str]:
    _, *sides, channels = pictures.shape
    if channels not in (1, 3) or not all(1 <= side <= _LARGEST for side in sides):
        yield f"pictures are uint8 [n, height, width, 1 or 3], not {shaped(pictures)}"


def _of_labels(told: Mapping[str, Any], labels: NDArray[Any]) -> Iterator[str]:
    low, high = _range(labels)
    names = len(told["label_names"])
    if low < 0 or high >= (names or _CLASSES):
        yield f"labels from {low} to {high}, of {names} classes"


def _of_attributes(told: Mapping[str, Any], attributes: NDArray[Any]) -> Iterator[str]:
    if attributes.shape[1] != len(told["attribute_names"]):
        yield f"{attributes.shape[1]} attributes with {len(told['attribute_names'])} names"
    elif attributes.shape[1] and _range(attributes)[1] > 1:
        yield "attributes are 0 or 1"


def _of_landmarks(told: Mapping[str, Any], landmarks: NDArray[Any]) -> Iterator[str]:
    points, numbers = landmarks.shape[1:]
    if numbers != 2:
        yield f"landmarks are pairs of numbers, not {numbers} each"
    if told["landmark_names"] and points != len(told["landmark_names"]):
        yield f"{points} landmarks with {len(told['landmark_names'])} names"


def _of_split(told: Mapping[str, Any], held_out: NDArray[Any]) -> Iterator[str]:
    if _range(held_out.view(np.uint8))[1] > 1:
        yield "held_out is yes or no"


_BY_NAME: Mapping[str, Callable[[Mapping[str, Any], Any], Iterator[str]]] = {
    "labels": _of_labels,
    "attributes": _of_attributes,
    "landmarks": _of_landmarks,
    "held_out": _of_split,
}


def _range(column: NDArray[Any]) -> tuple[int, int]:
    """The least and the greatest number of a column that has one."""
    ends = [(int(piece.min()), int(piece.max())) for piece in pieces(column)]
    return min(low for low, _ in ends), max(high for _, high in ends)
