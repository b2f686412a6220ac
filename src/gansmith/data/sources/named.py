"""A source of images by the name a user gives it: a built-in set, or anything at a path, also as pairs."""

from dataclasses import dataclass

from gansmith.core.image_size import Size
from gansmith.data.builtin.names import is_builtin
from gansmith.data.builtin.source import BuiltinSource, drawn_pairs
from gansmith.data.sources.base import Source
from gansmith.data.sources.open import open_source
from gansmith.data.sources.pairs import DRAWN, STORED, PairKind, PairSource, no_files
from gansmith.data.sources.video import Sampling


@dataclass(frozen=True, kw_only=True)
class How:
    """How what lies there is to be read.

    Example:
        >>> named_source("photos", How(label="age"))
    """

    label: str | None = None  # The column of a table beside the images that is the class.
    pairs: PairKind | None = None  # How pairs are stored; None: single images.
    between: tuple[str, str] | None = None  # The folders of sources and targets.
    swap: bool = False  # Sources become targets and targets sources.
    sampling: Sampling = Sampling(every=1.0, max_frames=500)  # Of videos.
    size: Size = Size(64, 64)  # Of built-in sets that are drawn.


def named_source(name: str, how: How | None = None) -> Source:
    """The source of this name.

    Raises:
        DataError: there is nothing of that name.
    """
    asked = how or How()
    source: Source
    if asked.pairs in DRAWN and name.partition(":")[0] == "demo-faces":
        return drawn_pairs(name, asked.size, asked.pairs, asked.swap)
    if is_builtin(name):
        if asked.pairs in STORED:
            raise no_files(asked.pairs, name)
        source = BuiltinSource(name, asked.size)
    else:
        source = open_source(name, label=asked.label, sampling=asked.sampling)
    return source if asked.pairs is None else PairSource(source, asked.pairs, asked.between, asked.swap)
