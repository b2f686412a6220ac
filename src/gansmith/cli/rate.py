"""The verb ``rate``: what people like of a run's images."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gansmith.cli.options import Verb, given, on_device, with_code

if TYPE_CHECKING:
    from gansmith.models.generator import Generator
    from gansmith.ratings.ask import Asker
    from gansmith.ratings.store import Store

_PAIRS = 12  # Pairs on a sheet, where nothing else is asked for; of single images twice as many.


@click.command("rate", cls=Verb)
@click.argument("run", callback=given)
@click.option("--rater", default="me", show_default=True, metavar="NAME", help="Who answers.")
@click.option("--pairs", is_flag=True, help="Which of two is better, instead of which are liked.")
@click.option(
    "--count", type=click.IntRange(1, 64), help="Images or pairs on a sheet.  [24 images or 12 pairs]"
)
@click.option(
    "-o", "--out", callback=given, metavar="FILE", help="Where the sheet goes.  [rate-NAME.png in the run]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the order of images.")
@click.option("--fit", is_flag=True, help="Learn from the ratings what is liked; asks nothing.")
@click.option("--summary", is_flag=True, help="Say what there is and how far raters agree; asks nothing.")
@click.option("--json", "as_json", is_flag=True, help="The summary, or what was learnt, as JSON.")
@click.option("--export", "export_to", callback=given, metavar="CSV", help="Write all ratings to a file.")
@click.option("--import", "import_from", callback=given, metavar="CSV", help="Add what --export wrote.")
@with_code
@on_device
def rate(run: str, rater: str, **asked: Any) -> None:
    r"""Rate the images of a run: a sheet of them is written, and you answer with a line.

    Answers are kept in RUN/ratings.sqlite, where any number of people can rate at once, each under a --rater
    name. A line of an answer is 1,4-6 for what is liked (all, none), or 1a,2b for pairs; u takes the last
    sheet's answers back, and q or an empty line ends.

    \b
    gansmith rate runs/one --rater Ada
    gansmith rate runs/one --fit
    gansmith generate runs/one -o liked --prefer 8
    """
    from gansmith.cli.generate import open_model
    from gansmith.ratings.store import Store

    generator = open_model(run, asked["code"], asked["device"])
    store = Store.of(run, generator)
    if asked["import_from"]:
        _say(f"{store.import_csv(Path(asked['import_from']))} new ratings from {asked['import_from']}", asked)
    if asked["export_to"]:
        _say(f"{store.export_csv(Path(asked['export_to']))} ratings in {asked['export_to']}", asked)
    if asked["fit"]:
        _fit(generator, store, asked["as_json"])
    if asked["as_json"] and not asked["fit"]:
        click.echo(json.dumps(_facts(store), indent=2))
    elif asked["summary"]:
        click.echo(_in_words(store, run))
    if not any(asked[name] for name in ("import_from", "export_to", "fit", "as_json", "summary")):
        _ask(generator, store, rater, asked)


def _say(line: str, asked: dict[str, Any]) -> None:
    click.echo(line, err=asked["as_json"])  # What is printed as JSON is nothing else.


# ---- asking -----------------------------------------------------------------------------------------


def _ask(generator: "Generator", store: "Store", rater: str, asked: dict[str, Any]) -> None:
    from gansmith.errors import GansmithError
    from gansmith.networks.preference_file import read_facts
    from gansmith.ratings.ask import Asker
    from gansmith.ratings.preference import open_preference
    from gansmith.ratings.store import rater_name

    name, run = rater_name(rater), store.path.parent
    facts = read_facts(run)
    known = facts is not None and facts.generator == generator.fingerprint
    asker = Asker(generator, store, open_preference(run, generator) if known else None, asked["seed"])
    sheet = Path(asked["out"] or run / f"rate-{name.replace(' ', '-')}.png")
    before = len(store.ratings(rater=name))
    click.echo(f"{name} has answered {before} times. q ends; u takes the last sheet's answers back.")
    given_last = 0
    while True:
        show = _pairs_shown if asked["pairs"] else _thumbs_shown
        answered = show(generator, asker, asked["count"], name, sheet)
        line = _line()
        while line not in ("", "q", "u"):
            try:
                ratings = answered(line)
            except GansmithError as error:  # A slip of the finger costs no sheet.
                click.echo(str(error))
                line = _line()
                continue
            store.add(ratings)
            given_last = len(ratings)
            break
        if line == "u":
            taken = [store.undo(name) for _ in range(max(1, given_last))]
            given_last = 0
            click.echo(f"{sum(each is not None for each in taken)} answers taken back.")
        elif line in ("", "q"):
            break
    added = len(store.ratings(rater=name)) - before
    click.echo(f"{added} new ratings. What they teach: gansmith rate {run} --fit")


def _thumbs_shown(generator: "Generator", asker: "Asker", count: int | None, name: str, sheet: Path) -> Any:
    """Write a sheet, and give what makes ratings of an answer to it."""
    import time

    from gansmith.ratings.sheet import parse_thumbs, write_thumb_sheet
    from gansmith.ratings.store import Rating

    seeds = asker.thumbs(count or 2 * _PAIRS, name)
    write_thumb_sheet(generator, seeds, sheet)
    click.echo(f"Open {sheet}. Which of 1 to {len(seeds)} do you like? (1,4-6 or all or none)")
    return lambda line: [
        Rating("thumb", seed, None, liked, name, time.time())
        for seed, liked in zip(seeds, parse_thumbs(line, len(seeds)), strict=True)
    ]


def _pairs_shown(generator: "Generator", asker: "Asker", count: int | None, name: str, sheet: Path) -> Any:
    """As ``_thumbs_shown``, for pairs."""
    import time

    from gansmith.ratings.sheet import parse_pairs, write_pair_sheet
    from gansmith.ratings.store import Rating

    pairs = asker.pairs(count or _PAIRS, name)
    write_pair_sheet(generator, pairs, sheet)
    click.echo(f"Open {sheet}. Which of each pair, 1 to {len(pairs)}, is better? (1a,2b,...)")
    return lambda line: [
        Rating("pair", *pairs[place], first, name, time.time())
        for place, first in parse_pairs(line, len(pairs)).items()
    ]


def _line() -> str:
    """The next line of an answer; nothing at the end of the input."""
    click.echo("> ", nl=False)
    line: str = sys.stdin.readline()
    if not line.endswith("\n"):
        click.echo()
    return line.strip().lower()


# ---- what there is ----------------------------------------------------------------------------------


def _fit(generator: "Generator", store: "Store", as_json: bool) -> None:
    from dataclasses import asdict

    from gansmith.networks.preference_file import FACTS, save_preference
    from gansmith.ratings.preference import fit_preference

    fit = fit_preference(generator, store)
    run = store.path.parent
    save_preference(fit.preference, fit.facts, run)
    if as_json:
        click.echo(json.dumps(asdict(fit.facts), indent=2))
    else:
        click.echo(f"{fit.says}\nWhat was learnt: {run / FACTS}")


def _facts(store: "Store") -> dict[str, Any]:
    from dataclasses import asdict

    from gansmith.networks.preference_file import read_facts

    learnt = read_facts(store.path.parent)
    return {
        "run": store.name,
        "generator": store.fingerprint,
        **store.summary().to_json(),
        "preference": None if learnt is None else asdict(learnt),
    }


def _in_words(store: "Store", run: str) -> str:
    from gansmith.core.text import plural
    from gansmith.networks.preference_file import read_facts

    told, learnt = store.summary(), read_facts(store.path.parent)
    older = (
        f"{plural(told.older, 'rating')} of images that earlier weights made, not counted here."
        if told.older
        else ""
    )
    if not told.thumbs + told.pairs:
        return "\n".join(
            filter(None, [f"Nothing was rated yet. Rate some images: gansmith rate {run}", older])
        )
    by = ", ".join(f"{name} {count}" for name, count in told.raters.items())
    lines = [
        f"{plural(told.thumbs, 'image')} rated, {told.liked} of them liked; {plural(told.pairs, 'pair')}."
        + (f" By {by}." if by else ""),
        f"Agreement (Krippendorff's alpha): images {_alpha(told.alpha_thumbs)}, "
        f"pairs {_alpha(told.alpha_pairs)}.",
        f"Disputed between raters: {told.disputed}. Answered otherwise by one rater: {told.repeated}.",
    ]
    if older:
        lines.append(older)
    if learnt is None:
        lines.append("Nothing was learnt from them yet.")
    else:
        old = "" if learnt.generator == store.fingerprint else ", of earlier weights"
        lines.append(f"Learnt from {plural(learnt.ratings, 'rating')}{old}: AUC {learnt.auc:.2f}.")
    return "\n".join(lines)


def _alpha(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
