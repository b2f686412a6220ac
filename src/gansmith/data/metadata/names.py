"""Finds the image that a table means by a name, however loosely the name is written."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from gansmith.core.text import composed, folded
from gansmith.data.decode.reading import suffixes


class Pictures:
    """Finds images by what tables call them.

    A name is an image's where it is equal, but for back-slashes, Unicode forms and a leading ``./``. Else
    it may lack the ending or have another image ending, have fewer or more folders in front, or other upper
    and lower case, as long as no other image fits as well, and no other name fits that image as well.

    Args:
        names: of the images, relative, with forward slashes.

    Example:
        >>> Pictures(["a/1.png", "a/2.png"]).find(["2", "./a/1.PNG", "3.png"])
        array([ 1,  0, -1])
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = [composed(name) for name in names]
        self._exact: dict[str, int] = {}
        for index, name in enumerate(self.names):
            self._exact[name] = -2 if name in self._exact else index
        self._last: tuple[Sequence[str], NDArray[np.int64]] = ((), np.zeros(0, dtype=np.int64))

    def find(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The number of the image each text means, [texts]; -1 where there is none, -2 for several."""
        if self._last[0] == texts:  # CelebA's tables name the same images four times.
            return self._last[1]
        plain = [plain_name(text) for text in texts]
        found = np.array([self._exact.get(name, -1) for name in plain], dtype=np.int64)
        taken = set(found.tolist())
        claims: dict[int, list[tuple[int, str, int]]] = {}  # By image: (how far, the name, its place).
        for place in np.flatnonzero(found == -1).tolist():
            how_far, index = self._nearest(plain[place])
            found[place] = min(index, -1)
            if index >= 0 and index not in taken:
                claims.setdefault(index, []).append((how_far, plain[place], place))
        for index, claimed in claims.items():
            nearest = min(how_far for how_far, _, _ in claimed)
            rivals = {name for how_far, name, _ in claimed if how_far == nearest}
            for _, name, place in claimed:
                if name in rivals:
                    found[place] = index if len(rivals) == 1 else -2
        self._last = (texts, found)
        return found

    def _nearest(self, name: str) -> tuple[int, int]:
        """How unlike ``name`` the likest image's name is, and its number; -1 for none, -2 for several."""
        stem = _without_ending(name)
        parts = folded(stem).split("/")
        near = self._wholes.get("/".join(parts))
        if near is None:  # Folders in front of it were left out, or there are more than here.
            near = next((self._wholes[key] for key in _tails(parts) if key in self._wholes), [])
            near = near + [index for index in self._bases.get(parts[-1], ()) if self._ends_with(index, parts)]
        ranked = sorted({(self._distance(name, stem, index), index) for index in near})
        if not ranked:
            return 0, -1
        return (0, -2) if len(ranked) > 1 and ranked[0][0] == ranked[1][0] else ranked[0]

    def _ends_with(self, index: int, parts: Sequence[str]) -> bool:
        return folded(_without_ending(self.names[index])).split("/")[-len(parts) :] == parts

    def _distance(self, name: str, stem: str, index: int) -> int:
        """Another case weighs more than other folders, and those more than another ending."""
        picture = self.names[index]
        other = _without_ending(picture)
        short, long = sorted((stem, other), key=len)
        ending = name.removeprefix(stem) != picture.removeprefix(other)
        return 4 * (not long.endswith(short)) + 2 * (len(stem) != len(other)) + ending

    @cached_property
    def _wholes(self) -> dict[str, list[int]]:
        return self._index(lambda stem: stem)

    @cached_property
    def _bases(self) -> dict[str, list[int]]:
        return self._index(lambda stem: stem.rpartition("/")[2])

    def _index(self, key: Callable[[str], str]) -> dict[str, list[int]]:
        made: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            made.setdefault(key(folded(_without_ending(name))), []).append(index)
        return made


def plain_name(text: str) -> str:
    """A file name with forward slashes and nothing needless in front."""
    name = composed(text).replace("\\", "/")
    while name.startswith(("./", "/")):
        name = name.removeprefix(".").lstrip("/")
    return name


def _tails(parts: Sequence[str]) -> Iterator[str]:
    """For the parts of ``a/b/c``: ``b/c``, ``c``."""
    return ("/".join(parts[start:]) for start in range(1, len(parts)))


def _without_ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if stem and f"{dot}{ending}".lower() in _endings() else name


@cache
def _endings() -> frozenset[str]:
    return suffixes()
