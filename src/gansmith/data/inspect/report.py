"""The data report: what was found in a set of images as text, as JSON and as sheets to look at."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from gansmith.core.text import in_bytes, plural
from gansmith.data.inspect.advice import advise, percent
from gansmith.data.inspect.findings import Faces, Findings, Goal, Measured, Names, Sizes, find
from gansmith.data.metadata.facts import Refused
from gansmith.data.metadata.licences import LONGEST, UNKNOWN

_NAMED = 5  # Examples in a line of text.
_LONGEST = 40  # Characters of a file name in text.
_REASONS = 5  # Kinds of refusal in text.


@dataclass(frozen=True, kw_only=True)
class Report(Findings):
    """What was found, and what follows from it.

    Example:
        >>> from gansmith.data.inspect.inspect import inspect
        >>> print(as_text(inspect("my_photos").report))
    """

    advice: tuple[str, ...]


def build(
    name: str,
    measured: Measured,
    *,
    count: int | None = None,
    refused: Sequence[Refused] = (),
    split: tuple[int, int, int] | None = None,
    goal: Goal | None = None,
    others: Sequence[str] = (),
) -> Report:
    """The report of a set of images, of some or all of which the measurements are at hand.

    Args:
        name: what the user calls the set.
        measured: the images looked at.
        count: images listed; None for those looked at and those refused.
        refused: what was left out, and why.
        split: images for training, images held out, and the seed that parted them (-1: the owner did).
        goal: what is to be trained, where that is known.
        others: names of files that are no images.
    """
    found = find(name, measured, count=count, refused=refused, split=split, goal=goal, others=others)
    parts: dict[str, Any] = {item.name: getattr(found, item.name) for item in fields(Findings)}
    return Report(**parts, advice=advise(found, goal))


def as_json(report: Report) -> dict[str, Any]:
    """The report in dicts, lists, strings, numbers, booleans and None, with the same keys for every set.

    Bytes of file names that are not UTF-8 become backslash escapes, so that it can be written anywhere.
    """
    tree = asdict(report)
    tree["labels"] = [{"name": name, "count": count} for name, count in report.labels]
    tree["attributes"] = [{"name": name, "share": share} for name, share in report.attributes]
    tree["repeated"] = [item.name for item in report.repeated]
    for key in ("formats", "modes", "others"):
        tree[key] = dict(tree[key])
    for key in ("refused", "notes"):
        tree[key] = [{"name": item.name, "reason": item.reason} for item in getattr(report, key)]
    if report.captions is not None:
        tree["captions"] = {"having": report.captions[0], "of": report.captions[1]}
    if report.split is not None:
        tree["split"] = dict(zip(("training", "held_out", "seed"), report.split, strict=True))
    tree |= {"copies": report.copies, "look_alikes": report.look_alikes, "sampled": report.sampled}
    plain: dict[str, Any] = _plain(tree)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def as_text(report: Report) -> str:
    """The report as a table of at most 40 lines, whatever the files are called, and the advice below it."""
    looked = f"{report.looked_at:,} looked at" if report.sampled else "all looked at"
    head = f"{_printable(report.name)}: {plural(report.count, 'picture')}, {looked}"
    rows = [
        *_size_rows(report.sizes),
        ("files", f"{_counted(report.formats)}; {in_bytes(report.bytes)}" if report.formats else "none"),
        ("colour", _counted(report.modes)),
        ("copies", _groups(report.exact, report.copies, " = ")),
        ("look-alikes", _groups(report.near, report.look_alikes, " ~ ")),
        ("blurred", _blurred(report)),
        ("faces", _faces(report.faces)),
        ("labels", _several(f"{_printable(name)} {count:,}" for name, count in report.labels)),
        ("attributes", _several(f"{_printable(name)} {percent(share)}" for name, share in report.attributes)),
        ("captions", "" if report.captions is None else "{:,} of {:,}".format(*report.captions)),
        ("landmarks", "yes" if report.landmarks else ""),
        ("split", _split(report.split)),
        ("licence", _printable(report.licence or UNKNOWN, LONGEST)),
        ("repeats", _repeats(report.repeated)),
        ("other files", _counted(report.others)),
        *_refused_rows("refused", report.refused),
        *_refused_rows("not used", report.notes),
    ]
    table = [f"  {title:13}{cell}" for title, cell in rows if cell]
    return "\n".join([head, *table, "", "Advice", *(f"  - {sentence}" for sentence in report.advice)])


def _printable(text: str, longest: int = _LONGEST) -> str:
    """Text of one line without control codes: the unprintable is escaped, the middle may go missing."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(shown) <= longest:
        return shown
    return f"{shown[: longest // 2]}…{shown[len(shown) + 1 - longest + longest // 2 :]}"


