"""The verbs that show what came of training: ``report`` and ``compare``."""

import json
import shutil
from pathlib import Path

import click

from gansmith.cli.options import Verb, given


@click.command(cls=Verb)
@click.argument("run", callback=given)
@click.option("-o", "--out", callback=given, metavar="FILE", help="The page. [RUN/report.html]")
@click.option(
    "--json", "as_json", is_flag=True, help="Facts, newest numbers, scores, alarms for programs; no page."
)
def report(run: str, out: str | None, as_json: bool) -> None:
    r"""Make one page to look at: grids over time, curves, scores, recipe, environment and data.

    The page is a single file that needs no network. RUN may still be going on.

    \b
    gansmith report runs/one
    gansmith report runs/one -o one.html
    gansmith report runs/one --json
    """
    from gansmith.reporting.page import report as make

    if as_json:
        from gansmith.reporting.compare_text import run_json
        from gansmith.reporting.run_files import read

        record = read(Path(run))
        known = {"evaluation": record.evaluation, "notes": list(record.notes)}
        click.echo(json.dumps({**run_json(record.name, record), **known}, indent=2))
        if out is None:
            return
    page = make(Path(run), None if out is None else Path(out))
    _tell(page)


@click.command(cls=Verb)
@click.argument("runs", nargs=-1, required=True)
@click.option("-o", "--out", callback=given, metavar="FILE", help="A page with the curves over each other.")
@click.option("--json", "as_json", is_flag=True, help="The comparison for programs, alone on stdout.")
def compare(runs: tuple[str, ...], out: str | None, as_json: bool) -> None:
    r"""Put runs side by side: numbers, settings that differ, curves. Seeds of one recipe become one.

    \b
    gansmith compare runs/one runs/two
    gansmith compare runs/seed-* -o seeds.html
    """
    from gansmith.reporting import compare as comparing
    from gansmith.reporting.compare_page import build
    from gansmith.reporting.compare_text import as_json as tree
    from gansmith.reporting.compare_text import as_text
    from gansmith.reporting.page import check_name, write_page

    if any(not run.strip() for run in runs):
        raise click.BadParameter("RUNS must not be empty.")
    page = None if out is None else Path(out)
    if page is not None:
        check_name(page)
    found = comparing.compare([Path(run) for run in runs])
    if as_json:
        click.echo(json.dumps(tree(found), indent=2))
    else:
        click.echo(as_text(found, shutil.get_terminal_size((100, 24)).columns))
    if page is not None:
        _tell(write_page(page, build(found)))


def _tell(page: Path) -> None:
    from gansmith.reporting.html import plain

    size = page.stat().st_size / 1e6
    click.echo(f"{plain(page)} ({size:.1f} MB): open it in a browser.", err=True)
