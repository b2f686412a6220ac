"""All numbers about two sets of pictures from one pass over each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gansmith.errors import DataError, SettingError, nearest
from gansmith.metrics.features import FeatureNetwork
from gansmith.metrics.frechet import fid, fid_infinity
from gansmith.metrics.inception_score import inception_score
from gansmith.metrics.kernel import kid
from gansmith.metrics.memorisation import Memorisation, memorisation
from gansmith.metrics.neighbours import neighbours
from gansmith.metrics.pictures import PictureSet
from gansmith.metrics.prd import prd
from gansmith.metrics.statistics import Statistics, gather
from gansmith.metrics.values import Result, Value

MEANINGS = {
    "fid": "distance of mean and spread of features from the real ones; 0 is equal, smaller is better",
    "fid_infinity": "the fid that infinitely many pictures would show; comparable between sample counts",
    "kid": "distance of features by a kernel, free of bias; around 0 is equal, smaller is better",
    "is": "how surely and how variously the pictures are classified; from 1 up, larger is better",
    "precision": "share of made pictures that lie among real ones; 1 is all, larger is better",
    "recall": "share of real pictures that lie among made ones; 1 is all, larger is better",
    "density": "how densely real pictures lie around made ones; around 1 is as among real ones",
    "coverage": "share of real pictures that have a made one as a neighbour; 1 is all",
    "prd_f_1_8": "quality, by the precision-recall curve; 1 is best",
    "prd_f_8": "variety, by the precision-recall curve; 1 is best",
    "copying_z": "below -3 the pictures are nearer to training pictures than held-out ones are: copies",
    "copying_ratio": "median distance to training pictures, over that of held-out ones; near 1 is honest",
    "repeated": "share of made pictures that look like another made one; 0 is best",
}
"""What each number means, in plain words."""


@dataclass(frozen=True)
class Metric:
    """How numbers are made of the features of two sets."""

    compute: Callable[["Inputs"], Result]
    features: bool = True  # Whether all features are needed, and not their moments alone.


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a metric may look at."""

    made: Statistics
    real: Statistics
    parts: tuple[Statistics, ...] = ()  # Of training and held-out pictures.
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    found: list[Memorisation] = field(default_factory=list)

    def rows(self) -> tuple[Tensor, Tensor]:
        """The features of both sets.

        Raises:
            DataError: only moments were saved of one.
        """
        for side in (self.made, self.real):
            if side.features is None:
                raise DataError(
                    f"This metric needs the features of every picture, and {side.name} holds only their "
                    "mean and covariance. Give the pictures themselves, or ask for fid alone."
                )
        assert self.made.features is not None and self.real.features is not None
        return self.made.features, self.real.features


def _score(inputs: Inputs) -> Result:
    if inputs.made.logits is None:
        raise DataError(
            "The Inception score needs a network that tells classes apart. Use --features inception, or "
            "leave is out."
        )
    return inception_score(inputs.made.logits)


def _neighbours(*names: str) -> Callable[[Inputs], Result]:
    def compute(inputs: Inputs) -> Result:
        found = neighbours(*inputs.rows())
        return {name: found[name] for name in names}

    return compute


def _curve(inputs: Inputs) -> Result:
    found = prd(*inputs.rows())
    points = zip(found.curve.precision.tolist(), found.curve.recall.tolist(), strict=True)
    inputs.curves["prd"] = list(points)
    return found.values


def _memorisation(inputs: Inputs) -> Result:
    if not inputs.parts:
        raise DataError(
            "Memorisation compares with training pictures and held-out ones. Give the data a run was trained "
            "on as B: pictures, not saved statistics."
        )
    training, held_out = (part.features for part in inputs.parts)
    made, _ = inputs.rows()
    assert training is not None and held_out is not None
    found = memorisation(made, training, held_out)
    inputs.found.append(found)
    return {
        "copying_z": replace(found.z, note=found.verdict),
        "copying_ratio": found.ratio,
        "repeated": found.repeated,
    }


METRICS: Mapping[str, Metric] = {
    "fid": Metric(lambda inputs: {"fid": fid(inputs.made.moments, inputs.real.moments)}, features=False),
    "fid_infinity": Metric(lambda inputs: {"fid_infinity": fid_infinity(*inputs.rows())}),
    "kid": Metric(lambda inputs: kid(*inputs.rows())),
    "is": Metric(_score),
    "pr": Metric(_neighbours("precision", "recall")),
    "prdc": Metric(_neighbours("precision", "recall", "density", "coverage")),
    "prd": Metric(_curve),
    "memorisation": Metric(_memorisation),
}
"""What can be asked for with --metrics."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Numbers about two sets, and everything they depend on."""

    values: Result
    about: Mapping[str, Any]
    curves: Mapping[str, list[tuple[float, float]]]
    made: Statistics
    real: Statistics
    pairs: Sequence[tuple[NDArray[np.uint8], ...]] = ()  # Made pictures and the nearest training pictures.

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "values": {
                name: {"value": value.value, "low": value.low, "high": value.high, "note": value.note}
                for name, value in self.values.items()
            },
            "about": dict(self.about),
            "curves": {name: [list(point) for point in curve] for name, curve in self.curves.items()},
        }

    def as_text(self) -> str:
        """A table for people: number, interval, and what it means."""
        lines = [f"{self.about['a']} against {self.about['b']}", ""]
        notes: list[str] = []
        for name, value in self.values.items():
            between = (
                "" if value.low is None or value.high is None else f"{value.low:.4g} to {value.high:.4g}"
            )
            lines.append(f"{name:14} {value.value:10.4g}   {between:22} {MEANINGS.get(name, '')}")
            if value.note and value.note not in notes:
                notes.append(value.note)
        counts = f"{self.made.count:,} and {self.real.count:,} pictures"
        lines += ["", f"{counts}, features {self.about['features']}; intervals hold with 95 %."]
        return "\n".join([*lines, *(f"Note: {note}" for note in notes)])


