"""The verb ``recipes``."""

import json

import click

from gansmith.cli.options import Verb


@click.command(cls=Verb)
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
