"""A GAN of your own in one file: copy it, change the networks or the losses, and train it.

    gansmith train demo-faces --recipe examples/own_method.py --run runs/own
    gansmith generate runs/own -o out --code examples/own_method.py

The idea tried here is instance noise (Sonderby 2016): both players' pictures get noise that
fades as training goes on, so the discriminator cannot win early. Everything else - data, resuming,
averaged weights, pictures, checkpoints - comes from gansmith and needs no line here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from gansmith import (
    Adam,
    DataConfig,
    ImageBatch,
    ImageSpec,
    Loss,
    Networks,
    Noise,
    NoiseToImage,
    Progress,
    Recipe,
    Size,
    TrainConfig,
    Turn,
)


class MyNetworks(Networks):
    """All networks of the method, each an attribute with a name."""

    def __init__(self, latent: int, width: int, spec: ImageSpec) -> None:
        super().__init__()
        cells = (spec.height // 8) * (spec.width // 8)
        self.generator = nn.Sequential(
            nn.Linear(latent, 4 * width * cells),
            nn.Unflatten(1, (4 * width, spec.height // 8, spec.width // 8)),
            *self.up(4 * width, 2 * width),
            *self.up(2 * width, width),
            nn.ConvTranspose2d(width, spec.channels, 4, 2, 1),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            *self.down(spec.channels, width),
            *self.down(width, 2 * width),
            *self.down(2 * width, 4 * width),
            nn.Flatten(),
            nn.Linear(4 * width * cells, 1),
            nn.Flatten(0),
        )

    @staticmethod
    def up(channels: int, wanted: int) -> list[nn.Module]:
        """Twice the size."""
        return [nn.ConvTranspose2d(channels, wanted, 4, 2, 1), nn.BatchNorm2d(wanted), nn.ReLU()]

    @staticmethod
    def down(channels: int, wanted: int) -> list[nn.Module]:
        """Half the size."""
        return [
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(channels, wanted, 4, 2, 1)),
            nn.LeakyReLU(0.2),
        ]


@dataclass(frozen=True, kw_only=True)
class InstanceNoiseGAN(NoiseToImage[MyNetworks, ImageBatch]):
    """The method as a value: fields are what ``--set method.x=...`` can change."""

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int = 32
    width: int = 24
    strength: float = 0.3  # Of the noise at the start; it fades to nothing at the end.

    def build(self, spec: ImageSpec) -> MyNetworks:
        return MyNetworks(self.latent, self.width, spec)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[MyNetworks, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss),
        )

    def discriminator_loss(
        self, networks: MyNetworks, batch: ImageBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """Hinge loss on noisy pictures."""
        made = networks.generator(self.latents(noise))
        real = networks.discriminator(self.noisy(batch.images, noise, progress))
        fake = networks.discriminator(self.noisy(made, noise, progress))
        total = torch.relu(1.0 - real).mean() + torch.relu(1.0 + fake).mean()
        return Loss(total, {"margin": (real - fake).mean()})

    def generator_loss(
        self, networks: MyNetworks, batch: ImageBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """The discriminator should like what was made."""
        made = networks.generator(self.latents(noise))
        return Loss(-networks.discriminator(self.noisy(made, noise, progress)).mean())

    def noisy(self, images: Tensor, noise: Noise, progress: Progress) -> Tensor:
        """Pictures with noise that is a function of how far the run has come."""
        return images + self.strength * (1.0 - progress.fraction) * noise.normal(*images.shape[1:])

    def latents(self, noise: Noise) -> Tensor:
        return noise.normal(self.latent)

    def decode(self, networks: MyNetworks, latents: Tensor) -> Tensor:
        images: Tensor = networks.generator(latents)
        return images


def recipe() -> Recipe:
    """What ``--recipe examples/own_method.py`` trains."""
    adam = Adam(lr=4e-4, betas=(0.0, 0.99))
    return Recipe(
        name="own",
        method=InstanceNoiseGAN(),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(32, 32), mirror=True),
        train=TrainConfig(images=12_800, batch=32, picture_every=3_200, checkpoint_every=6_400),
    )
