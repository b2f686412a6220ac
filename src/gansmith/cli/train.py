"""The verbs ``train`` and ``demo``."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, with_code
from gansmith.core.launch import speaks

if TYPE_CHECKING:
    from gansmith.config.recipe import Recipe
    from gansmith.training.session import Outcome


def _train_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--run",
            "--run-dir",  # torchrun takes --run for an option of its own.
            "run",
            callback=given,
            metavar="DIR",
            help="Where the run is, or will be. [runs/DATA-RECIPE]",
        ),
        click.option(
            "--recipe", metavar="NAME", help="A recipe (see: gansmith recipes) or a .py file with one."
        ),
        click.option(
            "--set", "settings", multiple=True, metavar="A.B=V", help="Change a setting of the recipe."
        ),
        with_code,
        click.option("--dry-run", is_flag=True, help="Print what would happen and stop."),
        click.option("--json", "as_json", is_flag=True, help="With --dry-run: machine-readable, on stdout."),
        on_device,
    ):
        command = option(command)
    return command


@click.command(cls=Verb)
@click.option("--run", "run", default="runs/demo", show_default=True, metavar="DIR", help="Where to train.")
@click.option("--images", type=int, default=None, help="How long to train, in images.")
@on_device
def demo(run: str, images: int | None, device: str) -> None:
    """Train the default recipe on built-in faces for about two minutes."""
    from dataclasses import replace

    from gansmith.recipes.rpgan import demo_recipe

    recipe = demo_recipe()
    if images is not None:
        recipe = replace(recipe, train=replace(recipe.train, images=images))
    outcome = _train("demo-faces", recipe, Path(run), device)
    click.echo(
        "\nWhat to try next:\n"
        f"  gansmith generate {run} -o out --seeds 0-63\n"
        f"  gansmith walk {run} -o walk.gif\n"
        "  gansmith train FOLDER --run runs/mine      (your own pictures)\n"
        "  gansmith recipes                           (what else there is)"
    )
    sys.exit(outcome.interruption.exit_code)


@click.command(cls=Verb)
@click.argument("data", callback=given)
@_train_options
def train(
    data: str, run: str | None, recipe: str | None, settings: tuple[str, ...], device: str, **asked: Any
) -> None:
    r"""Train a recipe on DATA in a run directory, or resume the run that is there.

    DATA is a folder of pictures, a zip of them, or a built-in name such as demo-faces, digits or mnist.

    \b
    gansmith train my_pictures --run runs/one
    gansmith train mnist --recipe dcgan28 --run runs/digits --set train.images=100000
    gansmith train demo-faces --run runs/slow --set optimizers.generator.lr=1e-4
    To resume a run, repeat its command. Without --run it is in runs/, named after DATA and recipe.
    """
    if asked["as_json"] and not asked["dry_run"]:
        raise click.UsageError("--json goes with --dry-run; a run's numbers are in its stats.jsonl.")
    import_code(asked["code"])
    chosen = _recipe(data, recipe, settings, device, run)
    if asked["dry_run"]:
        _dry_run(data, chosen, asked["as_json"])
        return
    place = Path(run or f"runs/{Path(data).stem.partition(':')[0]}-{chosen.name}")
    outcome = _train(data, chosen, place, device)
    sys.exit(outcome.interruption.exit_code)


def _recipe(data: str, name: str | None, settings: tuple[str, ...], device: str, run: str | None) -> "Recipe":
    from gansmith.cli.recipe_choice import default_name, make_recipe
    from gansmith.recipes import CATALOGUE
    from gansmith.runs.run import Run

    if name is None and run is not None and Run.is_run(Path(run)):
        kept = Run.open(Path(run)).recipe.name  # The default may differ on another machine; the run goes on.
        name = kept if kept in CATALOGUE else None
    if name is None:
        name, _ = default_name(data, device)
        if speaks():
            click.echo(
                f"Recipe: {name} (the default for these pictures; --recipe chooses another).", err=True
            )
    return make_recipe(name, settings)


def _train(data: str, recipe: "Recipe", run: Path, device: str) -> "Outcome":
    from gansmith.cli.recipe_choice import open_pictures
    from gansmith.core.console import console
    from gansmith.core.distributed import my_device, process_group
    from gansmith.engine.device import pick_device
    from gansmith.training.session import train as start

    with process_group(pick_device(my_device(device))) as world:
        if not world.is_main:
            world.barrier()  # The first one downloads and caches, where anything has to be.
        all_listed = f"all are listed in {run / 'data.json'}"
        opened = open_pictures(data, recipe, all_listed, quiet=not world.is_main)
        if world.is_main:
            world.barrier()
        outcome = start(recipe, opened, run, device=device, console=console(), world=world)
    if not world.is_main:
        return outcome
    if outcome.interruption.signal is not None:
        how = (
            "The same command"
            if outcome.run.path == run
            else f"The same command with --run {outcome.run.path}"
        )
        click.echo(f"Stopped and saved after {outcome.images} images. {how} resumes.", err=True)
    else:
        click.echo(f"Done: {outcome.images} images in {outcome.run.path}.")
        for what, path in outcome.shown.items():
            click.echo(f"  {what:18} {path}")
    return outcome


def _dry_run(data: str, recipe: "Recipe", as_json: bool) -> None:
    from dataclasses import replace

    from gansmith.config.overrides import flat
    from gansmith.data.open import check_unused, describe_source, open_data
    from gansmith.methods.batches import IMAGE_COLUMNS
    from gansmith.training.setup import resolve
    from gansmith.training.summary import describe

    fields = recipe.method.batch_type._fields
    check_unused(recipe.data, fields)
    facts = describe_source(data)
    if recipe.data.channels is None:
        recipe = replace(recipe, data=replace(recipe.data, channels=1 if facts.all_grey else 3))
    if not set(fields) <= IMAGE_COLUMNS:  # How many classes there are must be known.
        recipe = resolve(recipe, open_data(data, recipe.data, fields=fields))
    description = describe(recipe)
    if as_json:
        click.echo(json.dumps(description.as_json(), indent=2))
        return
    click.echo(f"{data}: {facts.count} pictures, typically {facts.median_width}x{facts.median_height}\n")
    for key, value in flat(recipe):
        click.echo(f"{key} = {value}")
    for network, layers in description.layers.items():
        click.echo(f"\n{network}: {description.parameters[network]:,} parameters")
        for layer in layers:
            shape = "x".join(str(side) for side in layer.output)
            click.echo(f"  {layer.name:24} {layer.kind:18} {shape:16} {layer.parameters:>12,}")
    click.echo(
        f"\nMemory: {description.weights_bytes / 2**20:.0f} MiB for weights, gradients, optimizers and "
        f"averages; about {description.activation_bytes / 2**20:.0f} MiB for activations "
        f"at batch {recipe.train.batch}."
    )
