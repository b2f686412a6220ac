"""Recipes: complete experiments by name, each a function that returns one."""

from collections.abc import Callable

from gansmith.config.recipe import Recipe
from gansmith.errors import SettingError, nearest
from gansmith.recipes import dcgan, rpgan, wgan

CATALOGUE: dict[str, Callable[[], Recipe]] = {
    **rpgan.RECIPES,
    **dcgan.RECIPES,
    **wgan.RECIPES,
}
"""Name on the command line -> function that makes the recipe."""


def named(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        SettingError: there is none; the nearest is named.
    """
    if name not in CATALOGUE:
        raise SettingError(f"There is no recipe '{name}'.{nearest(name, CATALOGUE)}")
    return CATALOGUE[name]()


def default_for(side: int, on_gpu: bool) -> str:
    """The recipe a beginner gets for pictures whose shorter side is ``side`` pixels.

    64 px is the largest size at which a processor makes good faces in minutes; a GPU gets 128.
    """
    sizes = [8, 28, 32, 64, 128] if on_gpu else [8, 28, 32, 64]
    fitting = [size for size in sizes if size <= max(side, 8)]
    return f"rpgan{fitting[-1]}"
