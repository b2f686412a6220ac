"""A run as a reader finds it: going on or over, whole or damaged; nothing is written and torch is not needed.

A report must also open runs of somebody's own method and of other versions, so settings stay plain JSON.
"""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gansmith.config.overrides import flat
from gansmith.config.serialization import with_new_names
from gansmith.core.json_files import MOST_BYTES, MOST_LISTED, json_lines, read_json
from gansmith.errors import RunError, nearest

_MOST_NAMED = 12  # Runs in a message.


class Point(NamedTuple):
    """One number of a log; NaN where something else was written. ``low`` and ``high`` bound it if known.

    Example:
        >>> Point(1000, 80.0, low=78.5, high=81.5).value
        80.0
    """

    images: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Log:
    """A file of JSON lines, as one list of points for each name, by images seen.

    Example:
        >>> Log({"fid": (Point(1000, 80.0), Point(2000, 60.0))}, left_out=0).last("fid").value
        60.0
    """

    series: Mapping[str, tuple[Point, ...]]
    left_out: int  # Lines that could not be read.

    @property
    def images(self) -> float:
        """The furthest position; 0 where there is none."""
        return max((points[-1].images for points in self.series.values()), default=0.0)

    def last(self, name: str) -> Point | None:
        """The newest point that is a number."""
        known = [point for point in self.series.get(name, ()) if math.isfinite(point.value)]
        return known[-1] if known else None


class Alarm(NamedTuple):
    """A warning of the health watch, as the run's log has it.

    Example:
        >>> Alarm(6400, "collapsed", "The samples are nearly all alike.").name
        'collapsed'
    """

    images: float
    name: str
    message: str


@dataclass(frozen=True)
class Record:
    """Everything that the files of a run directory hold; what is missing is empty.

    Example:
        >>> record = read(Path("runs/one"))
        >>> record.recipe_name, record.images, record.goal
    """

    path: Path
    recipe: Mapping[str, Any]
    settings: Mapping[str, Any]
    """The recipe with dotted names: ``{"train.batch": 32}``."""
    environment: Mapping[str, Any]
    data: Mapping[str, Any]
    stats: Log
    metrics: Log
    alarms: tuple[Alarm, ...]
    """What the health watch said, in order of images."""
    grids: tuple[tuple[int, Path], ...]
    """Images seen and file, in order of images."""
    evaluation: Mapping[str, Any]
    evaluation_pictures: tuple[Path, ...]
    notes: tuple[str, ...]
    """What is wrong with the directory, one sentence each."""

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.path.absolute().name or str(self.path)

    @property
    def recipe_name(self) -> str:
        """What the recipe calls itself."""
        return str(self.settings.get("name") or "a recipe without a name")

    @property
    def images(self) -> int:
        """Images seen, by the newest line or the newest grid."""
        return int(max(self.stats.images, self.grids[-1][0] if self.grids else 0))

    @property
    def goal(self) -> int | None:
        """Images the recipe asks for."""
        goal = number(self.settings.get("train.images"))
        return None if goal is None or not math.isfinite(goal) else int(goal)

    @property
    def data_name(self) -> str:
        """The last part of the data set's name, which may be a path."""
        name = str(self.data.get("name") or "")
        return name.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or "unknown pictures"

    @property
    def images_per_second(self) -> float | None:
        """Over the whole run; None before the first line."""
        seconds = self.stats.last("seconds")
        return seconds.images / seconds.value if seconds and seconds.value > 0 else None


def read(path: Path) -> Record:
    """The run at ``path``.

    Raises:
        RunError: there is no run, or its recipe cannot be read.
    """
    recipe, settings = _recipe(path)
    stats, metrics = read_log(path / "stats.jsonl"), read_log(path / "metrics.jsonl")
    files = {name: _json(path / name) for name in ("environment.json", "data.json")}
    evaluation = path / "evaluation"
    told = _json(evaluation / "evaluation.json") if evaluation.is_dir() else {}
    return Record(
        path=path,
        recipe=recipe,
        settings=settings,
        environment=files["environment.json"] or {},
        data=files["data.json"] or {},
        stats=stats,
        metrics=metrics,
        alarms=read_alarms(path / "stats.jsonl"),
        grids=_grids(path / "pictures"),
        evaluation=told or {},
        evaluation_pictures=_pngs(evaluation),
        notes=tuple(
            [*_log_notes("stats.jsonl", stats), *_log_notes("metrics.jsonl", metrics)]
            + [f"{name} is missing or cannot be read." for name, tree in files.items() if tree is None]
        ),
    )


