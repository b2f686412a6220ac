"""The default: images of many kinds soon, on a processor or a GPU, and no collapse."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.losses.adversarial import LeastSquares
from gansmith.methods.gan import GAN
from gansmith.networks.architectures import Convolutional


def faces(size: int, images: int, width: int = 64, batch: int = 32) -> Recipe:
    """The default at one size; ``images`` is the length without ``--time``.

    Least squares under spectral norm, scores times 2, no momentum, the discriminator at twice the generator's
    rate (Heusel 2017) and the same fakes for both players; from 64 px on images are smoothed as they leave
    the generator. Of all that was tried this had the most kinds of faces in equal time: docs/methods/faces.md
    has the tables.
    """
    networks = Convolutional(width=width, norm="spectral", scale=2.0, smooth=size >= 64)
    return Recipe(
        name=f"faces{size}",
        about=f"The default at {size} px: good images soon, on a processor or a GPU.",
        method=GAN(networks=networks, adversarial=LeastSquares(), reuse_fakes=True),
        optimizers={
            "discriminator": Adam(lr=4e-4, betas=(0.0, 0.9)),
            "generator": Adam(lr=2e-4, betas=(0.0, 0.9)),
        },
        data=DataConfig(size=Size(size, size), mirror=size > 28),  # Digits have no mirror image.
        train=TrainConfig(
            images=images,
            batch=batch,
            picture_every=max(images // 40, 500),
            checkpoint_every=max(images // 20, 1000),
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "faces8": lambda: faces(8, 60_000),
    "faces28": lambda: faces(28, 120_000),
    "faces32": lambda: faces(32, 120_000),
    "faces64": lambda: faces(64, 120_000, width=32, batch=16),
    "faces128": lambda: faces(128, 400_000, width=32),
    "faces256": lambda: faces(256, 1_000_000, width=32),
}
