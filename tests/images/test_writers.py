"""Every place that writes an image marks it, or shows nothing that a model made."""

import ast
from pathlib import Path

import gansmith

SOURCE = Path(gansmith.__file__).parent

UNMARKED = {
    "app/routes/data.py": "the images of a data set",
    "app/routes/translate.py": "what is drawn of a user's photo, for the page; results are marked",
    "cli/explore_directions.py": "no image: directions",
    "cli/explore_photos.py": "no image: latents and an encoder",
    "data/inspect/inspect.py": "the images of a data set",
    "data/prepare/finish.py": "the images of a data set",
    "data/sources/webdataset.py": "the images of a data set, decoded again",
    "images/animation.py": "GIF: its mark is a comment",
    "metrics/features/inception.py": "no image: a file of weights",
    "metrics/outputs.py": "nearest images of a folder, of which nobody knows what made it",
    "models/reconstruct.py": "no image: a checkpoint",
    "models/translate_film.py": "a frame for the encoder; the film is marked",
    "training/plan.py": "counted in memory, never written",
    "runs/run.py": "no image: a checkpoint",
}
"""Modules with a ``save`` that passes no mark, and why."""


def saves_without_a_mark(module: Path) -> list[int]:
    """Lines that call ``save`` with no XMP and no chunks of a PNG."""
    found = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "save":
            names = {word.arg for word in node.keywords}
            if not names & {"xmp", "pnginfo"}:
                found.append(node.lineno)
    return found


def test_every_writer_of_images_marks_them_or_has_a_reason() -> None:
    modules = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}
    found = {name for name, path in modules.items() if saves_without_a_mark(path)}
    found -= {"training/session.py"}  # Its ``save`` is the run's.
    assert found == set(UNMARKED)
