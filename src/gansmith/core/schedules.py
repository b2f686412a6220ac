"""Factors that change while training goes on, each a pure function of how far the run has come."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gansmith.core.progress import Progress
from gansmith.errors import SettingError


@runtime_checkable
class Schedule(Protocol):
    """A factor as a function of how far the run has come; one of your own is a frozen dataclass.

    Example:
        >>> Cosine(end=0.1)(Progress(images=500, total_images=1000))
        0.55
    """

    def __call__(self, progress: Progress) -> float:
        """The factor at this point of the run."""
        ...


@dataclass(frozen=True)
class Constant:
    """The factor 1 throughout.

    Example:
        >>> Constant()(Progress(images=500, total_images=1000))
        1.0
    """

    def __call__(self, progress: Progress) -> float:
        """The factor at this point of the run."""
        return 1.0


@dataclass(frozen=True)
class Linear:
    """1 until ``start``, then a straight line to ``end`` (CycleGAN: start=0.5, end=0).

    Example:
        >>> Linear(end=0.0, start=0.5)(Progress(images=750, total_images=1000))
        0.5
    """

    end: float = 0.0
    start: float = 0.0  # As a fraction of the run.

    def __call__(self, progress: Progress) -> float:
        """The factor at this point of the run."""
        share = (progress.fraction - self.start) / max(1.0 - self.start, 1e-9)
        return 1.0 + (self.end - 1.0) * min(max(share, 0.0), 1.0)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from ``start`` to ``end``, there at ``until`` (R3GAN's shape for all that changes).

    Example:
        >>> Cosine(end=0.1)(Progress(images=1000, total_images=1000))
        0.1
    """

    end: float = 0.0
    start: float = 1.0
    until: float = 1.0  # As a fraction of the run.

    def __post_init__(self) -> None:
        if not 0.0 < self.until <= 1.0:
            raise SettingError(
                f"Cosine's until is a fraction of the run, (0, 1]. Received: until={self.until}."
            )

    def __call__(self, progress: Progress) -> float:
        """The factor at this point of the run."""
        share = min(progress.fraction / self.until, 1.0)
        return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Step:
    """1, multiplied by ``factor`` after every ``epochs`` passes over the training images.

    Example:
        >>> Step(epochs=10, factor=0.5)(Progress(images=2500, data_images=100))
        0.25
    """

    epochs: float = 10.0
    factor: float = 0.5

    def __post_init__(self) -> None:
        if not self.epochs > 0:
            raise SettingError(f"Step's epochs must be positive. Received: epochs={self.epochs}.")

    def __call__(self, progress: Progress) -> float:
        """The factor at this point of the run."""
        return float(self.factor ** math.floor(progress.epoch / self.epochs))


@dataclass(frozen=True)
class Warmup:
    """A straight line from 0 over the first ``images`` images, times another schedule.

    Example:
        >>> Warmup(images=1000)(Progress(images=436, batch=64))
        0.5
    """

    images: int = 10_000
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        if self.images < 1:
            raise SettingError(f"Warmup takes one image or more. Received: images={self.images}.")

    def __call__(self, progress: Progress) -> float:
        """The factor at this point of the run."""
        # The first step must move: it counts as done.
        return min(1.0, (progress.images + progress.batch) / self.images) * self.then(progress)
