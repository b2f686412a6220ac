"""WGAN with weight clipping and WGAN-GP with residual networks: their papers' numbers, averaged weights."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam, RMSprop
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.wgan import WGAN
from gansmith.methods.wgan_gp import WGANGP


def wgan(size: int) -> Recipe:
    """Weight clipping at 0.01, RMSprop at 5e-5, five critic moves (Arjovsky 2017, algorithm 1)."""
    rmsprop = RMSprop(lr=5e-5)
    return Recipe(
        name=f"wgan{size}",
        about=f"WGAN with weight clipping at {size} px.",
        method=WGAN(),
        optimizers={"critic": rmsprop, "generator": rmsprop},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=400_000, batch=64),
    )


def wgan_gp(size: int, width: int) -> Recipe:
    """Lambda 10, Adam 1e-4 with betas (0, 0.9), five critic moves (Gulrajani 2017, algorithm 1)."""
    adam = Adam(lr=1e-4, betas=(0.0, 0.9))
    return Recipe(
        name=f"wgan-gp{size}",
        about=f"WGAN-GP with residual networks at {size} px.",
        method=WGANGP(width=width),
        optimizers={"critic": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=400_000, batch=64),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "wgan28": lambda: wgan(28),
    "wgan32": lambda: wgan(32),
    "wgan64": lambda: wgan(64),
    "wgan-gp28": lambda: wgan_gp(28, 64),
    "wgan-gp32": lambda: wgan_gp(32, 64),
    "wgan-gp64": lambda: wgan_gp(64, 64),
}
