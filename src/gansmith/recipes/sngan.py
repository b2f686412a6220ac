"""SNGAN: the hinge loss and spectral norm (Miyato 2018), on residual networks and on DCGAN's."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.losses.adversarial import Hinge
from gansmith.methods.gan import GAN
from gansmith.networks.architectures import Convolutional, SNResNet


def sngan(size: int, images: int) -> Recipe:
    """Hinge, betas (0, 0.9) as the paper has them; networks, rate and moves for minutes on a CPU.

    The discriminator keeps 7 or 8 pixels to sum over, as the paper's at 32 px does: down at 2 it hardly
    learns in that time. Rates are twice the paper's, and it moves twice, not five times, for each step.
    """
    adam = Adam(lr=4e-4, betas=(0.0, 0.9))
    narrow = size >= 64
    networks = SNResNet(
        width=16 if narrow else 32,
        max_channels=256,
        discriminator_width=32 if narrow else 64,
        discriminator_max_channels=128 if narrow else 64,
        halvings=3 if narrow else 2,
        flat=1 if narrow else 2,
    )
    return Recipe(
        name=f"sngan{size}",
        about=f"SNGAN at {size} px: hinge, spectral norm, residual networks.",
        method=GAN(networks=networks, adversarial=Hinge(), discriminator_moves=2),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size), mirror=size > 28),  # Digits have no mirror image.
        train=TrainConfig(images=images, batch=32),
    )


def _convolutional(size: int, images: int) -> Recipe:
    """The same game on DCGAN's networks: one move each, the discriminator at twice the rate."""
    recipe = sngan(size, images)
    return replace(
        recipe,
        name=f"sngan-dcgan{size}",
        about=f"SNGAN at {size} px on DCGAN's networks.",
        method=GAN(networks=Convolutional(norm="spectral"), adversarial=Hinge()),
        optimizers={
            "discriminator": Adam(lr=4e-4, betas=(0.0, 0.9)),
            "generator": Adam(lr=2e-4, betas=(0.0, 0.9)),
        },
    )


def _paper() -> Recipe:
    """CIFAR-10 (appendix B): G of 256 channels, D of 128 with two blocks at 8 px, five moves, batch 64.

    The rate falls to 0 over 50,000 steps. The authors' generator moves on 128 fakes.
    """
    adam = Adam(lr=2e-4, betas=(0.0, 0.9), schedule=Linear(end=0.0))
    networks = SNResNet(
        width=256,
        max_channels=256,
        discriminator_width=128,
        discriminator_max_channels=128,
        halvings=2,
        flat=2,
        bias=False,
    )
    return Recipe(
        name="sngan32-paper",
        about="SNGAN at 32 px with the paper's networks, rates and moves.",
        method=GAN(networks=networks, adversarial=Hinge(), discriminator_moves=5),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(32, 32)),
        train=TrainConfig(images=3_200_000, batch=64),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "sngan28": lambda: sngan(28, 40_000),
    "sngan32": lambda: sngan(32, 40_000),
    "sngan64": lambda: sngan(64, 40_000),
    "sngan32-paper": _paper,
    "sngan-dcgan28": lambda: _convolutional(28, 60_000),
    "sngan-dcgan32": lambda: _convolutional(32, 60_000),
    "sngan-dcgan64": lambda: _convolutional(64, 48_000),
}
