"""``gansmith explore MODEL directions``: find, name and show ways along which pictures change."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.generate import open_model
from gansmith.cli.options import Verb, given, on_device, with_code
from gansmith.errors import SettingError

if TYPE_CHECKING:
    from gansmith.explore.directions import Direction, Directions
    from gansmith.models.generator import Generator

_NEAR = 60.0  # Degrees; nearer ones are said to have something in common.


@click.command("directions", cls=Verb)
@click.option(
    "--find", type=click.Choice(["sefa", "ganspace"]), help="Without labels. [sefa, the first time]"
)
@click.option("--by", metavar="RUN", callback=given, help="One for each attribute this classifier tells.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME", help="Of --by, this one alone.")
@click.option("--count", type=click.IntRange(1), default=8, show_default=True, help="How many are found.")
@click.option("--space", metavar="z|w", help="Where. [w where there is one]")
@click.option("--layers", metavar="0-3", help="Move these layers of w+ alone.")
@click.option(
    "--samples", type=click.IntRange(1), default=10_000, show_default=True, help="Latents looked at."
)
@click.option("--anew", is_flag=True, help="Forget those that are stored.")
@click.option("--rename", "renamed", multiple=True, metavar="OLD=NEW", help="Give one a better name.")
@click.option("--remove", "removed", multiple=True, metavar="NAME", help="Forget one.")
@click.option(
    "--apart",
    "apart_",
    multiple=True,
    metavar="NAME=OTHER,OTHER",
    help="Store one without what it has of others, too.",
)
@click.option("-o", "--out", metavar="OUT", callback=given, help="A folder for a sheet of each, or a .png.")
@click.option("--only", multiple=True, metavar="NAME", help="Sheets of these alone.")
@click.option("--seeds", default="0-5", show_default=True, help="The rows of a sheet.")
@click.option("--amounts", default="-1,-0.5,0,0.5,1", show_default=True, help="Its columns.")
@click.option("--json", "as_json", is_flag=True, help="For programs, with the angles.")
@with_code
@on_device
@click.pass_obj
def directions(model: str, /, code: str | None, device: str, as_json: bool, **asked: Any) -> None:
    r"""Find directions, give them names, and draw what they do; alone, list them.

    SeFa reads them off the first layer's weights, GANSpace off the activations of many latents. With --by
    the model's own pictures are judged by a classifier (`gansmith classify`). They are stored in the run.

    \b
    gansmith explore runs/one directions -o sheets
    gansmith explore runs/one directions --rename sefa-2=hair
    gansmith explore runs/one directions --by runs/traits --attribute smiling
    gansmith explore runs/one directions --apart smiling=glasses
    gansmith generate runs/one -o out --direction hair=0.7
    """
    from gansmith.explore.directions import Directions, check_space, home_of, stored_directions

    generator = open_model(model, code, device)
    check_space(generator, None)
    home = home_of(model)
    stored = Directions(generator.fingerprint) if asked["anew"] else stored_directions(generator, home)
    changed = _changed(generator, stored, device, asked)
    if changed is not stored or asked["anew"]:
        changed.save(home)
    written = _sheets(generator, changed, asked)
    new = [one for one in changed if one not in stored.found]
    effects = {} if asked["by"] is None else _effects(generator, asked["by"], device, new)
    if as_json:
        tree = _tree(generator, changed, written) | {"effects": effects}
        click.echo(json.dumps(tree, indent=2, ensure_ascii=False))
        return
    click.echo("\n".join(lines_of(changed)) or "no directions")
    for name, shares in effects.items():
        at = ", ".join(f"{share:.0%} at {amount}" for amount, share in shares.items())
        click.echo(f"pictures with '{name}': {at}")
    for path in written:
        click.echo(f"a sheet in {path}")


def _changed(
    generator: "Generator", stored: "Directions", device: str, asked: dict[str, Any]
) -> "Directions":
    """What is stored, with all that is asked for done to it; the very same where that is nothing."""
    from gansmith.explore.attribute_directions import apart

    found = stored
    if new := _found(generator, device, asked, nothing=not stored):
        found = found | new
    for text in asked["renamed"]:
        found = found.renamed(*_two("--rename OLD=NEW", text))
    for text in asked["apart_"]:
        name, others = _two("--apart NAME=OTHER,OTHER", text)
        found = found | [apart(found[name], [found[other.strip()] for other in others.split(",")])]
    for name in asked["removed"]:
        found = found.without(name)
    return found


def _found(
    generator: "Generator", device: str, asked: dict[str, Any], nothing: bool
) -> "Sequence[Direction]":
    """New directions."""
    from gansmith.core.console import counter
    from gansmith.explore.directions import layers_of

    space, layers, find = asked["space"], layers_of(asked["layers"]), asked["find"]
    if asked["attributes"] and asked["by"] is None:
        raise SettingError("--attribute is of a classifier. Name that with --by RUN.")
    new: list[Direction] = []
    if asked["by"] is not None:
        from gansmith.explore.attribute_directions import attribute_directions
        from gansmith.models.classifier import open_classifier

        judge = open_classifier(asked["by"], device)
        named, count = asked["attributes"] or None, asked["samples"]
        bar = counter("Judging")
        new += attribute_directions(
            generator, judge, named, space=space, layers=layers, samples=count, progress=bar
        )
    busy = any(asked[name] for name in ("by", "renamed", "removed", "apart_"))
    if find is None and not busy and (nothing or space or layers):
        find = "sefa"
    if find == "sefa":
        from gansmith.explore.sefa import sefa

        new += sefa(generator, asked["count"], space=space, layers=layers)
    if find == "ganspace":
        from gansmith.explore.ganspace import ganspace

        bar, count = counter("Looking"), asked["samples"]
        new += ganspace(generator, asked["count"], space=space, layers=layers, samples=count, progress=bar)
    return new


def _effects(
    generator: "Generator", by: str, device: str, new: "Sequence[Direction]"
) -> dict[str, dict[str, float]]:
    """Of each new direction of an attribute, the share of images that have it at -1, 0 and 1."""
    from gansmith.explore.attribute_directions import direction_name, shares_along
    from gansmith.models.classifier import open_classifier

    judge, amounts = open_classifier(by, device), (-1.0, 0.0, 1.0)
    found = {}
    for one in new:
        for place, attribute in enumerate(judge.names):
            if one.source == "attribute" and one.name == direction_name(attribute, one.layers):
                shares = shares_along(generator, judge, one, amounts)[:, place].tolist()
                rounded = (round(share, 4) for share in shares)
                found[one.name] = dict(zip((f"{amount:g}" for amount in amounts), rounded, strict=True))
    return found


def _two(rule: str, text: str) -> tuple[str, str]:
    name, equals, other = (part.strip() for part in text.partition("="))
    if not (name and equals and other):
        raise SettingError(f"{rule}: both sides are names. Received: {text[:80]!r}.")
    return name, other


def _sheets(generator: "Generator", found: "Directions", asked: dict[str, Any]) -> list[Path]:
    """Sheets that were asked for."""
    from gansmith.core.seeds import parse_seeds
    from gansmith.explore.direction_sheet import direction_sheet
    from gansmith.images.provenance import KINDS

    if asked["out"] is None:
        if asked["only"]:
            raise SettingError("--only is of sheets. Say where they go with -o.")
        return []
    out, names = Path(asked["out"]), asked["only"] or found.names
    seeds, amounts = parse_seeds(asked["seeds"]), _numbers(asked["amounts"])
    chosen = [found[name] for name in names]
    if out.suffix.lower() in KINDS:
        if len(chosen) != 1:
            raise SettingError(
                f"A {out.suffix} holds the sheet of one direction. Received: {len(chosen)}. Name one with "
                "--only, or write to a folder."
            )
        return [direction_sheet(generator, chosen[0], out, seeds=seeds, amounts=amounts)]
    return [
        direction_sheet(generator, one, out / f"{file_name(one.name)}.png", seeds=seeds, amounts=amounts)
        for one in chosen
    ]


def file_name(name: str) -> str:
    """The name of a direction as that of a file, on any system."""
    return "".join(letter if letter.isalnum() or letter in "-_@" else "_" for letter in name)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise SettingError(f"--amounts are numbers, as in -1,0,1. Received: {text[:80]!r}.") from error


def _tree(generator: "Generator", found: "Directions", written: Sequence[Path]) -> dict[str, Any]:
    rows = [
        {
            "name": one.name,
            "source": one.source,
            "space": one.space,
            "layers": one.layers,
            "reach": one.reach,
            "accuracy": one.accuracy,
            "share": one.share,
            "angles": {other: round(angle, 1) for other, angle in _angles(found, one).items()},
        }
        for one in found
    ]
    return {
        "fingerprint": generator.fingerprint,
        "directions": rows,
        "sheets": [str(path) for path in written],
    }


def _angles(found: "Directions", one: "Direction") -> dict[str, float]:
    """Degrees to each other direction of the same space."""
    same = [each.name for each in found if each.space == one.space]
    row = found.angles(same)[same.index(one.name)].tolist()
    return {name: angle for name, angle in zip(same, row, strict=True) if name != one.name}


def lines_of(found: "Directions") -> list[str]:
    """A line for each direction: where it is from, how sure it is, and what is near."""
    lines = []
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        words = [f"{one.source} in {one.space}"]
        if one.layers is not None:
            words.append(f"layers {one.layers[0]}-{one.layers[1]}")
        if one.share is not None:
            words.append(f"{one.share:.0%} of the pictures have it")
        if one.accuracy is not None:
            words.append(f"boundary {one.accuracy:.0%} right")
        # Of two opposite ones each is the other's end: what counts is the angle of the lines.
        lines_apart = {name: min(angle, 180 - angle) for name, angle in _angles(found, one).items()}
        near = {name: angle for name, angle in lines_apart.items() if angle < _NEAR}
        if one.source == "attribute" and near:
            other = min(near, key=lambda name: near[name])
            words.append(f"{near[other]:.0f} degrees from {other}")
        lines.append(f"{one.name:{width}}  {', '.join(words)}")
    return lines
