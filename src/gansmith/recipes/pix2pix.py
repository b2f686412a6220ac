"""pix2pix as the paper has it at three sizes, and a narrow one for a processor."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.data.loading.augment import Augment
from gansmith.methods.pix2pix import Pix2Pix

_JITTER = Augment(crop=256 / 286)  # The paper cuts 256 px out of 286.


def pix2pix(size: int) -> Recipe:
    """The paper's networks, losses and optimizer; batches of one; jitter and mirroring (section 6.2)."""
    adam = Adam(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(
        name=f"pix2pix{size}",
        about=f"pix2pix at {size} px: a U-Net against patches of 70 px, batches of one.",
        method=Pix2Pix(),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size), mirror=True, augment=_JITTER),
        train=TrainConfig(images=80_000, batch=1, average=None, averaged=(), picture_every=2_000),
    )


def _small() -> Recipe:
    """A third of the width, four images a step, no checkerboard, averaged weights, a falling rate."""
    recipe = pix2pix(64)
    adam = Adam(lr=4e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))
    return replace(
        recipe,
        name="pix2pix64-small",
        about="A narrow pix2pix at 64 px that a processor trains in minutes.",
        method=Pix2Pix(generator_width=24, discriminator_width=24, up="nearest", noise_at_test=False),
        optimizers={"discriminator": adam, "generator": adam},
        train=TrainConfig(images=40_000, batch=4, average=Average(half_life=1000.0), picture_every=2_000),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "pix2pix64": lambda: pix2pix(64),
    "pix2pix128": lambda: pix2pix(128),
    "pix2pix256": lambda: pix2pix(256),
    "pix2pix64-small": _small,
}