def _size_rows(sizes: Sizes | None) -> list[tuple[str, str]]:
    if sizes is None:
        return []
    often = ", ".join(f"{width}x{height} ({count:,})" for width, height, count in sizes.frequent[:3])
    least, median, most = (f"{width}x{height}" for width, height in _ends(sizes))
    spread = often if sizes.different == 1 else f"{least} to {most}, median {median}; most often {often}"
    shape = (
        f"width/height {sizes.narrowest:.2f} to {sizes.widest:.2f}; a centre crop cuts {percent(sizes.cut)}"
    )
    small = [f"tiny: {percent(sizes.tiny)}"] if sizes.tiny else []
    small += [f"smaller than wanted: {percent(sizes.enlarged)}"] if sizes.enlarged else []
    return [("size", "; ".join([spread, *small])), ("shape", shape)]


def _ends(sizes: Sizes) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    return sizes.smallest, sizes.median, sizes.largest


def _groups(groups: tuple[Names, ...], extra: int, sign: str) -> str:
    if not groups:
        return "none"
    largest = sorted(groups, key=len, reverse=True)[:2]
    shown = "; ".join(
        sign.join(map(_printable, group[:3])) + (" ..." * (len(group) > 3)) for group in largest
    )
    return f"{extra:,} in {plural(len(groups), 'group')}: {shown}"


def _blurred(report: Report) -> str:
    worst = f", the worst: {', '.join(map(_printable, report.softest[:3]))}" if report.softest else ""
    return f"{percent(report.blurred)}{worst}"


def _faces(faces: Faces | None) -> str:
    if faces is None:
        return ""
    small = percent(faces.tiny / faces.looked_for)
    return f"{small} of {faces.looked_for:,} under {faces.limit} pixels high"


def _split(split: tuple[int, int, int] | None) -> str:
    if split is None:
        return ""
    training, held_out, seed = split
    how = f"seed {seed}" if seed >= 0 else "as their owner parted them"
    return f"{training:,} training, {held_out:,} held out ({how})"


def _repeats(repeated: Sequence[Refused]) -> str:
    if not repeated:
        return ""
    return f"{plural(len(repeated), 'frame')} left out, nearly the same as another of the same video"


def _refused_rows(title: str, refused: Sequence[Refused]) -> list[tuple[str, str]]:
    """How many in all, then one row for each kind of reason, the most frequent first."""
    if not refused:
        return []
    kinds: dict[str, list[Refused]] = {}
    for item in refused:  # "3x3 pixels" and "2x2 pixels" are one kind.
        kinds.setdefault(re.sub(r"\d[\d,.]*", "0", item.reason), []).append(item)
    often = sorted(kinds.values(), key=len, reverse=True)
    rows = [(title, f"{len(refused):,}")]
    for items in often[:_REASONS]:
        files = _several(_printable(item.name) for item in items)
        rows.append(("", f"{len(items):,} x {_printable(items[0].reason, 100)}: {files}"))
    if len(often) > _REASONS:
        rows.append(("", f"{plural(len(often) - _REASONS, 'more kind')} of reason"))
    return rows


def _several(items: Iterable[str]) -> str:
    items = list(items)
    named = _NAMED + (len(items) == _NAMED + 1)  # "and 1 more" would take the room of the last one.
    rest = len(items) - named
    return ", ".join(items[:named]) + (f" and {rest:,} more" if rest > 0 else "")


def _counted(counts: Sequence[tuple[str, int]]) -> str:
    return _several(f"{name} {count:,}" for name, count in counts)
