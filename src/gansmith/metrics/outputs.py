"""What an evaluation leaves behind: numbers as JSON, the precision-recall curve, the nearest images."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.core.files import whole_file, write_text
from gansmith.core.json_files import json_lines
from gansmith.images.provenance import Provenance, marked
from gansmith.images.sheet import duplicate_sheet
from gansmith.metrics.compute import Evaluation
from gansmith.runs.run import Run

RESULT, CURVE, ROC, NEAREST = "evaluation.json", "prd.png", "roc.png", "nearest.png"
HISTORY, ALL = "metrics.jsonl", "evaluations.jsonl"
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
        _draw_pairs(found.pairs, written[-1], found.mark)
    for name in (CURVE, ROC, NEAREST):  # Of an earlier evaluation: they would be taken for this one's.
        if folder / name not in written:
            (folder / name).unlink(missing_ok=True)
    with open(folder / ALL, "a", encoding="utf-8") as file:
        file.write(json.dumps(found.as_json()) + "\n")
    return written


def remember(run: Path, images: int, found: Evaluation) -> None:
    """Put the numbers into the run's history; numbers of the same position are replaced.

    All numbers of a history are comparable: where features, images or counts change, the old one is set
    aside under another name and a new one is begun.

    Raises:
        StorageError: the disk refuses.
    """
    key = _key(found)
    known = history(run)
    if known and known[-1].get("key") != key:
        (run / HISTORY).replace(run / f"metrics-{known[-1].get('key', 'old')}.jsonl")
        known = []
    rows = {int(row["images"]): row for row in known}
    rows[images] = {"images": images, "key": key, **found.as_json()["values"]}
    text = "".join(json.dumps(rows[key]) + "\n" for key in sorted(rows))
    write_text(run / HISTORY, text)


def _key(found: Evaluation) -> str:
    """What the numbers depend on besides the weights."""
    names = ("network", "b_fingerprint", "a_pictures", "b_pictures")
    text = json.dumps([found.about[name] for name in names])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def history(run: Path) -> list[dict[str, Any]]:
    """The numbers of a run so far, by images; damaged lines do not count."""
    try:
        rows = list(json_lines(run / HISTORY))
    except OSError:
        return []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("images"), int)]


def _draw_curve(curve: Sequence[tuple[float, float]], path: Path) -> None:
    points = [(recall, precision) for precision, recall in curve]
    _draw(
        points,
        path,
        ("recall (variety)", "precision (quality)", "Precision and recall (Sajjadi 2018)"),
        (1, 0),
    )


def _draw_roc(curve: Sequence[tuple[float, float]], path: Path) -> None:
    _draw(
        curve,
        path,
        ("generated pictures called real", "real pictures called real", "The run's critic"),
        (0, 1),
    )


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


def _draw_pairs(pairs: Sequence[tuple[NDArray[np.uint8], ...]], path: Path, mark: Provenance | None) -> None:
    """Rows of a generated image and the training image nearest to it, nearest first."""
    page = duplicate_sheet(pairs)
    with whole_file(path) as part:
        if mark is None:
            page.save(part, format="PNG")
        else:
            part.write_bytes(marked(page, mark))
