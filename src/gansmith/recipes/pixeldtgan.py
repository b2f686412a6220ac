"""PixelDTGAN as the paper has it at 64 px, and narrow ones for a processor."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.pixeldtgan import PixelDTGAN


def pixeldtgan(size: int) -> Recipe:
    """The paper's networks and batch, with Adam in place of SGD with momentum."""
    adam = Adam(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(
        name=f"pixeldtgan{size}",
        about=f"PixelDTGAN at {size} px: the item out of a picture of its wearer.",
        method=PixelDTGAN(),
        optimizers={"discriminators": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=1_000_000, batch=128, average=None, averaged=(), picture_every=20_000),
    )


def _small(size: int) -> Recipe:
    """A quarter of the width, 16 images a step, no checkerboard, averaged weights, an L1 beside the game."""
    recipe = pixeldtgan(size)
    return replace(
        recipe,
        name=f"pixeldtgan{size}-small",
        about=f"A narrow PixelDTGAN at {size} px, for a processor.",
        method=PixelDTGAN(width=32, up="nearest", l1=2.0),
        train=TrainConfig(images=60_000, batch=16, average=Average(half_life=1000.0), picture_every=4_000),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "pixeldtgan64": lambda: pixeldtgan(64),
    "pixeldtgan32-small": lambda: _small(32),
    "pixeldtgan64-small": lambda: _small(64),
}
