"""The verb ``walk``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gansmith.cli.generate import open_model, say_unknown, steps_of
from gansmith.cli.options import Verb, given, on_device, to_wishes, with_code, with_wish
from gansmith.errors import SettingError

if TYPE_CHECKING:
    from gansmith.explore.directions import Steps
    from gansmith.models.generator import Generator

_OTHER_WAYS = ("coordinate", "mode", "space", "along")


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
@click.option("--space", help="The latent space of the way, such as w. [z, or that of the directions]")
@click.option(
    "--direction",
    "directions",
    multiple=True,
    metavar="NAME=AMOUNT",
    help="Go along a direction of the run before the walk, -1 to 1; more than once.",
)
@click.option(
    "--along", metavar="NAME[=AMOUNT]", help="Sweep along this direction of the run instead. [AMOUNT: 1]"
)
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
    r"""Film a walk through latent space: from seed to seed, or along one coordinate or direction.

    A conditional model is asked for the same all the way: what you name, and for the rest what the first
    seed draws. --caption, --label or --attribute said several times go from wish to wish instead, the seeds
    side by side, and back to the first.

    \b
    gansmith walk runs/one -o walk.gif --caption "a red cap" --caption "long fair hair" --seeds 0-3
    """
    from gansmith.core.seeds import parse_seeds
    from gansmith.explore.directions import space_of
    from gansmith.explore.interpolation import Along, Choice, Interpolation, Traversal, VideoOptions, walk
    from gansmith.explore.wishes import walk_wishes

    generator = open_model(model, rest["code"], rest["device"])
    wishes = to_wishes(rest)
    for wish in wishes:
        say_unknown(generator, wish)
    if len(wishes) > 1:
        for option, value in {"coordinate": coordinate, "mode": mode, **rest}.items():
            if option in _OTHER_WAYS and value is not None:
                raise SettingError(
                    "From wish to wish there is one way, a straight line. Received: "
                    f"{len(wishes)} wishes and --{option}. Leave it out, or ask for one wish."
                )
        held = Choice(truncation=rest["truncation"], move=steps_of(generator, model, rest["directions"]))
        walk_wishes(generator, parse_seeds(seeds), wishes, Path(out), frames, VideoOptions(fps=fps), held)
        click.echo(f"A walk through {len(wishes)} wishes in {out}")
        return
    way: Interpolation | Traversal | Along = Interpolation(frames_per_leg=frames, mode=mode)
    move = steps_of(generator, model, rest["directions"])
    swept = _swept(generator, model, coordinate, rest["along"])
    if coordinate is not None:
        way = Traversal(coordinate=coordinate, frames=frames)
    elif swept is not None:
        direction, amount = swept.taken[0]
        way = Along(direction=direction, amount=abs(amount), frames=frames)
    space = space_of([steps for steps in (move, swept) if steps is not None], rest["space"])
    choice = Choice(wish=wishes[0] if wishes else None, space=space, truncation=rest["truncation"], move=move)
    walk(generator, parse_seeds(seeds), Path(out), way, VideoOptions(fps=fps), choice)
    click.echo(f"A walk in {out}")


def _swept(generator: "Generator", model: str, coordinate: int | None, along: str | None) -> "Steps | None":
    """What ``--along`` asks for."""
    if along is None:
        return None
    if coordinate is not None:
        raise SettingError("A walk sweeps one thing. Received: --coordinate and --along. Leave one out.")
    return steps_of(generator, model, [along if "=" in along else f"{along}=1"])
