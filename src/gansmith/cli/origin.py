"""The verb ``origin``: what a file says made it."""

import json
from pathlib import Path

import click

from gansmith.cli.options import Verb


@click.command("origin", cls=Verb)
@click.argument("places", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, for programs.")
def origin_(places: tuple[str, ...], as_json: bool) -> None:
    r"""Ask pictures and films what made them: a line for each.

    Reads the marks of PNG, JPEG, WebP, GIF, MP4, TIFF and AVIF files, ours and others' that follow IPTC's
    standard: who made it, with which system and version, which model, weights and seed. Folders in any
    nesting; what is no picture is passed over there. A missing mark proves nothing: it is lost where a
    picture is edited or sent on, and one can be written by anyone.

    Exit code 0: all say that a model made them. 1: some do not. 2: something could not be read, or nothing
    was there.

    \b
    gansmith origin photo.jpg
    gansmith origin out --json
    """
    from gansmith.errors import DataError
    from gansmith.images.origin import origins

    made = other = failed = 0
    for found in origins(Path(place).expanduser() for place in places):
        if isinstance(found, DataError):
            failed += 1
            click.echo(str(found), err=True)
            continue
        made += found.made_by_model
        other += not found.made_by_model
        click.echo(json.dumps(found.as_json()) if as_json else f"{found.path}: {found.as_text()}")
    if not made + other + failed:
        raise DataError(
            f"No pictures in {', '.join(places)}, or in folders there. Name a picture, or a folder of them."
        )
    _summary(made, other, failed)
    if failed or other:
        raise SystemExit(2 if failed else 1)


def _summary(made: int, other: int, failed: int) -> None:
    unread = f"; {failed} could not be read" if failed else ""
    nothing = " A missing mark proves nothing." if other else ""
    click.echo(f"{made} of {made + other} say that a model made them{unread}.{nothing}", err=True)
