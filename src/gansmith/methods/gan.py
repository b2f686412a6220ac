"""The common form of the game: any adversarial loss, with any penalty, on any pair of networks.

LSGAN (Mao 2016), SNGAN (Miyato 2018) and DRAGAN (Kodali 2017) differ in these three choices and in nothing
else, so each is a recipe of this method: recipes/lsgan.py, sngan.py and dragan.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, PairedLoss, accuracy
from gansmith.losses.penalties import NoPenalty, Penalty
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.pair import PairMethod
from gansmith.networks.architectures import Architecture, Convolutional
from gansmith.networks.bundle import Pair


@dataclass(frozen=True, kw_only=True)
class GAN(PairMethod[ImageBatch, None]):
    """D: min L_D(D(x), D(G(z))) + penalty(D); G: min L_G(D(G(z))).

    Example:
        >>> GAN(networks=SNResNet(), adversarial=Hinge(), discriminator_moves=5)  # SNGAN
    """

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int = 128
    networks: Architecture = Convolutional()
    adversarial: AdversarialLoss | PairedLoss = Logistic()
    penalty: Penalty = NoPenalty()
    discriminator_moves: int = 1  # For each of the generator.

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "discriminator_moves")
        if not isinstance(self.penalty, NoPenalty) and not self.networks.per_image():
            raise SettingError(
                "A penalty of slopes needs a discriminator that judges each image by itself. Received: "
                f"{type(self.penalty).__name__} with batch norm, which mixes them. Try "
                "method.networks.norm=none, or spectral."
            )

    def build(self, spec: DataSpec) -> Pair:
        return Pair(self.networks.generator(spec, self.latent), self.networks.discriminator(spec))

    def tiny(self) -> "GAN":
        return replace(self, latent=6, networks=self.networks.tiny())

    def turns(self) -> Sequence[Turn[Pair, ImageBatch]]:
        return (
            Turn(
                name="discriminator",
                player="discriminator",
                loss=self.discriminator_loss,
                repeats=self.discriminator_moves,
            ),
            Turn(
                name="generator",
                player="generator",
                loss=self.generator_loss,
                new_batch=isinstance(self.adversarial, PairedLoss),  # Real images the critic has not seen.
            ),
        )

    def discriminator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """The adversarial loss and the penalty."""
        fakes: Images = networks.generator(self.latents(noise)).detach()
        real, fake = networks.discriminator(batch.images), networks.discriminator(fakes)
        penalty = self.penalty(networks.discriminator, batch.images, fakes, noise)
        parts = {
            "accuracy on real": accuracy(real, real=True),
            "accuracy on fake": accuracy(fake, real=False),
            "margin": real.mean() - fake.mean(),
        }
        if not isinstance(self.penalty, NoPenalty):
            parts["penalty"] = penalty.detach()
        return Loss(self.adversarial.discriminator(real, fake) + penalty, parts)

    def generator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """The adversarial loss."""
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        if not isinstance(self.adversarial, PairedLoss):
            return Loss(self.adversarial.generator(fake))
        with torch.no_grad():
            real = networks.discriminator(batch.images)
        return Loss(self.adversarial.generator_against(fake, real))

    def validation_metrics(self, networks: Pair, batch: ImageBatch, noise: Noise) -> Mapping[str, Tensor]:
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        return {"accuracy": accuracy(real, real=True), "margin": real.mean() - fake.mean()}
