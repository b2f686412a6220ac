"""The verb ``prepare``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gansmith.cli.options import Verb, given, to_fit, to_size, to_two
from gansmith.core.text import plural
from gansmith.errors import SettingError

if TYPE_CHECKING:
    from gansmith.core.image_size import Size
    from gansmith.data.prepare.prepare import Options, Prepared
    from gansmith.data.prepare.worker import Faces
    from gansmith.data.sources.base import Source


with_json = click.option("--json", "as_json", is_flag=True, help="The report for programs, alone on stdout.")
with_workers = click.option("--workers", type=int, metavar="N", help="Processes. [one for each core]")


def _faces_options(command: Any) -> Any:
    for option in (
        click.option("--every-face", is_flag=True, help="All faces of a picture, not only the largest."),
        click.option("--template", default="ffhq", show_default=True, help="ffhq, celeba or close."),
        click.option(
            "--margin", type=float, default=0.0, show_default=True, help="More all round: 0.2 is a fifth."
        ),
        click.option(
            "--min-face",
            "--least-face",
            "min_face",
            type=int,
            metavar="PX",
            help="Smaller faces are left out. [half of the size]",
        ),
        click.option(
            "--min-score",
            "--least-score",
            "min_score",
            type=float,
            default=0.0,
            show_default=True,
            help="Less sure ones, too.",
        ),
    ):
        command = option(command)
    return command


def with_pairs(command: Any) -> Any:
    """Options of verbs that take pairs of images."""
    for option in (
        click.option(
            "--pairs",
            metavar="KIND",
            callback=_to_pairs,
            help="Pairs: beside or folders as they are stored, edges, grey, ... to make them (docs/data.md).",
        ),
        click.option("--between", metavar="A,B", help="The folders of sources and targets."),
        click.option("--swap", is_flag=True, help="Sources become targets."),
    ):
        command = option(command)
    return command


def _to_pairs(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    from typing import get_args

    from gansmith.data.sources.pairs import PairKind
    from gansmith.errors import nearest

    if value is not None and value not in get_args(PairKind):
        raise SettingError(f"There are no pairs of the kind '{value}'.{nearest(value, get_args(PairKind))}")
    return value


def _source_options(command: Any) -> Any:
    for option in (
        click.option("--label", metavar="COLUMN", help="The column of the table that is the class."),
        with_pairs,
        click.option(
            "--every",
            type=float,
            default=1.0,
            show_default=True,
            help="Seconds between frames.",
        ),
        click.option("--frames", type=int, default=500, show_default=True, help="Frames of a video at most."),
    ):
        command = option(command)
    return command


@click.command(cls=Verb)
@click.argument("src", callback=given)
@click.argument("dest", callback=given)
@click.option("--size", callback=to_size, metavar="64|128x96", help="Of every picture. [as the pictures are]")
@click.option(
    "--fit",
    default="crop",
    show_default=True,
    metavar="crop|pad|stretch|box=L,T,R,B",
    help="How another shape is brought to it.",
)
@click.option("--channels", type=click.Choice(["1", "3"]), help="1: grey, 3: colour. [what the pictures are]")
@click.option("--align", type=click.Choice(["faces"]), help="Find faces and bring eyes to the same place.")
@_faces_options
@_source_options
@click.option(
    "--license",
    "--licence",
    "licence",
    metavar="TEXT",
    help="Of the pictures; kept with the set and told in reports.",
)
@click.option("--shards", type=click.IntRange(1), metavar="N", help="WebDataset shards of N pictures.")
@with_workers
@with_json
def prepare(src: str, dest: str, as_json: bool, **asked: Any) -> None:
    r"""Bring any images into one form, once: a prepared set that opens at once. SRC is never written to.

    SRC is a folder in any nesting, a zip or tar, a video or a folder of videos, WebDataset shards, a Hugging
    Face data set, or a built-in name. The same command goes on after an interruption.

    \b
    gansmith prepare my_photos faces64 --size 64 --align faces
    gansmith prepare celeba celeba128 --size 128 --fit box=25,50,153,178
    gansmith prepare edges2shoes pairs --size 256 --pairs beside
    """
    from gansmith.core.console import counter
    from gansmith.data.inspect.report import as_json as tree
    from gansmith.data.inspect.report import as_text
    from gansmith.data.prepare.prepare import prepare as start

    options = _options(asked)
    source = source_of(src, asked, options.size)
    try:
        done = start(
            source, Path(dest), options, workers=asked["workers"], progress=counter("Preparing pictures")
        )
    except KeyboardInterrupt:
        click.echo(
            f"gansmith: stopped; what is prepared in {dest} is kept. The same command goes on.", err=True
        )
        sys.exit(130)
    if done.before:
        click.echo(f"Went on after {plural(done.before, 'picture')} done already.", err=True)
    if as_json:
        click.echo(json.dumps(tree(done.report), indent=2))
        _tell_vanished(done)
        return
    click.echo(as_text(done.report))
    click.echo(f"\n{plural(done.pictures, 'picture')} in {dest}; its report: report.txt, contact.png. Next:")
    recipe = " --recipe pix2pix64-small" if asked["pairs"] or asked["between"] else ""
    click.echo(f"  gansmith train {dest}{recipe} --run runs/{Path(dest).name}")
    _tell_vanished(done)


def _tell_vanished(done: "Prepared") -> None:
    """Say last what a short set may be due to; it is whole in itself, so this is no failure."""
    from gansmith.data.metadata.facts import VANISHED

    gone = [item.name for item in done.report.refused if item.reason == VANISHED]
    if gone:
        click.echo(
            f"gansmith: {plural(len(gone), 'picture')} vanished from SRC while it was read, such as "
            f"{gone[0]}. The set is of the others. If that was a mistake, bring them back, delete "
            f"{done.path}, and give the command again.",
            err=True,
        )


def _options(asked: dict[str, Any]) -> "Options":
    from gansmith.data.metadata.licences import given as licence_given
    from gansmith.data.prepare.prepare import Options

    fit, box = to_fit(asked["fit"])
    channels = None if asked["channels"] is None else int(asked["channels"])
    _check_partner(("every_face", "template", "margin", "min_face", "min_score"), asked, "align", "faces")
    if not asked["between"]:  # Which says that pairs are two folders.
        _check_partner(("swap",), asked, "pairs", "folders")
    faces = _faces(asked) if asked["align"] else None
    return Options(
        size=asked["size"],
        channels=channels,
        fit=fit,
        box=box,
        faces=faces,
        shards=asked["shards"],
        licence=licence_given(asked["licence"]),
    )


def _check_partner(names: tuple[str, ...], asked: dict[str, Any], partner: str, example: str) -> None:
    """An option that means nothing without another is a slip, not a wish."""
    context = click.get_current_context()
    for name in names:
        given_by_user = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given_by_user and not asked[partner]:
            raise SettingError(
                f"--{name.replace('_', '-')} goes with --{partner} {example}. Received: no --{partner}."
            )


def _faces(asked: dict[str, Any]) -> "Faces":
    from gansmith.data.prepare.worker import Faces
    from gansmith.faces.align import named_template
    from gansmith.faces.detect import LEAST_FACE

    size: Size | None = asked["size"]
    usual = LEAST_FACE if size is None else max(20, min(size.width, size.height) // 2)
    return Faces(
        template=named_template(asked["template"], asked["margin"]),
        every=asked["every_face"],
        min_score=asked["min_score"],
        min_face=asked["min_face"] or usual,
    )


def source_of(src: str, asked: dict[str, Any], size: "Size | None" = None) -> "Source":
    """The source a user names, with what was asked of it."""
    from gansmith.core.image_size import Size
    from gansmith.data.sources.named import How, named_source
    from gansmith.data.sources.video import Sampling

    between = to_two("--between", asked.get("between"))
    how = How(
        label=asked.get("label"),
        pairs=asked.get("pairs") or ("folders" if between else None),
        between=between,
        swap=bool(asked.get("swap")),
        sampling=Sampling(every=asked.get("every", 1.0), max_frames=asked.get("frames", 500)),
        size=size or Size(64, 64),
    )
    return named_source(src, how)
