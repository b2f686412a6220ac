"""The command ``gansmith``: argument parsing and nothing else.

torch takes a second to import, so every verb imports what it needs when it runs.
"""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from gansmith import __version__
from gansmith.cli.evaluate import evaluate
from gansmith.cli.generate import generate, walk_
from gansmith.cli.options import Verb, given, import_code, on_device, with_code, with_lines
from gansmith.cli.plan import plan
from gansmith.cli.prepare import inspect_, prepare
from gansmith.cli.report import compare, report
from gansmith.core.launch import launched, speaks
from gansmith.errors import GansmithError, nearest

if TYPE_CHECKING:
    from gansmith.config.recipe import Recipe
    from gansmith.training.session import Outcome


_SHARED = ("train", "demo", "generate", "evaluate")  # Verbs that several processes share.


class _Verbs(click.Group):
    """Verbs in the order they are used, and a suggestion for one that does not exist."""

    command_class = Verb

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = with_lines(self.help)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.UsageError(f"There is no verb '{args[0]}'.{nearest(args[0], self.commands)}", ctx)
        if args and launched() and args[0] in self.commands and args[0] not in _SHARED:
            raise click.UsageError(
                f"torchrun is for {', '.join(_SHARED)}. Received: {args[0]}, which is one process's work. "
                "Start it without torchrun."
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gansmith")
def cli() -> None:
    r"""From a folder of pictures to a generator you can trust, explore and ship.

    \b
    gansmith demo                                     faces in about two minutes, on any machine
    gansmith prepare my_photos faces --align faces    pictures in one form, faces in line
    gansmith plan my_pictures                         what training would take: memory, speed, time, disk
    gansmith train my_pictures --run runs/one         your pictures; the same command resumes
    gansmith generate runs/one -o out --seeds 0-63    new pictures
    gansmith walk runs/one -o walk.gif                a walk from picture to picture
    gansmith evaluate runs/one my_pictures            numbers, with intervals
    gansmith report runs/one                          a page to look at
    """


class _Terminated(BaseException):
    """SIGTERM outside the training loop: temporary files are cleaned up on the way out."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2, never a traceback."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except _Terminated:
        _say("stopped.")
        sys.exit(143)
    except OSError as error:  # A name that is too long, a folder that vanished: what the system says.
        if isinstance(error, BrokenPipeError):
            sys.exit(0)
        _say(f"{error.strerror or error}: {error.filename or ''}")
        sys.exit(2)
    except GansmithError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _say(error.format_message())
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _say("stopped.")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> None:
    """One message, however many processes end with it."""
    if speaks():
        click.echo(f"gansmith: {message}", err=True)


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


@cli.command()
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


@cli.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, on stdout.")
def recipes(name: str | None, as_json: bool) -> None:
    """List the recipes, or show all settings of one, by name or in a .py file of your own."""
    from gansmith.cli.recipe_choice import make_recipe
    from gansmith.config.overrides import flat
    from gansmith.config.serialization import to_json
    from gansmith.recipes import CATALOGUE, named

    if name is None:
        made = {key: named(key) for key in CATALOGUE}
        if as_json:
            click.echo(json.dumps({key: recipe.about for key, recipe in made.items()}, indent=2))
            return
        for key, recipe in made.items():
            click.echo(f"{key:15} {recipe.about}")
        return
    recipe = make_recipe(name, ())
    if as_json:
        click.echo(json.dumps(to_json(recipe), indent=2))
        return
    for key, value in flat(recipe):
        click.echo(f"{key} = {value}")


cli.add_command(prepare)
cli.add_command(inspect_)


@cli.command()
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
        click.echo(f"Stopped and saved after {outcome.images} images. The same command resumes.", err=True)
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


cli.add_command(plan)


cli.add_command(generate)
cli.add_command(walk_)
cli.add_command(evaluate)
cli.add_command(report)
cli.add_command(compare)
