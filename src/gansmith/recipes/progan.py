"""ProGAN at several sizes (Karras 2017; the authors' numbers for one GPU)."""

import math
from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.progan import ProGAN
from gansmith.networks.progan import Progressive


def progan(size: int, batch: int, images: int = 12_000_000) -> Recipe:
    """The paper's networks and rates at one size: 600,000 images for each size and for each fading.

    Args:
        size: of the images.
        batch: at every size; the authors' at the last.
        images: how long; the phases of growth scale with it.
    """
    doublings = int(math.log2(size)) - 2
    adam = Adam(lr=1e-3, betas=(0.0, 0.99))
    half_life = batch * math.log(0.5) / math.log(0.999)  # The authors' 0.999 a step.
    return Recipe(
        name=f"progan{size}",
        about=f"ProGAN at {size} px with the paper's networks.",
        method=ProGAN(networks=Progressive(width=min(16384 // size, 512)), grown=0.1 * doublings),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size), mirror=True),
        train=TrainConfig(
            images=images,
            batch=batch,
            average=Average(half_life=half_life, rampup=0.0, floor=half_life),
            picture_every=max(images // 40, 500),
            checkpoint_every=max(images // 20, 1000),
        ),
    )


def _small32() -> Recipe:
    """For two processor cores: narrow, at twice the rate, and at full size for more than half of the run."""
    adam = Adam(lr=2e-3, betas=(0.0, 0.99))
    return Recipe(
        name="progan32-small",
        about="ProGAN at 32 px on two processor cores: narrow, ten minutes.",
        method=ProGAN(latent=128, networks=Progressive(width=32, max_channels=128), grown=0.4),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(32, 32), mirror=True),
        train=TrainConfig(images=40_000, batch=16, average=Average(half_life=2000.0)),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "progan32-small": _small32,
    "progan64": lambda: progan(64, 32),
    "progan128": lambda: progan(128, 16),
    "progan256": lambda: progan(256, 8),
}
