"""Data sets in the layout of those who publish them: MNIST, CIFAR-10, CelebA, FFHQ, LFW."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gansmith.data.metadata.facts import Facts, Refused, find_facts
from gansmith.data.metadata.samples import unknown_label
from gansmith.data.metadata.splits import is_held_out
from gansmith.data.sources.base import Files, Source, Told
from gansmith.data.sources.cifar import cifar_files, open_cifar
from gansmith.data.sources.folder import FolderReader, FolderSource
from gansmith.data.sources.idx import idx_file, open_idx
from gansmith.data.sources.zip import ZipSource
from gansmith.errors import DataError

_F = TypeVar("_F", bound=Files)
_CELEBA = (
    "list_attr_celeba",
    "identity_CelebA",
    "list_landmarks_align_celeba",
    "list_eval_partition",
)
_FFHQ_FACTS = "ffhq-dataset-v2.json"
_FFHQ_SIDE = 1024  # Pixels of the images to which its landmarks belong.
_FFHQ_FOLDERS = {"images1024x1024": 1024, "thumbnails128x128": 128}  # Both hold the same faces.


def open_published(path: Path, *, label: str | None = None, held_out: bool = False) -> Source | None:
    """The data set whose layout a folder has; None where it is no layout known here.

    Args:
        path: a folder, as unpacked from what the owner publishes, or as torchvision keeps it.
        label: the column of a table beside the images that is the class, such as identity for CelebA.
        held_out: of MNIST and CIFAR-10 take the test images, too, marked as held out. Without it their
            training images only, as the built-in names do.

    Raises:
        DataError: it is known, and damaged beyond use; or it holds several.
        StorageError: there is no room to unpack what is packed.
    """
    if not path.is_dir():
        return None
    arrays = _arrays(path)
    if len(arrays) > 1:
        found = ", ".join(str(folder) for folder, _ in arrays)
        raise DataError(f"DATA is one data set. Received: {path}, which holds several: {found}. Give one.")
    if arrays and label is not None:
        raise unknown_label(label, ())
    for folder, opener in arrays:
        return opener(folder, str(path), held_out=held_out)
    return _celeba(path, label) or (_ffhq(path) if label is None else None)


def owners_facts(source: _F) -> _F:
    """Facts that follow from how the owner named folders, for a folder, zip or tar.

    * FFHQ's ``00000`` to ``69000`` are thousands, not classes.
    * LFW's folders are people, most with one image: there is nothing to learn about each. Classes whose
      files are named in the same way (``daisy/daisy_0001.jpg``) have more.

    Labels out of a file stay as they are.

    Returns: the source, its facts put right.
    """
    names = source.names
    if not names:
        return source
    tops = {name.partition("/")[0] for name in names if "/" in name}
    if source.facts.labels is not None and set(source.facts.label_names) != tops:
        return source
    if all(map(_is_ffhq, names)) or _are_people(names):
        source.facts = replace(source.facts, labels=None, label_names=())
    return source


# --- Arrays -------------------------------------------------------------------------------------------

_Opener = Callable[..., Source]


def _arrays(path: Path) -> list[tuple[Path, _Opener]]:
    found: list[tuple[Path, _Opener]] = []
    for below in ("", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"):
        if idx_file(path / below, "train", "images-idx3") is not None:
            found.append((path / below, open_idx))
    batches = [path / below for below in ("", "cifar-10-batches-bin", "cifar-10-batches-py")]
    cifar = next((folder for folder in batches if cifar_files(folder)), None)  # The same images in both.
    return found if cifar is None else [*found, (cifar, open_cifar)]


# --- CelebA -------------------------------------------------------------------------------------------


def _celeba(path: Path, label: str | None) -> Source | None:
    """Aligned images with the owner's text files: beside them, above them, or in Anno and Eval."""
    pictures = _celeba_pictures(path)
    if pictures is None:
        return None
    files = _celeba_files(path)
    if not files:
        return None
    source = ZipSource(pictures) if pictures.is_file() else FolderSource(pictures)
    told = Told(_Read(files), {})
    facts, refused = find_facts(source.names, tuple(sorted(files)), told.read, label=label)
    source.facts, source.name = facts, str(path)
    source.refused = (*source.refused, *refused)
    return source


