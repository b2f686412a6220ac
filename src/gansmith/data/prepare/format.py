"""A prepared set: a folder of NumPy columns that opens at once and is read at random without decoding.

``set.json`` says what is there; ``images.npy`` holds the images, uint8 [n, height, width, channels];
``labels.npy``, ``attributes.npy``, ``landmarks.npy`` and ``held_out.npy`` are there where they are known;
``names`` and ``captions`` are text columns (see `gansmith.data.prepare.columns`); ``seen.npy`` is what was
measured of each file. docs/prepared-sets.md has the format in full, and why it is this one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gansmith.core.image_size import Size
from gansmith.core.json_files import MOST_LISTED, read_json
from gansmith.data.metadata.fact_types import REPEATED
from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.metadata.licences import recorded
from gansmith.data.prepare.columns import Texts, damaged, mapped
from gansmith.data.prepare.schema import FACT_COLUMNS, PICTURE_COLUMNS, check, check_seen, shaped, wrong_parts
from gansmith.data.prepare.shard_set import PLACES, ShardedPictures, is_sharded, picture_array
from gansmith.data.sources.identity import of_files
from gansmith.errors import DataError

FORMAT = "gansmith prepared set"
VERSION = 1
DESCRIPTION = "set.json"
REPORT = "report.json"


def is_prepared(path: Path | str) -> bool:
    """Whether a folder is a prepared set that was finished."""
    return (Path(path) / DESCRIPTION).is_file() and (Path(path) / "names.npy").is_file()


@dataclass(frozen=True)
class PreparedReader:
    r"""Images of a prepared set as files, for those who want files: PGM and PPM hold pixels as they are.

    Example:
        >>> PreparedReader(Path("faces64")).read(0)[:13]
        b'P6 64 64 255\n'
    """

    folder: Path
    column: str = "images"
    format: ClassVar[str] = "prepared"  # What users are told.

    def read(self, key: int) -> bytes:
        """Image ``key`` as the bytes of a PGM or PPM file."""
        return as_picture_file(picture_array(self.folder, self.column)[key])


def as_picture_file(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [height, width, 1 or 3] -> the bytes of a PGM or PPM file: lossless, and the quickest to read."""
    height, width, channels = pixels.shape
    return b"P%d %d %d 255\n" % (5 if channels == 1 else 6, width, height) + pixels.tobytes()


