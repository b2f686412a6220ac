"""Where a run stands: one integer, images seen, and what follows from it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The position of a run; everything that changes during training is a function of it.

    Images count once per step, however many turns and critic moves the step has: with five critic
    moves the critics have met five times as many images as ``images`` says.

    Example:
        >>> Progress(images=6400, total_images=12_800, batch=64).fraction
        0.5
    """

    images: int = 0
    total_images: int = 1
    batch: int = 1
    data_images: int = 1  # Images in the training split.

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return self.images // self.batch

    @property
    def fraction(self) -> float:
        """How much of the run is done, 0..1."""
        return min(self.images / max(self.total_images, 1), 1.0)

    @property
    def epoch(self) -> float:
        """Passes over the training images so far."""
        return self.images / max(self.data_images, 1)
