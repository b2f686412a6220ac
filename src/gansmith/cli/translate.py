"""The verb ``translate``: images from images."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, with_code
from gansmith.core.text import plural
from gansmith.errors import SettingError

if TYPE_CHECKING:
    from gansmith.core.distributed import World
    from gansmith.models.translate import Translated

_MOST_LISTED = 2**28  # Bytes of a list of paths.
_HOW = (
    "direction",
    "fit",
    "align",
    "compare",
    "scale",
    "seed",
    "mask",
    "hole",
    "settings",
    "strength",
    "points",
)
_STEPS = 4  # Columns of a sheet on the way to what is set.
_NAMED = 5  # Images left out that are named one by one.


def to_box(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int, int, int] | None:
    """``X,Y,W,H``: four whole numbers."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) != 4 or not all(part.strip().lstrip("-").isdecimal() for part in parts):
        raise SettingError(
            f"--hole is X,Y,WIDTH,HEIGHT in pixels from the top left, such as 40,25,30,30. Received: {value}."
        )
    x, y, width, height = (int(part) for part in parts)
    return x, y, width, height


@click.command("translate", cls=Verb)
@click.argument("model", callback=given)
@click.argument("src", callback=given)
@click.option(
    "-o",
    "--out",
    required=True,
    callback=given,
    metavar="OUT",
    help="A folder or a .zip; of a single picture a .png, .jpg or .webp, of a video an .mp4.",
)
@click.option("--direction", metavar="a_to_b|b_to_a", help="Of models of two domains. [as it was trained]")
@click.option(
    "--set", "settings", metavar="NAME=0|1,...", help="Attributes to set, of models that change them."
)
@click.option(
    "--strength",
    type=float,
    metavar="0-1",
    help="How far to go to what is set; 0 is the picture as it is. [1]",
)
@click.option(
    "--points", metavar="X,Y,...", help="Key points of the result in pixels, of models that take them."
)
@click.option(
    "--sheet",
    is_flag=True,
    help="Write one .png: a row a picture, a column for each attribute turned; with --set, the way to that.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 24),
    metavar="N",
    help="Columns of a sheet with --set, equally apart. [4]",
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad", "stretch"]),
    help="Bring pictures to the model's size. [larger ones are made in tiles]",
)
@click.option(
    "--align", metavar="TEMPLATE", help="Find the face instead and bring it to ffhq, celeba or close."
)
@click.option("--compare", is_flag=True, help="Write strips: source and result side by side.")
@click.option("--scale", type=float, metavar="N", help="Of models that enlarge: how many times, 1 to 16.")
@click.option("--mask", callback=given, metavar="FILE", help="Of models that fill holes: white is the hole.")
@click.option(
    "--hole",
    callback=to_box,
    metavar="X,Y,W,H",
    help="Likewise: a box in pixels from the top left. [transparent pixels]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise, where there is any."
)
@with_code
@on_device
def translate_(model: str, src: str, out: str, sheet: bool, steps: int | None, **asked: Any) -> None:
    r"""Make images out of images with a model that was trained to, such as pix2pix or CycleGAN.

    MODEL is a run or a checkpoint. SRC is an image, a folder in any nesting, a zip or tar, a prepared set, a
    video, or - for a list of files on stdin, a line each; it is only ever read. Names are kept; every result
    is a PNG marked as made by a model, and of a video whose OUT is an .mp4 a video. Images of any size are
    taken: larger ones in overlapping tiles. The same command goes on after an interruption; torchrun shares
    the work.

    \b
    gansmith translate runs/edges drawings -o faces
    gansmith translate runs/edges drawing.mp4 -o face.mp4
    find . -name '*.jpg' | gansmith translate runs/edges - -o faces.zip
    gansmith translate runs/fill torn.png -o whole.png --hole 40,25,30,30
    gansmith translate runs/cycle portrait.jpg -o photo.png --direction b_to_a --fit crop
    gansmith translate runs/star portrait.jpg -o smiling.png --set smiling=1,glasses=0
    gansmith translate runs/star photos -o way.png --sheet --set smiling=1 --steps 5
    """
    from gansmith.core.console import counter
    from gansmith.core.distributed import my_device, process_group
    from gansmith.models.load import open_generator
    from gansmith.models.translate import Translation
    from gansmith.models.translate import translate as start

    import_code(asked["code"])
    how = Translation(**{name: asked[name] for name in _HOW})
    generator = open_generator(model, my_device(asked["device"]))
    if steps is not None and not (sheet and how.settings):
        raise SettingError(
            "--steps are the columns of a sheet on the way to what is set. Received: it without "
            f"{'--set' if sheet else '--sheet'}. Add that, or leave it out."
        )
    if sheet:
        from gansmith.models.attribute_sheet import attribute_sheet, way_sheet

        if how.strength is not None:
            raise SettingError("A sheet has all strengths. Received: --sheet and --strength. Leave one out.")
        if how.settings is None:
            shown = attribute_sheet(generator, src, out, how.align)
        else:
            shown = way_sheet(generator, src, out, how.settings, steps or _STEPS, how.align)
        click.echo(f"{plural(shown, 'picture')} in {out}")
        return
    with process_group(generator.device) as world:
        listed = _listed(world) if src == "-" else src
        done = start(generator, listed, out, how, progress=counter("Translating"), world=world)
        if world.is_main:
            _say(done)


def _listed(world: "World") -> list[str]:
    """The paths on the first process's stdin: a line each, or parted by zeros, as ``find -print0`` has it."""
    paths: list[str] = world.broadcast(_paths() if world.is_main else None)
    return paths


def _paths() -> list[str]:
    raw = sys.stdin.buffer.read(_MOST_LISTED + 1)
    if len(raw) > _MOST_LISTED:
        raise SettingError(
            f"A list of pictures has at most {_MOST_LISTED:,} bytes. Name their folder instead."
        )
    lines = raw.split(b"\0") if b"\0" in raw else raw.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _say(done: "Translated") -> None:
    for refused in done.refused[:_NAMED]:
        name = refused.name if refused.name.isprintable() else repr(refused.name)
        click.echo(f"Left out: {name}: {refused.reason}", err=True)
    if len(done.refused) > _NAMED:
        click.echo(f"Left out: {len(done.refused) - _NAMED} more.", err=True)
    if done.tiled:
        click.echo(
            "Larger than the model's pictures and made in tiles, each as if it were whole: "
            f"{done.tiled:,} of them. A model of faces wants whole ones: --fit crop.",
            err=True,
        )
    before = f", {done.kept} of them there already" if done.kept else ""
    what = "frame" if done.path.suffix.lower() == ".mp4" else "picture"
    click.echo(f"{plural(done.made + done.kept, what)} in {done.path}{before}")
