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
from gansmith.networks.architectures import Architecture, Convolutional, SNResNet


def sngan(name: str, about: str, size: int, networks: Architecture) -> Recipe:
    """Adam at 2e-4 with betas (0, 0.9), hinge; two moves of the discriminator where the paper has five."""
    adam = Adam(lr=2e-4, betas=(0.0, 0.9))
    return Recipe(
        name=name,
        about=about,
        method=GAN(networks=networks, adversarial=Hinge(), discriminator_moves=2),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=200_000, batch=32),
    )


def _residual(size: int) -> Recipe:
    """Narrower than the paper's, for a CPU."""
    networks = SNResNet(width=32, max_channels=256)
    return sngan(
        f"sngan{size}", f"SNGAN at {size} px: hinge, spectral norm, residual networks.", size, networks
    )


def _convolutional(size: int) -> Recipe:
    networks = Convolutional(norm="spectral")
    return sngan(f"sngan-dcgan{size}", f"SNGAN at {size} px on DCGAN's networks.", size, networks)


def _paper() -> Recipe:
    """CIFAR-10 (appendix B): G of 256 channels, D of 128 with two blocks at 8 px, five moves, batch 64.

    The rate falls to 0 over 50,000 steps. The authors' generator moves on 128 fakes.
    """
    networks = SNResNet(
        width=256,
        max_channels=256,
        discriminator_width=128,
        discriminator_max_channels=128,
        halvings=2,
        flat=2,
        bias=False,
    )
    recipe = sngan("sngan32-paper", "SNGAN at 32 px with the paper's widths and moves.", 32, networks)
    adam = Adam(lr=2e-4, betas=(0.0, 0.9), schedule=Linear(end=0.0))
    return replace(
        recipe,
        method=GAN(networks=networks, adversarial=Hinge(), discriminator_moves=5),
        optimizers={"discriminator": adam, "generator": adam},
        train=replace(recipe.train, batch=64, images=3_200_000),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "sngan28": lambda: _residual(28),
    "sngan32": lambda: _residual(32),
    "sngan64": lambda: _residual(64),
    "sngan32-paper": _paper,
    "sngan-dcgan28": lambda: _convolutional(28),
    "sngan-dcgan32": lambda: _convolutional(32),
    "sngan-dcgan64": lambda: _convolutional(64),
}
