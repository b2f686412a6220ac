"""RpGAN with a generator that doubles bilinearly: no grain on flat drawings, little variety on photos."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.core.schedules import Cosine
from gansmith.methods.bilinear import BilinearGAN
from gansmith.recipes.rpgan import rpgan


def bilinear(size: int, images: int) -> Recipe:
    """Five times the discriminator's rate: at equal ones the discriminator wins within minutes."""
    recipe = rpgan(size, images)
    generator = Adam(lr=2e-3, betas=(0.0, 0.99), schedule=Cosine(end=0.1))
    return replace(
        recipe,
        name=f"bilinear{size}",
        about=f"RpGAN at {size} px without transposed convolutions: flat drawings without grain.",
        method=BilinearGAN(gamma=0.1),
        optimizers={**recipe.optimizers, "generator": generator},
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"bilinear32": lambda: bilinear(32, 120_000)}
