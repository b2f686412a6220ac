"""The verbs ``train`` and ``demo``."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, to_seconds, with_code
from gansmith.core.launch import speaks
from gansmith.core.text import in_time

if TYPE_CHECKING:
    import torch

    from gansmith.config.recipe import Recipe
    from gansmith.core.distributed import World
    from gansmith.data.dataset import DataSet
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
        click.option(
            "--time",
            "duration",
            metavar="10m",
            callback=to_seconds,
            help="Train for about so long (90s, 10m, 2h), measuring included; sets train.images.",
        ),
        with_code,
        click.option("--dry-run", is_flag=True, help="Check all but memory, print what would happen, stop."),
        click.option("--json", "as_json", is_flag=True, help="With --dry-run: machine-readable, on stdout."),
        on_device,
    ):
        command = option(command)
    return command


@click.command(cls=Verb)
@click.option("--run", "run", default="runs/demo", show_default=True, metavar="DIR", help="Where to train.")
@click.option(
    "--time",
    "duration",
    metavar="150s",
    default="150s",
    callback=to_seconds,
    show_default=True,
    help="How long to train.",
)
@click.option("--images", type=int, default=None, help="How long to train in images, in place of --time.")
@on_device
def demo(run: str, duration: float, images: int | None, device: str) -> None:
    """Train the default recipe on built-in faces for two and a half minutes on any machine.

    The speed is measured first: faces of 32 px, or of 64 px where the machine is fast enough for them.
    """
    from dataclasses import replace

    from gansmith.runs.run import Run

    begun = Run.is_run(Path(run))  # It goes on with the recipe it has.
    recipe = _recipe("demo-faces", None if begun else "faces32", (), device, run)
    if images is not None:
        recipe = replace(recipe, train=replace(recipe.train, images=images))
    seconds = duration if images is None else None
    outcome = _train("demo-faces", recipe, Path(run), device, seconds, "faces64", "--images {}")
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

    DATA is a folder of images, a zip of them, or a built-in name such as demo-faces, digits or mnist.

    \b
    gansmith train my_pictures --run runs/one
    gansmith train mnist --recipe dcgan28 --run runs/digits --set train.images=100000
    gansmith train my_pictures --run runs/evening --time 2h
    gansmith train demo-faces --run runs/slow --set optimizers.generator.lr=1e-4
    To resume a run, repeat its command. Without --run it is in runs/, named after DATA and recipe.
    """
    if asked["as_json"] and not asked["dry_run"]:
        raise click.UsageError("--json goes with --dry-run; a run's numbers are in its stats.jsonl.")
    seconds = asked["duration"]
    if seconds is not None and any(setting.startswith("train.images=") for setting in settings):
        raise click.UsageError("--time finds train.images, so only one of the two can be given.")
    if seconds is not None and asked["dry_run"]:
        raise click.UsageError("--time measures the speed; gansmith plan DATA --time does that alone.")
    import_code(asked["code"])
    chosen = _recipe(data, recipe, settings, device, run)
    place = Path(run or f"runs/{run_name(data)}-{chosen.name}")
    if asked["dry_run"]:
        _dry_run(data, chosen, place, device, asked["as_json"])
        return
    outcome = _train(data, chosen, place, device, seconds)
    sys.exit(outcome.interruption.exit_code)


def run_name(data: str) -> str:
    """DATA in the name of a run: ``faces`` for ``~/faces.zip``, the folder's own name for ``.``."""
    name = Path(data).stem.partition(":")[0]
    return name if name.strip(".") else Path(data).expanduser().resolve().name or "data"


def _recipe(data: str, name: str | None, settings: tuple[str, ...], device: str, run: str | None) -> "Recipe":
    from gansmith.cli.recipe_choice import default_name, make_recipe
    from gansmith.recipes import CATALOGUE
    from gansmith.runs.run import Run

    if name is None and run is not None and Run.is_run(Path(run)):
        kept = Run.open(Path(run)).recipe.name  # The default may differ on another machine; the run goes on.
        name = kept if kept in CATALOGUE else None
    if name is None:
        name, why = default_name(data, device, settings)
        if speaks():
            click.echo(f"Recipe: {name} ({why}; --recipe chooses another).", err=True)
    return make_recipe(name, settings)


