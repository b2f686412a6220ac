"""What is kept of a set of images once it was looked at: features, their moments, a cache of both."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.core.files import whole_file
from gansmith.core.json_files import parse_json
from gansmith.core.tensor_file import read_metadata, read_tensors, write_tensors
from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError, StorageError
from gansmith.metrics.features.base import FeatureNetwork, Outputs
from gansmith.metrics.image_sets import PictureSet
from gansmith.metrics.math.moments import Moments, MomentsAccumulator

FORMAT = "gansmith statistics 1"
_MOMENTS, _ROWS = (torch.float64,), (torch.float32, torch.float64)  # Types of tensors in a file.
_CACHED = 2**30  # Bytes of features a cache file may have; beyond that only moments are cached.

Watcher = Callable[[BytePictures], None]
"""Something else that wants to see every image in the same pass."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is kept of a set of images: its features, and their mean and covariance.

    Attributes:
        name: of the set.
        fingerprint: of its images.
        network: fingerprint of the feature network.
        moments: mean and covariance.
        features: [n, size] float32, or None where only moments were kept.
        logits: [n, classes], where the network has them and features were kept.
        about: sizes and counts for the result.

    Example:
        >>> seen = gather(pictures, open_pixels(torch.device("cpu")), keep=True)
        >>> seen.count, seen.moments.mean.shape
    """

    name: str
    fingerprint: str
    network: str
    moments: Moments
    features: Tensor | None
    logits: Tensor | None
    about: dict[str, Any]

    @property
    def count(self) -> int:
        """Images."""
        return self.moments.count


@dataclass(frozen=True)
class EvaluationOptions:
    """How an evaluation is run; no option changes a number.

    Example:
        >>> options = EvaluationOptions(batch=16, cache=Path("cache"))
        >>> seen = gather(pictures, open_pixels(torch.device("cpu")), keep=True, options=options)
    """

    batch: int = 64  # Images at a time.
    progress: Callable[[str], Callable[[int, int], None]] | None = None  # What is looked at -> (done, all).
    cache: Path | None = None  # A folder where statistics are kept.
    memory: dict[str, Statistics | None] = field(default_factory=dict)  # Filled for the fingerprints in it.
    world: World = SINGLE_PROCESS  # Those that look; the others than the first call contribute_statistics.


def gather(
    pictures: PictureSet,
    network: FeatureNetwork,
    *,
    keep: bool,
    watchers: Sequence[Watcher] = (),
    options: EvaluationOptions | None = None,
) -> Statistics:
    """Look at every image once; what is in the cache already is not computed again.

    Args:
        images: the set; at least two.
        network: turns them into features.
        keep: whether features are kept, and not their moments alone; without, memory does not grow.
        watchers: are shown every batch in the same pass, in order.
        options: batch, progress, cache, and the processes that share the work.

    Raises:
        DataError: fewer than two images, or features that are not finite.
        TrainingError: another process has gone.
    """
    options = options or EvaluationOptions()
    path = None if options.cache is None else options.cache / f"{_key(pictures, network)}.safetensors"
    known = options.memory.get(pictures.fingerprint) or _from_cache(path, pictures.name, keep)
    show, measure = options.world.broadcast([bool(watchers), known is None])
    seen = _Seen(keep)
    progress = (
        options.progress(f"Looking at {pictures.name}") if options.progress and (show or measure) else None
    )
    done = 0
    for part, outputs in _looks(pictures, network if measure else None, options, show):
        if part is not None:
            for watch in watchers:
                watch(part)
        if outputs is not None:
            seen.add(outputs)
        done += _count((part, outputs))
        if progress is not None:
            progress(done, len(pictures))
    if known is not None:
        return known
    found = seen.statistics(pictures, network)
    _keep(found, pictures, options, path)
    return found


def _keep(found: Statistics, pictures: PictureSet, options: EvaluationOptions, path: Path | None) -> None:
    """In memory and in the cache, where these are asked for."""
    if pictures.fingerprint in options.memory:
        options.memory[pictures.fingerprint] = found
    if path is not None:
        with suppress(OSError, DataError, StorageError):  # Without a cache it costs time, nothing else.
            save(found, path)


def contribute_statistics(pictures: PictureSet, network: FeatureNetwork, options: EvaluationOptions) -> None:
    """Look at this process's share of the images that the first process has begun to ``gather``.

    Raises:
        TrainingError: another process has gone.
    """
    show, measure = options.world.broadcast(None)
    deque(_looks(pictures, network if measure else None, options, show), maxlen=0)


_Look = tuple[BytePictures | None, Outputs | None]


def _looks(
    pictures: PictureSet, network: FeatureNetwork | None, options: EvaluationOptions, show: bool
) -> Iterator[_Look]:
    """All batches in order, as far as somebody watches, and what the network says of them, where it is asked.

    The processes take the batches in turn; the first one is given all of them, the others nothing.
    """
    if network is None and not show:
        return
    world, count = options.world, len(pictures)
    for at in range(0, count, options.batch * world.size):
        start = at + options.batch * world.rank
        # In the last round there may be no batch left: one image then tells the shapes.
        left = start < count
        part = pictures.some(start, min(start + options.batch, count)) if left else pictures.some(0, 1)
        look = part if show else None, None if network is None else network(part)
        if world.size == 1:
            yield look
        else:
            yield from _brought(world, look, left)


def _brought(world: World, look: _Look, left: bool) -> Iterator[_Look]:
    """What each process that had a batch left has seen, in order of rank, at the first one."""
    part, outputs = look
    held = (part, None, None) if outputs is None else (part, outputs.features, outputs.logits)
    everyones = [None if own is None else world.gather(own[: len(own) * left]) for own in held]
    for rank in range(world.size if world.is_main else 0):
        seen, features, logits = (None if every is None else every[rank] for every in everyones)
        found = seen, None if features is None else Outputs(features, logits)
        if _count(found):
            yield found


def _count(look: _Look) -> int:
    part, outputs = look
    if outputs is not None:
        return len(outputs.features)
    return 0 if part is None else len(part)


class _Seen:
    """What was seen so far."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._moments = MomentsAccumulator()
        self._rows: list[Tensor] = []
        self._logits: list[Tensor] = []

    def add(self, outputs: Outputs) -> None:
        self._moments.add(outputs.features)
        if self._keep:
            self._rows.append(outputs.features)
            self._logits += [] if outputs.logits is None else [outputs.logits]

    def statistics(self, pictures: PictureSet, network: FeatureNetwork) -> Statistics:
        shape = pictures.some(0, 1).shape[1:]
        return Statistics(
            pictures.name,
            pictures.fingerprint,
            network.fingerprint,
            self._moments.moments(),
            torch.cat(self._rows) if self._rows else None,
            torch.cat(self._logits) if self._logits else None,
            dict(zip(("channels", "height", "width"), shape, strict=True)),
        )


