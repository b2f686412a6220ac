"""The default: clean images soon, on a processor or a GPU, and no collapse."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Cosine
from gansmith.data.config import DataConfig
from gansmith.methods.faces import Faces


def faces(size: int, images: int, width: int = 32, discriminator_width: int = 64) -> Recipe:
    """The default at one size; ``images`` is the length without ``--time``.

    The generator learns at five times the discriminator's rate: at equal rates the discriminator wins within
    minutes, and longer training then loses variety (docs/methods/faces.md has the table). Small batches: in a
    run of minutes the number of steps matters more than the size of each.
    """
    gamma = 0.03 if size >= 64 else 0.1
    schedule = Cosine(end=0.1)
    return Recipe(
        name=f"faces{size}",
        about=f"The default at {size} px: clean images soon, on a processor or a GPU.",
        method=Faces(generator_width=width, discriminator_width=discriminator_width, gamma=gamma),
        optimizers={
            "discriminator": Adam(lr=4e-4, betas=(0.0, 0.99), schedule=schedule),
            "generator": Adam(lr=2e-3, betas=(0.0, 0.99), schedule=schedule),
        },
        data=DataConfig(size=Size(size, size), mirror=True),
        train=TrainConfig(
            images=images,
            batch=32,
            average=Average(half_life=4000.0, rampup=0.05, floor=500.0),
            picture_every=max(images // 40, 500),
            checkpoint_every=max(images // 20, 1000),
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "faces8": lambda: faces(8, 60_000),
    "faces28": lambda: faces(28, 120_000),
    "faces32": lambda: faces(32, 120_000),
    "faces64": lambda: faces(64, 56_000),
    "faces128": lambda: faces(128, 400_000),
    "faces256": lambda: faces(256, 1_000_000),
}
