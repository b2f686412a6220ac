"""The verb ``generate``: images from a trained model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, to_wishes, with_code, with_wish
from gansmith.core.launch import speaks
from gansmith.core.text import plural
from gansmith.errors import SettingError

if TYPE_CHECKING:
    from gansmith.explore.directions import Steps
    from gansmith.models.generator import Generator
    from gansmith.models.prompts import Wish
    from gansmith.models.write import Choice


@click.command(cls=Verb)
@click.argument("model", callback=given)
@click.option(
    "-o",
    "--out",
    required=True,
    callback=given,
    metavar="OUT",
    help="A folder, a .zip, or one .png, .jpg or .webp for a grid.",
)
@click.option("--seeds", help="Seeds and ranges: 0-63,100,200-299. [0-63; in a sheet of several wishes 0-7]")
@click.option(
    "--batch", type=click.IntRange(1), default=64, show_default=True, help="Pictures made at a time."
)
@click.option(
    "--direction",
    "directions",
    multiple=True,
    metavar="NAME=AMOUNT",
    help="Go along a direction of the run, -1 to 1; more than once.",
)
@click.option(
    "--prefer",
    type=click.IntRange(2, 1000),
    metavar="N",
    help="Of N times as many images keep those that ratings say are liked.",
)
@with_wish
@with_code
@on_device
def generate(model: str, out: str, seeds: str | None, batch: int, prefer: int | None, **asked: Any) -> None:
    r"""Make images from seeds: one seed is one image, whatever the batch or the number asked for.

    MODEL is a run directory, a checkpoint file, or weights of a DCGAN made elsewhere (.pt, .pth). What a
    conditional model is not asked for is drawn by the seed, as often as in the training data. With --prefer
    the seeds that follow are looked at, too, and MODEL is a run whose ratings were learnt from.

    --caption, --label or --attribute said several times make one picture, a sheet: a row for each wish, what
    was asked beside it, and a column for each seed.

    \b
    gansmith generate runs/one -o sheet.png --caption "a red cap" --caption "long fair hair"
    """
    from gansmith.core.console import bar
    from gansmith.core.distributed import my_device, process_group
    from gansmith.core.seeds import parse_seeds
    from gansmith.models.write import Choice, write

    wishes = to_wishes(asked)
    sheet = len(wishes) > 1
    if sheet and prefer is not None:
        raise SettingError(
            f"--prefer chooses the seeds of one wish. Received: {len(wishes)} wishes. Leave it out, or ask "
            "for one of them."
        )
    chosen: Sequence[int] = parse_seeds(seeds or ("0-7" if sheet else "0-63"))
    generator = open_model(model, asked["code"], my_device(asked["device"]))
    choice = Choice(
        wishes[0] if wishes else None,
        asked["truncation"],
        steps_of(generator, model, asked["directions"]),
    )
    for wish in wishes:
        say_unknown(generator, wish)
    if sheet:
        _write_sheet(generator, chosen, wishes, Path(out), choice)
        return
    if prefer is not None:
        chosen = _preferred(generator, model, chosen, prefer, choice)
    with process_group(generator.device) as world:
        with bar("Generating", len(chosen)) as progress:
            done = progress.update
            written = write(
                generator, chosen, Path(out), batch=batch, progress=done, world=world, choice=choice
            )
        if world.is_main:
            click.echo(f"{plural(written.count, 'picture')} in {written.path}")
        if world.is_main and written.others:
            click.echo(
                f"gansmith: {written.path} also holds {plural(written.others, 'picture')} made by other "
                "weights, and what reads the folder sees both. A folder of its own keeps them apart.",
                err=True,
            )


def _write_sheet(
    generator: "Generator", seeds: Sequence[int], wishes: Sequence["Wish"], out: Path, choice: "Choice"
) -> None:
    """A row for each wish; of several processes the first does it all, as there is little to do."""
    from gansmith.core.console import bar
    from gansmith.core.distributed import process_group
    from gansmith.models.wish_sheet import wish_sheet

    with process_group(generator.device) as world:
        if world.is_main:
            with bar("Generating", len(seeds) * len(wishes)) as progress:
                written = wish_sheet(generator, seeds, wishes, out, choice, progress.update)
            click.echo(f"{plural(written.count, 'picture')} of {len(wishes)} wishes in {written.path}")
        world.barrier()


def _preferred(
    generator: "Generator", model: str, seeds: Sequence[int], times: int, choice: "Choice"
) -> list[int]:
    """As many seeds, the best of ``times`` as many by what was learnt of the run's ratings."""
    from gansmith.core.console import bar
    from gansmith.networks.preference_file import read_facts
    from gansmith.ratings.best_of import best_of
    from gansmith.ratings.preference import open_preference

    preference, facts = open_preference(model, generator), read_facts(Path(model))
    if facts is not None:
        facts.check_known(model)
    with bar("Choosing", times * len(seeds)) as progress:
        return best_of(generator, preference, seeds, times, choice, progress.update)


def say_unknown(generator: "Generator", wish: "Wish | None") -> None:
    """Say on stderr which words of a caption a model does not know."""
    if generator.asks is not None and (line := generator.asks.remark(wish)) and speaks():
        click.echo(line, err=True)


def steps_of(generator: "Generator", model: str, texts: Sequence[str]) -> "Steps | None":
    """What ``--direction`` asks for, out of what is stored in the run; None where nothing is asked for."""
    if not texts:
        return None
    from gansmith.explore.directions import Steps, check_space, home_of, stored_directions

    check_space(generator, None)
    return Steps.parse(stored_directions(generator, home_of(model)), texts)


def open_model(model: str, code: str | None, device: str) -> "Generator":
    """The generator of a MODEL, whose own code is imported first."""
    from gansmith.core.launch import speaks
    from gansmith.models.load import open_generator

    import_code(code)
    generator = open_generator(model, device)
    for doubt in generator.doubts if speaks() else ():
        click.echo(f"gansmith: {doubt}", err=True)
    return generator
