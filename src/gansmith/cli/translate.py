"""The verb ``translate``: images from images."""

from typing import Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, with_code

_NAMED = 5  # Images left out that are named one by one.


@click.command("translate", cls=Verb)
@click.argument("model", callback=given)
@click.argument("src", callback=given)
@click.option(
    "-o",
    "--out",
    required=True,
    callback=given,
    metavar="OUT",
    help="A folder; of a single picture a .png, too.",
)
@click.option("--direction", metavar="a_to_b|b_to_a", help="Of models of two domains. [as it was trained]")
@click.option(
    "--set", "settings", metavar="NAME=0|1,...", help="Attributes to set, of models that change them."
)
@click.option(
    "--points", metavar="X,Y,...", help="Key points of the result in pixels, of models that take them."
)
@click.option(
    "--sheet", is_flag=True, help="Write one .png: a row a picture, a column for each attribute turned."
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad", "stretch"]),
    help="Bring pictures to the model's size. [larger ones are made in tiles]",
)
@click.option("--compare", is_flag=True, help="Write strips: source and result side by side.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise, where there is any."
)
@with_code
@on_device
def translate_(model: str, src: str, out: str, sheet: bool, **asked: Any) -> None:
    r"""Make images out of images with a model that was trained to, such as pix2pix or CycleGAN.

    MODEL is a run or a checkpoint. SRC is an image, a folder in any nesting, a zip or tar, or a prepared
    set, and only ever read. Names are kept; every result is a PNG marked as made by a model. Images of any
    size: larger ones in overlapping tiles. The same command goes on after an interruption.

    \b
    gansmith translate runs/edges drawings -o faces
    gansmith translate runs/cycle portrait.jpg -o photo.png --direction b_to_a --fit crop
    gansmith translate runs/star portrait.jpg -o smiling.png --set smiling=1,glasses=0
    """
    from gansmith.core.console import counter
    from gansmith.models.load import open_generator
    from gansmith.models.translate import Translation
    from gansmith.models.translate import translate as start

    import_code(asked["code"])
    generator = open_generator(model, asked["device"])
    if sheet:
        from gansmith.models.attribute_sheet import attribute_sheet

        shown = attribute_sheet(generator, src, out)
        click.echo(f"{shown} pictures in {out}")
        return
    names = ("direction", "fit", "compare", "seed", "settings", "points")
    how = Translation(**{name: asked[name] for name in names})
    done = start(generator, src, out, how, progress=counter("Translating"))
    for refused in done.refused[:_NAMED]:
        name = refused.name if refused.name.isprintable() else repr(refused.name)
        click.echo(f"Left out: {name}: {refused.reason}", err=True)
    if len(done.refused) > _NAMED:
        click.echo(f"Left out: {len(done.refused) - _NAMED} more.", err=True)
    before = f", {done.kept} of them there already" if done.kept else ""
    click.echo(f"{done.made + done.kept} pictures in {done.path}{before}")
