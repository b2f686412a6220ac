"""Image files -> a data set: decoded into memory where they fit, else decoded when asked for."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gansmith.core import memory
from gansmith.core.image_size import Box, Fit, Form, Size
from gansmith.core.tensors import BytePictures, Labels
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet, DatasetInfo, MemoryDataSet
from gansmith.data.decode.reading import Header
from gansmith.data.decode.resize import Decoded, fit
from gansmith.data.metadata.captions import to_column
from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.sources.base import Source, none_usable, nothing_found
from gansmith.data.sources.pairs import headers as pair_headers
from gansmith.data.sources.pairs import photos, picture_columns
from gansmith.errors import DataError

ReportProgress = Callable[[int, int], None]
"""Called now and then with (files done, files in all)."""

Row = tuple[Decoded, ...]
"""The image of a row, or the two of a pair."""

MEMORY_LIMIT = 4 * 2**30  # In bytes. Beyond this, or a third of what is free, images stay in their files.
_HEADERS = 64  # Images looked at to answer questions about all.
_CHUNK = 32  # Files in flight per thread; bounds the memory decoding needs besides the result.
_RESIZED_AT_ONCE = 4096  # Images of an array, in float.
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow computes it.


def load(
    source: Source, config: DataConfig, *, progress: ReportProgress | None = None, decoded: bool = True
) -> DataSet:
    """The images of a source at one size, with the labels and attributes the source knows.

    Rows follow ``source.names``. Files that cannot be used are left out (in memory) or replaced by the
    next good one (decoded when asked for), and listed in ``refused``.

    Args:
        source: where the files are.
        config: size, channels and fit; channels None is resolved by `resolve_channels`.
        progress: told how far decoding is.
        decoded: False: images are decoded when asked for, however few there are.

    Returns: a data set with ``images`` uint8 [n, channels, height, width].

    Raises:
        DataError: there is no image, or none can be used.
    """
    if not source.names:
        raise nothing_found(source)
    config = replace(config, channels=config.channels or resolve_channels(source))
    bytes_ = len(source.names) * len(picture_columns(source)) * _row_bytes(config)
    if not decoded or bytes_ > min(MEMORY_LIMIT, free_memory() // 3):
        return LazyDataSet(source, config)
    return _load_all(source, config, progress)


def resolve_channels(source: Source) -> int:
    """1 where all of up to 64 evenly spread images are grey by their headers, else 3."""
    headers = some_headers(source)
    return 1 if headers and all(header.grey for header in headers) else 3


def some_headers(source: Source) -> list[Header]:
    """The headers of up to 64 evenly spread images; those that cannot be read are left out."""
    count = min(len(source.names), _HEADERS)
    headers: list[Header] = []
    for place in range(count):
        try:
            headers += pair_headers(source, place * len(source.names) // count)
        except (DataError, OSError):
            continue
    return headers


def from_array(name: str, pictures: BytePictures, labels: Labels, config: DataConfig) -> MemoryDataSet:
    """A data set out of images that are one array already, brought to the form of ``config``."""
    pictures = with_channels(pictures, config.channels or pictures.shape[1])
    images = torch.cat(
        [
            fitted(part, config.size, config.fit, config.box)
            for part in torch.split(pictures, _RESIZED_AT_ONCE)
        ]
    )
    return MemoryDataSet(name, {"images": images, "labels": labels.to(torch.int64)}, f"{name}:{len(images)}")


def with_channels(pictures: BytePictures, channels: int) -> UInt8[Tensor, "batch wanted height width"]:
    """Grey as three equal channels, or colour as luma (channels 1)."""
    if pictures.shape[1] == channels:
        return pictures
    if channels == 3:
        return pictures.expand(-1, 3, -1, -1)
    luma = pictures.float().mul(torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return luma.round_().to(torch.uint8)


def fitted(
    pictures: BytePictures, size: Size, fit: Fit, box: Box | None = None
) -> UInt8[Tensor, "batch channels _ _"]:
    """Many images of one shape brought to one size by the rules of `gansmith.data.decode.resize`.

    Raises:
        DataError: the box, which is cut out first, lies outside the images.
    """
    height, width = pictures.shape[2:]
    if box is not None:
        left, top, right, bottom = box
        if right > width or bottom > height:
            raise DataError(
                f"data.box lies inside the pictures, which are {width}x{height} pixels. Received: data.box="
                f"{','.join(map(str, box))} (left, top, right, bottom)."
            )
        pictures = pictures[:, :, top:bottom, left:right]
        height, width = pictures.shape[2:]
    if (height, width) == (size.height, size.width):
        return pictures.contiguous()
    target = (size.height, size.width)
    scale = max(size.height / height, size.width / width)
    if fit == "crop":
        rows, columns = round(size.height / scale), round(size.width / scale)
        top, left = (height - rows) // 2, (width - columns) // 2
        pictures = pictures[:, :, top : top + rows, left : left + columns]
    elif fit == "pad":
        scale = min(size.height / height, size.width / width)
        target = (max(round(height * scale), 1), max(round(width * scale), 1))
    resized = functional.interpolate(pictures.float(), target, mode="bicubic", antialias=True)
    down, right = size.height - resized.shape[2], size.width - resized.shape[3]
    edges = (right // 2, right - right // 2, down // 2, down - down // 2)
    return functional.pad(resized, edges, mode="replicate").clamp_(0, 255).round_().to(torch.uint8)


class LazyDataSet:
    """A data set that decodes images when they are asked for, for sets larger than the memory.

    A file that turns out bad is replaced by the next good one in order, the same each time, and listed
    in ``refused``. Its row keeps the facts of the image that stands in.

    Args:
        source: where the files are.
        config: size, channels (resolved) and fit.

    Example:
        >>> data = LazyDataSet(open_source("my_photos"), DataConfig(size=Size(32, 32), channels=3))
        >>> data.fetch(torch.tensor([0, 1]), ("images",))["images"].shape
        torch.Size([2, 3, 32, 32])
    """

    in_arrays = False

    def __init__(self, source: Source, config: DataConfig) -> None:
        self.name = source.name
        self.fingerprint = _fingerprint(source)
        self.refused: tuple[Refused, ...] = source.refused
        self._source, self._config = source, config
        self.info = DatasetInfo.of(source.facts, source.names)
        self._bad: set[int] = set()
        self._lock = threading.Lock()  # The loader fetches from its own thread.
        self._pool = ThreadPoolExecutor(_threads(), thread_name_prefix="gansmith-decode")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return (*picture_columns(self._source), *facts_columns(self._source.facts.take([])))

    def __len__(self) -> int:
        return len(self._source.names)

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of some columns (None: of all), in the order asked for; ``rows`` is int64 [n].

        Raises:
            DataError: no file of the source can be used.
        """
        with self._lock:
            pictures, chosen = self._decoded(rows.tolist())
        made = _Columns(self._source, self._config, len(chosen))
        for index in chosen:
            made.add(index, pictures[index])
        whole = made.columns()
        return whole if columns is None else {name: whole[name] for name in columns}

    def _decoded(self, rows: Sequence[int]) -> tuple[dict[int, Row], list[int]]:
        """Images by file number, and the file number that serves each row."""
        pictures: dict[int, Row] = {}
        while True:
            chosen = [self._next_good(row) for row in rows]
            missing = sorted(set(chosen) - pictures.keys())
            if not missing:
                return pictures, chosen
            results = _in_threads(self._pool, self._source, self._config, missing)
            for index, result in zip(missing, results, strict=True):
                if isinstance(result, Refused):
                    self._bad.add(index)
                    self.refused = (*self.refused, result)
                else:
                    pictures[index] = result

    def _next_good(self, row: int) -> int:
        if len(self._bad) == len(self):
            raise none_usable(self.name, self.refused)
        while row in self._bad:
            row = (row + 1) % len(self)
        return row


