"""All numbers about two sets of images from one pass over each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gansmith import __version__
from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError
from gansmith.images.provenance import Provenance
from gansmith.metrics.descriptions import sentence
from gansmith.metrics.features.base import FeatureNetwork
from gansmith.metrics.image_sets import PictureSet
from gansmith.metrics.math.intervals import Result, Value
from gansmith.metrics.registry import METRICS, ExtraInputs, Inputs, check_possible
from gansmith.metrics.scores.memorization import Memorization
from gansmith.metrics.scores.mnist_classifier import ModeCounter, mode_counter
from gansmith.metrics.scores.swd import PatchCollector
from gansmith.metrics.statistics import EvaluationOptions, Statistics, Watcher, contribute_statistics, gather
from gansmith.metrics.whole_pictures import Measured

_DIVERSITY = 2000  # Made images that ms_ssim looks at.


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of two sets of images, with everything that they depend on.

    Example:
        >>> found = evaluate("runs/one", "my_pictures", Question(metrics="swd", samples=1000))
        >>> print(found.as_text())
    """

    values: Result
    about: Mapping[str, Any]
    curves: Mapping[str, list[tuple[float, float]]]
    fake: Statistics | None  # None where whole pictures alone were measured.
    real: Statistics | None
    pairs: Sequence[tuple[NDArray[np.uint8], ...]] = ()  # Made images and the nearest training images.
    mark: Provenance | None = None  # Of what shows images of the model; None where no model made them here.
    whole: Measured | None = None  # What was measured of whole pictures, of a model that enlarges.

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "values": {
                name: {
                    "value": _finite(value.value),
                    "low": _finite(value.low),
                    "high": _finite(value.high),
                    "note": value.note,
                }
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
            lines.append(f"{name:14} {value.value:10.4g}   {between:22} {sentence(name)}")
            if value.note and value.note not in notes:
                notes.append(value.note)
        lines += ["", *(f"{line}." for line in self._counts())]
        lines[-1] = f"{lines[-1][:-1]}; intervals hold with 95 %."
        if self.whole is not None and self.whole.refused:
            lines += [f"Left out: {bad.name}: {bad.reason}" for bad in self.whole.refused]
        return "\n".join([*lines, *(f"Note: {note}" for note in notes)])

    def _counts(self) -> list[str]:
        """How many pictures of which size the numbers are of."""
        counts = []
        if self.whole is not None:
            of = "" if self.fake is None else f"{', '.join(self.whole.metrics)}: "
            counts.append(f"{of}{self.whole.as_text()}")
        if self.fake is not None and self.real is not None:
            kind = "grey" if self.about.get("picture_channels") == 1 else "colour"
            size = f"{self.about.get('picture_width')}x{self.about.get('picture_height')} in {kind}"
            of = "" if self.whole is None else "All else at the model's size: "
            counts.append(
                f"{of}{self.fake.count:,} and {self.real.count:,} pictures, {size}, "
                f"features {self.about['features']}"
            )
        return counts

    def with_whole(self, whole: Measured, order: Sequence[str]) -> "Evaluation":
        """With the numbers of whole pictures, those of the metrics named in ``order`` in that order."""
        values = {**whole.values, **self.values}
        first = [name for metric in order for name in (metric, f"{metric}_bicubic") if name in values]
        values = {name: values[name] for name in dict.fromkeys((*first, *values))}
        return replace(self, values=values, about={**self.about, "whole": whole.as_json()}, whole=whole)


def _finite(number: float | None) -> float | None:
    """None for what JSON has no word for."""
    return number if number is not None and math.isfinite(number) else None


def compute(
    fake: PictureSet | Statistics,
    real: PictureSet | Statistics,
    network: FeatureNetwork,
    metrics: Sequence[str],
    *,
    extra: ExtraInputs | None = None,
    options: EvaluationOptions | None = None,
) -> Evaluation:
    """The metrics of ``fake`` images against ``real`` ones.

    Args:
        fake: images, or saved statistics of them.
        real: likewise.
        network: turns images into features.
        metrics: names from `METRICS`.
        extra: what some metrics need besides.
        options: batch, progress and cache.

    Raises:
        DataError: too few images, images of which modes cannot be counted, or statistics of another
            feature network.
    """
    keep = any(METRICS[name].features for name in metrics)
    options, extra = options or EvaluationOptions(), extra or ExtraInputs()
    check_possible(metrics, network, extra)
    counter = mode_counter(fake, real) if "modes" in metrics else None
    watching = [_Watching(fake, metrics, counter), _Watching(real, metrics)]
    sides = [
        _statistics(side, network, keep, options, watched)
        for side, watched in zip((fake, real), watching, strict=True)
    ]
    known: tuple[Statistics, ...] = ()
    if extra.parts is not None and "memorization" in metrics:
        known = tuple(_statistics(part, network, True, options) for part in extra.parts)
    inputs = Inputs(
        sides[0],
        sides[1],
        tuple(watched.patches.patches() for watched in watching if watched.patches is not None),
        watching[0].pictures(),
        None if isinstance(fake, Statistics) or isinstance(real, Statistics) else (fake, real),
        network,
        extra,
        known,
        classes=None if counter is None else counter.classes(),
    )
    _check_equal_sizes(sides[0], sides[1])
    values: dict[str, Value] = {}
    for name in metrics:
        values |= METRICS[name].compute(inputs)
    about = {
        "a": inputs.fake.name,
        "b": inputs.real.name,
        "a_fingerprint": inputs.fake.fingerprint,
        "b_fingerprint": inputs.real.fingerprint,
        "a_pictures": inputs.fake.count,
        "b_pictures": inputs.real.count,
        "features": network.name,
        "network": network.fingerprint,
        "network_facts": dict(getattr(network, "facts", {})),
        "versions": _versions(),
        **{f"picture_{key}": value for key, value in inputs.fake.about.items()},
    }
    if counter is not None:
        about["digits"] = dict(counter.facts)
    images = getattr(fake, "images_seen", None)
    if images is not None:
        about["images"] = images
    pairs = [] if extra.parts is None else _pairs(fake, extra.parts[0], inputs.found)
    return Evaluation(values, about, inputs.curves, inputs.fake, inputs.real, pairs, _mark(extra))


def of_whole(fake: PictureSet, real: PictureSet, whole: Measured, order: Sequence[str]) -> Evaluation:
    """An evaluation of whole pictures alone: nothing is looked at for features.

    Args:
        fake: what the model makes.
        real: the pictures.
        whole: what was measured.
        order: of the metrics.
    """
    about = {
        "a": fake.name,
        "b": real.name,
        "a_fingerprint": fake.fingerprint,
        "b_fingerprint": real.fingerprint,
        "a_pictures": whole.count,
        "b_pictures": whole.count,
        "versions": _versions(),
    }
    images = getattr(fake, "images_seen", None)
    if images is not None:
        about["images"] = images
    return Evaluation({}, about, {}, None, None).with_whole(whole, order)


def _versions() -> dict[str, str]:
    return {"gansmith": __version__, "torch": torch.__version__}


def _mark(extra: ExtraInputs) -> Provenance | None:
    """Made images stand beside real ones."""
    if extra.generator is None:
        return None
    return replace(extra.generator.provenance(note="beside the nearest training images"), composite=True)


def contribute(
    sides: Iterable[PictureSet | Statistics], network: FeatureNetwork, options: EvaluationOptions
) -> None:
    """The share of another process than the first in what that one computes.

    Args:
        sides: generated and real images, and behind them, where memorization is asked for, the
            ``ExtraInputs.parts``.
        network: as there.
        options: as there.

    Raises:
        TrainingError: another process has gone.
    """
    for side in sides:
        if not isinstance(side, Statistics):
            contribute_statistics(side, network, options)


def _pairs(
    fake: PictureSet | Statistics, training: PictureSet, found: Sequence[Memorization]
) -> list[tuple[NDArray[np.uint8], ...]]:
    """The most suspicious generated images, each beside the training image nearest to it."""
    if not found or isinstance(fake, Statistics):
        return []
    worst = found[0].worst
    nearest_rows = [int(found[0].nearest.index[row]) for row in worst]
    ours, theirs = _picked(fake, worst), _picked(training, nearest_rows)
    return [(ours[row], theirs[other]) for row, other in zip(worst, nearest_rows, strict=True)]


def _picked(pictures: PictureSet, rows: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
    """Some images of a set by number, from one pass."""
    wanted, start, picked = set(rows), 0, dict[int, NDArray[np.uint8]]()
    for part in pictures.batches(64):
        for row in wanted & set(range(start, start + len(part))):
            picked[row] = part[row - start].numpy()
        start += len(part)
        if len(picked) == len(wanted):
            break
    return picked


def _check_equal_sizes(fake: Statistics, real: Statistics) -> None:
    first, second = (f"{side.about.get('width')}x{side.about.get('height')}" for side in (fake, real))
    if first != second:
        raise DataError(
            f"Pictures are compared at one size. Received: {first} in {fake.name} and {second} in "
            f"{real.name}. Give pictures of one size, or make the statistics again."
        )


class _Watching:
    """What looks at images themselves in the one pass over a set."""

    def __init__(
        self, side: PictureSet | Statistics, metrics: Sequence[str], counter: ModeCounter | None = None
    ) -> None:
        self._counter = counter
        self.patches: PatchCollector | None = None
        if not isinstance(side, Statistics) and "swd" in metrics:
            self.patches = PatchCollector(len(side))
        self._keep = not isinstance(side, Statistics) and "ms_ssim" in metrics
        self._kept: list[BytePictures] = []

    def watchers(self) -> list[Watcher]:
        """What wants to see every batch."""
        found: list[Watcher] = [] if self.patches is None else [self.patches.add]
        found += [] if self._counter is None else [self._counter.add]
        return [*found, self._add] if self._keep else found

    def pictures(self) -> BytePictures | None:
        """The first images, where they are kept."""
        return torch.cat(self._kept) if self._kept else None

    def _add(self, part: BytePictures) -> None:
        if sum(map(len, self._kept)) < _DIVERSITY:
            self._kept.append(part)


def _statistics(
    side: PictureSet | Statistics,
    network: FeatureNetwork,
    keep: bool,
    options: EvaluationOptions,
    watching: _Watching | None = None,
) -> Statistics:
    if isinstance(side, Statistics):
        if side.network != network.fingerprint:
            raise DataError(
                "Statistics are compared where both are of one feature network. Received: "
                f"{side.name}, made with {side.network}, and {network.fingerprint}. Make them again."
            )
        return side
    if len(side) < 2:
        raise DataError(f"Two pictures or more are needed. Received: {len(side)} in {side.name}.")
    watchers = () if watching is None else watching.watchers()
    return gather(side, network, keep=keep, watchers=watchers, options=options)
