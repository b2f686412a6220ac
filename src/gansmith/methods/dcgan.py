"""DCGAN: two convolutional networks play Goodfellow's game (Radford, Metz and Chintala 2015)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents
from gansmith.errors import at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, accuracy
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator

Prior = Literal["normal", "uniform", "unit"]


@dataclass(frozen=True, kw_only=True)
class DCGAN(PairMethod[ImageBatch, None]):
    """DCGAN's networks and loss; its options are those that published implementations differ in.

    G: max E[log D(G(z))]; D: max E[log D(x)] + E[log(1 - D(G(z)))].

    Example:
        >>> DCGAN(prior="uniform", adversarial=LeastSquares()).build(DataSpec(height=64, width=64))
    """

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int = 100  # Numbers in z.
    prior: Prior = "normal"  # N(0, 1); "uniform" is U(-1, 1) as in the paper; "unit" is U(0, 1).
    generator_width: int = 64  # ngf.
    discriminator_width: int = 64  # ndf.
    max_channels: int = 1024  # No layer has more channels.
    adversarial: AdversarialLoss = Logistic()
    head: Literal["convolution", "softmax"] = "convolution"
    light: bool = False  # A discriminator of two convolutions only.
    momentum: float = 0.1  # Of batch norm: the newest batch's share in the running statistics.
    generator_moves: int = 1  # G:D = generator_moves : discriminator_moves.
    discriminator_moves: int = 1

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "generator_width", "discriminator_width", "max_channels")
        at_least(self, 1, "generator_moves", "discriminator_moves")

    def build(self, spec: DataSpec) -> Pair:
        generator = DCGANGenerator(
            spec, self.latent, self.generator_width, max_channels=self.max_channels, momentum=self.momentum
        )
        discriminator = DCGANDiscriminator(
            spec,
            self.discriminator_width,
            max_channels=self.max_channels,
            momentum=self.momentum,
            depth=2 if self.light else None,
            softmax=self.head == "softmax",
        )
        return Pair(generator, discriminator)

    def tiny(self) -> "DCGAN":
        return replace(self, latent=6, generator_width=4, discriminator_width=4)

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
                repeats=self.generator_moves,
                reuse_fakes=True,
            ),
        )

    def discriminator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """Real and generated images are judged as two batches, each with its own batch statistics."""
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(self.fakes(networks, noise).detach())
        return Loss(
            self.adversarial.discriminator(real, fake),
            {
                "D(x)": real.sigmoid().mean(),
                "D(G(z))": fake.sigmoid().mean(),
                "accuracy on real": accuracy(real, real=True, loss=self.adversarial),
                "accuracy on fake": accuracy(fake, real=False, loss=self.adversarial),
            },
        )

    def generator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """The judge has moved since: D(G(z)) here is the tutorial's second number."""
        fake = networks.discriminator(self.fakes(networks, noise))
        return Loss(self.adversarial.generator(fake), {"D(G(z))": fake.sigmoid().mean()})

    def fakes(self, networks: Pair, noise: Noise) -> Images:
        """The same images for both players, as the authors' code has it."""
        return noise.cached("fakes", lambda: networks.generator(self.latents(noise)))

    def validation_metrics(self, networks: Pair, batch: ImageBatch, noise: Noise) -> Mapping[str, Tensor]:
        scores = networks.discriminator(batch.images)
        return {
            "accuracy": accuracy(scores, real=True, loss=self.adversarial),
            "D(x)": scores.sigmoid().mean(),
        }

    def latents(self, noise: Noise) -> Latents:
        return draw_latents(noise, self.latent, self.prior)


def draw_latents(noise: Noise, count: int, prior: Prior) -> Latents:
    """Z of each seed, [batch, count], from the named prior."""
    if prior == "normal":
        return noise.normal(count)
    unit = noise.uniform(count)
    return unit if prior == "unit" else torch.sub(2.0 * unit, 1.0)
