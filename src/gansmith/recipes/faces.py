"""The default: clean images soon, on a processor or a GPU, and no collapse."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.core.schedules import Cosine
from gansmith.methods.faces import Faces
from gansmith.recipes.rpgan import rpgan


def small(size: int, images: int) -> Recipe:
    """Below 64 px: a generator without transposed convolutions, at five times the discriminator's rate.

    At equal rates the discriminator wins within minutes, and longer training then loses variety.
    """
    recipe = rpgan(size, images)
    generator = Adam(lr=2e-3, betas=(0.0, 0.99), schedule=Cosine(end=0.1))
    return replace(
        recipe,
        method=Faces(gamma=0.1),
        optimizers={**recipe.optimizers, "generator": generator},
    )


def faces(size: int, images: int, width: int = 64) -> Recipe:
    """The default at one size; ``images`` is the length without ``--time``.

    From 64 px on the generator is still DCGAN's: the other leaves no grain there, too, but has shown fewer
    different faces in every trial so far (docs/methods/faces.md has the table).
    """
    recipe = small(size, images) if size < 64 else rpgan(size, images, width)
    about = f"The default at {size} px: good images soon, on a processor or a GPU."
    return replace(recipe, name=f"faces{size}", about=about)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "faces8": lambda: faces(8, 60_000),
    "faces28": lambda: faces(28, 120_000),
    "faces32": lambda: faces(32, 120_000),
    "faces64": lambda: faces(64, 56_000),
    "faces128": lambda: faces(128, 400_000, width=32),
    "faces256": lambda: faces(256, 1_000_000, width=32),
}
