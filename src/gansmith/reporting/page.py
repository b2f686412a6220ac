"""The report of a run: one HTML file with its images, curves, settings and data, made to be looked at."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gansmith.core.files import whole_file
from gansmith.errors import SettingError
from gansmith.metrics.descriptions import describe
from gansmith.reporting import charts, html, scores
from gansmith.reporting.images import Picture, embed, frames
from gansmith.reporting.run_files import Log, Point, Record, number, read

SAMPLES_SIDE, SAMPLES_BYTES = 1400, 400_000  # Of the newest grid.
SHEET_SIDE, SHEET_BYTES = 1600, 350_000
EVALUATION_SIDE, EVALUATION_BYTES = 1400, 700_000  # Bytes of all its images together.
MOST_EVALUATION = 24
MOST_REFUSED = 100  # Names of images that were left out.
MOST_ALARMS = 20

_CAPTIONS = {
    "prd.png": "precision-recall curve",
    "nearest.png": "generated pictures, and the nearest real ones",
}

_LICENCE_UNKNOWN = (
    "The licence of these pictures is not recorded. Whoever uses or shares this model must know it: the "
    "rights in the training pictures, and of the people shown in them, do not end with the training."
)


def report(run: Path | str, out: Path | str | None = None) -> Path:
    """Write the report of a run; the same run gives the same bytes.

    Args:
        run: a run directory, finished or not.
        out: the file, ``.html``; None for ``report.html`` in the run.

    Returns: the file.

    Raises:
        RunError: ``run`` is no run.
        SettingError: ``out`` is no name of a page.
        StorageError: the disk refuses.

    Example:
        >>> report("runs/one")
    """
    record = read(Path(run))
    return write_page(Path(run) / "report.html" if out is None else Path(out), build(record))


def write_page(out: Path, page: str) -> Path:
    """Write a page, wholly or not at all.

    Raises:
        SettingError: the name does not end in .html or .htm, or is that of a folder.
        StorageError: the disk refuses.
    """
    check_name(out)
    with whole_file(out) as part:
        part.write_text(page, encoding="utf-8", newline="\n")
    return out


def check_name(out: Path) -> None:
    """Raise SettingError unless a page may be written under this name."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"A page ends in .html. Received: {out}. Try {out.with_suffix('.html')}.")
    if out.is_dir():
        raise SettingError(
            f"A page is a file. Received: {out}, which is a folder. Try {out / 'report.html'}."
        )


def build(record: Record) -> str:
    """The whole page."""
    measured = scores.charts(record.metrics)
    training = [*charts.training_charts(record.stats), *charts.pace_charts(record.stats)]
    grids, hero = _hero(record)
    body = [
        hero,
        html.section("scores", "Scores", charts.figures(measured), _all_scores(record.metrics)),
        html.section("curves", "Training", charts.figures(training, len(measured)) or _no_numbers(record)),
        _real_and_generated(record.path),
        _evaluation(record),
        html.section("data", "Data", _data(record)),
        html.section("settings", "Recipe and environment", *_settings(record)),
    ]
    data = {**charts.together(measured, training), "frames": grids}
    alarms = html.notes(_alarms(record), "What the health watch said")
    head = html.paragraph(_lead(record), "lead") + html.notes(record.notes) + alarms
    return html.page(record.name, head, body, data)


# ---- the top --------------------------------------------------------------------------------------------


def _lead(record: Record) -> str:
    about = str(record.settings.get("about") or "").strip()
    start = f"{record.recipe_name} on {record.data_name}, {_state(record)}."
    return f"{start} {about}" if about else start


def _state(record: Record) -> str:
    if record.images == 0:
        return "not yet trained"
    if record.goal is None:
        return f"after {html.count(record.images)} images"
    if record.images < record.goal:
        return f"not finished: {html.count(record.images)} of {html.count(record.goal)} images so far"
    return f"finished after {html.count(record.images)} images"


def _alarms(record: Record) -> Iterator[str]:
    for alarm in record.alarms[:MOST_ALARMS]:
        yield f"After {html.count(alarm.images)} images: {alarm.message or alarm.name}"
    more = len(record.alarms) - MOST_ALARMS
    if more > 0:
        yield f"{html.plural(more, 'more alarm')} in stats.jsonl."


