"""Folders with untrained runs of each kind, for what opens models by name."""

from collections.abc import Mapping
from pathlib import Path

from promises import RECIPES, trainer_of

from gansmith.config.recipe import Recipe
from gansmith.runs.run import Run

SHELF = {
    "faces": "lazy",
    "by class/labelled": "labelled",
    "by class/attributed": "attributed",
    "captioned": "captioned",
    "two spaces": "two spaces",
    "styles": "stylegan2-32-small",
    "pairs/cycle": "cyclegan64-small",
    "pairs/fill": "context-encoder64-small",
    "pairs/star": "stargan32-small",
}
"""Where a run lies, and its recipe in ``promises.RECIPES``."""


def store(path: Path, recipe: Recipe) -> Run:
    """An untrained run of a recipe on ``promises.everything``."""
    trainer = trainer_of(recipe)
    run = Run.create(path, trainer.recipe, {})
    run.save(trainer.state(), 16)
    return run


def shelf(root: Path, named: Mapping[str, str] = SHELF) -> Path:
    """A folder with these runs, and one that has no checkpoint yet."""
    for place, name in named.items():
        store(root / place, RECIPES[name])
    Run.create(root / "young", trainer_of(RECIPES["lazy"]).recipe, {})
    return root
