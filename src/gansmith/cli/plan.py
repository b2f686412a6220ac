"""The verb ``plan``: what a training would be like, before it begins."""

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, to_seconds, with_code
from gansmith.core.text import in_bytes, plural

if TYPE_CHECKING:
    from gansmith.training.plan import Disk, Plan, Speed


@click.command("plan", cls=Verb)
@click.argument("data", callback=given)
@click.option("--recipe", metavar="NAME", help="A recipe (see: gansmith recipes) or a .py file with one.")
@click.option("--set", "settings", multiple=True, metavar="A.B=V", help="Change a setting of the recipe.")
@with_code
@on_device
@click.option("--seconds", type=float, default=5.0, show_default=True, help="To measure the speed for.")
@click.option(
    "--time", "duration", metavar="10m", callback=to_seconds, help="How far training would come in so long."
)
@click.option("--json", "as_json", is_flag=True, help="The plan for programs, alone on stdout.")
def plan(
    data: str, recipe: str | None, settings: tuple[str, ...], device: str, as_json: bool, **asked: Any
) -> None:
    r"""Measure what training on DATA would take: memory, speed, time and disk. Nothing is written.

    A few real steps are made with networks that are thrown away. Without --recipe it is the one that train
    would choose.

    \b
    gansmith plan my_pictures
    gansmith plan my_pictures --recipe dcgan64 --set train.batch=64 --seconds 20
    """
    from gansmith.cli.recipe_choice import default_name, make_recipe, open_pictures
    from gansmith.training.plan import plan as measure

    import_code(asked["code"])
    name, why = (recipe, "as asked for") if recipe else default_name(data, device, settings)
    made = make_recipe(name, settings)
    opened = open_pictures(data, made, "gansmith inspect DATA names them all")
    click.echo("Measuring a few steps; of a large recipe one alone may take minutes.", err=True)
    found = measure(made, opened, device, asked["seconds"], why)
    if (duration := asked["duration"]) is not None:
        found = found.lasting(duration)
    command = _command(data, name, settings, device, duration)
    if as_json:
        click.echo(json.dumps(found.as_json() | {"command": command}, indent=2))
        return
    click.echo(as_text(found, duration is not None))
    click.echo(f"\nTo train:\n  {command}")


def _command(data: str, recipe: str, settings: tuple[str, ...], device: str, duration: float | None) -> str:
    words = ["gansmith", "train", data, "--recipe", recipe]
    words += [] if duration is None else ["--time", _length(duration)]
    for setting in settings:
        words += ["--set", setting]
    words += [] if device == "auto" else ["--device", device]
    return shlex.join(words)


def as_text(found: "Plan", for_a_time: bool = False) -> str:
    """A plan as a short table, with the advice below it; ``for_a_time``: a length was asked for in time."""
    rows = [
        ("pictures", _pictures(found)),
        ("recipe", f"{found.recipe.name} ({found.why})"),
        ("device", found.choices),
        ("batch", _batch(found)),
        ("memory", _memory(found)),
        ("speed", _speed(found.speed)),
        ("time", _time(found, for_a_time)),
        ("disk", _disk(found.disk)),
    ]
    table = [f"  {title:10}{cell}" for title, cell in rows]
    advice = ["", "Advice", *(f"  - {sentence}" for sentence in found.advice)] if found.advice else []
    return "\n".join([f"{found.data}: what training would take", *table, *advice])


def _pictures(found: "Plan") -> str:
    unit = "pairs" if found.pairs else "pictures"
    colours = "grey" if found.recipe.data.channels == 1 else "colour"
    labels = "" if found.labels is None else f", {found.labels:,} labels"
    return (
        f"{found.pictures:,} {unit}{labels}: {found.training:,} to train on, {found.held_out:,} held out; "
        f"{found.recipe.data.size} px, {colours}"
    )


def _batch(found: "Plan") -> str:
    batch = found.recipe.train.batch
    return (
        f"{batch}, all at a time" if found.micro_batch == batch else f"{batch}, {found.micro_batch} at a time"
    )


def _memory(found: "Plan") -> str:
    memory = found.memory
    free = "" if memory.free is None else f"; {in_bytes(memory.free)} were free"
    if memory.peak is None:
        return f"{memory.measured_by}{free}"
    before = f", {in_bytes(memory.before)} of it before training" if memory.before else ""
    return f"{in_bytes(memory.peak)} at most{before}{free}"


def _speed(speed: "Speed") -> str:
    spread = (
        f"{_number(speed.slowest)} to {_number(speed.fastest)} in {speed.measurements} measurements"
        if speed.measurements > 1
        else "one measurement"
    )
    return (
        f"{_number(speed.images_per_second)} images/s ({spread}, {plural(speed.steps, 'step')}); "
        f"data wait {100 * speed.data_wait:.0f} %"
    )


def _length(seconds: float) -> str:
    """A length of time as ``--time`` reads it: ``1h``, ``10m``, ``90s``."""
    count, unit = next(
        ((seconds / per, unit) for per, unit in ((3600, "h"), (60, "m")) if seconds % per == 0),
        (seconds, "s"),
    )
    return f"{count:g}{unit}"


def _time(found: "Plan", for_a_time: bool) -> str:
    images = found.recipe.train.images
    likely, least, most = (_clock(seconds) for seconds in found.speed.seconds(images))
    spread = "a larger --seconds tells the spread"
    if found.speed.measurements > 1:
        spread = f"{least} to {most}" if least != most else f"{least} by all measurements"
    rest = "grids, checkpoints and evaluations come on top"
    if for_a_time:
        rest = (
            "grids, checkpoints and evaluations are not counted: train --time takes them off and sees fewer"
        )
    return f"{images:,} images in about {likely} ({spread}); {rest}"


def _disk(disk: "Disk") -> str:
    checkpoints, grids = plural(disk.checkpoints, "checkpoint"), plural(disk.grids, "grid")
    return (
        f"{in_bytes(disk.total)} at most: {checkpoints} of {in_bytes(disk.checkpoint)}, "
        f"{grids} of {in_bytes(disk.grid)}, numbers and what is drawn at the end; "
        f"{in_bytes(disk.free)} are free here"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def _clock(seconds: float) -> str:
    """12.3 -> "12 s", 754 -> "13 min", 7500 -> "2 h 05 min"."""
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"
