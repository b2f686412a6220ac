"""The default: images of many kinds soon, on a processor or a GPU, and no collapse."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.recipes.lsgan import lsgan
from gansmith.recipes.rpgan import rpgan

_TWO_RATES = {
    "discriminator": Adam(lr=4e-4, betas=(0.0, 0.9)),
    "generator": Adam(lr=2e-4, betas=(0.0, 0.9)),
}


def faces(size: int, images: int, width: int = 64) -> Recipe:
    """The default at one size; ``images`` is the length without ``--time``.

    Up to 32 px least squares under spectral norm, scores times 2, no momentum and the discriminator at twice
    the generator's rate (Heusel 2017); from 64 px on relativistic pairs. Each had the wider variety where it
    is taken (docs/methods/faces.md has the tables).
    """
    recipe = rpgan(size, images, width)
    if size < 64:
        recipe = replace(lsgan(size, images, scale=2.0), optimizers=_TWO_RATES)
    about = f"The default at {size} px: good images soon, on a processor or a GPU."
    pictures = replace(
        recipe.train, picture_every=max(images // 40, 500), checkpoint_every=max(images // 20, 1000)
    )
    return replace(recipe, name=f"faces{size}", about=about, train=pictures)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "faces8": lambda: faces(8, 60_000),
    "faces28": lambda: faces(28, 120_000),
    "faces32": lambda: faces(32, 120_000),
    "faces64": lambda: faces(64, 56_000),
    "faces128": lambda: faces(128, 400_000, width=32),
    "faces256": lambda: faces(256, 1_000_000, width=32),
}