def _hero(record: Record) -> tuple[list[dict[str, Any]], str]:
    """What the slider shows, and the newest grid beside the main facts."""
    facts = html.pairs(dict(_facts(record)))
    images, newest = _newest(record)
    if newest is None:
        words = (
            "There are no pictures yet. The training of a generator writes the first grid when it starts; a "
            "classifier makes none."
        )
        return [], f'<section id="samples">\n<h2>Samples</h2>\n{html.paragraph(words)}\n{facts}\n</section>'
    before = frames([grid for grid in record.grids if grid[0] < images])
    shown = [{"images": at, "uri": picture.uri} for at, picture in before]
    viewer = _viewer(newest, images, len(shown))
    inside = f'<h2 class="unseen">Samples</h2>\n<div class="hero">\n{viewer}\n{facts}\n</div>'
    return [*shown, {"images": images}], f'<section id="samples">\n{inside}\n</section>'


def _newest(record: Record) -> tuple[int, Picture | None]:
    for images, file in reversed(record.grids):  # The last may be damaged, or half written.
        picture = embed(file, SAMPLES_SIDE, SAMPLES_BYTES)
        if picture is not None:
            return images, picture
    return 0, None


def _viewer(newest: Picture, images: int, last: int) -> str:
    alt = "Grid of pictures the generator made, after @"
    told = f"{html.count(images)} images"
    picture = newest.tag(alt.replace("@", told), f' id="grid" data-alt="{html.text(alt)}"')
    player = (
        '<div class="player" hidden><button type="button" id="play">Play</button>'
        f'<input type="range" id="time" min="0" max="{last}" step="1" value="{last}" '
        f'aria-label="Images seen" aria-valuetext="{told}"><output id="when" for="time">{told}</output></div>'
    )
    words = (
        "Each grid is drawn from the same seeds, so that a place in it can be followed through the training. "
        f"The newest grid is after {told}."
    )
    caption = html.paragraph(words, "quiet after")
    return f'<figure class="viewer">{picture}\n{player}\n<figcaption>{caption}</figcaption></figure>'


def _facts(record: Record) -> Iterator[tuple[str, object]]:
    yield "Recipe", record.recipe_name
    yield "Images seen", _of_goal(record)
    yield "Pictures", _pictures(record)
    seconds = record.stats.last("seconds")
    if seconds is not None:
        yield "Time", html.duration(seconds.value)
    if record.images_per_second is not None:
        yield "Pace", f"{html.short(record.images_per_second)} images a second"
    for name in scores.main(record.metrics.series):
        yield describe(name).title, _score(name, record.metrics)
    for name in record.stats.series:
        last = record.stats.last(name) if name.startswith("held-out/") else None
        if last is not None:
            shown = html.share(last.value) if charts.kind_of(name).percent else html.short(last.value)
            yield f"Held out: {charts.part_of(name)}", shown


def _of_goal(record: Record) -> str:
    seen = html.count(record.images)
    if record.goal is None or record.images >= record.goal:
        return seen
    return f"{seen} of {html.count(record.goal)}"


def _pictures(record: Record) -> str:
    size, channels = record.settings.get("data.size"), record.settings.get("data.channels")
    kind = {1: ", grey", 3: ", colour"}.get(channels if isinstance(channels, int) else 0, "")
    pixels = f", {size}{html.THIN}px{kind}" if size else ""
    there = number(record.data.get("pictures"))
    many = "" if there is None else f"{html.count(there)} in "
    return f"{many}{record.data_name}{pixels}"


def _score(name: str, metrics: Log) -> str:
    """The newest value and, where another was better, that one."""
    last, top = metrics.last(name), scores.best(name, metrics.series[name])
    if last is None:
        return "no number"
    told = with_bounds(last)
    if top is not None and top.value != last.value:
        told += f"\nbest {html.short(top.value)} after {html.count(top.images)} images"
    return told


def _all_scores(metrics: Log) -> str:
    """Every metric with its newest value, where the facts at the top show some of them only."""
    if len(metrics.series) <= scores.MAIN:
        return ""
    rows = [(describe(name).title, _score(name, metrics)) for name in metrics.series]
    return html.fold("All scores", html.table(("", "newest"), rows, "Newest values, and the best of each"))


def with_bounds(point: Point) -> str:
    """``12.3 (11.8 to 12.9)``."""
    if point.low is None or point.high is None:
        return html.short(point.value)
    return f"{html.short(point.value)} ({html.short(point.low)} to {html.short(point.high)})"


# ---- below ----------------------------------------------------------------------------------------------


def _no_numbers(record: Record) -> str:
    file = record.path / "stats.jsonl"
    words = "No line of stats.jsonl holds numbers" if file.exists() else "stats.jsonl is not there"
    return html.paragraph(f"There are no numbers yet: {words}. Training writes the first at train.log_every.")