def _load_all(source: Source, config: DataConfig, progress: ReportProgress | None) -> MemoryDataSet:
    total = len(source.names)
    columns = _Columns(source, config, total)
    refused = list(source.refused)
    chunk = _CHUNK * _threads()
    with ThreadPoolExecutor(_threads(), thread_name_prefix="gansmith-decode") as pool:
        for start in range(0, total, chunk):
            indices = range(start, min(start + chunk, total))
            for index, result in zip(indices, _in_threads(pool, source, config, indices), strict=True):
                if isinstance(result, Refused):
                    refused.append(result)
                else:
                    columns.add(index, result)
            if progress is not None:
                progress(indices.stop, total)
    if not columns.rows:
        raise none_usable(source.name, refused)
    return MemoryDataSet(source.name, columns.columns(), _fingerprint(source), tuple(refused), columns.info)


def _fingerprint(source: Source) -> str:
    """Of the images and of what is known of them."""
    return f"{source.fingerprint}:{source.facts.digest()}"


class _Columns:
    """Columns that grow by one image at a time, up to ``capacity``."""

    def __init__(self, source: Source, config: DataConfig, capacity: int) -> None:
        self.rows: list[int] = []
        self._facts, self._names = source.facts, source.names
        self._images = {
            name: torch.empty(
                (capacity, *_shape(config)), dtype=torch.uint8, memory_format=torch.channels_last
            )
            for name in picture_columns(source)
        }
        self._landmarks: list[NDArray[np.float32]] = []

    def add(self, index: int, row: Row) -> None:
        """Row ``index`` of the source; its landmarks, of a pair the target's, move as those pixels did."""
        for images, decoded in zip(self._images.values(), row, strict=True):
            images[len(self.rows)] = torch.from_numpy(decoded.pixels)
        self.rows.append(index)
        if self._facts.landmarks is not None:
            self._landmarks.append(row[-1].placement.points(self._facts.landmarks[index]))

    def columns(self) -> dict[str, Tensor]:
        """All columns, one row for every image added."""
        pictures = {name: images[: len(self.rows)] for name, images in self._images.items()}
        columns = {**pictures, **facts_columns(self._facts.take(self.rows))}
        if self._landmarks:
            columns["landmarks"] = torch.from_numpy(np.stack(self._landmarks))
        return columns

    @property
    def info(self) -> DatasetInfo:
        """What is known of the images added as a whole."""
        return DatasetInfo.of(self._facts.take(self.rows), [self._names[row] for row in self.rows])


