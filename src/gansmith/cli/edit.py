"""The verb ``edit``: a photo with something changed."""

from pathlib import Path
from typing import Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, with_code

_SAID = 8  # Photos of which it is said what was read.


@click.command("edit", cls=Verb)
@click.argument("model", callback=given)
@click.argument("photo", callback=given)
@click.option(
    "--set",
    "changes",
    multiple=True,
    required=True,
    metavar="A=1,B=0",
    help="What shall hold: smiling=1, hair=fair, or a class. Once for each column of the sheet.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 24),
    default=1,
    show_default=True,
    metavar="N",
    help="Columns on the way from what is read to each change, equally apart.",
)
@click.option(
    "-o",
    "--out",
    default="edited.png",
    show_default=True,
    callback=given,
    metavar="OUT",
    help="A .png: photo, what was read of it drawn again, and each change.",
)
@click.option(
    "--refine",
    type=click.IntRange(0, 10_000),
    default=0,
    show_default=True,
    metavar="STEPS",
    help="Search a nearer likeness for so many steps, such as 100.",
)
@click.option("--align", metavar="TEMPLATE", help="Find the face and bring it to ffhq, celeba or close.")
@with_code
@on_device
def edit(model: str, photo: str, changes: tuple[str, ...], out: str, **asked: Any) -> None:
    r"""Change a photo with a model that reads photos, such as IcGAN.

    MODEL is a run or a checkpoint. PHOTO is an image, or up to 64 in a folder, zip or tar; it must look as
    the training images do (--align helps). What excludes a change in all training images is changed with it.

    \b
    gansmith edit runs/readers photo.png --set smiling=1 --set hair=fair -o edited.png
    gansmith edit runs/readers photos --set hair=fair --steps 5 -o way.png
    """
    from gansmith.models.edit import Editor, in_words, open_photos, write_edits
    from gansmith.models.load import open_generator

    import_code(asked["code"])
    editor = Editor(open_generator(model, asked["device"]), asked["refine"])
    wanted = [editor.change(text) for text in changes]
    names, photos = open_photos(photo, editor.generator, asked["align"])
    edits = editor.edit(photos, names, wanted, asked["steps"])
    written = write_edits(edits, wanted, Path(out), editor.generator, photo)
    for row, name in enumerate(names[:_SAID]):
        click.echo(f"{name}: {in_words(edits, row, editor.spec)}", err=True)
    click.echo(f"{len(names)} photo{'s' * (len(names) != 1)} in {written}")
