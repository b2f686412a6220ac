"""Several runs side by side: what differs between them, their numbers, and seeds of one recipe as one."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gansmith.errors import RunError
from gansmith.metrics.descriptions import describe
from gansmith.reporting.charts import part_of
from gansmith.reporting.html import count, short
from gansmith.reporting.run_files import Point, Record, read
from gansmith.reporting.scores import best

_ABSENT = "(absent)"

_HOUSEKEEPING = {
    "name",
    "about",
    "train.seed",
    "train.log_every",
    "train.picture_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.evaluate",
}
"""Settings that do not make another experiment, and the name, which is shown anyway."""


@dataclass(frozen=True)
class Group:
    """Runs of one recipe that differ only in their seeds.

    Example:
        >>> compare([Path("runs/one"), Path("runs/two")]).groups[0].runs
        ('one', 'two')
    """

    name: str
    runs: tuple[str, ...]
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Comparison:
    """Compared runs, in groups in the order in which they were named.

    Example:
        >>> comparison = compare([Path("runs/one"), Path("runs/two")])
        >>> comparison.differences, comparison.warnings
    """

    groups: tuple[Group, ...]
    differences: Mapping[str, tuple[object, ...]]
    """Setting -> its value in each group; settings that all groups have come first."""
    warnings: tuple[str, ...]

    @property
    def runs(self) -> Iterator[tuple[str, Record]]:
        """Every run with a name that no other has."""
        for group in self.groups:
            yield from zip(group.runs, group.records, strict=True)


def compare(paths: Sequence[Path]) -> Comparison:
    """Read and compare run directories.

    Raises:
        RunError: one is no run, or is named twice.
    """
    records = [read(path) for path in paths]
    _check_distinct(paths)
    names = unique_names([record.path for record in records])
    parted: dict[str, list[tuple[str, Record]]] = {}
    for name, record in zip(names, records, strict=True):
        parted.setdefault(_experiment(record), []).append((name, record))
    groups = _named(list(parted.values()))
    return Comparison(groups, _differences(groups), tuple(_warnings(records)))


def _check_distinct(paths: Sequence[Path]) -> None:
    seen: dict[Path, int] = {}
    for place, path in enumerate(paths):
        first = seen.setdefault(path.resolve(), place)
        if first != place:
            also = "" if str(paths[first]) == str(path) else f", once as {paths[first]}"
            raise RunError(f"Each run is compared once. Received: {path} twice{also}. Name it once.")


def unique_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as few as tell each from all others.

    >>> unique_names([Path("/a/one"), Path("/b/one"), Path("/b/two")])
    ['a/one', 'b/one', 'two']
    """
    parts = [path.absolute().parts for path in paths]
    names = []
    for own in parts:
        others = [other for other in parts if other is not own]
        length = 1
        while length < len(own) and any(other[-length:] == own[-length:] for other in others):
            length += 1
        names.append("/".join(own[-length:]))
    return names


def _settings(record: Record) -> dict[str, object]:
    """The settings that define the experiment; one that is None counts as one that is absent."""
    return {
        name: value
        for name, value in record.settings.items()
        if name not in _HOUSEKEEPING and not name.startswith("train.evaluate.") and value is not None
    }


def _experiment(record: Record) -> str:
    """Equal for runs that differ in their seeds alone."""
    return json.dumps([record.recipe_name, _settings(record), _data_of(record)], sort_keys=True, default=str)


def _data_of(record: Record) -> list[object]:
    """What tells one data set from another; its name where nothing better is recorded."""
    fingerprint = record.data.get("fingerprint")
    return [fingerprint if fingerprint is not None else record.data.get("name"), record.data.get("pictures")]


def _named(parted: list[list[tuple[str, Record]]]) -> tuple[Group, ...]:
    recipes = [runs[0][1].recipe_name for runs in parted]
    groups = []
    for runs, recipe in zip(parted, recipes, strict=True):
        names, records = tuple(name for name, _ in runs), tuple(record for _, record in runs)
        own = recipe if recipes.count(recipe) == 1 else f"{recipe} ({names[0]})"
        groups.append(Group(own if len(names) > 1 else names[0], names, records))
    return tuple(groups)


def _differences(groups: Sequence[Group]) -> dict[str, tuple[object, ...]]:
    every = [_settings(group.records[0]) for group in groups]
    names = [name for name in dict.fromkeys(name for settings in every for name in settings)]
    rows = {name: tuple(settings.get(name, _ABSENT) for settings in every) for name in names}
    differing = {name: row for name, row in rows.items() if any(value != row[0] for value in row)}
    return dict(sorted(differing.items(), key=lambda row: _ABSENT in row[1]))


