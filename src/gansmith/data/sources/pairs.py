"""Images in pairs: side by side in one file (as pix2pix has them), in two folders by name, or made.

A row has two images, ``source`` and ``target``, which are cut and resized alike; or one, of which the
source is made (`made_pairs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from gansmith.core.image_size import Form
from gansmith.core.text import folded
from gansmith.data.decode.reading import Header, Photo, probe, read
from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import Reader, Source
from gansmith.data.sources.made_pairs import MADE, check_swap, lacks, made_source, with_channels
from gansmith.errors import DataError, nearest

PairKind = Literal[
    "beside",
    "folders",
    "edges",
    "grey",
    "small:2",
    "small:4",
    "small:8",
    "hole:centre",
    "hole:inner",
    "hole:random",
    "sketch",
    "item:hat",
    "item:glasses",
    "pose",
    "segments",
]
"""Side by side in one file, left to right; in two folders, paired by name; made of images; or drawn."""

STORED = ("beside", "folders")
"""Those that lie in files as pairs."""

DRAWN = ("item:hat", "item:glasses", "pose", "segments")
"""Those that only drawn faces have: what a face wears alone on white, another pose, parts in flat colours."""

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}  # Folders that are no sides.

PAIR = ("source", "target")
"""The image columns of a set of pairs."""

_WIDEST = 8192  # In pixels, of a `Size`.


@dataclass(frozen=True)
class PairReader:
    """Reads the two images of a row.

    Example:
        >>> source = PairSource(open_source("my_pairs"), "folders")
        >>> raw, (first, second) = source.reader.photos(source.key(0), Form(size=Size(32, 32), channels=3))
    """

    reader: Reader
    kind: PairKind
    swap: bool = False  # Targets become sources and sources targets.

    @property
    def format(self) -> str | None:
        """What users are told of files that are none of theirs; None where they are."""
        told: str | None = getattr(self.reader, "format", None)
        return told

    def read(self, key: Any) -> bytes:
        """The bytes of the first image's file."""
        return self.reader.read(key[0])

    def photos(self, key: Any, form: Form) -> tuple[bytes, tuple[Photo, ...]]:
        """(all bytes of the row, (source, target)); the target alone where the source is made of it.

        Raises:
            DataError: an image cannot be read, or is none of two beside each other: as high as wide, or of an
                odd width.
        """
        raw = self.reader.read(key[0])
        if self.kind in MADE:
            return raw, (read(raw, form),)
        if self.kind == "folders":
            other = self.reader.read(key[1])
            return raw + other, self._ordered(read(raw, form), read(other, form))
        width = min(2 * form.size.width, _WIDEST)
        wide = None if form.box else replace(form, size=replace(form.size, width=width))
        whole = read(raw, wide)
        if whole.width <= whole.height and self.format != "built-in":  # Drawn ones are halves of any shape.
            raise DataError(
                f"{whole.width}x{whole.height} pixels, a single picture; two side by side are wider than high"
            )
        if whole.width % 2:
            raise DataError(f"{whole.width} pixels wide; two pictures side by side have an even width")
        middle = whole.image.width // 2
        halves = (0, 0, middle, whole.image.height), (middle, 0, 2 * middle, whole.image.height)
        left, right = (
            replace(whole, image=whole.image.crop(half), width=whole.width // 2) for half in halves
        )
        return raw, self._ordered(left, right)

    def headers(self, key: Any) -> tuple[Header, ...]:
        """What the files of a row say of their images; of two beside each other one speaks for both.

        Raises:
            DataError: a file is not an image.
        """
        first = probe(self.reader.read(key[0]))
        if self.kind == "folders":
            return first, probe(self.reader.read(key[1]))
        if self.kind in MADE:
            return (first,)
        return (replace(first, width=first.width // 2),)

    def _ordered(self, first: Photo, second: Photo) -> tuple[Photo, Photo]:
        return (second, first) if self.swap else (first, second)


class PairSource:
    """A source whose rows are pairs of images.

    Landmarks are the target's, where pairs lie in two folders or a sketch is made of them; what else is known
    is of the source.

    Args:
        source: the files.
        kind: how pairs are stored; ``folders`` needs two folders at the top, or names ``between``.
        between: (folder of the sources, folder of the targets); None: the first and second by name.
        swap: targets become sources and sources targets.

    Raises:
        DataError: there are not two folders, or no name is in both.

    Example:
        >>> PairSource(open_source("my_pairs"), "folders", between=("drawings", "faces")).names[0]
        '0.png'
    """

    pictures = PAIR

    def __init__(
        self,
        source: Source,
        kind: PairKind,
        between: tuple[str, str] | None = None,
        swap: bool = False,
    ) -> None:
        self.name, self.others = source.name, source.others
        self.fingerprint = f"{source.fingerprint}:{kind}:{between}:{swap}"
        self.asked: dict[str, Any] = {"pairs": kind, "between": between, "swap": swap}
        """What the fingerprint has beside the files."""
        self.reader: Reader = PairReader(source.reader, kind, swap)
        self._source = source
        self.refused: tuple[Refused, ...] = source.refused
        if kind in DRAWN:
            raise only_drawn(kind, source.name)
        points = source.facts.landmarks if kind == "sketch" else None
        if kind == "sketch" and points is None:
            raise lacks(kind, ("images", "landmarks"), source.name, ("no landmarks",))
        check_swap(kind, swap and kind in MADE)
        if kind != "folders":
            self._rows = [(row, row) for row in range(len(source.names))]
            self.names: Sequence[str] = source.names
        else:
            self._rows, alone = _matched(source, between)
            self.names = tuple(source.names[first].partition("/")[2] for first, _ in self._rows)
            self.refused = (*self.refused, *alone)
        facts = source.facts.take([first for first, _ in self._rows])
        if kind == "folders":
            points = source.facts.take([pair[0 if swap else 1] for pair in self._rows]).landmarks
            if points is not None and np.isnan(points).all():  # Those of the other folder only.
                points = None
        # Class folders are the two sides of the pairs, not classes.
        keep = kind != "folders"
        self.facts = replace(
            facts,
            labels=facts.labels if keep else None,
            label_names=facts.label_names if keep else (),
            landmarks=points,
            landmark_names=facts.landmark_names if points is not None else (),
        )

    def key(self, index: int) -> Any:
        """What the reader calls the two images of row ``index``."""
        first, second = self._rows[index]
        return self._source.key(first), self._source.key(second)

    def read(self, index: int) -> bytes:
        """The bytes of the first image's file of row ``index``."""
        return self.reader.read(self.key(index))


def photos(reader: Reader, key: Any, form: Form) -> tuple[bytes, tuple[Photo, ...]]:
    """(the bytes of a row, its images): one, or two of a pair."""
    if isinstance(reader, PairReader):
        return reader.photos(key, form)
    raw = reader.read(key)
    return raw, (read(raw, form),)


def row_of(
    reader: Reader,
    decoded: Sequence[UInt8[np.ndarray, "channels height width"]],
    row: int = 0,
    points: NDArray[np.float32] | None = None,
) -> list[NDArray[np.uint8]]:
    """The images of a row in their last form, a source that is made of the target among them."""
    pictures = list(decoded)
    if not isinstance(reader, PairReader) or reader.kind not in MADE:
        return pictures
    source = made_source(reader.kind, pictures[0], row, points)
    pair = [with_channels(source, len(pictures[0])), pictures[0]]
    return pair[::-1] if reader.swap else pair


def headers(source: Source, index: int) -> tuple[Header, ...]:
    """What the files of row ``index`` say of the images that will be made of them.

    Raises:
        DataError: a file is not an image.
    """
    if isinstance(source.reader, PairReader):
        return source.reader.headers(source.key(index))
    return (probe(source.read(index)),)


def picture_columns(source: Source) -> tuple[str, ...]:
    """What the images of a row are called."""
    return PAIR if isinstance(source, PairSource) else ("images",)


def guess(source: Source, wide: bool) -> PairKind:
    """How pairs are stored: two folders with the same names in them, else side by side where all is wide.

    Raises:
        DataError: neither.
    """
    if _sides(source) is not None:
        return "folders"
    if wide:
        return "beside"
    tops = {name.partition("/")[0] for name in source.names if "/" in name}
    several = (
        f"has {len(tops)} folders: name two of them with" if len(tops) > 2 else "is neither. Say which with"
    )
    ways = (
        "--set data.between=NAME,NAME."
        if len(tops) > 2
        else "--set data.pairs=folders or --set data.pairs=beside."
    )
    raise DataError(
        "Pairs are two folders with the same file names in them, or pictures with both side by side, twice "
        f"as wide as high. Received: {source.name}, which {several} {ways}"
    )


def paired_folders(source: Source) -> tuple[str, str] | None:
    """The two folders that hold all images, where each name in one is in the other, too; else None.

    Example:
        >>> paired_folders(open_source("my_pairs"))
        ('drawings', 'faces')
    """
    sides = _sides(source)
    if sides is None:
        return None
    first, second = ({_stem(name) for name in source.names if name.startswith(f"{side}/")} for side in sides)
    return sides if first == second else None


def _sides(source: Source) -> tuple[str, str] | None:
    """The two folders that hold all images, which are not parts for training and testing."""
    tops = sorted({name.partition("/")[0] for name in source.names if "/" in name})
    if len(tops) != 2 or not all("/" in name for name in source.names):
        return None
    return None if {top.lower() for top in tops} & _SPLITS else (tops[0], tops[1])


def _stem(name: str) -> str:
    """What is alike in the two names of a pair: without its top folder and its ending."""
    return folded(str(PurePosixPath(name.partition("/")[2]).with_suffix("")))


def only_drawn(kind: str, name: str) -> DataError:
    """Pairs that the drawer of demo-faces alone can make were asked of something else."""
    return DataError(
        f"Pairs of the kind {kind} are drawn, of demo-faces alone. Received: {name}. Give pairs of your own "
        "as two folders (data.pairs=folders), or train on demo-faces."
    )


def no_files(kind: str, name: str) -> DataError:
    """Pairs that lie in files were asked of a built-in set."""
    return DataError(
        f"Pairs of the kind {kind} are files with two pictures, or two folders. Received: {name}, a built-in "
        "set of single pictures. Pairs can be made of it, such as edges, grey, small:4 or hole:random."
    )


def _matched(source: Source, between: tuple[str, str] | None) -> tuple[list[tuple[int, int]], list[Refused]]:
    folders = _two_folders(source, between)
    first, second = (dict[str, int](), dict[str, int]())
    alone = []
    for row, name in enumerate(source.names):
        top, _, rest = name.partition("/")
        side = {folders[0]: first, folders[1]: second}.get(top) if rest else None
        if side is None:
            if between is None:  # Else the others are left out on purpose.
                alone.append(Refused(name, "it lies in neither of the two folders of pairs"))
            continue
        stem = _stem(name)
        if side.setdefault(stem, row) != row:
            alone.append(Refused(name, f"{source.names[side[stem]]} has the same name up to the ending"))
    both = sorted(first.keys() & second.keys())
    if not both:
        raise DataError(
            f"No file name is in both {folders[0]} and {folders[1]} of {source.name}. Pairs have the same "
            "name in two folders; the ending may differ."
        )
    for side in (first, second):
        for stem in sorted(side.keys() - set(both)):
            alone.append(Refused(source.names[side[stem]], "its partner is missing in the other folder"))
    return [(first[stem], second[stem]) for stem in both], alone


def _two_folders(source: Source, between: tuple[str, str] | None) -> tuple[str, str]:
    tops = sorted({name.partition("/")[0] for name in source.names if "/" in name})
    if between is None:
        if len(tops) != 2:
            raise DataError(
                f"Pairs by name need two folders. Received: {source.name}, with {len(tops)} "
                f"({', '.join(tops[:6]) or 'none'}). Name two with --between NAME,NAME, in training with "
                "--set data.between=NAME,NAME."
            )
        return tops[0], tops[1]
    for folder in between:
        if folder not in tops:
            raise DataError(f"There is no folder '{folder}' in {source.name}.{nearest(folder, tops)}")
    return between
