"""What an evaluation leaves behind: numbers as JSON, the precision-recall curve, the nearest pictures."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.data.report import duplicate_sheet
from gansmith.metrics.evaluate import Evaluation
from gansmith.run import Run
from gansmith.storage import whole_file, write_text

RESULT, CURVE, ROC, NEAREST = "evaluation.json", "prd.png", "roc.png", "nearest.png"
HISTORY = "metrics.jsonl"
_GREY, _BLUE = "#888888", "#2a6fb0"


def default_folder(made: str) -> Path | None:
    """``evaluation`` in a run; nowhere for anything else."""
    return Path(made) / "evaluation" if Run.is_run(Path(made)) else None


def write_outputs(found: Evaluation, folder: Path) -> list[Path]:
    """Write what there is to be seen into a folder; for a run, a line of its history, too.

    Returns: the files written.

    Raises:
        StorageError: the disk refuses.
    """
    written = [folder / RESULT]
    write_text(written[0], json.dumps(found.as_json(), indent=2) + "\n")
    if "prd" in found.curves:
        written.append(folder / CURVE)
        _draw_curve(found.curves["prd"], written[-1])
    if "roc" in found.curves:
        written.append(folder / ROC)
        _draw_roc(found.curves["roc"], written[-1])
    if found.pairs:
        written.append(folder / NEAREST)
        _draw_pairs(found.pairs, written[-1])
    if Run.is_run(folder.parent) and "images" in found.about:
        remember(folder.parent, int(found.about["images"]), found)
    return written


def remember(run: Path, images: int, found: Evaluation) -> None:
    """Put the numbers into the run's history; numbers of the same position are replaced.

    Raises:
        StorageError: the disk refuses.
    """
    rows = {int(row["images"]): row for row in history(run)}
    values = found.as_json()["values"]
    rows[images] = {**rows.get(images, {}), "images": images, **values}
    text = "".join(json.dumps(rows[key]) + "\n" for key in sorted(rows))
    write_text(run / HISTORY, text)


def history(run: Path) -> list[dict[str, Any]]:
    """The numbers of a run so far, by images; damaged lines do not count."""
    try:
        lines = (run / HISTORY).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("images"), int):
            rows.append(row)
    return rows


def _draw_curve(curve: Sequence[tuple[float, float]], path: Path) -> None:
    points = [(recall, precision) for precision, recall in curve]
    _draw(
        points,
        path,
        ("recall (variety)", "precision (quality)", "Precision and recall (Sajjadi 2018)"),
        (1, 0),
    )


def _draw_roc(curve: Sequence[tuple[float, float]], path: Path) -> None:
    _draw(curve, path, ("made pictures called real", "real pictures called real", "The run's critic"), (0, 1))


def _draw(
    points: Sequence[tuple[float, float]], path: Path, words: tuple[str, str, str], diagonal: tuple[int, int]
) -> None:
    """A curve in the unit square; ``diagonal``: heights of a dotted line at the left and right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.2), dpi=120)
    axes = figure.add_subplot()
    axes.plot([x for x, _ in points], [y for _, y in points], color=_BLUE)
    axes.plot([0, 1], diagonal, color=_GREY, linewidth=0.6, linestyle=":")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel=words[0], ylabel=words[1])
    axes.set_title(words[2], fontsize=10)
    axes.grid(alpha=0.25)
    figure.tight_layout()
    raw = io.BytesIO()
    figure.savefig(raw, format="png", metadata={"Software": None})
    with whole_file(path) as part:
        part.write_bytes(raw.getvalue())


def _draw_pairs(pairs: Sequence[tuple[NDArray[np.uint8], ...]], path: Path) -> None:
    """Rows of a made picture and the training picture nearest to it, nearest first."""
    with whole_file(path) as part:
        duplicate_sheet(pairs).save(part, format="PNG")
