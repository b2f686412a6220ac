"""Which recipe a command means, and the images for it: what the verbs that train have in common."""

from collections.abc import Sequence

import click

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.console import counter
from gansmith.core.distributed import my_device
from gansmith.data.dataset import DataSet
from gansmith.data.open import SourceFacts, describe_source, doubt_of_halves, open_data
from gansmith.engine.device import pick_device
from gansmith.models.user_code import recipe_of_code
from gansmith.recipes import default_for, named

_NAMED = 5  # Refused files in a message.


_PIX2PIX = "pix2pix64-small"
_CYCLEGAN = "cyclegan64-small"
_FOR_PAIRS = {
    "small": "srresnet-x4-small",
    "hole": "context-encoder64-random-small",
    "item": "pixeldtgan64-small",
    "pose": "pg2-64-small-coarse",
}
"""Kind of pairs -> the recipe they are for; the others are for pix2pix."""


def default_name(data: str, device: str, settings: Sequence[str] = ()) -> tuple[str, str]:
    """The recipe for images about which nothing was asked, and why, in a sentence without its stop.

    Args:
        data: what will be trained on.
        device: on what.
        settings: what is asked of it; pairs and two domains get a recipe for these.

    Raises:
        DataError: there is nothing of that name, or no readable image in it.
        SettingError: the device is not on this machine.
    """
    asked = [text.partition("=")[2] for text in settings if text.startswith(("data.pairs=", "data.between="))]
    if asked:
        return _FOR_PAIRS.get(asked[-1].partition(":")[0], _PIX2PIX), "these are pairs"
    if any(text.startswith(("data.second=", "data.domains=")) for text in settings):
        return _CYCLEGAN, "these are two domains"
    facts = describe_source(data)
    if facts.pairs:
        return _PIX2PIX, "these are pairs"
    name, why = _of_size(facts, device)
    if facts.folders:  # Numbered classes look the same, so it is only said.
        names = "{} and {}".format(*facts.folders)
        why += f"; {names} hold the same file names: if they are pairs, take --recipe {_PIX2PIX}"
    return name, why


def _of_size(facts: SourceFacts, device: str) -> tuple[str, str]:
    """The default that these images fill on this device, and why."""
    on_gpu = pick_device(my_device(device)).type != "cpu"
    side = min(facts.median_width, facts.median_height)
    name = default_for(side, on_gpu)
    size = named(name).data.size
    shape = f"{facts.median_width}x{facts.median_height}"
    if name == default_for(2**31, on_gpu):
        where = "a GPU learns in reasonable time" if on_gpu else "a processor learns in minutes"
        return (
            name,
            f"pictures are typically {shape}, and {size.width} px is the largest default that {where}",
        )
    if side < size.width:
        return name, f"pictures are typically {shape}, and {size.width} px is the smallest default"
    return name, f"pictures are typically {shape}, and {size.width} px is the largest default they fill"


def make_recipe(name: str, settings: Sequence[str]) -> Recipe:
    """The recipe of a name or a ``.py`` file, with settings changed.

    Raises:
        SettingError: there is no such recipe or setting, or a value is of another kind.
    """
    recipe = recipe_of_code(name) if name.endswith(".py") else named(name)
    return override(recipe, *settings)


def open_pictures(data: str, recipe: Recipe, all_listed: str, quiet: bool = False) -> DataSet:
    """The data set for a recipe; what was left out is told on stderr.

    Args:
        data: what the user named.
        recipe: whose method and form it is for.
        all_listed: where more than a few refused files are all named, in words.
        quiet: say nothing, for all processes but the first.

    Raises:
        DataError: there is nothing of that name, or no image in it.
    """
    fields = recipe.method.batch_type._fields
    opened = open_data(
        data, recipe.data, fields=fields, progress=None if quiet else counter("Reading pictures")
    )
    if quiet:
        return opened
    if doubt := doubt_of_halves(data, recipe.data):
        click.echo(f"gansmith: {doubt}", err=True)
    for refused in sorted(opened.refused, key=lambda one: not one.picture)[:_NAMED]:
        name = refused.name if refused.name.isprintable() else repr(refused.name)
        what = "Left out" if refused.picture else "Not used"  # A table, or columns of one.
        click.echo(f"{what}: {name}: {refused.reason}", err=True)
    if len(opened.refused) > _NAMED:
        click.echo(f"Left out: {len(opened.refused) - _NAMED} more; {all_listed}.", err=True)
    return opened
