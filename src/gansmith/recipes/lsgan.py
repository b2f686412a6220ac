"""LSGAN: least squares in place of the logistic loss (Mao 2016)."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.losses.adversarial import LeastSquares
from gansmith.methods.gan import GAN
from gansmith.networks.architectures import Convolutional


def lsgan(size: int, images: int) -> Recipe:
    """Targets 0 and 1 on DCGAN's networks; Adam at 2e-4 with beta1 0.5.

    The paper's discriminator has batch norm. With it, on faces, the discriminator soon wins for good; with
    spectral norm it does not (docs/methods/lsgan.md).
    """
    adam = Adam(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(
        name=f"lsgan{size}",
        about=f"LSGAN at {size} px: least squares on DCGAN's networks, the discriminator with spectral norm.",
        method=GAN(networks=Convolutional(norm="spectral"), adversarial=LeastSquares()),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size), mirror=size > 28),  # Digits have no mirror image.
        train=TrainConfig(images=images, batch=32),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "lsgan28": lambda: lsgan(28, 60_000),
    "lsgan32": lambda: lsgan(32, 60_000),
    "lsgan64": lambda: lsgan(64, 48_000),
}
