"""What is kept of a set of pictures once it was looked at: features, their moments, a cache of both."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.features import FeatureNetwork, Outputs
from gansmith.metrics.moments import Moments, MomentsAccumulator
from gansmith.metrics.pictures import PictureSet
from gansmith.storage import whole_file
from gansmith.tensors import BytePictures

FORMAT = "gansmith statistics 1"
_CACHED = 2**30  # Bytes of features a cache file may have; beyond that only moments are cached.

Watcher = Callable[[BytePictures], None]
"""Something else that wants to see every picture in the same pass."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a feature network said of a set of pictures.

    Attributes:
        name: of the set.
        fingerprint: of its pictures.
        network: fingerprint of the feature network.
        moments: mean and covariance.
        features: [n, size] float32, or None where only moments were kept.
        logits: [n, classes], where the network has them and features were kept.
        about: sizes and counts for the result.
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
        """Pictures."""
        return self.moments.count


def gather(
    pictures: PictureSet,
    network: FeatureNetwork,
    *,
    keep: bool,
    batch: int = 64,
    watchers: Sequence[Watcher] = (),
    progress: Callable[[int, int], None] | None = None,
    cache: Path | None = None,
) -> Statistics:
    """Look at every picture once.

    Args:
        pictures: the set; at least two.
        network: turns them into features.
        keep: whether features are kept, and not their moments alone; without, memory does not grow.
        batch: pictures at a time; it changes no number.
        watchers: are shown every batch in the same pass.
        progress: told (pictures done, pictures in all).
        cache: a folder for the result; what is there already is not computed again.

    Raises:
        DataError: fewer than two pictures, or features that are not finite.
    """
    path = None if cache is None else cache / f"{_key(pictures, network)}.safetensors"
    known = _from_cache(path, pictures.name, keep)
    if known is not None and not watchers:
        return known
    seen = _Seen(keep)
    done = 0
    for part in pictures.batches(batch):
        for watch in watchers:
            watch(part)
        if known is None:
            seen.add(part, network(part))
        done += len(part)
        if progress is not None:
            progress(done, len(pictures))
    if known is not None:
        return known
    found = seen.statistics(pictures, network)
    if path is not None:
        with suppress(OSError, DataError):  # A cache that cannot be written costs time, nothing else.
            save(found, path)
    return found


class _Seen:
    """What was seen so far."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._moments = MomentsAccumulator()
        self._rows: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._about: dict[str, Any] = {}

    def add(self, part: BytePictures, outputs: Outputs) -> None:
        self._moments.add(outputs.features)
        if self._keep:
            self._rows.append(outputs.features)
            self._logits += [] if outputs.logits is None else [outputs.logits]
        self._about = {"channels": part.shape[1], "height": part.shape[2], "width": part.shape[3]}

    def statistics(self, pictures: PictureSet, network: FeatureNetwork) -> Statistics:
        return Statistics(
            pictures.name,
            pictures.fingerprint,
            network.fingerprint,
            self._moments.moments(),
            torch.cat(self._rows) if self._rows else None,
            torch.cat(self._logits) if self._logits else None,
            self._about,
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
        save_file(
            {name: value.contiguous() for name, value in tensors.items()},
            part,
            {"format": FORMAT, "told": json.dumps(told)},
        )


def load(path: Path) -> Statistics:
    """Statistics that `save` wrote.

    Raises:
        DataError: there are none, or they are damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise DataError(f"Saved statistics were expected. Received: {path}, another kind of file.")
            told = json.loads(metadata["told"])
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        moments = Moments(tensors["mean"], tensors["covariance"], int(told["count"]), tensors.get("sample"))
        return Statistics(
            str(told["name"]),
            str(told["fingerprint"]),
            str(told["network"]),
            moments,
            tensors.get("features"),
            tensors.get("logits"),
            dict(told["about"]),
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} does not hold statistics, or is damaged ({error}). Make them again."
        ) from error


def is_statistics(path: Path) -> bool:
    """Whether a file holds saved statistics."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (SafetensorError, OSError, ValueError):
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