def _real_and_generated(run: Path) -> str:
    file = run / "real_vs_generated.png"
    picture = embed(file, SHEET_SIDE, SHEET_BYTES) if file.is_file() else None
    if picture is None:
        return ""
    tag = picture.tag("Sheet of real pictures beside pictures the generator made")
    words = "Real pictures on the left, generated ones on the right; none of them picked by hand."
    figure = f'<figure class="wide">{tag}<figcaption>{words}</figcaption></figure>'
    return html.section("sheet", "Real and generated", figure)


def _evaluation(record: Record) -> str:
    shown = record.evaluation_pictures[:MOST_EVALUATION]
    each = EVALUATION_BYTES // max(len(shown), 1)
    made = ((file, embed(file, EVALUATION_SIDE, each)) for file in shown)
    gallery = "".join(_captioned(file, picture) for file, picture in made if picture is not None)
    rows = list(_results(record.evaluation.get("values"))) + list(_results(_rest(record.evaluation)))
    more = len(record.evaluation_pictures) - len(shown)
    return html.section(
        "evaluation",
        "Evaluation",
        html.table(("", "value", "note"), rows, "Results of gansmith evaluate") if rows else "",
        f'<div class="gallery">{gallery}</div>' if gallery else "",
        html.paragraph(f"{html.plural(more, 'more picture')} in {record.path.name}/evaluation.")
        if more
        else "",
    )


def _captioned(file: Path, picture: Picture) -> str:
    name = _CAPTIONS.get(file.name, file.stem.replace("_", " ").replace("-", " "))
    alt = picture.tag(f"Picture of the evaluation: {name}")
    return f"<figure>{alt}<figcaption>{html.text(name[:1].upper() + name[1:])}</figcaption></figure>"


def _rest(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What is not a number of the evaluation; curves are among its images."""
    return {key: item for key, item in tree.items() if key not in ("values", "curves")}


def _results(tree: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Rows of name, value and note of any JSON; a ``value`` with ``low`` and ``high`` is one row."""
    if isinstance(tree, dict) and (value := number(tree.get("value"))) is not None:
        low, high = number(tree.get("low")), number(tree.get("high"))
        yield prefix, with_bounds(Point(0.0, value, low, high)), str(tree.get("note") or "")
    elif isinstance(tree, dict) and depth < 6:
        for key, item in tree.items():
            yield from _results(item, f"{prefix}.{key}" if prefix else str(key), depth + 1)
    elif prefix:
        value = number(tree)
        yield prefix, str(tree)[:500] if value is None else html.short(value), ""


def _data(record: Record) -> str:
    data, refused = record.data, record.data.get("refused")
    licence = str(data.get("licence") or "").strip()
    refused = refused if isinstance(refused, list) else []
    pictures = number(data.get("pictures"))
    facts: dict[str, object] = {
        "Name": data.get("name", "not recorded"),
        "Pictures": "not recorded" if pictures is None else html.count(pictures),
        "Left out": html.count(len(refused)) if data else "not recorded",
        "Licence of the data": licence or "not recorded",
        "Fingerprint": data.get("fingerprint", "not recorded"),
    }
    warning = "" if licence else html.paragraph(_LICENCE_UNKNOWN, "notes")
    return html.pairs(facts) + warning + html.fold(_left_out_title(refused), _left_out(refused))


def _left_out_title(refused: list[Any]) -> str:
    more = f", the first {MOST_REFUSED}" if len(refused) > MOST_REFUSED else ""
    return f"Pictures that were left out, and why{more}"


def _left_out(refused: list[Any]) -> str:
    rows = [
        (item[0], item[1]) if isinstance(item, list) and len(item) == 2 else (item, "")
        for item in refused[:MOST_REFUSED]
    ]
    return html.table(("picture", "reason"), rows, "Left out of the training") if rows else ""


def _settings(record: Record) -> Iterator[str]:
    rows = [(name, _value(value)) for name, value in record.settings.items()]
    yield html.fold("Recipe", html.table(("setting", "value"), rows, f"Recipe {record.recipe_name}"))
    yield html.fold("Environment", _table_of(record.environment, "Where the run was made"))


def _table_of(tree: Mapping[str, Any], caption: str) -> str:
    rows = [(name, _value(value)) for name, value in tree.items()]
    return html.table(("", "value"), rows, caption) if rows else html.paragraph("Not recorded.")


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
