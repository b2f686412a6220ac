"""DRAGAN: a penalty on the slope around real images (Kodali 2017)."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.losses.penalties import DRAGAN
from gansmith.methods.gan import GAN
from gansmith.networks.architectures import Convolutional


def dragan(size: int, images: int) -> Recipe:
    """The logistic loss with lambda 10 on DCGAN's networks, the discriminator without batch norm."""
    adam = Adam(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(
        name=f"dragan{size}",
        about=f"DRAGAN at {size} px: a slope of 1 around real images, on DCGAN's networks.",
        method=GAN(networks=Convolutional(norm="none"), penalty=DRAGAN()),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size), mirror=size > 28),  # Digits have no mirror image.
        train=TrainConfig(images=images, batch=32),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "dragan28": lambda: dragan(28, 60_000),
    "dragan32": lambda: dragan(32, 60_000),
    "dragan64": lambda: dragan(64, 48_000),
}
