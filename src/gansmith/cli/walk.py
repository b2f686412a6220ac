"""The verb ``walk``."""

from pathlib import Path
from typing import Any, Literal

import click

from gansmith.cli.generate import open_model, say_unknown
from gansmith.cli.options import Verb, given, on_device, to_wish, with_code, with_wish


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

    generator = open_model(model, rest["code"], rest["device"])
    say_unknown(generator, to_wish(rest))
    way: Interpolation | Traversal = Interpolation(frames_per_leg=frames, mode=mode)
    if coordinate is not None:
        way = Traversal(coordinate=coordinate, frames=frames)
    choice = Choice(wish=to_wish(rest), space=rest["space"], truncation=rest["truncation"])
    walk(generator, parse_seeds(seeds), Path(out), way, VideoOptions(fps=fps), choice)
    click.echo(f"A walk in {out}")