def save(statistics: Statistics, path: Path) -> None:
    """Write statistics to a file that `load` reads.

    Raises:
        StorageError: the disk refuses.
    """
    tensors = {"mean": statistics.moments.mean, "covariance": statistics.moments.covariance}
    optional = {
        "sample": statistics.moments.sample,
        "features": statistics.features,
        "logits": statistics.logits,
    }
    for name, value in optional.items():
        if value is not None and value.numel() * value.element_size() <= _CACHED:
            tensors[name] = value
    told = {
        "name": statistics.name,
        "fingerprint": statistics.fingerprint,
        "network": statistics.network,
        "count": statistics.count,
        "about": statistics.about,
    }
    with whole_file(path) as part:
        held = {name: value.contiguous() for name, value in tensors.items()}
        write_tensors(part, held, {"format": FORMAT, "told": json.dumps(told)})


def load(path: Path) -> Statistics:
    """Statistics that `save` wrote.

    Raises:
        DataError: there are none, or they are damaged.
    """
    try:
        if read_metadata(path).get("format") != FORMAT:
            raise DataError(f"Saved statistics were expected. Received: {path}, another kind of file.")
        tensors, metadata = read_tensors(path)
        told = parse_json(metadata["told"])
        for name, value in tensors.items():
            kinds = _MOMENTS if name in ("mean", "covariance") else _ROWS
            if value.dtype not in kinds:
                raise ValueError(f"{name} are numbers of type {value.dtype}")
        moments = Moments(tensors["mean"], tensors["covariance"], int(told["count"]), tensors.get("sample"))
        for name in ("features", "logits"):
            if name in tensors and tensors[name].dim() != 2:
                raise ValueError(f"{name} are no rows of numbers")
        if "features" in tensors and tensors["features"].shape[1] != moments.size:
            raise ValueError("features are not as wide as their mean")
        return Statistics(
            str(told["name"]),
            str(told["fingerprint"]),
            str(told["network"]),
            moments,
            tensors.get("features"),
            tensors.get("logits"),
            dict(told["about"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(
            f"{path} does not hold statistics, or is damaged ({error}). Make them again."
        ) from error


def is_statistics(path: Path) -> bool:
    """Whether a file holds saved statistics."""
    try:
        return read_metadata(path).get("format") == FORMAT
    except (OSError, ValueError):
        return False


def cache_folder() -> Path:
    """Where statistics are cached: $GANSMITH_CACHE, or ~/.cache/gansmith, in ``statistics``."""
    given = os.environ.get("GANSMITH_CACHE")
    return (Path(given).expanduser() if given else Path.home() / ".cache" / "gansmith") / "statistics"


def _key(pictures: PictureSet, network: FeatureNetwork) -> str:
    text = f"{FORMAT}\0{pictures.fingerprint}\0{len(pictures)}\0{network.fingerprint}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _from_cache(path: Path | None, name: str, keep: bool) -> Statistics | None:
    if path is None or not path.is_file():
        return None
    try:
        found = load(path)
    except DataError:
        return None
    if keep and found.features is None:
        return None
    return Statistics(
        name, found.fingerprint, found.network, found.moments, found.features, found.logits, found.about
    )
