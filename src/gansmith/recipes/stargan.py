"""StarGAN as the paper has it at two sizes, and narrow ones for a processor."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.methods.stargan import StarGAN


def stargan(size: int) -> Recipe:
    """The authors' networks and training: 40,000 steps of 16 images, five critic moves in each."""
    adam = Adam(lr=1e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))
    return Recipe(
        name=f"stargan{size}",
        about=f"StarGAN at {size} px: an image with other attributes, one generator for all of them.",
        method=StarGAN(),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size), mirror=True),
        train=TrainConfig(images=640_000, batch=16, average=None, averaged=(), picture_every=16_000),
    )


def _small(size: int) -> Recipe:
    """A quarter of the width, three blocks, two critic moves, an identity term, averaged weights."""
    recipe = stargan(size)
    adam = Adam(lr=4e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))
    return replace(
        recipe,
        name=f"stargan{size}-small",
        about=f"A narrow StarGAN at {size} px, for a processor.",
        method=StarGAN(
            generator_width=16, discriminator_width=32, blocks=3, up="nearest", identity=10.0, critic_moves=2
        ),
        optimizers={"discriminator": adam, "generator": adam},
        train=TrainConfig(images=40_000, batch=16, average=Average(half_life=1000.0), picture_every=2_000),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "stargan128": lambda: stargan(128),
    "stargan64": lambda: stargan(64),
    "stargan32-small": lambda: _small(32),
    "stargan64-small": lambda: _small(64),
}
