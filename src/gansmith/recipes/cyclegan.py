"""CycleGAN as the paper has it at two sizes, and a narrow one for a processor."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.data.loading.augment import Augment
from gansmith.methods.cyclegan import CycleGAN


def cyclegan(size: int, blocks: int) -> Recipe:
    """The paper's networks and losses, batches of one, a rate that falls to 0 in the second half."""
    adam = Adam(lr=2e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))
    return Recipe(
        name=f"cyclegan{size}",
        about=f"CycleGAN at {size} px: two domains without pairs, {blocks} residual blocks.",
        method=CycleGAN(blocks=blocks),
        optimizers={"critics": adam, "translators": adam},
        data=DataConfig(size=Size(size, size), mirror=True, augment=Augment(crop=256 / 286)),
        train=TrainConfig(images=200_000, batch=1, average=None, averaged=(), picture_every=4_000),
    )


def _small() -> Recipe:
    """A third of the width, four images a step, no checkerboard, averaged weights."""
    recipe = cyclegan(64, 4)
    adam = Adam(lr=4e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))
    return replace(
        recipe,
        name="cyclegan64-small",
        about="A narrow CycleGAN at 64 px, for a processor.",
        method=CycleGAN(generator_width=20, discriminator_width=20, blocks=4, up="nearest"),
        optimizers={"critics": adam, "translators": adam},
        train=TrainConfig(
            images=24_000,
            batch=4,
            average=Average(half_life=1000.0),
            averaged=("a_to_b", "b_to_a"),
            picture_every=2_000,
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "cyclegan256": lambda: cyclegan(256, 9),
    "cyclegan128": lambda: cyclegan(128, 6),
    "cyclegan64-small": _small,
}