def _in_threads(
    pool: Executor, source: Source, config: DataConfig, indices: Sequence[int]
) -> Iterator[Row | Refused]:
    """The image, or why there is none, for each file number, in the order given."""
    form = Form(size=config.size, channels=config.channels or 3, fit=config.fit, box=config.box)
    return pool.map(lambda index: decoded_or_refused(source, index, form), indices)


def decoded_or_refused(source: Source, index: int, form: Form) -> Row | Refused:
    """The image (or pair) of row ``index`` of a source in one form, or why it cannot be had."""
    try:
        return tuple(fit(photo, form) for photo in photos(source.reader, source.key(index), form)[1])
    except DataError as error:
        return Refused(source.names[index], str(error))
    except OSError as error:
        return Refused(source.names[index], f"it cannot be read: {error.strerror or error}")
    except MemoryError:
        return Refused(source.names[index], "there is not enough memory to read it")


def facts_columns(facts: Facts) -> dict[str, Tensor]:
    """What is known of images as columns of a data set; captions as `metadata.captions` has them."""
    columns: dict[str, Tensor] = {}
    for name in ("labels", "attributes", "landmarks"):
        values = getattr(facts, name)
        if values is not None:
            columns[name] = torch.from_numpy(values)
    if facts.captions is not None:
        columns["captions"] = to_column(facts.captions)
    return columns


def _shape(config: DataConfig) -> tuple[int, int, int]:
    return config.channels or 3, config.size.height, config.size.width


def _row_bytes(config: DataConfig) -> int:
    channels, height, width = _shape(config)
    return channels * height * width


def _threads() -> int:
    return os.cpu_count() or 1


def free_memory() -> int:
    """Bytes the machine can still give; where it does not say, enough for the limit above."""
    known = memory.free_memory(torch.device("cpu"))
    if known is not None:
        return known
    try:  # macOS counts all memory only.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf.
        return 3 * MEMORY_LIMIT
