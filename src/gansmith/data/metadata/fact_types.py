"""What is known of images besides their pixels, and what files could not be used."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Refused:
    """A file, or a part of one, that was left out, and why.

    Example:
        >>> from gansmith.data.sources.open import open_source
        >>> [f"{item.name}: {item.reason}" for item in open_source("my_photos").refused]
    """

    name: str
    reason: str
    picture: bool = True
    """Whether it counts among the images; not for tables, folders, archives and remarks about them."""


REPEATED = "nearly the same as another frame of its video"
"""Why a frame is left out with which nothing is wrong."""


VANISHED = "it was there when SRC was listed, and gone when it was to be read"
"""Why a file is left out that somebody removed meanwhile."""


def is_repeated(item: Refused) -> bool:
    """Whether something was left out as one of many like it, and not because it cannot be used."""
    return item.reason == REPEATED


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of n images, one row each; None where nothing is known.

    Example:
        >>> facts = Facts(labels=np.array([0, 1, 1]), label_names=("cat", "dog"))
        >>> facts.take([2, 0]).labels
        array([1, 0])
    """

    labels: NDArray[np.int64] | None = None  # [n], from 0.
    label_names: tuple[str, ...] = ()  # What label 0, 1, ... is called.
    attributes: NDArray[np.uint8] | None = None  # [n, attributes], 0 or 1.
    attribute_names: tuple[str, ...] = ()
    captions: tuple[str, ...] | None = None  # Empty where an image has none.
    landmarks: NDArray[np.float32] | None = None
    """[n, points, 2]: x, y in pixels of the upright image; the first pixel's middle is (0.5, 0.5).

    NaN where an image has none.
    """
    landmark_names: tuple[str, ...] = ()  # What point 0, 1, ... is called; empty where nobody said.
    held_out: NDArray[np.bool_] | None = None  # [n]: the owner's own split, where there is one.
    licence: str | None = None  # Of the images as a whole, in words; None where nobody said.

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Facts":
        """The facts of some images, in the order asked for."""
        chosen = np.asarray(rows, dtype=np.int64)
        taken: dict[str, object] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value = value[chosen]
            elif item.name == "captions" and value is not None:
                value = tuple(value[row] for row in chosen)
            taken[item.name] = value
        return Facts(**taken)  # type: ignore[arg-type]

    def digest(self) -> str:
        """Changes when anything known of the images does, but for words about their licence."""
        digest = hashlib.blake2b(digest_size=16)
        for item in fields(self):
            if item.name == "licence":  # May be added later; the images are the same.
                continue
            value = getattr(self, item.name)
            digest.update(
                f"{item.name} {type(value).__name__} {'' if value is None else len(value)}".encode()
            )
            if isinstance(value, np.ndarray):
                digest.update(f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
            for text in value if isinstance(value, tuple) else ():
                digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()
