"""The verb ``classify``: train a classifier and say how often it is right."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, to_size, with_code
from gansmith.core.launch import speaks
from gansmith.core.text import short

if TYPE_CHECKING:
    from gansmith.config.recipe import Recipe
    from gansmith.data.dataset import DataSet


@click.command("classify", cls=Verb)
@click.argument("data", callback=given)
@click.option(
    "--run", "run", required=True, callback=given, metavar="DIR", help="Where the run is, or will be."
)
@click.option(
    "--on",
    "column",
    type=click.Choice(["labels", "attributes"]),
    help="What is told. [labels where there are any, else attributes]",
)
@click.option("--label", metavar="COLUMN", callback=given, help="The column of a table that is the class.")
@click.option("--against", metavar="MODEL", callback=given, help="Tell DATA from what this model makes.")
@click.option("--recipe", metavar="NAME", help="A recipe of a classifier. [by size and what is told]")
@click.option("--size", callback=to_size, metavar="64|128x96", help="Of the pictures. [at most 64]")
@click.option("--set", "settings", multiple=True, metavar="A.B=V", help="Change a setting of the recipe.")
@with_code
@on_device
@click.option("--json", "as_json", is_flag=True, help="The accuracy for programs, alone on stdout.")
def classify(data: str, run: str, device: str, as_json: bool, **asked: Any) -> None:
    r"""Train a small classifier of DATA, or resume it, and tell its accuracy on held-out pictures.

    It tells classes (folders, a table's column, built-in labels) or attributes, 0 or 1. With --against it
    tells DATA from a model's pictures: a detector. The run is one as any other.

    \b
    gansmith classify mnist --run runs/digits
    gansmith classify my_faces --label smiling --run runs/smiles
    gansmith classify mnist --recipe classifier28-fast --run runs/robust     trained against attacks
    gansmith classify my_faces --against runs/one --run runs/detector        real or generated?
    """
    from gansmith.core.console import console
    from gansmith.core.files import write_text
    from gansmith.robustness.held_out import measure
    from gansmith.training.session import train

    import_code(asked["code"])
    recipe, opened = _chosen(data, device, **asked)
    outcome = train(recipe, opened, Path(run), device=device, console=console())
    if outcome.interruption.signal is not None:
        click.echo(f"Stopped and saved after {outcome.images} images. The same command resumes.", err=True)
        sys.exit(outcome.interruption.exit_code)
    found = measure(run, opened, device)
    tree = {name: value.__dict__ for name, value in found.items()}
    write_text(Path(run) / "accuracy.json", json.dumps(tree, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(tree, indent=2))
        return
    for name, value in found.items():
        between = "" if value.low is None or value.high is None else f" ({value.low:.1%} to {value.high:.1%})"
        click.echo(f"{name:30} {value.value:.1%}{between}  {value.note}".rstrip())
    click.echo(f"  of held-out pictures; {Path(run) / 'accuracy.json'}")


def _chosen(data: str, device: str, **asked: Any) -> tuple["Recipe", "DataSet"]:
    """The recipe, and the data with what it trains on."""
    from gansmith.cli.recipe_choice import open_pictures
    from gansmith.errors import DataError

    against, column, name = asked["against"], asked["column"], asked["recipe"]
    if against is not None:
        if column is not None or asked["label"] is not None:
            raise click.UsageError("--against tells real from generated; --on and --label something else.")
        return _detector(data, against, device, asked)
    if asked["size"] is None and name is None:
        asked["size"] = _usual_size(data)
    traits = "classifier-attributes32"
    recipe = _recipe(name or (traits if column == "attributes" else "classifier32"), asked)
    opened = open_pictures(data, recipe, "a run keeps them in data.json", not speaks())
    if not {"labels", "attributes"} & set(opened.columns):
        raise DataError(
            f"A classifier needs labels or attributes. Received: {data}, which has "
            f"{', '.join(opened.columns)}. Sort the pictures into a folder for each class, put a table "
            "beside them, or name its column with --label."
        )
    if name is None and column is None and "labels" not in opened.columns:
        recipe = _recipe(traits, asked)
    return recipe, opened


def _recipe(name: str, asked: Mapping[str, Any]) -> "Recipe":
    """A classifier's recipe with what was asked for."""
    from gansmith.cli.recipe_choice import make_recipe
    from gansmith.config.overrides import override
    from gansmith.errors import SettingError
    from gansmith.methods.classifier import Classifier

    recipe = make_recipe(name, ())
    if not isinstance(recipe.method, Classifier):
        raise SettingError(
            f"classify takes a recipe of a classifier, such as classifier32. Received: {short(name)}."
        )
    size, label = asked["size"] or recipe.data.size, asked["label"] or recipe.data.label
    return override(replace(recipe, data=replace(recipe.data, size=size, label=label)), *asked["settings"])


def _detector(data: str, against: str, device: str, asked: Mapping[str, Any]) -> tuple["Recipe", "DataSet"]:
    """The recipe of a detector, in the form of a model's pictures, and both kinds of pictures."""
    from gansmith.core.distributed import my_device
    from gansmith.errors import SettingError
    from gansmith.robustness.detector import config_of, real_and_generated

    recipe = _recipe(asked["recipe"] or "classifier32", asked)
    if "labels" not in recipe.method.batch_type._fields:
        raise SettingError(
            f"--against needs a recipe that tells a class, such as classifier32. Received: {recipe.name}."
        )
    form = config_of(against, recipe.data, my_device(device))
    if asked["size"] is not None and asked["size"] != form.size:
        raise SettingError(
            f"A model's pictures have their own size, {form.size}. Received: --size {asked['size']}."
        )
    return replace(recipe, data=form), real_and_generated(data, against, form, my_device(device))


def _usual_size(data: str) -> Any:
    """The largest of 28, 32 and 64 px that the pictures fill."""
    from gansmith.core.image_size import Size
    from gansmith.data.open import describe_source

    facts = describe_source(data)
    side = min(facts.median_width, facts.median_height)
    best = max((known for known in (28, 32, 64) if known <= side), default=max(side, 8))
    return Size(best, best)
