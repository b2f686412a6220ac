"""Best of N: of N times as many images those that a preference puts first, with nothing trained further."""

import itertools
from collections.abc import Callable, Sequence

import torch

from gansmith.core.noise import Noise
from gansmith.core.seeds import check_no_repeats, parse_seeds
from gansmith.errors import SettingError
from gansmith.models.generator import Generator
from gansmith.models.write import Choice
from gansmith.networks.preference import Preference

_BATCH = 64


def best_of(
    generator: Generator,
    preference: Preference,
    seeds: Sequence[int],
    times: int,
    choice: Choice | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[int]:
    """As many seeds as were given, the best of ``times`` as many by the preference's lower bound.

    Looked at are the given ones and those after the largest of them. Each seed still makes its own image, so
    it can be made again without the preference.

    Args:
        seeds: how many, and where to begin; none twice.
        times: N, 1 or more.
        choice: what a conditional model is asked for, and truncation.
        progress: called with the number of images that were judged.

    Returns: seeds in the order in which they were looked at.

    Raises:
        SettingError: a seed twice, N below 1, or more seeds than there are.

    Example:
        >>> best_of(generator, open_preference("runs/one", generator), range(64), 8)
    """
    if times < 1:
        raise SettingError(f"The best of N needs an N of 1 or more. Received: {times}.")
    check_no_repeats(seeds)
    wanted, chosen = len(seeds), choice or Choice()
    first = max(seeds) + 1
    more = parse_seeds(f"{first}-{first + wanted * (times - 1) - 1}") if times > 1 else ()
    rest, looked_at, bounds = itertools.chain(seeds, more), [], []
    with torch.no_grad():
        while some := list(itertools.islice(rest, _BATCH)):
            prompts = generator.prompts(some, chosen.wish)
            images = generator.make(Noise.of(*some), prompts, chosen.truncation)
            bounds.append(preference.lower_bound(generator.spec.to_network(images)).cpu())
            looked_at.extend(some)
            if progress is not None:
                progress(len(some))
    best = torch.cat(bounds).argsort(descending=True, stable=True)[:wanted]
    return [looked_at[place] for place in sorted(best.tolist())]
