"""The common form of a game: one generator against one discriminator, with or without a prompt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        if len(self.columns) != 1:
            return super().blend(networks, latents, noise, ends, share)
        (one,), (other,) = map(condition, ends)
        on_the_way = mixed(networks.generator, one, other, share)
        if on_the_way is None:
            return super().blend(networks, latents, noise, ends, share)
        kind: Any = self.prompt_type
        return self.synthesize(networks, latents, noise, kind(on_the_way))

    def critic_scores(self, networks: Pair, images: Images, prompt: P) -> Scores:
        scores: Scores = networks.discriminator(images, *condition(prompt))
        return scores


def condition(prompt: Any) -> tuple[Any, ...]:
    """The columns of a prompt as arguments of a network; none where there is no prompt."""
    return () if prompt is None else tuple(prompt)


def mixed(generator: nn.Module, one: Tensor, other: Tensor, share: Shares) -> Tensor | None:
    """The condition on the straight line from one to another; None where the generator has none between.

    Args:
        generator: that is given them.
        one: labels [batch] or attributes [batch, a]: where the line begins.
        other: likewise, where it ends.
        share: how far along it, [batch], from 0 to 1.

    Returns: shares of classes, [batch, classes], or of attributes, [batch, a].

    Example:
        >>> mixed(generator, torch.tensor([0]), torch.tensor([1]), torch.tensor([0.25]))  # Of two classes.
        tensor([[0.7500, 0.2500]])
    """
    layer = next((module for module in generator.modules() if isinstance(module, Condition)), None)
    if layer is None:
        return None
    count = layer.count
    begin, end = (
        (F.one_hot(each.long(), count) if each.dim() == 1 else each).float() for each in (one, other)
    )
    return torch.lerp(begin, end, share[:, None])