class _Read:
    """Reads files at given places by their names."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def read(self, key: str) -> bytes:
        return self._files[key].read_bytes()

    def part(self, key: str, start: int, length: int) -> bytes:
        path = self._files[key]
        return FolderReader(path.parent).part(path.name, start, length)


def _celeba_pictures(path: Path) -> Path | None:
    if path.name == "img_align_celeba" and not (path / "img_align_celeba").is_dir():
        return path
    places = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
    folders = [path / place for place in places]
    zips = [path / f"{place}.zip" for place in places[1:]]
    return next((place for place in (*folders, *zips) if place.is_dir() or place.is_file()), None)


def _celeba_files(path: Path) -> dict[str, Path]:
    """The owner's files of facts by name; those nearest to the images count."""
    found: dict[str, Path] = {}
    for folder in (path.resolve().parent, path):
        for place in (folder, folder / "Anno", folder / "Eval"):
            for stem in _CELEBA:
                for file in (place / f"{stem}.csv", place / f"{stem}.txt"):
                    if file.is_file():
                        found[file.name] = file
    return found


# --- FFHQ ---------------------------------------------------------------------------------------------


def _ffhq(path: Path) -> Source | None:
    """Folders of thousands with the owner's JSON; both sizes side by side are one set, the larger counts."""
    folders = [path / name for name in _FFHQ_FOLDERS if (path / name).is_dir()]
    if not folders and path.name not in _FFHQ_FOLDERS:
        return None
    source = FolderSource(folders[0] if folders else path)
    if not source.names or not all(map(_is_ffhq, source.names)):
        return None
    source.name, side = str(path), _FFHQ_FOLDERS[(folders[0] if folders else path).name]
    source.facts = Facts()
    places = [folder / _FFHQ_FACTS for folder in (path, path.resolve().parent)]
    facts = next((place for place in places if place.is_file()), None)
    if facts is not None:
        try:
            raw = Told(_Read({facts.name: facts}), {}).read(facts.name)
            source.facts = _ffhq_facts(raw.decode("utf-8"), source.names, side)
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
            OSError,
            DataError,
        ) as error:
            problem = f"it cannot be read ({type(error).__name__}: {error}); landmarks are not used"
            source.refused = (*source.refused, Refused(facts.name, problem, False))
    return source


def _is_ffhq(name: str) -> bool:
    """Such as 69000/69999.png: five digits in the folder of their thousand."""
    folder, _, file = name.partition("/")
    stem = file.partition(".")[0]
    if not (len(folder) == len(stem) == 5 and (folder + stem).isdecimal()):
        return False
    return int(stem) // 1000 * 1000 == int(folder)


def _ffhq_facts(text: str, names: Sequence[str], side: int) -> Facts:
    """68 landmarks of every face and the owner's split, out of 255 MB that are read entry by entry.

    Images it does not name have NaN. The owner's points count from the middle of the first pixel, ours
    from its corner.
    """
    wanted = {int(name.partition("/")[2].partition(".")[0]): row for row, name in enumerate(names)}
    landmarks = np.full((len(names), 68, 2), np.nan, dtype=np.float32)
    held_out = np.zeros(len(names), dtype=np.bool_)
    for number, entry in _json_entries(text):
        row = wanted.get(int(number))
        if row is not None:
            points = np.array(entry["image"]["face_landmarks"], dtype=np.float32)
            landmarks[row] = (points + 0.5) * np.float32(side / _FFHQ_SIDE)
            held_out[row] = is_held_out(str(entry["category"])) is True
    split = held_out if held_out.any() and not held_out.all() else None
    return Facts(landmarks=landmarks, held_out=split)


def _json_entries(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The entries of a large JSON object, one at a time."""
    decoder, blank = json.JSONDecoder(), re.compile(r"[\s,:{]*")

    def behind(place: int) -> int:
        match = blank.match(text, place)
        return place if match is None else match.end()

    place = behind(0)
    while place < len(text) and text[place] != "}":
        key, place = decoder.raw_decode(text, place)
        value, place = decoder.raw_decode(text, text.index("{", place))
        yield key, value
        place = behind(place)


# --- Names --------------------------------------------------------------------------------------------


def _are_people(names: Sequence[str]) -> bool:
    folders = Counter(name.rpartition("/")[0] for name in names)
    alone = sum(count == 1 for count in folders.values())
    return alone * 2 > len(folders) and all(map(_is_lfw, names))


def _is_lfw(name: str) -> bool:
    """Such as Ada_Lovelace/Ada_Lovelace_0001.jpg, at any depth."""
    folder, _, file = name.rpartition("/")
    match = re.fullmatch(r"(.+)_\d{4}\.\w+", file)
    return match is not None and match[1] == folder.rpartition("/")[2]
