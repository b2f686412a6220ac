"""What stands behind DATA or SRC: the one place that tells folders, archives, films and sets apart."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from gansmith.data.builtin.names import BUILTIN_NAMES
from gansmith.data.decode.reading import suffixes
from gansmith.data.metadata.conventions import open_published, owners_facts
from gansmith.data.metadata.facts import Refused
from gansmith.data.metadata.licences import beside
from gansmith.data.metadata.tables import TABLE_ENDINGS, known_stem
from gansmith.data.prepare.format import PreparedFolder, is_prepared
from gansmith.data.prepare.writer import JOURNAL
from gansmith.data.sources.base import Source, packed, with_licence
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.huggingface import fetch, hub_name
from gansmith.data.sources.parquet import TableSource, is_table
from gansmith.data.sources.tar import TarSource
from gansmith.data.sources.video import VIDEO_SUFFIXES, Sampling, VideoSource
from gansmith.data.sources.webdataset import ShardSource, is_tar, open_tar
from gansmith.data.sources.zip import ZipSource
from gansmith.errors import DataError, nearest

RULE = "DATA is a folder of pictures, a zip or tar of them, a video, or a built-in data set"


@dataclass(frozen=True)
class Wanted:
    """What a verb takes, for what is said where something else is given.

    Example:
        >>> open_source("no.jpg", wanted=Wanted("PHOTO is a picture or a folder of them", single=True))
    """

    rule: str = RULE
    single: bool = False  # Whether single pictures are taken, too, and built-in sets are not.


_DATA = Wanted()


def open_source(
    data: str, *, label: str | None = None, sampling: Sampling | None = None, wanted: Wanted = _DATA
) -> Source:
    """The images at a path.

    Args:
        data: the path.
        label: the column of a table beside the images that is the class.
        sampling: how frames of videos are chosen.
        wanted: what messages say is taken; the caller opens single pictures itself.

    Raises:
        DataError: there is nothing, or nothing that holds images.
        MissingPackageError: it needs an optional package.
    """
    path = Path(data).expanduser()
    if path.is_dir():
        return _with_licence(_folder(path, label, sampling or Sampling(), wanted), path)
    if not path.exists():
        if (name := hub_name(data)) is not None:
            return TableSource(fetch(name), label=label)
        raise DataError(
            f"{wanted.rule}. Received: {data}, which does not exist.{_suggestion(data, path, wanted)}"
        )
    source = _file(path, label, sampling or Sampling())
    if source is not None:
        return source
    if path.suffix.lower() in suffixes():
        raise DataError(
            f"{wanted.rule}. Received: {data}, a single picture. Give the folder it lies in: {path.parent}."
        )
    raise DataError(f"{wanted.rule}. Received: {data}, a file of another kind.")


def _with_licence(source: Source, folder: Path) -> Source:
    """The source; where its files are of a kind that says nothing of a licence, the folder is asked."""
    asked = not isinstance(source, PreparedFolder) and source.facts.licence is None
    return with_licence(source, beside(folder) if asked else None)


def _file(path: Path, label: str | None, sampling: Sampling) -> Source | None:
    if path.suffix.lower() == ".zip":
        return _with_hint(owners_facts(ZipSource(path, label)), path)
    if is_tar(path.name):
        return _with_hint(_tar(path, label), path)
    if is_table(path.name):
        return TableSource(path, label=label)
    return VideoSource(path, sampling) if path.suffix.lower() in VIDEO_SUFFIXES else None


def _folder(path: Path, label: str | None, sampling: Sampling, wanted: Wanted) -> Source:
    """A prepared set, an owner's layout, loose images; only without these tables, tars, videos."""
    if is_prepared(path):
        return PreparedFolder(path)
    if (path / JOURNAL).is_file():
        raise DataError(
            f"A prepared set is used once it is finished. Received: {path}, which is not. Give the command "
            "that began it again: it goes on where it was."
        )
    if (path / "recipe.json").is_file() and (path / "checkpoints").is_dir():
        raise DataError(f"{wanted.rule}. Received: {path}, a run. Give what it was trained on.")
    published = open_published(path, label=label)
    if published is not None:
        return published
    source = FolderSource(path, label)
    if source.names:
        return owners_facts(source)
    return _packed(path, source, label, sampling) or source


def _packed(path: Path, folder: FolderSource, label: str | None, sampling: Sampling) -> Source | None:
    """What a folder without loose images holds; of a single archive the tables beside it, too."""
    others = folder.others
    if any(map(is_table, others)):
        return TableSource(path, label=label)
    tars = [name for name in others if is_tar(name)]
    zips = [name for name in others if name.lower().endswith(".zip")]
    if len(tars) > 1:
        return ShardSource(path, label=label)
    if tars or (len(zips) == 1 and "/" not in zips[0]):
        source = (
            _tar(path / tars[0], label, folder)
            if tars
            else owners_facts(ZipSource(path / zips[0], label, folder))
        )
        source.name = str(path)  # type: ignore[misc]  # Whoever opens it again needs its tables again.
        return source
    if any(Path(name).suffix.lower() in VIDEO_SUFFIXES for name in others):
        return VideoSource(path, sampling)
    return None


def _tar(path: Path, label: str | None, folder: FolderSource | None = None) -> Source:
    source = open_tar(path, label=label, around=folder)
    if isinstance(source, TarSource):
        return owners_facts(source)
    rest = [] if folder is None else [name for name in folder.others if Path(name).name != path.name]
    source.others, source.refused = (*source.others, *rest), (*source.refused, *packed(rest))
    return source


def _with_hint(source: Source, path: Path) -> Source:
    """The source of an archive; tables that lie beside it and would count with the folder are told."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    except OSError:
        return source
    others = [name for name in names if name != path.name]
    if any(packed([name]) or Path(name).suffix.lower() in suffixes() for name in others):
        return source  # A folder of many things, or one whose pictures would come first.
    why = f"it lies beside the archive, so it is not read; give the folder, {path.parent}, to use it"
    told = [Refused(name, why, False) for name in others if name.endswith(TABLE_ENDINGS) and known_stem(name)]
    source.refused = (*source.refused, *told)  # type: ignore[misc]
    return source


def _suggestion(data: str, path: Path, wanted: Wanted) -> str:
    """The nearest thing that does exist: beside the path, or among the built-in sets."""
    try:
        beside = [
            entry.name
            for entry in path.parent.iterdir()
            if entry.is_dir()
            or entry.suffix == ".zip"
            or is_tar(entry.name)
            or is_table(entry.name)
            or (wanted.single and entry.suffix.lower() in (*suffixes(), *VIDEO_SUFFIXES))
        ]
    except OSError:
        beside = []
    close = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.5)
    builtin = () if wanted.single or path.name != data else BUILTIN_NAMES  # No built-in name is a path.
    if close and not difflib.get_close_matches(data, builtin, n=1, cutoff=0.8):
        return f" Did you mean '{path.parent / close[0]}'?"
    return nearest(data, builtin)
