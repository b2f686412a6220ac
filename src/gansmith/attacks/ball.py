"""The images an attack may choose from: near the original, and nowhere outside the range of pixels."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.tensors import Images
from gansmith.errors import SettingError

Norm = Literal["linf", "l2"]


def checked(epsilon: float, norm: Norm = "linf") -> float:
    """An epsilon that can be used.

    Raises:
        SettingError: not a number, not above 0, or beyond the whole range of a pixel.
    """
    rule = "epsilon is above 0, in units of the range from black to white: 4/255 is four of 255 levels."
    if not math.isfinite(epsilon) or epsilon <= 0:
        raise SettingError(f"{rule} Received: {epsilon:g}. Try 4/255.")
    if norm == "linf" and epsilon > 1:
        hint = f"{epsilon:g}/255" if epsilon <= 255 else "4/255"
        raise SettingError(f"{rule} 1 is the whole range. Received: {epsilon:g}. Did you mean {hint}?")
    return epsilon


@dataclass(frozen=True, kw_only=True)
class Ball:
    """All images within ``epsilon`` of some others, in a norm, with pixels from ``low`` to ``high``.

    Args:
        epsilon: the radius, in units of high - low, so that 4/255 is four of 255 levels whatever the range.
            ``linf`` bounds each number, ``l2`` the root of the sum of squares over an image.
        norm: of an image.
        low: black.
        high: white.

    Example:
        >>> ball = Ball(epsilon=4 / 255)
        >>> near = ball.project(images + 0.1, images)
    """

    epsilon: float
    norm: Norm = "linf"
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        checked(self.epsilon, self.norm)

    @property
    def radius(self) -> float:
        """In units of the pixels."""
        return self.epsilon * (self.high - self.low)

    def project(self, images: Images, around: Images) -> Images:
        """The nearest images of the ball; it is kept in exact arithmetic, not only up to rounding.

        First the ball and then the range: a clip moves every number towards the original and so cannot
        leave the ball again.
        """
        if self.norm == "linf":
            low, high = self._bounds(around)
            near = torch.minimum(torch.maximum(images, low), high)
        else:
            change = images - around
            length = lengths(change)
            # A hair inside, for the sum of rounding errors is not bounded by anything finer.
            factor = torch.where(length > self.radius, self.radius * (1 - 1e-5) / length, 1.0)
            near = around + change * factor
        return near.clamp(self.low, self.high)

    def random(self, around: Images, noise: Noise) -> Images:
        """A point of the ball for each image and seed: uniform in it, cut to the range of pixels."""
        shape = around.shape[1:]
        if self.norm == "linf":
            step = (2.0 * noise.uniform(*shape) - 1.0) * self.radius
        else:
            direction = noise.normal(*shape)
            far = noise.uniform(1, 1, 1) ** (1.0 / math.prod(shape))  # The share of volume within r is r^n.
            step = direction / lengths(direction) * far * self.radius
        return self.project(around + step.to(around), around)

    def _bounds(self, around: Images) -> tuple[Images, Images]:
        """The least and greatest value of each number, rounded towards the original."""
        # MPS has no float64.
        exact = around.detach().to("cpu" if around.device.type == "mps" else around.device, torch.float64)
        bounds = []
        for sign in (-1.0, 1.0):
            bound = (exact + sign * self.radius).to(around.dtype)
            outside = sign * (bound.double() - exact) > self.radius
            inward = torch.nextafter(bound, torch.full_like(bound, -sign * math.inf))
            bounds.append(torch.where(outside, inward, bound).to(around.device))
        return bounds[0], bounds[1]


def lengths(change: Images) -> Float[Tensor, "batch 1 1 1"]:
    """The L2 norm of each image by itself."""
    squares: Tensor = change.flatten(1).square().sum(dim=1)
    return squares.sqrt().clamp(min=1e-12)[:, None, None, None]
