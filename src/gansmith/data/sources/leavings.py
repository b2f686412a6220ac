"""What tools leave among images and is never data: thumbnails, caches, waste bins, runs, prepared sets.

A place is told by its own name, or, for a folder, by the files in it. To name such a folder itself as data
is a wish, and honoured.
"""

import re
from collections.abc import Collection, Iterable, Mapping

_BY_NAME: tuple[tuple[str, str], ...] = (
    (r"@eadir|@syno(eastream|resource)|syno(file|photo)_thumb.*", "thumbnails of a Synology"),
    (r"@__thumb|\.@__thumb|@recently-snapshot", "thumbnails or copies of a QNAP"),
    (r"#recycle|@recycle|\$recycle\.bin|recycler|\.trash(es|-\d+)?|trash-\d+", "a waste bin"),
    (r"#snapshot|\.snapshots?|\.zfs|~snapshot", "snapshots of a file system"),
    (r"system volume information|lost\+found|\.spotlight-v100|\.fseventsd", "of the operating system"),
    (r"__macosx|\._.*", "a Mac's notes about other files"),
    (r"(eh)?thumbs\.db|desktop\.ini|zbthumbnail\.info|\.ds_store", "a desktop's notes about a folder"),
    (r"\.thumbnails?|\.thumbs|_vti_cnf|ipod photo cache", "thumbnails"),
    (
        r".* ?previews\.lrdata|.*\.lrdata|.*\.cocatalog|captureone|\.?bridgecache.*",
        "previews of a photo tool",
    ),
    (r"\.picasaoriginals|\.picasa\.ini|_gsdata_|\.stversions|\.stfolder", "a photo or copying tool's own"),
    (
        r"__pycache__|node_modules|site-packages|\.ipynb_checkpoints|\.cache|\.venv",
        "a programming tool's own",
    ),
)
"""Pattern of a name in lower case -> what it is."""

_PATTERN = re.compile("|".join(f"({pattern.replace('(', '(?:')})" for pattern, _ in _BY_NAME))
_PHOTO_LIBRARY = re.compile(
    r".*\.(photoslibrary|photolibrary|aplibrary)/(.*/)?(resources|previews|thumbnails|database|private)"
)

RUN = "a run"
PREPARED = "a prepared set"
_CACHE_TAG = "cachedir.tag"  # https://bford.info/cachedir/


def by_name(name: str) -> str | None:
    """What tool's a file or folder is, by its name alone; None where it may be the user's.

    Args:
        name: relative, with forward slashes; its last part is judged.
    """
    last = name.rpartition("/")[2].lower()
    if match := _PATTERN.fullmatch(last):
        return _BY_NAME[(match.lastindex or 1) - 1][1]
    if _PHOTO_LIBRARY.fullmatch(name.lower()):
        return "previews of a photo tool"
    return "hidden" if last.startswith(".") and last not in (".", "..") else None


def by_contents(entries: Collection[str]) -> str | None:
    """What a folder with such entries is, where a tool made it; None where it may be the user's."""
    there = {entry.lower() for entry in entries}
    if "recipe.json" in there and there & {"checkpoints", "data.json", "run.lock"}:
        return RUN
    if ("set.json" in there and "names.npy" in there) or (
        "unfinished.jsonl" in there and "seen.npy" in there
    ):
        return PREPARED
    return "a cache, as it says itself" if _CACHE_TAG in there else None


def sift(names: Iterable[str]) -> Mapping[str, tuple[str, str]]:
    """The names of files in an archive that are a tool's: name -> (the place that is passed over, why).

    The folder around everything is no such place: whoever packed a prepared set wishes it to be opened.

    Args:
        names: relative, with forward slashes.
    """
    names = list(names)
    entries: dict[str, set[str]] = {}
    for name in names:
        parts = name.split("/")
        for depth, part in enumerate(parts):
            entries.setdefault("/".join(parts[:depth]), set()).add(part)
    top = next(iter(entries[""])) if len(entries.get("", ())) == 1 else ""
    known: dict[str, tuple[str, str] | None] = {"": None, top: None if top in entries else _judged(top, ())}

    def judge(place: str) -> tuple[str, str] | None:
        if place not in known:
            known[place] = judge(place.rpartition("/")[0]) or _judged(place, entries.get(place, ()))
        return known[place]

    return {name: found for name in names if (found := judge(name)) is not None}


def _judged(place: str, entries: Collection[str]) -> tuple[str, str] | None:
    why = by_name(place) or by_contents(entries)
    return None if why is None else (place, why)
