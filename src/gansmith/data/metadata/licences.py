"""What is known of the licence of images: from a file of their owner, the command line, or the set itself.

It is words for people, shown wherever data and models are reported on; nothing is decided by it.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from gansmith.errors import DataError, SettingError

LONGEST = 300
"""Characters of what is recorded; a licence's whole text belongs into a file beside the images."""

UNKNOWN = "not known; gansmith prepare --license TEXT records it"

_STEMS = ("licence", "license", "copying", "source")  # In the order of trust.
_ENDINGS = ("", ".txt", ".md")
_NAMES = tuple(stem + ending for stem in _STEMS for ending in _ENDINGS)
_LARGEST = 2**20  # Bytes of a file that is looked at.

BUILTIN = {
    "demo-faces": "drawn by gansmith (Apache-2.0); they show nobody",
    "digits": "see https://archive.ics.uci.edu/dataset/80; a part of it comes with scikit-learn",
    "mnist": "none by its publishers; see http://yann.lecun.com/exdb/mnist",
    "stacked-mnist": "made of mnist, of which none by its publishers; see http://yann.lecun.com/exdb/mnist",
    "fashion-mnist": "MIT (Zalando SE); see https://github.com/zalandoresearch/fashion-mnist",
    "cifar10": "none stated; see https://www.cs.toronto.edu/~kriz/cifar.html",
    "celeba": (
        "non-commercial research only, not to be passed on; see "
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    ),
    "lfw": "see http://vis-www.cs.umass.edu/lfw",
}
"""What publishers say of the built-in sets; where that is unclear, where to look."""


def of_builtin(name: str) -> str | None:
    """The licence of a built-in set, given by the name used on the command line."""
    return BUILTIN.get(name.partition(":")[0])


def given(text: str | None) -> str | None:
    """What somebody says on the command line, without blanks around it.

    Raises:
        SettingError: it is empty, too long, or not one line of text.
    """
    if text is None:
        return None
    line = text.strip()
    if not _sensible(line):
        raise SettingError(
            f"A licence is one line of text, up to {LONGEST} characters, such as 'CC BY 4.0, Ada Lovelace'. "
            f"Received: {len(line)} characters{'' if line.isprintable() else ', some not printable'}."
        )
    return line


def recorded(value: object) -> str | None:
    """What a file of ours has recorded; None for anything that `given` would refuse."""
    return value if isinstance(value, str) and _sensible(value) else None


def found_in(names: Iterable[str], read: Callable[[str], bytes]) -> str | None:
    """What a LICENSE, COPYING or SOURCE file at the top of the images says, and which file that is.

    That is its line "Licence: ...", or else its first line.

    Args:
        names: of the files that are not images, relative, with forward slashes.
        read: name of a file -> its bytes.

    Returns: None where there is no such file, or that line is no plain text of a sensible length.
    """
    there = {name.lower(): name for name in sorted(names) if name.lower() in _NAMES}
    for wanted in _NAMES:
        if wanted not in there:
            continue
        try:
            line = _telling_line(read(there[wanted]))
        except (OSError, DataError):
            continue
        told = f"{line} ({there[wanted]})"
        if line and _sensible(told):
            return told
    return None


def beside(folder: Path) -> str | None:
    """The same for a folder of any kind."""
    try:
        names = [
            entry.name for entry in folder.iterdir() if entry.is_file() and entry.stat().st_size <= _LARGEST
        ]
    except OSError:
        return None
    return found_in(names, lambda name: (folder / name).read_bytes())


_TOLD = re.compile(r"\W*licen[cs]e\W*:\s*(.+)", re.IGNORECASE)
_CUT = LONGEST - 50  # Room for the name of the file.


def _telling_line(raw: bytes) -> str:
    """Of text in UTF-8, without the marks of a heading; empty where there is none."""
    try:
        lines = raw[:_LARGEST].decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return ""
    told = next((match[1].strip() for line in lines if (match := _TOLD.match(line))), "")
    if told:
        return told if len(told) <= _CUT else f"{told[:_CUT]} ..."
    return next((" ".join(line.strip("#*=- \t").split()) for line in lines if line.strip("#*=- \t")), "")


def _sensible(line: str) -> bool:
    return 0 < len(line) <= LONGEST and line.isprintable()
