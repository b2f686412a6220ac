"""The verb ``explore``: what is in the latent space of a trained model."""

import json
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.explore_directions import directions
from gansmith.cli.explore_photos import between, mix_, nearest_, project_
from gansmith.cli.generate import open_model
from gansmith.cli.options import Verbs, given, on_device, with_code

if TYPE_CHECKING:
    from gansmith.models.generator import Generator


class ExploreGroup(Verbs):
    """A verb whose MODEL stands before what is done with it; its own options may stand behind MODEL.

    Example:
        >>> explore.main(["runs/one", "--json"], standalone_mode=False)
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, with the verb's own options first."""
        valued = {name for option in self.params for name in option.opts if not getattr(option, "is_flag", 1)}
        options, words, rest = list[str](), list[str](), list(args)
        while rest and not (words and not rest[0].startswith("-")):  # Then comes what is to be done.
            word = rest.pop(0)
            if word.startswith("-") and word != "-":
                options.append(word)
                if word in valued and rest:
                    options.append(rest.pop(0))
            else:
                words.append(word)
        return super().parse_args(ctx, options + words + rest)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does it; for an unknown one the nearest is named."""
        if args and self.get_command(ctx, args[0]) is None:
            from gansmith.errors import nearest

            known = nearest(args[0], self.commands)
            raise click.UsageError(f"explore has no '{args[0]}'.{known}", ctx)
        return super().resolve_command(ctx, args)


@click.group("explore", cls=ExploreGroup, invoke_without_command=True, no_args_is_help=True)
@click.argument("model", callback=given)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_code
@on_device
@click.pass_context
def explore(ctx: click.Context, model: str, as_json: bool, code: str | None, device: str) -> None:
    r"""See what is in the latent space of a trained model, and move in it.

    MODEL is a run or a checkpoint of a method that makes images from a latent. Alone, this says which spaces
    it has and what was found in them.

    \b
    gansmith explore runs/one
    gansmith explore runs/one directions
    gansmith explore runs/one project photo.jpg -o projected
    gansmith explore runs/one between anna.jpg ben.jpg -o between.gif
    """
    ctx.obj = model
    if ctx.invoked_subcommand is not None:
        # What stands before a command holds for it, too.
        said = {"as_json": as_json or None, "code": code, "device": None if device == "auto" else device}
        ahead = {name: value for name, value in said.items() if value is not None}
        ctx.default_map = {ctx.invoked_subcommand: ahead}
    else:
        facts = _facts(open_model(model, code, device), model)
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else _said(facts))


for _command in (directions, project_, mix_, between, nearest_):
    explore.add_command(_command)


def _facts(generator: "Generator", model: str) -> dict[str, Any]:
    """What is known of a model's latent spaces."""
    from gansmith.errors import CheckpointError
    from gansmith.explore.directions import Directions, check_space, folder, home_of, stored_directions

    check_space(generator, None)
    home, spec = home_of(model), generator.spec
    found, problem = Directions(generator.fingerprint), None
    try:
        found = stored_directions(generator, home)
    except CheckpointError as error:
        problem = str(error)
    return {
        "model": generator.name,
        "recipe": generator.recipe_name,
        "size": f"{spec.width}x{spec.height}",
        "fingerprint": generator.fingerprint,
        "spaces": list(generator.spaces),
        "directions": [
            {
                "name": one.name,
                "source": one.source,
                "space": one.space,
                "layers": one.layers,
                "accuracy": one.accuracy,
                "share": one.share,
            }
            for one in found
        ],
        "problem": problem,
        "encoders": [space for space in generator.spaces if _encoder(folder(home), space).is_file()],
    }


def _encoder(folder: Any, space: str) -> Any:
    return folder / f"encoder-{space}.safetensors"


def _said(facts: dict[str, Any]) -> str:
    lines = [
        f"{facts['model']}: {facts['recipe']}, {facts['size']}",
        f"latent spaces  {', '.join(facts['spaces'])}",
    ]
    for one in facts["directions"]:
        window = "" if one["layers"] is None else f", layers {one['layers'][0]}-{one['layers'][1]}"
        lines.append(f"direction      {one['name']} ({one['source']}, {one['space']}{window})")
    if not facts["directions"]:
        none = facts["problem"] or "none yet: gansmith explore MODEL directions"
        lines.append(f"directions     {none}")
    lines.append(f"photo encoders {', '.join(facts['encoders']) or 'none yet'}")
    return "\n".join(lines)
