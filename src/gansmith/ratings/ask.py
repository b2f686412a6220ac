"""Which image or pair to ask about next: at random to begin with, then where a preference is least sure."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gansmith.core.noise import Noise, mix_seeds
from gansmith.errors import at_least
from gansmith.models.generator import Generator
from gansmith.networks.preference import Preference
from gansmith.ratings.store import ANYONE, Store

_SEEDS = 2**31  # Seeds that are asked about lie below, so that a person can write them down.


def candidates(seed: int = 0) -> Iterator[int]:
    """Seeds of images in an order without end, a function of ``seed``, none of them twice."""
    seen: set[int] = set()
    for place in itertools.count():
        found = mix_seeds(seed, place) % _SEEDS
        if found not in seen:
            seen.add(found)
            yield found


@dataclass(eq=False)
class Asker:
    """Chooses what a rater is shown next, the same for the same ratings, preference and seed.

    Raters of one ``seed`` begin with the same images in the same order, so that it can be said how far they
    agree. After ``start`` of one's own, and where there is a preference, those come first whose sign it is
    least sure of: the smallest |mean| / std of the heads' logits, for a pair of their difference.

    Args:
        generator: whose images are rated.
        store: what was rated.
        preference: learnt from earlier ratings; None: at random all the way.
        seed: of the order.
        start: ratings of each rater that are asked at random.
        pool: images that the least sure ones are looked for among.

    Raises:
        SettingError: a number below its least.

    Example:
        >>> asker = Asker(generator, store, preference)
        >>> asker.thumbs(4, rater="Ada")
        [1407732189, 88316120, 1911284060, 310428871]
        >>> asker.pairs(1, rater="Ada")
        [(502117790, 1407732189)]
    """

    generator: Generator
    store: Store
    preference: Preference | None = None
    seed: int = 0
    start: int = 30
    pool: int = 256
    _logits: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        at_least(self, 0, "seed", "start", prefix="")
        at_least(self, 2, "pool", prefix="")

    def thumbs(self, count: int = 1, rater: str = ANYONE) -> list[int]:
        """Seeds of images that this rater has not judged yet."""
        ratings = self.store.thumbs()
        mine = {rating.seed for rating in ratings if rating.rater == rater}
        if not self._knows(len(mine)):
            return list(itertools.islice((seed for seed in candidates(self.seed) if seed not in mine), count))
        anyones = {rating.seed for rating in ratings}
        fresh = self._fresh(anyones, max(self.pool, count))
        logits = self._judged(fresh)
        return [fresh[place] for place in _least_sure(logits, count)]

    def pairs(self, count: int = 1, rater: str = ANYONE) -> list[tuple[int, int]]:
        """Pairs of seeds that this rater has not compared yet, no seed in two of them."""
        ratings = self.store.pairs()
        mine = {frozenset((rating.seed, rating.other)) for rating in ratings if rating.rater == rater}
        if not self._knows(len(mine)):
            each = candidates(self.seed)
            pairs = zip(each, each, strict=False)
            return list(itertools.islice((pair for pair in pairs if frozenset(pair) not in mine), count))
        anyones = {seed for rating in ratings for seed in (rating.seed, rating.other) if seed is not None}
        fresh = self._fresh(anyones, max(self.pool, 2 * count))
        logits = self._judged(fresh)
        first, second = torch.triu_indices(len(fresh), len(fresh), 1)
        chosen: list[tuple[int, int]] = []
        taken: set[int] = set()
        for place in _least_sure(logits[:, first] - logits[:, second], len(first)):
            pair = int(first[place]), int(second[place])
            if taken.isdisjoint(pair):
                chosen.append((fresh[pair[0]], fresh[pair[1]]))
                taken.update(pair)
            if len(chosen) == count:
                break
        return chosen

    def _knows(self, ratings: int) -> bool:
        return self.preference is not None and ratings >= self.start

    def _fresh(self, known: set[int], count: int) -> list[int]:
        return list(itertools.islice((seed for seed in candidates(self.seed) if seed not in known), count))

    def _judged(self, seeds: Sequence[int]) -> Tensor:
        """Logits of all heads, [members, seeds]; each image is made and judged once."""
        missing = [seed for seed in seeds if seed not in self._logits]
        if missing:
            judged = logits_of(self.generator, self.preference, missing)
            for seed, column in zip(missing, judged.T, strict=True):
                self._logits[seed] = column
        return torch.stack([self._logits[seed] for seed in seeds], dim=1)


def logits_of(generator: Generator, preference: Preference | None, seeds: Sequence[int]) -> Tensor:
    """Each head's logits of these seeds' images, [members, seeds], on the CPU."""
    assert preference is not None
    parts = []
    with torch.inference_mode():
        for at in range(0, len(seeds), 64):
            images = generator.make(Noise.of(*seeds[at : at + 64]))
            parts.append(preference.heads(preference.features(images)).cpu())
    return torch.cat(parts, dim=1)


def _least_sure(logits: Tensor, count: int) -> list[int]:
    """Places in the order of |mean| / std, the smallest first; equal ones keep their order."""
    sure = logits.mean(dim=0).abs() / logits.std(dim=0, correction=0).clamp_min(1e-9)
    return torch.argsort(sure, stable=True)[:count].tolist()