def _warnings(records: Sequence[Record]) -> Iterator[str]:
    data = {json.dumps(_data_of(record), default=str): data_words(record) for record in records}
    if len(data) > 1:
        yield f"The runs are on different data, so their numbers do not compare: {'; '.join(data.values())}."
    sizes = dict.fromkeys(str(record.settings.get("data.size", "unknown")) for record in records)
    if len(sizes) > 1:
        told = ", ".join(sizes)
        yield f"The runs make pictures of different sizes, so their numbers do not compare: {told} px."
    seen = [record.images for record in records]
    if min(seen) != max(seen):
        yield (
            f"The runs have seen different numbers of images, {count(min(seen))} to {count(max(seen))}; "
            "last values are from different times."
        )
    if len({str(record.settings.get("method")) for record in records}) > 1:
        yield "The runs are of different methods, whose losses and outputs are not on one scale."
    for record in records:
        yield from (f"{record.name}: {note}" for note in record.notes)


def title_of(group: Group) -> str:
    """``rpgan64 on utkface.zip (18000 pictures), 64 px``."""
    first = group.records[0]
    size = first.settings.get("data.size", "unknown")
    return f"{first.recipe_name} on {data_words(first)}, {size} px"


def data_words(record: Record) -> str:
    """``utkface.zip (18000 pictures)``."""
    pictures = record.data.get("pictures")
    if not isinstance(pictures, int):
        return record.data_name
    return f"{record.data_name} ({pictures} picture{'' if pictures == 1 else 's'})"


# ---- numbers --------------------------------------------------------------------------------------------


def numbers(record: Record) -> dict[str, float]:
    """The main numbers by name: images a second, scores with their best, held-out numbers, losses."""
    told: dict[str, float | None] = {"images/s": record.images_per_second}
    for name in record.metrics.series:
        told[name] = _value(record.metrics.last(name))
        if describe(name).better:
            told[f"best {name}"] = _value(best(name, record.metrics.series[name]))
    names = list(record.stats.series)
    for name in [name for name in names if name.startswith("held-out/")]:
        told[name] = _value(record.stats.last(name))
    for name in [name for name in names if part_of(name) == "loss" and not name.startswith("held-out/")]:
        told[name] = _value(record.stats.last(name))
    return {name: value for name, value in told.items() if value is not None}


def _value(point: Point | None) -> float | None:
    return None if point is None else point.value


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) of two numbers or more."""
    return statistics.fmean(values), statistics.stdev(values)


def columns(group: Group) -> list[str]:
    """Names of a group's main numbers, in the order of the first run that has them.

    The best value of a score is left out where in all runs it is the last one.
    """
    every = [numbers(record) for record in group.records]
    names = dict.fromkeys(name for own in every for name in own)
    last = {f"best {name}": name for name in names}
    return [
        name
        for name in names
        if name not in last or any(own.get(name) != own.get(last[name]) for own in every)
    ]


def rows_of(group: Group) -> Iterator[list[str]]:
    """The head, then name, seed, images and numbers of each run, then the mean where there are several.

    Alarms of the health watch are counted where a run has any.
    """
    names = columns(group)
    ill = any(record.alarms for record in group.records)
    yield ["run", "seed", "images", *(["alarms"] if ill else []), *names]
    every = [numbers(record) for record in group.records]
    for run, record, own in zip(group.runs, group.records, every, strict=True):
        known = [short(own[name]) if name in own else "" for name in names]
        alarms = [_alarms(record)] if ill else []
        yield [run, str(record.settings.get("train.seed", "")), _images(record), *alarms, *known]
    if len(every) < 2:
        return
    means = []
    for name in names:
        there = [own[name] for own in every if name in own]
        means.append(_spread_words(*mean_and_spread(there)) if len(there) > 1 else "")
    yield [f"mean of {len(every)}", "", "", *([""] if ill else []), *means]


def _spread_words(mean: float, spread: float) -> str:
    """``0.917 ± 0.048``: two figures of the spread, and no more of the mean than that leaves sure."""
    if not 1e-4 < spread < 1e4:
        return f"{short(mean)} ± {short(spread)}"
    places = max(0, 1 - math.floor(math.log10(spread)))
    return f"{mean:.{places}f} ± {spread:.{places}f}"


def _alarms(record: Record) -> str:
    """``3 (collapse 2, vanished 1)``, or ``0``."""
    counts = Counter(alarm.name for alarm in record.alarms)
    each = ", ".join(f"{name} {many}" for name, many in counts.items())
    return f"{len(record.alarms)} ({each})" if each else "0"


def _images(record: Record) -> str:
    going = record.goal is not None and record.images < record.goal
    return f"{record.images} of {record.goal}" if going else str(record.images)