class PreparedFolder:
    """What is in the folder of a prepared set; no image is read when it is opened, but all is checked.

    It is a `gansmith.data.sources.base.Source`, too, so a prepared set can be prepared again in another
    form.

    Args:
        path: the folder.

    Raises:
        DataError: it is no prepared set, of a later version, or damaged.

    Example:
        >>> folder = PreparedFolder("faces64")
        >>> len(folder), folder.size, folder.channels
        (40, Size(width=64, height=64), 3)
    """

    others: tuple[str, ...] = ()

    def __init__(self, path: Path | str) -> None:
        self.path, self.name = Path(path), str(path)
        self.description = _described(self.path)
        self.names: Sequence[str] = Texts(self.path, "names")
        self.arrays: Mapping[str, Any] = {name: self._array(name) for name in self.description["columns"]}
        texts: dict[str, Sequence[str]] = {"names": self.names}
        if (captions := self.captions) is not None:
            texts["captions"] = captions
        check(self.path, self.description, self.arrays, texts)
        self.reader = PreparedReader(self.path, self.picture_column)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def fingerprint(self) -> str:
        """Of what it says of itself, and samples of its columns."""
        files = [f"{name}.npy" for name in (*FACT_COLUMNS, *PICTURE_COLUMNS, PLACES, "names", "captions")]
        files += [f"{name}.utf8" for name in ("names", "captions")]
        files += sorted(file.name for file in self.path.glob("*.tar"))
        there = [(name, self.path / name) for name in files if (self.path / name).is_file()]
        return of_files(there, self.description["fingerprint"])

    @property
    def picture_column(self) -> str:
        """The first column that holds images."""
        return next(name for name in PICTURE_COLUMNS if name in self.arrays)

    @property
    def seen(self) -> NDArray[Any]:
        """What was measured of the file each image comes from, [n] of `gansmith.data.inspect.measure.SEEN`.

        Raises:
            DataError: that is damaged.
        """
        seen = mapped(self.path / "seen.npy")
        check_seen(self.path, seen, len(self))
        return seen

    @property
    def size(self) -> Size:
        """Of every image."""
        _, height, width, _ = self.arrays[self.picture_column].shape
        return Size(width, height)

    @property
    def channels(self) -> int:
        """1 for luma, 3 for RGB."""
        return int(self.arrays[self.picture_column].shape[3])

    @property
    def captions(self) -> Sequence[str] | None:
        """One for each image, read when asked for."""
        return Texts(self.path, "captions") if "captions" in self.description["texts"] else None

    @property
    def licence(self) -> str | None:
        """Of the images, in words; None where nobody said."""
        return recorded(self.description.get("licence"))

    @cached_property
    def facts(self) -> Facts:
        """What is known of every image; read in full, unlike everything else here."""
        told = self.description
        known = {name: np.array(self.arrays[name]) for name in FACT_COLUMNS if name in self.arrays}
        captions = self.captions
        return Facts(
            **known,
            label_names=tuple(told["label_names"]),
            attribute_names=tuple(told["attribute_names"]),
            landmark_names=tuple(told["landmark_names"]),
            captions=None if captions is None else tuple(captions),
            licence=self.licence,
        )

    @cached_property
    def refused(self) -> tuple[Refused, ...]:
        """Files, and frames much like others, that were left out when it was prepared."""
        report = self.report()
        try:
            refused = [Refused(str(name), str(reason)) for name, reason in report.get("refused_files", [])]
            notes = [
                Refused(str(note["name"]), str(note["reason"]), False) for note in report.get("notes", [])
            ]
            return (*refused, *notes, *(Refused(str(name), REPEATED) for name in report.get("repeated", [])))
        except (ValueError, TypeError, LookupError):  # Somebody's edits; the images are none the worse.
            return ()

    def report(self) -> dict[str, Any]:
        """The report that was written when it was prepared, as plain JSON; empty where it cannot be read."""
        try:
            report = read_json(self.path / REPORT, MOST_LISTED)
        except (OSError, ValueError):
            return {}
        return report if isinstance(report, dict) else {}

    def key(self, index: int) -> int:
        """The number of the image itself."""
        return index

    def read(self, index: int) -> bytes:
        """Image ``index`` as a file."""
        return self.reader.read(index)

    def _array(self, name: str) -> Any:
        pictures = name in PICTURE_COLUMNS
        return picture_array(self.path, name) if pictures else mapped(self.path / f"{name}.npy")


def write_description(folder: Path, told: Mapping[str, Any]) -> str:
    """The text of ``set.json``: what is given, and the shape of every column found in the folder."""
    there = [name for name in FACT_COLUMNS if (folder / f"{name}.npy").exists()]
    columns = {name: shaped(mapped(folder / f"{name}.npy")) for name in there}
    columns = {name: shaped(array) for name, array in picture_arrays(folder).items()} | columns
    texts = [name for name in ("names", "captions") if (folder / f"{name}.utf8").exists()]
    whole = {"format": FORMAT, "version": VERSION, **told, "columns": columns, "texts": texts}
    return json.dumps(whole, indent=2, ensure_ascii=True) + "\n"


def picture_arrays(folder: Path) -> dict[str, Any]:
    """The image columns that are there, by name; see `gansmith.data.prepare.shard_set.picture_array`."""
    if is_sharded(folder):
        return {PICTURE_COLUMNS[0]: ShardedPictures(folder)}
    return {
        name: mapped(folder / f"{name}.npy") for name in PICTURE_COLUMNS if (folder / f"{name}.npy").exists()
    }


def _described(path: Path) -> dict[str, Any]:
    file = path / DESCRIPTION
    try:
        told = read_json(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}). Prepare the set again.") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise DataError(
            f"{file} is not the description of a prepared set. Give a folder made by gansmith prepare."
        )
    if told.get("version") != VERSION:
        raise DataError(
            f"{path} is a prepared set of version {told.get('version')}, and this gansmith reads version "
            f"{VERSION}. Prepare the pictures again, or update gansmith."
        )
    wrong = wrong_parts(told)
    if wrong or not any(name in told["columns"] for name in PICTURE_COLUMNS):
        raise damaged(file, f"{', '.join(wrong) or 'pictures'} are missing or of another kind")
    return told
