"""RpGAN: DCGAN's generator against a plain critic in a relativistic, gently regularised game.

It takes the game of R3GAN (Huang 2024: relativistic pairs, zero-centred penalties on both sides, no
first-moment momentum, cosine schedules) and gives it the cheapest networks that make good faces on a
processor. It was the default before `recipes/faces.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Cosine, Schedule
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scores
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import accuracy, relativistic
from gansmith.losses.penalties import directional
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator


@dataclass(frozen=True, kw_only=True)
class RpGAN(PairMethod[ImageBatch, None]):
    """D: min E[softplus(D(G(z)) - D(x))] + gamma (R1 + R2); G: min E[softplus(D(x) - D(G(z)))].

    R1 + R2 are taken by finite differences over a step that is not small: 0.05 in every pixel is 5.5 in
    all at 64 px. What is penalized is therefore the critic's change over that distance, which late in
    training is several times what the slope alone would give (docs/methods/rpgan.md has the numbers).

    Example:
        >>> RpGAN(gamma=0.1, gamma_schedule=Constant()).build(DataSpec(height=64, width=64))
    """

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int = 64
    generator_width: int = 64
    discriminator_width: int = 64
    max_channels: int = 512
    smooth: bool = False  # Images leave the generator through [1, 2, 1] / 4 in both directions.
    gamma: float = 0.03  # Weight of the penalties at the start ...
    gamma_schedule: Schedule = Cosine(end=0.1)  # ... and how it falls: early calm, late sharpness.
    penalized: float = 0.25  # Share of each batch that the penalties are taken on: every fourth image.
    distance: float = 0.05  # s of the finite difference, in units of images in [-1, 1].

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "generator_width", "discriminator_width", "max_channels")
        at_least(self, 0, "gamma")
        at_least(
            self, 1e-4, "distance"
        )  # Below that, scores differ by rounding alone, in bfloat16 far above.
        if not 0 < self.penalized <= 1:
            raise SettingError(
                f"method.penalized is a share in (0, 1]. Received: penalized={self.penalized}."
            )

    def build(self, spec: DataSpec) -> Pair:
        generator = self.generator(spec)
        critic = DCGANDiscriminator(
            spec, self.discriminator_width, max_channels=self.max_channels, norm="none"
        )
        for module in critic.modules():
            if isinstance(module, nn.Conv2d):  # Without normalization the scale has to be right itself.
                nn.init.kaiming_normal_(module.weight, a=0.2)
        return Pair(generator, critic)

    def generator(self, spec: DataSpec) -> nn.Module:
        """The generator, whose networks a subclass may replace; the game stays."""
        return DCGANGenerator(
            spec, self.latent, self.generator_width, max_channels=self.max_channels, smooth=self.smooth
        )

    def tiny(self) -> "RpGAN":
        return replace(self, latent=6, generator_width=4, discriminator_width=4)

    def turns(self) -> Sequence[Turn[Pair, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss, new_batch=True),
        )

    def discriminator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """Relativistic pairs, with R1 and R2 by finite differences on some images of the batch."""
        fakes = networks.generator(self.latents(noise))
        real, fake, penalty = self.judge(networks.discriminator, batch.images, fakes, noise)
        game = relativistic(real, fake)
        gamma = self.gamma * self.gamma_schedule(progress)
        return Loss(
            game + gamma * penalty,
            {
                "D(x)": (real - fake.mean()).sigmoid().mean(),
                "D(G(z))": (fake - real.mean()).sigmoid().mean(),
                "margin": (real - fake).mean(),
                "penalty": penalty.detach(),
            },
        )

    def judge(
        self, critic: nn.Module, real: Images, fakes: Images, noise: Noise
    ) -> tuple[Scores, Scores, Tensor]:
        """Scores of real and generated images, and R1 + R2, in one pass through the critic."""
        # Every n-th image and not the first ones, so that parts of a batch choose the same as the whole.
        step = max(1, round(1 / self.penalized))
        both = torch.cat([real[::step], fakes[::step]])
        # Random signs serve as well as normal numbers here (their products average to the identity,
        # with less spread: Hutchinson 1990) and cost far less to draw.
        directions = noise.each(step).signs(2, *real.shape[1:])
        moved = both + self.distance * directions.transpose(0, 1).flatten(0, 1)
        scores: Tensor = critic(torch.cat([real, fakes, moved]))
        on_real, on_fake, on_moved = torch.split(scores, [len(real), len(fakes), len(both)])
        still = torch.cat([on_real[::step], on_fake[::step]])
        # The mean over both kinds, times two, is R1 + R2.
        return on_real, on_fake, 2.0 * directional(on_moved, still, self.distance)

    def generator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """The generated image of each pair should score above the real one, which is new to the critic."""
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        with torch.no_grad():
            real = networks.discriminator(batch.images)
        return Loss(relativistic(fake, real), {"D(G(z))": (fake - real.mean()).sigmoid().mean()})

    def validation_metrics(self, networks: Pair, batch: ImageBatch, noise: Noise) -> Mapping[str, Tensor]:
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        return {"accuracy": accuracy(real - fake.mean(), real=True), "margin": (real - fake).mean()}
