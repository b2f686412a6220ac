"""The last step of preparing: facts beside the images, the report, and the description that makes a set."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gansmith.core.files import write_text
from gansmith.core.image_size import Form
from gansmith.data.inspect.findings import Goal, Measured
from gansmith.data.inspect.report import Report, as_json, as_text, build
from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.prepare.columns import ArrayWriter, Texts, TextWriter, mapped
from gansmith.data.prepare.format import (
    DESCRIPTION,
    REPORT,
    PreparedFolder,
    picture_arrays,
    write_description,
)
from gansmith.data.prepare.writer import State
from gansmith.data.sources.base import Source
from gansmith.images.sheet import contact_sheet, duplicate_sheet

CONTACT_SHEET, DUPLICATES = "contact.png", "duplicates.png"
_SHOWN = 64  # Images on the contact sheet.
_GROUPS = 16  # Groups of look-alikes on theirs.
_SIDE, _LEAST = 96, 48  # In pixels: larger images are shown smaller, small ones larger.
_SHARE, _SEED = 0.05, 0  # What training holds out unless it is told otherwise.


def finish(source: Source, dest: Path, state: State, form: Form, landmark_names: Sequence[str]) -> Report:
    """Complete the set in ``dest``, whose images are all there.

    Returns: the report, which is also written as JSON and text, with a contact sheet.
    """
    facts = source.facts.take(mapped(dest / "rows.npy"))
    _write_facts(dest, facts)
    names = Texts(dest, "names")
    seen = mapped(dest / "seen.npy")
    report = report_of(source, form, Measured(names, seen, facts), [*source.refused, *state.refused])
    write_report(dest, report)
    sheets(dest, report, names)
    captions = facts.captions or ()
    told = {
        "pictures": len(names),
        "fingerprint": _fingerprint(state, names, seen),
        "label_names": list(facts.label_names),
        "attribute_names": list(facts.attribute_names),
        "landmark_names": list(landmark_names),
        "caption_bytes": max((len(text.encode("utf-8", "replace")) for text in captions), default=0),
        "licence": facts.licence,
        "made": state.plan,
    }
    write_text(dest / DESCRIPTION, write_description(dest, told))
    return report


def note_licence(dest: Path, licence: str) -> bool:
    """Record the licence in the description of a set that is finished; whether it is new there."""
    told = PreparedFolder(dest).description
    if told.get("licence") == licence:
        return False
    write_text(dest / DESCRIPTION, json.dumps({**told, "licence": licence}, indent=2) + "\n")
    return True


def report_of(source: Source, form: Form, measured: Measured, refused: Sequence[Refused]) -> Report:
    """What is told of a prepared set; ``refused`` includes what was found while listing."""
    aligned = bool(np.isfinite(measured.seen["face"]).any())
    return build(
        source.name,
        measured,
        count=len(source.names) + sum(item.picture for item in source.refused),
        refused=refused,
        others=source.others,
        split=split_of(measured.facts, len(measured.names)),
        # What an aligned face loses is decided by its template, not by the shape of its image.
        goal=Goal(None, form.size.width, form.size.height, 0, form.channels, "pad" if aligned else form.fit),
    )


def split_of(facts: Facts, count: int) -> tuple[int, int, int]:
    """(for training, held out, seed): the owner's split (seed -1), or what training will make of it."""
    if facts.held_out is not None:
        held = int(facts.held_out.sum())
        return count - held, held, -1
    held = min(max(round(count * _SHARE), 1), count - 1) if count else 0
    return count - held, held, _SEED


def write_report(folder: Path, report: Report) -> None:
    """``report.json`` for programs and ``report.txt`` for people."""
    tree = as_json(report)
    tree["refused_files"] = [[item["name"], item["reason"]] for item in tree.pop("refused")]
    write_text(folder / REPORT, json.dumps(tree, indent=2) + "\n")
    write_text(folder / "report.txt", as_text(report) + "\n")


def sheets(dest: Path, report: Report, names: Sequence[str]) -> None:
    """Images of the images: some of all, and those that look alike."""
    columns = picture_arrays(dest).values()
    shown = min(len(names), _SHOWN)
    rows = [place * len(names) // shown for place in range(shown)]
    contact_sheet([_row(columns, row) for row in rows]).save(dest / CONTACT_SHEET, compress_level=1)
    (dest / DUPLICATES).unlink(missing_ok=True)
    groups = [*report.exact, *report.near][:_GROUPS]
    if groups:
        wanted = {name for group in groups for name in group}
        row_of = {name: row for row, name in enumerate(names) if name in wanted}
        alike = [[_row(columns, row_of[name]) for name in group[:8]] for group in groups]
        duplicate_sheet(alike).save(dest / DUPLICATES, compress_level=1)


def _row(columns: Iterable[Any], row: int) -> NDArray[np.uint8]:
    """The image of a row for a sheet; a pair side by side."""
    return np.concatenate([small(column[row]) for column in columns], axis=2)


def small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [height, width, channels] -> [channels, height, width] of at most 96 pixels a side."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    times = _LEAST // max(image.size)
    if times > 1:  # Digits and icons are to be seen, too.
        image = image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)
    array = np.asarray(image)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def _write_facts(dest: Path, facts: Facts) -> None:
    for name in ("labels", "attributes", "held_out"):
        values = getattr(facts, name)
        (dest / f"{name}.npy").unlink(missing_ok=True)
        if values is not None:
            column = ArrayWriter(dest / f"{name}.npy", values.dtype, values.shape[1:])
            column.append(values)
            column.close()
    for suffix in ("npy", "utf8"):
        (dest / f"captions.{suffix}").unlink(missing_ok=True)
    if facts.captions is not None:
        texts = TextWriter(dest, "captions")
        texts.append(facts.captions)
        texts.close()


def _fingerprint(state: State, names: Sequence[str], seen: NDArray[Any]) -> str:
    """Of the images, what was done to them and what is known of them; not of where they lie."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(json.dumps(state.plan, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(seen["digest"]).tobytes())
    for name in names:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()
