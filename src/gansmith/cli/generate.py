"""The verbs ``generate`` and ``walk``: pictures from a trained model."""

from pathlib import Path
from typing import Any, Literal

import click

from gansmith.cli.options import Verb, given, import_code, on_device, to_wish, with_code, with_wish


@click.command(cls=Verb)
@click.argument("model", callback=given)
@click.option(
    "-o",
    "--out",
    required=True,
    callback=given,
    metavar="OUT",
    help="A folder, a .zip, or one .png for a grid.",
)
@click.option("--seeds", default="0-63", show_default=True, help="Seeds and ranges: 0-63,100,200-299.")
@click.option(
    "--batch", type=click.IntRange(1), default=64, show_default=True, help="Pictures made at a time."
)
@with_wish
@with_code
@on_device
def generate(model: str, out: str, seeds: str, batch: int, **asked: Any) -> None:
    """Make pictures from seeds: one seed is one picture, whatever the batch or the number asked for.

    MODEL is a run directory, a checkpoint file, or weights of a DCGAN made elsewhere (.pt, .pth). What a
    conditional model is not asked for is drawn by the seed, as often as in the training data.
    """
    from gansmith.core.console import bar
    from gansmith.core.distributed import my_device, process_group
    from gansmith.core.seeds import parse_seeds
    from gansmith.models.write import Choice, write

    chosen = parse_seeds(seeds)
    choice = Choice(to_wish(asked), asked["truncation"])
    generator = _open(model, asked["code"], my_device(asked["device"]))
    with process_group(generator.device) as world:
        with bar("Generating", len(chosen)) as progress:
            done = progress.update
            written = write(
                generator, chosen, Path(out), batch=batch, progress=done, world=world, choice=choice
            )
        if world.is_main:
            click.echo(f"{written.count} pictures in {written.path}")


@click.command("walk", cls=Verb)
@click.argument("model", callback=given)
@click.option(
    "-o", "--out", required=True, callback=given, metavar="FILE", help="A .gif, .webp or .mp4 file."
)
@click.option(
    "--seeds", default="0-7", show_default=True, help="The pictures to walk through, in this order."
)
@click.option(
    "--mode",
    type=click.Choice(["spherical", "linear"]),
    help="How to go from seed to seed. [as the space wants it]",
)
@click.option("--coordinate", type=int, default=None, help="Sweep this one number of the latent instead.")
@click.option(
    "--frames", type=click.IntRange(2), default=24, show_default=True, help="Frames from seed to seed."
)
@click.option("--fps", type=click.IntRange(1), default=24, show_default=True, help="Frames a second.")
@click.option("--space", default="z", show_default=True, help="The latent space of the way, such as w.")
@with_wish
@with_code
@on_device
def walk_(
    model: str,
    out: str,
    seeds: str,
    mode: Literal["spherical", "linear"] | None,
    coordinate: int | None,
    frames: int,
    fps: int,
    **rest: Any,
) -> None:
    """Film a walk through latent space: from seed to seed, or along one coordinate.

    A conditional model is asked for the same all the way: what you name, and for the rest what the first
    seed draws.
    """
    from gansmith.core.seeds import parse_seeds
    from gansmith.explore.interpolation import Choice, Interpolation, Traversal, VideoOptions, walk

    generator = _open(model, rest["code"], rest["device"])
    way: Interpolation | Traversal = Interpolation(frames_per_leg=frames, mode=mode)
    if coordinate is not None:
        way = Traversal(coordinate=coordinate, frames=frames)
    choice = Choice(wish=to_wish(rest), space=rest["space"], truncation=rest["truncation"])
    walk(generator, parse_seeds(seeds), Path(out), way, VideoOptions(fps=fps), choice)
    click.echo(f"A walk in {out}")


def _open(model: str, code: str | None, device: str) -> Any:
    from gansmith.models.load import open_generator

    import_code(code)
    return open_generator(model, device)
