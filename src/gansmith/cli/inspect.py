"""The verb ``inspect``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.options import Verb, given
from gansmith.cli.prepare import source_of, with_json, with_pairs, with_workers

if TYPE_CHECKING:
    from gansmith.data.inspect.findings import Goal


@click.command("inspect", cls=Verb)
@click.argument("data", callback=given)
@click.option("--recipe", metavar="NAME", help="Advise for this recipe. [the default for these pictures]")
@click.option("--sample", type=click.IntRange(1), default=2000, show_default=True, help="Pictures looked at.")
@click.option("--sheet", metavar="FILE", callback=given, help="Write a contact sheet, a .png.")
@click.option("--label", metavar="COLUMN", help="The column of the table that is the class.")
@with_pairs
@with_workers
@with_json
def inspect_(
    data: str,
    recipe: str | None,
    sample: int,
    sheet: str | None,
    workers: int | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Report on images before training: sizes, kinds, duplicates, blur, labels; with plain advice."""
    from gansmith.core.files import check_outside_data
    from gansmith.data.inspect.inspect import inspect, write_sheet
    from gansmith.data.inspect.report import as_json as tree
    from gansmith.data.inspect.report import as_text

    if sheet is not None:
        check_outside_data(Path(sheet), data)
    source = source_of(data, asked)
    found = inspect(source, _goal(data, recipe), max_pictures=sample, workers=workers)
    if sheet is not None:
        write_sheet(found, Path(sheet))
    click.echo(json.dumps(tree(found.report), indent=2) if as_json else as_text(found.report))


def _goal(data: str, recipe: str | None) -> "Goal":
    from gansmith.data.inspect.findings import Goal
    from gansmith.data.open import describe_source
    from gansmith.recipes import default_for, named

    if recipe is None:
        facts = describe_source(data)
        recipe = default_for(min(facts.median_width, facts.median_height), False)
    chosen = named(recipe)
    size = chosen.data.size
    return Goal(
        recipe, size.width, size.height, chosen.train.images, chosen.data.channels or 3, chosen.data.fit
    )
