"""Recipes: complete experiments by name, each a function that returns one."""

import importlib
import pkgutil
from collections.abc import Callable

from gansmith.config.recipe import Recipe
from gansmith.errors import SettingError, nearest


def _catalogue() -> dict[str, Callable[[], Recipe]]:
    """What the files in this folder offer, the default first."""
    there = (module.name for module in pkgutil.iter_modules(__path__))
    names = sorted(there, key=lambda name: (name != "faces", name))
    found: dict[str, Callable[[], Recipe]] = {}
    for name in names:
        found |= importlib.import_module(f"gansmith.recipes.{name}").RECIPES
    return found


CATALOGUE: dict[str, Callable[[], Recipe]] = _catalogue()
"""Name on the command line -> function that makes the recipe: the RECIPES of every file in this folder."""


def named(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        SettingError: there is none; the nearest is named.
    """
    if name not in CATALOGUE:
        raise SettingError(f"There is no recipe '{name}'.{nearest(name, CATALOGUE)}")
    return CATALOGUE[name]()


def default_for(side: int, on_gpu: bool) -> str:
    """The recipe a beginner gets for images whose shorter side is ``side`` pixels.

    64 px is the largest size at which a processor makes good faces in minutes; a GPU gets 256.
    """
    sizes = [8, 28, 32, 64, 128, 256] if on_gpu else [8, 28, 32, 64]
    fitting = [size for size in sizes if size <= max(side, 8)]
    return f"faces{fitting[-1]}"
