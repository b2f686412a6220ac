"""Which images are copies: equal files by their digests, look-alikes by a few bits between their hashes.

Look-alikes are found without comparing all pairs. Two hashes of 64 bits that differ in at most d bits agree
in at least two of d + 2 blocks, so it is enough to sort the hashes once for each pair of blocks
and to compare those that agree there (Manku, Jain and Das Sarma 2007, Detecting Near-Duplicates for Web
Crawling; Norouzi, Punjani and Fleet 2012, Fast Search in Hamming Space with Multi-Index Hashing).
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from gansmith.errors import SettingError

Hashes = NDArray[np.uint64]
Rows = NDArray[np.intp]
Groups = list[tuple[int, ...]]

DISTANCE = 3
"""Bits two hashes of look-alikes may differ in, chosen on 18,000 aligned real faces (docs/data.md)."""

FARTHEST = 8
"""Bits beyond which hashes of unrelated images meet too, and search is no faster than comparing all."""

_BITS = 64
_AGREEING = 2  # Blocks in which a pair must agree: the more, the fewer comparisons and the more sorting.
_WINDOW = 128  # Neighbours a hash is compared with in one order.


def exact(digests: Hashes) -> Groups:
    """Groups of equal files: rows with the same digest, two or more to a group, each in ascending order."""
    _, kind = np.unique(digests, return_inverse=True)
    return _groups(kind.reshape(-1))


def near(hashes: Hashes, distance: int = DISTANCE) -> Groups:
    """Groups of look-alikes: rows joined by steps of at most ``distance`` bits, equal hashes included.

    Equal hashes count as one, so a hundred thousand blank images cost nothing. Where more than 128
    different hashes agree in two blocks, each is compared with its 128 nearest in sorted order only:
    time stays bounded on any input, a pair may then be missed, and no pair is made up. Takes memory
    for some ten numbers a hash.

    Args:
        hashes: [n].
        distance: bits, 0 to 8.

    Returns: two or more rows to a group, each in ascending order; groups in the order of their first row.

    Raises:
        SettingError: a distance out of range.
    """
    if not 0 <= distance <= FARTHEST:
        rule = f"Look-alikes are found at a distance of 0 to {FARTHEST} bits."
        raise SettingError(f"{rule} Received: distance={distance}. {DISTANCE} suits most pictures.")
    different, kind = np.unique(hashes, return_inverse=True)
    links = _Links(len(different))
    if distance > 0 and len(different) > 1:
        dealt, blocks = _dealt(different, distance + _AGREEING)
        for chosen in itertools.combinations(range(len(blocks)), _AGREEING):
            _link(dealt, blocks, chosen, distance, links)
    return _groups(links.root[kind.reshape(-1)])


class _Links:
    """Which rows hang together, as a forest: every row knows the lowest row of its group (union-find)."""

    def __init__(self, count: int) -> None:
        self.root: Rows = np.arange(count)

    def join(self, one: Rows, other: Rows) -> None:
        """Join the groups of ``one[i]`` and ``other[i]``, for every i at once."""
        while len(one):
            one, other = self.root[one], self.root[other]
            apart = one != other
            one, other = one[apart], other[apart]
            np.minimum.at(self.root, np.maximum(one, other), np.minimum(one, other))
            while not np.array_equal(self.root, higher := self.root[self.root]):
                self.root = higher


def _dealt(hashes: Hashes, count: int) -> tuple[Hashes, list[tuple[int, int]]]:
    """The hashes with their bits in another order, and (first bit, width) of the blocks these now form.

    Bits are dealt out like cards, those that vary most first, so that no block is the same for nearly all.
    """
    one = np.uint64(1)
    ones = [int(np.count_nonzero(hashes >> np.uint64(bit) & one)) for bit in range(_BITS)]
    bits = sorted(range(_BITS), key=lambda bit: abs(2 * ones[bit] - len(hashes)))
    dealt, blocks, left = np.zeros_like(hashes), [], _BITS
    for block in range(count):
        mine = bits[block::count]
        for bit in mine:
            dealt = dealt << one | hashes >> np.uint64(bit) & one
        left -= len(mine)
        blocks.append((left, len(mine)))
    return dealt, blocks


def _link(
    hashes: Hashes, blocks: list[tuple[int, int]], chosen: tuple[int, ...], distance: int, links: _Links
) -> None:
    """Join all pairs within ``distance`` that agree in the chosen blocks."""
    rest = [block for block in range(len(blocks)) if block not in chosen]
    moved = np.zeros_like(hashes)  # The chosen blocks in front, so that sorting brings them together.
    for block in (*chosen, *rest):
        first, width = blocks[block]
        moved = moved << np.uint64(width) | hashes >> np.uint64(first) & np.uint64((1 << width) - 1)
    order = np.argsort(moved)
    moved = moved[order]
    key = moved >> np.uint64(sum(blocks[block][1] for block in rest))
    low: Rows = np.arange(len(hashes))
    for step in range(1, _WINDOW + 1):
        low = low[low < len(hashes) - step]
        low = low[key[low] == key[low + step]]
        if not len(low):
            return
        one, other = order[low], order[low + step]
        apart = links.root[one] != links.root[other]
        close = _ones(moved[low[apart]] ^ moved[low[apart] + step]) <= distance
        links.join(one[apart][close], other[apart][close])


def _ones(words: Hashes) -> NDArray[np.uint64]:
    """How many bits are set, [n] -> [n]: sums of pairs, of fours, of bytes (numpy 1 has no bitwise_count)."""
    pairs, fours, bytes_ = (
        np.uint64(mask) for mask in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F)
    )
    words = words - (words >> np.uint64(1) & pairs)
    words = (words & fours) + (words >> np.uint64(2) & fours)
    words = words + (words >> np.uint64(4)) & bytes_
    return words * np.uint64(0x0101010101010101) >> np.uint64(56)


def _groups(kind: Rows) -> Groups:
    """Rows of the same kind together, where there are two or more."""
    repeated = np.flatnonzero(np.bincount(kind)[kind] > 1) if len(kind) else np.empty(0, np.intp)
    ordered = repeated[np.argsort(kind[repeated], kind="stable")]
    edges = np.flatnonzero(np.diff(kind[ordered])) + 1
    groups = [tuple(group.tolist()) for group in np.split(ordered, edges) if len(group)]
    return sorted(groups)
