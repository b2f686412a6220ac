"""The recipes that have to keep the promises of a method: the whole catalogue, made small, and the toys."""

from dataclasses import replace

from toys import TOYS

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.methods.dcgan import DCGAN
from gansmith.methods.rpgan import RpGAN
from gansmith.methods.wgan import WGAN
from gansmith.methods.wgan_gp import WGANGP
from gansmith.recipes import CATALOGUE, named

SMALL = {
    DCGAN: {"generator_width": 4, "discriminator_width": 4, "latent": 6},
    RpGAN: {"generator_width": 4, "discriminator_width": 4, "latent": 6},
    WGAN: {"generator_width": 4, "critic_width": 4, "latent": 6},
    WGANGP: {"width": 4, "latent": 6},
}


def small(recipe: Recipe) -> Recipe:
    """The recipe's own game with narrow networks, at 16 px, in a dozen steps."""
    method = replace(recipe.method, **SMALL[type(recipe.method)])
    for setting in (
        "data.size=16",
        "data.channels=3",
        "train.batch=4",
        "train.images=48",
        "train.precision=float32",
    ):
        recipe = override(recipe, setting)
    return replace(recipe, method=method)


RECIPES = {**{name: small(named(name)) for name in CATALOGUE}, **TOYS}
