"""DATA on the command line -> a data set: a built-in name, a prepared set, or images at a path."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median_low

import torch

from gansmith.data.attribute_views import with_attributes
from gansmith.data.builtin.names import is_builtin
from gansmith.data.builtin.sets import builtin_facts, open_builtin
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.load import ReportProgress, load, some_headers
from gansmith.data.mapped import open_prepared
from gansmith.data.pair_views import MadePairs, SourceChannels, TwoSets
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.sources.base import Source, nothing_found
from gansmith.data.sources.made_pairs import MADE
from gansmith.data.sources.open import open_source
from gansmith.data.sources.pairs import (
    DRAWN,
    PAIR,
    STORED,
    PairKind,
    PairSource,
    guess,
    no_files,
    only_drawn,
    paired_folders,
)
from gansmith.errors import DataError

_WIDE = 1.9  # Images at least so many times as wide as high may be two side by side.


@dataclass(frozen=True)
class SourceFacts:
    """What can be said about images before any is decoded; sizes in pixels.

    Example:
        >>> describe_source("my_photos")
        SourceFacts(count=12, median_width=32, median_height=32, all_grey=False, pairs=False, folders=None)
    """

    count: int
    median_width: int
    median_height: int
    all_grey: bool
    pairs: bool = False  # Prepared as pairs.
    folders: tuple[str, str] | None = None  # Two that hold all images, under the same names: pairs, too.


def open_data(
    data: str,
    config: DataConfig,
    *,
    fields: Sequence[str] = ("images",),
    progress: ReportProgress | None = None,
    decoded: bool = True,
) -> DataSet:
    """The data set of a built-in name, a prepared set, a folder or an archive.

    A built-in name wins over a folder of that name; write ``./mnist`` for the folder.

    Args:
        data: ``demo-faces``, ``digits``, ``mnist``, ..., or a path.
        config: how images are brought into form.
        fields: what the method trains on; ``source`` and ``target`` make pairs of the images.
        progress: told (files done, files in all) while files are decoded.
        decoded: False: files are decoded when asked for, however few there are; for a look at some.

    Returns: a data set whose images are uint8 [n, channels, height, width].

    Raises:
        DataError: there is nothing of that name, or no image in it.
        MissingPackageError: the built-in set needs an optional package.
    """
    opened = _with_pairs(data, config, fields, progress, decoded)
    return with_attributes(opened, config.attributes, "attributes" in fields)


def _with_pairs(
    data: str, config: DataConfig, fields: Sequence[str], progress: ReportProgress | None, decoded: bool
) -> DataSet:
    check_unused(config, fields)
    if config.pairs in MADE:
        alone = replace(config, pairs=None, swap=False, source_channels=None)
        pictures = open_data(data, alone, progress=progress, decoded=decoded)
        return MadePairs(pictures, config.pairs, config.source_channels, config.swap)
    if config.second is not None:
        return _domains(data, config.second, replace(config, second=None), progress, decoded)
    opened = _opened(data, config, fields, progress, decoded)
    if config.source_channels is None or "source" not in opened.columns:
        return opened
    return SourceChannels(opened, config.source_channels)


def _domains(
    first: str, second: str, config: DataConfig, progress: ReportProgress | None, decoded: bool
) -> DataSet:
    """Two sets of images in one form, with the first's channels where none are asked for."""
    opened = open_data(first, config, progress=progress, decoded=decoded)
    if config.channels is None:
        images = opened.fetch(torch.zeros(1, dtype=torch.int64), ("images",))["images"]
        config = replace(config, channels=int(images.shape[1]))
    return TwoSets(opened, open_data(second, config, progress=progress, decoded=decoded))


def _opened(
    data: str, config: DataConfig, fields: Sequence[str], progress: ReportProgress | None, decoded: bool
) -> DataSet:
    if config.pairs in DRAWN and not data.startswith("demo-faces"):
        raise only_drawn(str(config.pairs), data)
    if is_builtin(data):
        if config.pairs in STORED:
            raise no_files(str(config.pairs), data)
        return open_builtin(data, config, progress=progress)
    source = open_source(data, label=config.label)
    if isinstance(source, PreparedFolder):
        return open_prepared(source, config)
    if config.pairs is not None or set(PAIR) <= set(fields):
        by_name: PairKind | None = "folders" if config.between else None
        kind = config.pairs or by_name or guess(source, all_wide(source))
        source = PairSource(source, kind, config.between, config.swap)
    return load(source, config, progress=progress, decoded=decoded)


def check_unused(config: DataConfig, fields: Sequence[str]) -> None:
    """Raise where settings ask for pairs or domains and the method trains on neither.

    Raises:
        DataError: they do.
    """
    asked = {
        "pairs": config.pairs,
        "between": config.between,
        "swap": config.swap or None,
        "source_channels": config.source_channels,
    }
    for name, value in asked.items():
        if value is not None and not set(PAIR) <= set(fields):
            raise DataError(
                f"data.{name} is for methods that train on pairs, source and target. Received: "
                f"data.{name}={value} for a method that trains on {', '.join(fields)}. Leave it out, or "
                "choose another recipe."
            )
    for name in ("domains", "second"):
        if getattr(config, name) is not None and not {"a", "b"} <= set(fields):
            raise DataError(
                f"data.{name} is for methods that translate between two domains. Received: it for a method "
                f"that trains on {', '.join(fields)}. Leave it out, or choose another recipe."
            )


def all_wide(source: Source) -> bool:
    """Whether every image looked at is about twice as wide as high, or more."""
    headers = some_headers(source)
    return bool(headers) and all(header.width >= _WIDE * header.height for header in headers)


def doubt_of_halves(data: str, config: DataConfig) -> str | None:
    """A sentence where pictures are said to be two side by side and most look like one; None for no doubt.

    Example:
        >>> doubt_of_halves("my_photos", DataConfig(pairs="beside"))
    """
    if config.pairs != "beside" or is_builtin(data):
        return None
    source = open_source(data)
    headers = [] if isinstance(source, PreparedFolder) else some_headers(source)
    single = next((header for header in headers if header.width < _WIDE * header.height), None)
    if single is None:
        return None
    return (
        "data.pairs=beside takes each half of a picture for one of a pair, and two of one square shape are "
        f"twice as wide as high. Received: {data}, with pictures of {single.width}x{single.height} pixels. "
        "If these are single pictures, pairs can be made of them, as with data.pairs=edges."
    )


def describe_source(data: str) -> SourceFacts:
    """Count, median size and greyness from up to 64 headers; built-in sets from what is known of them.

    Raises:
        DataError: there is nothing of that name, or no readable image in it.
    """
    if is_builtin(data):
        count, size, channels = builtin_facts(data)
        return SourceFacts(count, size.width, size.height, channels == 1)
    source = open_source(data)
    if isinstance(source, PreparedFolder):
        size, grey, pairs = source.size, source.channels == 1, "source" in source.arrays
        return SourceFacts(len(source), size.width, size.height, grey, pairs)
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
        folders=paired_folders(source),
    )
