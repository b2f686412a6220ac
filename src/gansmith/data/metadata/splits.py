"""The owner's own split into training and held-out images, where names of files or folders tell it."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PARTS = {
    **dict.fromkeys(("train", "training"), False),
    **dict.fromkeys(("validation", "valid", "val", "dev", "test", "testing", "eval"), True),
}
_WORD = re.compile(rf"(?<![a-z0-9])({'|'.join(_PARTS)})(?![a-z])")


def is_held_out(name: str) -> bool | None:
    """Whether a file is held out from training, by the last word of its path that says so.

    Args:
        name: a relative path with forward slashes, such as ``data/test-00000-of-00003.parquet``.

    Returns: True for validation and test, False for train, None where nothing is said.
    """
    words = _WORD.findall(name.lower())
    return _PARTS[words[-1]] if words else None


def held_out_rows(names: Sequence[str], counts: Sequence[int]) -> NDArray[np.bool_] | None:
    """Which rows are held out, for files with so many rows each.

    Returns: bool [sum of counts]; None where no file, or every file, is held out.
    """
    each = np.array([bool(is_held_out(name)) for name in names], dtype=np.bool_)
    rows = np.repeat(each, np.asarray(counts, dtype=np.int64))
    return rows if rows.any() and not rows.all() else None
