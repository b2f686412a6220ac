"""Where the latents of a generator lie: measured, so that a search stays where training has been."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.tensors import Latents
from gansmith.models.generator import Generator

_MEASURED = 2048  # Latents.
_FIRST = 2_000_000_000  # Seed of the first of them: others than anybody looks at.
_EDGES = (0.01, 0.99)  # Quantiles of the lengths that count as usual.


@dataclass(frozen=True, eq=False)
class Shell:
    """The middle of a latent space, and how far from it latents lie.

    Args:
        middle: 0 of z, the mean of w and later spaces, [*latent].
        spread: the deviation of each number from it, as one number.
        length: the root of the mean squared distance from the middle, of a latent or of a layer of w+.
        shortest: of the distances, 1 %; 0 for spaces that are not on a sphere.
        longest: of the distances, 99 %.

    Example:
        >>> shell = Shell.of(generator, "z")
        >>> shell.hold(10 * z).norm(dim=1).max() <= shell.longest
        tensor(True)
    """

    middle: Tensor
    spread: float
    length: float
    shortest: float
    longest: float

    @classmethod
    def of(cls, generator: Generator, space: str, prompt: Any = None) -> "Shell":
        """Measured on 2,048 latents.

        Args:
            generator: which one.
            space: one of its spaces.
            prompt: one row, of a conditional model.

        Raises:
            SettingError: it has no latent, or no such space.
        """
        if prompt is not None:
            prompt = type(prompt)(*(column.expand(_MEASURED, *column.shape[1:]) for column in prompt))
        noise = Noise.of(*range(_FIRST, _FIRST + _MEASURED))
        latents = generator.latents(noise, prompt, space).clone()
        around_zero = generator.way(space) == "spherical"
        middle = torch.zeros_like(latents[0]) if around_zero else latents.mean(dim=0)
        apart = latents - middle
        lengths = apart.norm(dim=-1).flatten()
        low, high = torch.quantile(lengths.double(), torch.tensor(_EDGES, device=lengths.device).double())
        length = float(lengths.square().mean().sqrt())
        return cls(
            middle=middle,
            spread=length / math.sqrt(latents.shape[-1]),
            length=length,
            shortest=float(low) if around_zero else 0.0,
            longest=float(high),
        )

    def hold(self, latents: Latents) -> Latents:
        """The nearest latents of a usual length, in each layer of w+."""
        apart = latents - self.middle
        lengths = apart.norm(dim=-1, keepdim=True)
        wanted = lengths.clamp(self.shortest, self.longest)
        held: Tensor = self.middle + apart * (wanted / lengths.clamp_min(1e-12))
        return held
