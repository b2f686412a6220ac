"""Seeds as they are written on the command line: numbers and ranges, kept as ranges however many they are."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gansmith.errors import SettingError

_LAST_SEED = 2**63 - 1


@dataclass(frozen=True)
class SeedRanges(Sequence[int]):
    """Seeds in order, kept as ranges: a million take no more memory than two.

    Example:
        >>> seeds = SeedRanges((range(0, 64), range(100, 101)))
        >>> len(seeds), seeds[64]
        (65, 100)
    """

    ranges: tuple[range, ...]

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def __iter__(self) -> Iterator[int]:
        return itertools.chain.from_iterable(self.ranges)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        left = place + (len(self) if place < 0 else 0)
        for seeds in self.ranges:
            if 0 <= left < len(seeds):
                return seeds[left]
            left -= len(seeds)
        raise IndexError(place)


def parse_seeds(text: str) -> SeedRanges:
    """``"0-63,100,200-299"`` -> 164 seeds in that order, as ranges.

    Raises:
        SettingError: something that is no seed or range, a range that runs backwards, or no seeds.
    """
    rule = "Seeds are written as numbers and ranges with commas between, such as 0-63,100,200-299."
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)
        if match is None:
            raise SettingError(f"{rule} Received: {part.strip()!r} in {text!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise SettingError(
                f"A range of seeds runs upwards. Received: {part.strip()}. Write {last}-{first}."
            )
        if last > _LAST_SEED:
            raise SettingError(f"A seed is a whole number from 0 to 2^63 - 1. Received: {last}.")
        ranges.append(range(first, last + 1))
    if sum(one.stop - one.start for one in ranges) > _LAST_SEED:
        raise SettingError(f"That is more seeds than there are numbers for. Received: {text!r}.")
    return SeedRanges(tuple(ranges))


def check_no_repeats(seeds: Sequence[int]) -> None:
    """Every file is named by its seed, so no seed may come twice; ranges are compared, not counted out.

    Raises:
        SettingError: one does.
    """
    ranges = seeds.ranges if isinstance(seeds, SeedRanges) else [range(seed, seed + 1) for seed in seeds]
    in_order = sorted(ranges, key=lambda one: one.start)
    for one, other in itertools.pairwise(in_order):
        if other.start < one.stop:
            raise SettingError(
                f"Each seed is one file, so it can be asked for once. Received twice: {other.start}."
            )
