"""UNIT as the paper has it at two sizes, and narrow ones for a processor."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.methods.unit import UNIT

_AVERAGED = ("encoder_a", "encoder_b", "decoder_a", "decoder_b", "shared_encoder", "shared_decoder")


def unit(size: int) -> Recipe:
    """The paper's weights and optimizer, batches of one."""
    adam = Adam(lr=1e-4, betas=(0.5, 0.999))
    return Recipe(
        name=f"unit{size}",
        about=f"UNIT at {size} px: two domains without pairs that share a latent space.",
        method=UNIT(),
        optimizers={"critics": adam, "generators": adam},
        data=DataConfig(size=Size(size, size), mirror=True),
        train=TrainConfig(images=500_000, batch=1, average=None, averaged=(), picture_every=5_000),
    )


def _small(size: int) -> Recipe:
    """A quarter of the width, three blocks, four images a step, no checkerboard, averaged weights."""
    recipe = unit(size)
    adam = Adam(lr=4e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))
    return replace(
        recipe,
        name=f"unit{size}-small",
        about=f"A narrow UNIT at {size} px, for a processor.",
        method=UNIT(generator_width=16, discriminator_width=20, blocks=3, up="nearest"),
        optimizers={"critics": adam, "generators": adam},
        train=TrainConfig(
            images=24_000, batch=4, average=Average(half_life=1000.0), averaged=_AVERAGED, picture_every=2_000
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "unit256": lambda: unit(256),
    "unit128": lambda: unit(128),
    "unit64-small": lambda: _small(64),
    "unit32-small": lambda: _small(32),
}