def _train(
    data: str,
    recipe: "Recipe",
    run: Path,
    device: str,
    seconds: float | None = None,
    larger: str | None = None,
    longer: str = "--set train.images={}",
) -> "Outcome":
    """Open the data and train, for so many seconds or for ``train.images``.

    ``larger`` is the recipe to take where this one would be done long before; ``longer`` is what lengthens a
    finished run.
    """
    import time

    from gansmith.cli.recipe_choice import open_pictures
    from gansmith.core.console import console
    from gansmith.core.distributed import my_device, process_group
    from gansmith.engine.device import pick_device
    from gansmith.training.duration import Budget, as_begun
    from gansmith.training.session import train as start

    where = pick_device(my_device(device))
    with process_group(where) as world:
        if not world.is_main:
            world.barrier()  # The first one downloads and caches, where anything has to be.
        if seconds is not None and (kept := as_begun(recipe, run)) is not None:
            recipe, seconds = kept, None

        def opened_for(recipe: "Recipe") -> "DataSet":
            return open_pictures(data, recipe, f"all are listed in {run / 'data.json'}", not world.is_main)

        opened, examining = opened_for(recipe), 0.0
        if world.is_main:
            world.barrier()
        if seconds is not None:
            begin = time.perf_counter()
            recipe, opened, examining = _lasting(seconds, recipe, opened, opened_for, where, world, larger)
            seconds -= time.perf_counter() - begin
        budget = None if seconds is None else Budget(seconds, examining)
        outcome = start(recipe, opened, run, device=device, console=console(), world=world, seconds=budget)
    if world.is_main:
        _say(outcome, run, longer)
    return outcome


def _say(outcome: "Outcome", asked: Path, longer: str) -> None:
    """What came of it, and where it is: not where it was ``asked`` for, if that directory is gone."""
    if outcome.interruption.signal is not None:
        moved = "" if outcome.run.path == asked else f" with --run {outcome.run.path}"
        click.echo(
            f"Stopped and saved after {outcome.images} images. The same command{moved} resumes.", err=True
        )
        return
    if outcome.before >= outcome.images:
        click.echo(
            f"Done before: {outcome.run.path} has its {outcome.images} images, and nothing was trained now. "
            f"To go on, repeat the command with {longer.format(2 * outcome.images)} (and without --time); "
            "to begin anew, choose another --run."
        )
    else:
        click.echo(f"Done: {outcome.images} images in {outcome.run.path}.")
    for what, path in outcome.shown.items():
        click.echo(f"  {what:18} {path}")


def _lasting(
    seconds: float,
    recipe: "Recipe",
    opened: "DataSet",
    opened_for: Callable[["Recipe"], "DataSet"],
    device: "torch.device",
    world: "World",
    larger: str | None,
) -> tuple["Recipe", "DataSet", float]:
    """The recipe whose training takes so long here, the data in its form, seconds of an evaluation."""
    import time

    from gansmith.recipes import named
    from gansmith.training.duration import PLENTY, lasting

    begin = time.perf_counter()
    recipe, speed, examining = lasting(recipe, opened, seconds, device, world)
    why = ""
    if larger is not None:
        why = f" {named(larger).data.size} px is for machines that see more than {PLENTY:,} in that time."
    if larger is not None and recipe.train.images > PLENTY:
        why = f" At {recipe.data.size} px they would be {recipe.train.images:,}, more than it takes."
        recipe = named(larger)
        opened = opened_for(recipe)
        left = seconds - (time.perf_counter() - begin)
        recipe, speed, examining = lasting(recipe, opened, left, device, world)
    if world.is_main and speaks():
        images, size = recipe.train.images, recipe.data.size
        click.echo(
            f"{speed:.0f} images/s at {size} px here: {in_time(seconds)} are {images:,} images.{why}",
            err=True,
        )
    return recipe, opened, examining


def _dry_run(data: str, recipe: "Recipe", run: Path, device: str, as_json: bool) -> None:
    from gansmith.config.overrides import flat
    from gansmith.data.open import describe_source, open_data
    from gansmith.methods.batches import IMAGE_COLUMNS
    from gansmith.training.session import check
    from gansmith.training.summary import describe

    fields = recipe.method.batch_type._fields
    facts = describe_source(data)
    # Classes and the like, and a scale, are read from all images.
    decoded = recipe.data.standardize or not set(fields) <= IMAGE_COLUMNS
    recipe = check(recipe, open_data(data, recipe.data, fields=fields, decoded=decoded), run, device=device)
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
