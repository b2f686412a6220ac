"""Ways between two latents: the straight line and the great circle."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Mode = Literal["linear", "spherical"]
Point = Float[Tensor, "*latent"]
"""One latent; of w+ [layers, latent]."""

_NEARLY_PARALLEL = 1e-4  # The sine of an angle below which a great circle is a line, or is not defined.


def linear(a: Point, b: Point, t: float) -> Point:
    """The point a share ``t`` in [0, 1] of the straight way from ``a`` to ``b``; the ends are exact."""
    return torch.lerp(a.double(), b.double(), t).to(a.dtype)


def slerp(a: Point, b: Point, t: float) -> Point:
    """The point a share ``t`` in [0, 1] of the way from ``a`` to ``b`` along a great circle; ends exact.

    The direction moves at a constant angular speed (Shoemake 1985) and the length from that of ``a``
    to that of ``b``. Gaussian latents of many dimensions all lie near one sphere, and a straight line
    leaves it for lengths the generator was never shown (White 2016). Where ``a`` and ``b`` are parallel,
    opposite or zero there is no one great circle, and the way is straight.
    """
    start, end = a.double(), b.double()
    lengths = start.norm(), end.norm()
    if min(lengths) == 0 or t in (0, 1):
        return linear(a, b, t)
    directions = start / lengths[0], end / lengths[1]
    angle = torch.acos(torch.dot(*directions).clamp(-1.0, 1.0))
    if torch.sin(angle) < _NEARLY_PARALLEL:
        return linear(a, b, t)
    shares = torch.sin((1 - t) * angle) / torch.sin(angle), torch.sin(t * angle) / torch.sin(angle)
    direction: Tensor = shares[0] * directions[0] + shares[1] * directions[1]
    return (direction * torch.lerp(*lengths, t)).to(a.dtype)