def _recipe(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    file = path / "recipe.json"
    if not file.is_file():
        raise _no_run(path)
    recipe = _json(file)
    if recipe is None:
        raise RunError(f"{file} cannot be read as a recipe, so {path} is no run that can be shown.")
    return recipe, dict(flat(with_new_names(recipe)))


def _no_run(path: Path) -> RunError:
    if path.is_file():
        what = f"A run is a directory. Received: {path}, which is a file."
        owner = next((folder for folder in path.parents if _is_run(folder)), None)
        return RunError(what + (f" Did you mean '{owner}'?" if owner else ""))
    if not path.is_dir():
        return RunError(f"There is no run at {path}.{_suggest(path.name, _runs(path.parent))}")
    inside = _runs(path)
    if inside:
        return RunError(
            f"A run directory holds recipe.json. Received: {path}, which holds runs instead: "
            f"{_listed(inside)}. Name one of them, as in {path / inside[0]}."
        )
    what = f"A run directory holds recipe.json. Received: {path}, which does not."
    return RunError(what + _suggest(path.name, _runs(path.absolute().parent)))


def _suggest(name: str, runs: list[str]) -> str:
    hint = nearest(name, runs)
    return hint if hint.startswith(" Did") or not runs else f" Runs there: {_listed(runs)}."


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _runs(folder: Path) -> list[str]:
    try:
        return sorted(item.name for item in folder.iterdir() if _is_run(item))
    except OSError:
        return []


def _is_run(path: Path) -> bool:
    return (path / "recipe.json").is_file()


def _json(file: Path) -> dict[str, Any] | None:
    """A file's JSON object; None where there is none."""
    try:
        tree = read_json(file, MOST_LISTED if file.name == "data.json" else MOST_BYTES)
    except (OSError, ValueError):
        return None
    return tree if isinstance(tree, dict) else None


def _pngs(folder: Path) -> tuple[Path, ...]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ()
    return tuple(folder / name for name in names if name.lower().endswith(".png") and name[0] != ".")


def _grids(folder: Path) -> tuple[tuple[int, Path], ...]:
    # isdecimal, as isdigit takes superscripts, which int does not.
    return tuple(
        sorted(
            (int(file.stem), file) for file in _pngs(folder) if file.stem.isdecimal() and len(file.stem) < 16
        )
    )


# ---- logs -----------------------------------------------------------------------------------------------


def number(value: object) -> float | None:
    """A JSON number as float; None for anything else (true is no number)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def read_log(file: Path) -> Log:
    """``stats.jsonl`` or ``metrics.jsonl``; a missing file is an empty log.

    Of two rows at one position the later one counts. Cells that are no numbers are left out.
    """
    rows: dict[float, dict[str, Point]] = {}
    left_out = 0
    for tree in _lines(file):
        row = _row(tree)
        if row is None:
            left_out += 1
        else:
            rows.setdefault(row[0], {}).update(row[1])
    series: dict[str, list[Point]] = {}
    for _, cells in sorted(rows.items()):
        for name, point in cells.items():
            series.setdefault(name, []).append(point)
    return Log({name: tuple(points) for name, points in series.items()}, left_out)


def read_alarms(file: Path) -> tuple[Alarm, ...]:
    """The alarms in ``stats.jsonl``; lines of numbers, and what is neither, are left out."""
    found = [alarm for tree in _lines(file) if (alarm := _alarm(tree))]
    return tuple(sorted(found, key=lambda alarm: alarm.images))


def _alarm(tree: Any) -> Alarm | None:
    row, images = _object(tree)
    name = row.get("alarm")
    if images is None or not isinstance(name, str):
        return None
    return Alarm(images, name, str(row.get("message") or ""))


def _lines(file: Path) -> Iterator[Any]:
    with suppress(OSError):
        yield from json_lines(file)


def _row(tree: Any) -> tuple[float, dict[str, Point]] | None:
    row, images = _object(tree)
    if images is None:
        return None
    points = {name: _point(images, cell) for name, cell in row.items() if name != "images"}
    return images, {name: point for name, point in points.items() if point is not None}


def _object(row: Any) -> tuple[dict[str, Any], float | None]:
    """A line's JSON object and its position, which is None where the line is no row of a log."""
    images = number(row.get("images")) if isinstance(row, dict) else None
    if images is None or not math.isfinite(images) or images < 0:
        return {}, None
    return row, images


def _point(images: float, cell: object) -> Point | None:
    if isinstance(cell, dict):
        value = number(cell.get("value"))
        bounds = [number(cell.get(key)) for key in ("low", "high")]
        low, high = (bound if bound is not None and math.isfinite(bound) else None for bound in bounds)
    else:
        value, low, high = number(cell), None, None
    if value is None:
        return None
    return Point(images, value if math.isfinite(value) else math.nan, low, high)


def _log_notes(name: str, log: Log) -> Iterator[str]:
    if log.left_out:
        lines = "1 line" if log.left_out == 1 else f"{log.left_out} lines"
        yield f"{lines} of {name} could not be read and {'is' if log.left_out == 1 else 'are'} left out."
    for column, points in log.series.items():
        bad = [point for point in points if math.isnan(point.value)]
        if bad:
            values = "value" if len(bad) == 1 else "values"
            yield (
                f"{column} has {len(bad)} {values} in {name} that no number can stand for (NaN or infinite), "
                f"first after {bad[0].images:,.0f} images; the curve has a gap there."
            )
