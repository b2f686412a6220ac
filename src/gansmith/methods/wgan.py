"""WGAN: a critic kept tame by clipping its weights estimates a distance (Arjovsky, Chintala, Bottou 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import Wasserstein
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator


@dataclass(frozen=True, kw_only=True)
class WGAN(PairMethod[ImageBatch, None]):
    """Algorithm 1 of the paper on DCGAN's networks: n_critic moves, then one of the generator.

    Example:
        >>> WGAN(clip=0.01, critic_moves=5).build(DataSpec(height=64, width=64))
    """

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int = 100
    generator_width: int = 64
    critic_width: int = 64
    clip: float = 0.01  # c: every weight of the critic stays in [-c, c].
    critic_moves: int = 5  # n_critic.

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "generator_width", "critic_width", "critic_moves")
        if not self.clip > 0:
            raise SettingError(f"method.clip must be positive. Received: clip={self.clip}.")

    def build(self, spec: DataSpec) -> Pair:
        return Pair(
            DCGANGenerator(spec, self.latent, self.generator_width),
            DCGANDiscriminator(spec, self.critic_width),
        )

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"critic": ("discriminator",), "generator": ("generator",)}

    def tiny(self) -> "WGAN":
        return replace(self, latent=6, generator_width=4, critic_width=4)

    def turns(self) -> Sequence[Turn[Pair, ImageBatch]]:
        critic = Turn(
            name="critic",
            player="critic",
            loss=self.critic_loss,
            repeats=self.critic_moves,
            post_step=self.clip_weights,
        )
        return critic, Turn(name="generator", player="generator", loss=self.generator_loss)

    def critic_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """The negative of the estimated distance (equation 2)."""
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        total = Wasserstein().discriminator(real, fake)
        return Loss(total, {"distance": -total.detach()})

    def generator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """Equation 2, the generator's part."""
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        return Loss(Wasserstein().generator(fake))

    def clip_weights(self, networks: Pair) -> None:
        """W <- clip(w, -c, c)."""
        torch._foreach_clamp_max_(list(networks.discriminator.parameters()), self.clip)
        torch._foreach_clamp_min_(list(networks.discriminator.parameters()), -self.clip)

    def validation_metrics(self, networks: Pair, batch: ImageBatch, noise: Noise) -> Mapping[str, Tensor]:
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        return {"distance": real.mean() - fake.mean()}
