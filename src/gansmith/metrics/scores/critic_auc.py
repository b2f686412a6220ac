"""How well a score tells real images from generated ones: accuracy, the ROC curve and the area below it."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.math.intervals import Result, Rows, Value, Z, enough, sentences, tensor, wilson

FEW = 100


@dataclass(frozen=True, eq=False)
class Roc:
    """The ROC curve: one point per threshold, from (0, 0) to (1, 1).

    Example:
        >>> roc(fake=torch.tensor([0.1, 0.2]), real=torch.tensor([0.8, 0.9])).true_positive.max()
        tensor(1., dtype=torch.float64)
    """

    false_positive: Float64[Tensor, " points"]  # Share of generated images that score at least the threshold.
    true_positive: Float64[Tensor, " points"]  # Share of real images that do.


def critic_auc(fake: Rows, real: Rows, *, threshold: float = 0.0) -> Result:
    """How well scores of images that were not trained on tell real from generated.

    - accuracy: mean of the shares of real and of generated images that are recognised, so that the numbers
      of both do not matter; a score at the threshold is half right. 0.5 is chance.
    - auc: chance that a random real image scores above a generated one, ties half (Mann & Whitney 1947).
      0.5 is chance; below it, the score is the wrong way round.

    Intervals, both for other images and the same discriminator: of accuracy from Wilson's of both shares
    (squares added, Newcombe 1998); of auc by Newcombe's (2006) method 5, which keeps a width at 0 and 1.

    Args:
        made: scores [n]; higher means more real.
        real: scores [m].
        threshold: from where on a score says real: 0 for a logit, 0.5 for a probability.

    Returns: ``accuracy``, ``accuracy_fake``, ``accuracy_real``, ``auc``.

    Raises:
        DataError: no scores, nan, or more than one score an image.
    """
    first, second = _scores(fake, "generated"), _scores(real, "real")
    counts = len(first), len(second)
    note = sentences(
        f"Few pictures: {counts[0]} generated and {counts[1]} real scores." if min(counts) < FEW else "",
        "All scores are equal." if bool((torch.cat([first, second]) == first[0]).all()) else "",
    )
    level = torch.full((1,), threshold, dtype=torch.float64, device=first.device)
    rejected, accepted = below(first, level) / counts[0], 1 - below(second, level) / counts[1]
    shares = float(rejected), float(accepted)
    ends = [wilson(share, count) for share, count in zip(shares, counts, strict=True)]
    both = (shares[0] + shares[1]) / 2
    down = math.hypot(*(share - low for share, (low, _) in zip(shares, ends, strict=True))) / 2
    up = math.hypot(*(high - share for share, (_, high) in zip(shares, ends, strict=True))) / 2
    area = float(below(first, second).mean()) / counts[0]
    return {
        "accuracy": Value(both, both - down, both + up, note),
        "accuracy_fake": Value(shares[0], *ends[0], note),
        "accuracy_real": Value(shares[1], *ends[1], note),
        "auc": Value(area, *_area_ends(area, *counts), note),
    }


def roc(fake: Rows, real: Rows) -> Roc:
    """All points of the ROC curve; the area below it is ``auc``. DataError as ``critic_auc``."""
    first, second = _scores(fake, "generated").sort().values, _scores(real, "real").sort().values
    levels = torch.unique_consecutive(torch.cat([first, second]).sort(descending=True).values)
    shares = [
        1 - torch.searchsorted(scores, levels, side="left").double() / len(scores)
        for scores in (first, second)
    ]
    none = levels.new_zeros(1)
    return Roc(*(torch.cat([none, share]) for share in shares))


def _scores(given: Rows, name: str) -> Tensor:
    scores = tensor(given)
    if scores.ndim != 1:
        raise DataError(f"Each {name} picture has one score. Received: shape {list(scores.shape)}.")
    enough(len(scores), name, 1)
    scores = scores.double()
    if bool(scores.isnan().any()):
        rule = f"Scores of the {name} pictures must be numbers."
        raise DataError(f"{rule} Received: {int(scores.isnan().sum())} nan. Look whether training diverged.")
    return scores


def below(scores: Tensor, levels: Tensor) -> Tensor:
    """How many scores are below each level, those at it counting half, float64.

    Example:
        >>> below(torch.tensor([0.1, 0.5]), torch.tensor([0.5, 0.9]))
        tensor([1.5000, 2.0000], dtype=torch.float64)
    """
    ordered = scores.sort().values
    sides = [torch.searchsorted(ordered, levels, side=side) for side in ("left", "right")]
    return (sides[0] + sides[1]).double() / 2


def _area_ends(area: float, fake: int, real: int) -> tuple[float, float]:
    """Where the distance from ``area`` is as large as 1.96 standard errors there."""
    ends = []
    for edge in (0.0, 1.0):
        inside, outside = area, edge
        for _ in range(60):
            middle = (inside + outside) / 2
            if abs(middle - area) <= Z * math.sqrt(_area_variance(middle, fake, real)):
                inside = middle
            else:
                outside = middle
        ends.append(inside)
    return ends[0], ends[1]


def _area_variance(area: float, fake: int, real: int) -> float:
    """Of a Mann-Whitney share (Hanley & McNeil 1982), both counts in its sum being their mean."""
    others = (fake + real) / 2 - 1
    sums = 1 + others * (1 - area) / (2 - area) + others * area / (1 + area)
    return area * (1 - area) * sums / (fake * real)
