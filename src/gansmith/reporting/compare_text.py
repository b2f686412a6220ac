"""A comparison of runs for a terminal, and for programs."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from gansmith.reporting.compare import Comparison, Group, mean_and_spread, numbers, rows_of, title_of
from gansmith.reporting.html import THIN, plain
from gansmith.reporting.run_files import Record
from gansmith.reporting.scores import best

MOST_DIFFERENCES = 20  # Settings shown; JSON has all.


def as_text(comparison: Comparison, width: int = 100) -> str:
    """The comparison for a terminal ``width`` characters wide."""
    blocks = list(comparison.warnings)
    for group in comparison.groups:
        blocks.append("\n".join([title_of(group), *_table(list(rows_of(group)), width)]))
    if comparison.differences:
        blocks.append("\n".join(["Settings that differ", *_settings(comparison, width)]))
    return plain_text("\n\n".join(blocks))


def _settings(comparison: Comparison, width: int) -> list[str]:
    shown = list(comparison.differences.items())[:MOST_DIFFERENCES]
    rows = [["", *(group.name for group in comparison.groups)]]
    rows += [[name, *(str(value) for value in values)] for name, values in shown]
    lines = _table(rows, width)
    more = len(comparison.differences) - len(shown)
    return [*lines, f"  and {more} more: --json has all."] if more else lines


def plain_text(words: str) -> str:
    """Lines that any terminal can show: common spaces, no stray bytes."""
    return "\n".join(plain(line) for line in words.replace(THIN, "").split("\n"))


def _table(cells: Sequence[Sequence[str]], width: int) -> list[str]:
    """Aligned lines, the head first; columns that do not fit follow below, with their rows named again."""
    wide = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    parts: list[list[int]] = [[0]]
    for column in range(1, len(wide)):
        if len(parts[-1]) > 1 and sum(wide[one] + 2 for one in [*parts[-1], column]) > width:
            parts.append([0])
        parts[-1].append(column)
    lines = []
    for part in parts:
        lines += ["  ".join(["", *_aligned(row, part, wide)]).rstrip() for row in cells]
    return lines


def _aligned(row: Sequence[str], part: Sequence[int], wide: Sequence[int]) -> Iterator[str]:
    for column in part:
        yield row[column].ljust(wide[column]) if column == 0 else row[column].rjust(wide[column])


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison in dicts, lists, strings, numbers and None."""
    return {
        "warnings": [plain_text(warning) for warning in comparison.warnings],
        "groups": [_group_json(group) for group in comparison.groups],
        "runs": [run_json(name, record) for name, record in comparison.runs],
        "differences": {name: list(values) for name, values in comparison.differences.items()},
    }


def _group_json(group: Group) -> dict[str, Any]:
    every = [numbers(record) for record in group.records]
    told = {}
    for name in dict.fromkeys(name for own in every for name in own):
        values = [own[name] for own in every if name in own]
        mean, spread = mean_and_spread(values) if len(values) > 1 else (values[0], None)
        told[name] = {"mean": mean, "deviation": spread, "count": len(values)}
    seeds = [record.settings.get("train.seed") for record in group.records]
    return {
        "name": plain(group.name),
        "runs": [plain(run) for run in group.runs],
        "seeds": seeds,
        "numbers": told,
    }


def run_json(name: str, record: Record) -> dict[str, Any]:
    """What is known of a run, in dicts, lists, strings, numbers and None."""
    tops = {metric: best(metric, points) for metric, points in record.metrics.series.items()}
    return {
        "name": plain(name),
        "path": plain(record.path),
        "recipe": record.recipe_name,
        "seed": record.settings.get("train.seed"),
        "size": record.settings.get("data.size"),
        "data": {key: record.data.get(key) for key in ("name", "pictures", "fingerprint")},
        "images": record.images,
        "goal": record.goal,
        "alarms": [alarm._asdict() for alarm in record.alarms],
        "numbers": {key: value for key, value in numbers(record).items() if math.isfinite(value)},
        "best": {
            score: {"value": top.value, "images": top.images}
            for score, top in tops.items()
            if top is not None
        },
    }
