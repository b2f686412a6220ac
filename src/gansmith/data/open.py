"""What stands behind DATA on the command line: a built-in name, a folder of pictures, or a zip of them."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from gansmith.data.builtin import BUILTIN_NAMES, builtin_facts, is_builtin, open_builtin
from gansmith.data.dataset import DataSet
from gansmith.data.folder import FolderSource, Source, ZipSource
from gansmith.data.load import ReportProgress, load, nothing_found, some_headers
from gansmith.data.reading import suffixes
from gansmith.errors import DataError, nearest
from gansmith.recipe import DataConfig


@dataclass(frozen=True)
class SourceFacts:
    """What can be said about pictures before any is decoded; sizes in pixels."""

    count: int
    median_width: int
    median_height: int
    all_grey: bool


def open_data(data: str, config: DataConfig, *, progress: ReportProgress | None = None) -> DataSet:
    """The data set of a built-in name, a folder or a zip.

    A built-in name wins over a folder of that name; write ``./mnist`` for the folder.

    Args:
        data: ``demo-faces``, ``digits``, ``mnist``, ..., or a path.
        config: how pictures are brought into form.
        progress: told (files done, files in all) while files are decoded.

    Returns: a data set whose ``images`` are uint8 [n, channels, height, width].

    Raises:
        DataError: there is nothing of that name, or no picture in it.
        MissingPackageError: the built-in set needs an optional package.
    """
    if is_builtin(data):
        return open_builtin(data, config, progress=progress)
    return load(open_source(data), config, progress=progress)


def describe_source(data: str) -> SourceFacts:
    """Count, median size and greyness from up to 64 headers; built-in sets from what is known of them.

    Raises:
        DataError: there is nothing of that name, or no readable picture in it.
    """
    if is_builtin(data):
        count, size, channels = builtin_facts(data)
        return SourceFacts(count, size.width, size.height, channels == 1)
    source = open_source(data)
    headers = some_headers(source)
    if not source.names:
        raise nothing_found(source)
    if not headers:
        raise DataError(
            f"{data}: none of the pictures looked at has a readable header, such as {source.names[0]}. "
            "Give pictures that open in a viewer."
        )
    return SourceFacts(
        count=len(source.names),
        median_width=median_low(header.width for header in headers),
        median_height=median_low(header.height for header in headers),
        all_grey=all(header.grey for header in headers),
    )


def open_source(data: str) -> Source:
    """The folder or zip at a path.

    Raises:
        DataError: there is nothing, or something that is neither.
    """
    path = Path(data).expanduser()
    rule = "DATA is a folder of pictures, a zip of them, or a built-in data set"
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise DataError(f"{rule}. Received: {data}, which does not exist.{_suggestion(data, path)}")
    if path.suffix.lower() == ".zip":
        return ZipSource(path)
    if path.suffix.lower() in suffixes():
        raise DataError(
            f"{rule}. Received: {data}, a single picture. Give the folder it lies in: {path.parent}."
        )
    raise DataError(f"{rule}. Received: {data}, a file of another kind. Unpack archives that are not zip.")


def _suggestion(data: str, path: Path) -> str:
    """The nearest thing that does exist: beside the path, or among the built-in names."""
    try:
        beside = [entry.name for entry in path.parent.iterdir() if entry.is_dir() or entry.suffix == ".zip"]
    except OSError:
        beside = []
    close = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.5)
    if close and not difflib.get_close_matches(data, BUILTIN_NAMES, n=1, cutoff=0.8):
        return f" Did you mean '{path.parent / close[0]}'?"
    return nearest(data, BUILTIN_NAMES)