@dataclass(frozen=True)
class How:
    """What changes no number."""

    batch: int = 64  # Pictures at a time.
    progress: Callable[[str], Callable[[int, int], None]] | None = None  # What is looked at -> (done, all).
    cache: Path | None = None  # A folder where statistics are kept.


def parse_metrics(text: str) -> tuple[str, ...]:
    """``fid,kid`` -> names.

    Raises:
        SettingError: an unknown name, or none.
    """
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if not names:
        raise SettingError(f"--metrics names one or more of {', '.join(METRICS)}. Received: none.")
    for name in names:
        if name not in METRICS:
            raise SettingError(f"There is no metric '{name}'.{nearest(name, METRICS)}")
    return names


def evaluate(
    made: PictureSet | Statistics,
    real: PictureSet | Statistics,
    network: FeatureNetwork,
    metrics: Sequence[str],
    *,
    parts: tuple[PictureSet, PictureSet] | None = None,
    how: How | None = None,
) -> Evaluation:
    """The metrics of ``made`` pictures against ``real`` ones.

    Args:
        made: pictures, or saved statistics of them.
        real: likewise.
        network: turns pictures into features.
        metrics: names from `METRICS`.
        parts: training and held-out pictures, for ``memorisation``.
        how: batch, progress and cache.

    Raises:
        DataError: too few pictures, or statistics of another feature network.
    """
    keep = any(METRICS[name].features for name in metrics)
    how = how or How()
    sides = [_statistics(side, network, keep, how) for side in (made, real)]
    known: tuple[Statistics, ...] = ()
    if parts is not None and "memorisation" in metrics:
        known = tuple(_statistics(part, network, True, how) for part in parts)
    inputs = Inputs(sides[0], sides[1], known)
    values: dict[str, Value] = {}
    for name in metrics:
        values |= METRICS[name].compute(inputs)
    about = {
        "a": inputs.made.name,
        "b": inputs.real.name,
        "a_fingerprint": inputs.made.fingerprint,
        "b_fingerprint": inputs.real.fingerprint,
        "a_pictures": inputs.made.count,
        "b_pictures": inputs.real.count,
        "features": network.name,
        "network": network.fingerprint,
        **{f"picture_{key}": value for key, value in inputs.made.about.items()},
    }
    images = getattr(made, "images_seen", None)
    if images is not None:
        about["images"] = images
    pairs = _pairs(made, parts[0], inputs.found) if parts is not None else []
    return Evaluation(values, about, inputs.curves, inputs.made, inputs.real, pairs)


def _pairs(
    made: PictureSet | Statistics, training: PictureSet, found: Sequence[Memorisation]
) -> list[tuple[NDArray[np.uint8], ...]]:
    """The most suspicious made pictures, each beside the training picture nearest to it."""
    if not found or isinstance(made, Statistics):
        return []
    worst = found[0].worst
    nearest_rows = [int(found[0].nearest.index[row]) for row in worst]
    ours, theirs = _picked(made, worst), _picked(training, nearest_rows)
    return [(ours[row], theirs[other]) for row, other in zip(worst, nearest_rows, strict=True)]


def _picked(pictures: PictureSet, rows: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
    """Some pictures of a set by number, from one pass."""
    wanted, start, picked = set(rows), 0, dict[int, NDArray[np.uint8]]()
    for part in pictures.batches(64):
        for row in wanted & set(range(start, start + len(part))):
            picked[row] = part[row - start].numpy()
        start += len(part)
        if len(picked) == len(wanted):
            break
    return picked


def _statistics(side: PictureSet | Statistics, network: FeatureNetwork, keep: bool, how: How) -> Statistics:
    if isinstance(side, Statistics):
        if side.network != network.fingerprint:
            raise DataError(
                "Statistics are compared where both are of one feature network. Received: "
                f"{side.name}, made with {side.network}, and {network.fingerprint}. Make them again."
            )
        return side
    if len(side) < 2:
        raise DataError(f"Two pictures or more are needed. Received: {len(side)} in {side.name}.")
    told = None if how.progress is None else how.progress(f"Looking at {side.name}")
    return gather(side, network, keep=keep, batch=how.batch, progress=told, cache=how.cache)
