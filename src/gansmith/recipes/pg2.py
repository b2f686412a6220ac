"""PG2's two stages, as the paper has them at two sizes, and narrow ones for a processor."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.methods.pg2 import PoseStage, RefineStage


def coarse(size: Size, name: str) -> Recipe:
    """Stage one: 22,000 steps of 16 images."""
    return Recipe(
        name=f"{name}-coarse",
        about=f"PG2 at {size}, stage one: a person in another pose, coarse.",
        method=PoseStage(),
        optimizers={"coarse": Adam(lr=2e-5, betas=(0.5, 0.999))},
        data=DataConfig(size=size),
        train=TrainConfig(images=352_000, batch=16, average=None, averaged=(), picture_every=16_000),
    )


def fine(size: Size, name: str, l1: float) -> Recipe:
    """Stage two: 38,000 steps of 16 images; borrows ``coarse`` from stage one."""
    recipe = coarse(size, name)
    adam = Adam(lr=2e-5, betas=(0.5, 0.999))
    return replace(
        recipe,
        name=f"{name}-fine",
        about=f"PG2 at {size}, stage two: detail on what stage one made (borrow.coarse=RUN).",
        method=RefineStage(l1=l1),
        optimizers={"discriminator": adam, "refiner": adam},
        train=replace(recipe.train, images=608_000),
    )


def _small_coarse(size: int) -> Recipe:
    """A sixth of the width, a higher rate that falls, averaged weights."""
    recipe = coarse(Size(size, size), f"pg2-{size}-small")
    return replace(
        recipe,
        about=f"A narrow PG2 at {size} px, stage one, for a processor.",
        method=PoseStage(width=20),
        optimizers={"coarse": Adam(lr=4e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))},
        train=TrainConfig(
            images=30_000,
            batch=8,
            average=Average(half_life=1000.0),
            averaged=("coarse",),
            picture_every=3_000,
        ),
    )


def _small_fine(size: int) -> Recipe:
    """Likewise, of stage two."""
    recipe = fine(Size(size, size), f"pg2-{size}-small", 10.0)
    adam = Adam(lr=2e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))
    return replace(
        recipe,
        about=f"A narrow PG2 at {size} px, stage two, for a processor (borrow.coarse=RUN).",
        # With a distance of 10 the critic wins at once, and noise covers the faces.
        method=RefineStage(width=20, discriminator_width=24, l1=100.0),
        optimizers={"discriminator": adam, "refiner": adam},
        train=TrainConfig(
            images=20_000,
            batch=8,
            average=Average(half_life=1000.0),
            averaged=("refiner",),
            picture_every=2_000,
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "pg2-market-coarse": lambda: coarse(Size(64, 128), "pg2-market"),
    "pg2-market-fine": lambda: fine(Size(64, 128), "pg2-market", 10.0),
    "pg2-256-coarse": lambda: coarse(Size(256, 256), "pg2-256"),
    "pg2-256-fine": lambda: fine(Size(256, 256), "pg2-256", 50.0),
    "pg2-64-small-coarse": lambda: _small_coarse(64),
    "pg2-64-small-fine": lambda: _small_fine(64),
    "pg2-32-small-coarse": lambda: _small_coarse(32),
    "pg2-32-small-fine": lambda: _small_fine(32),
}
