"""The common form of a game: one generator against one discriminator, with or without a prompt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.tensors import Images, Latents, Scores
from gansmith.errors import at_least
from gansmith.methods.base import B, P
from gansmith.methods.latent import LatentMethod, Shares
from gansmith.networks.bundle import Pair
from gansmith.networks.conditional import Condition


@dataclass(frozen=True, kw_only=True)
class PairMethod(LatentMethod[Pair, B, P]):
    """A generator of z against a discriminator; a paper adds ``build``, ``turns`` and its losses.

    Each network is given the columns of the prompt as further arguments: ``generator(z, labels)`` and
    ``discriminator(images, labels)``, or ``generator(z)`` and ``discriminator(images)`` without a prompt.

    Example:
        >>> class Mine(PairMethod[ImageBatch, None]):
        ...     batch_type: ClassVar[type[ImageBatch]] = ImageBatch
    """

    latent: int = 100  # Numbers in z.

    def __post_init__(self) -> None:
        at_least(self, 1, "latent")

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    @property
    def columns(self) -> tuple[str, ...]:
        """What a prompt consists of: the names of its columns, none without a prompt."""
        return () if self.prompt_type is None else tuple(self.prompt_type._fields)

    def latents(self, noise: Noise) -> Latents:
        """Z of each seed, from N(0, 1): [batch, latent]."""
        return noise.normal(self.latent)

    def to_latent(self, networks: Pair, noise: Noise, prompt: P, space: str = "z") -> Latents:
        return self.latents(noise)

    def synthesize(
        self, networks: Pair, latents: Latents, noise: Noise, prompt: P, space: str = "z"
    ) -> Images:
        images: Images = networks.generator(latents, *condition(prompt))
        return images

    def blend(
        self, networks: Pair, latents: Latents, noise: Noise, ends: tuple[P, P], share: Shares
    ) -> Images:
        modules = networks.generator.modules()
        layer = next((module for module in modules if isinstance(module, Condition)), None)
        if layer is None or len(self.columns) != 1:
            return super().blend(networks, latents, noise, ends, share)

        def in_numbers(column: Tensor) -> Tensor:
            """Labels as shares of classes, attributes as they are."""
            of_labels = self.columns == ("labels",)
            return F.one_hot(column.long(), layer.count).float() if of_labels else column.float()

        one, other = (in_numbers(*condition(end)) for end in ends)
        kind: Any = self.prompt_type
        return self.synthesize(networks, latents, noise, kind(torch.lerp(one, other, share[:, None])))

    def critic_scores(self, networks: Pair, images: Images, prompt: P) -> Scores:
        scores: Scores = networks.discriminator(images, *condition(prompt))
        return scores


def condition(prompt: Any) -> tuple[Any, ...]:
    """The columns of a prompt as arguments of a network; none where there is no prompt."""
    return () if prompt is None else tuple(prompt)
