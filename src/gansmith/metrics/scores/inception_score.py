"""The Inception score: whether images look like one class each, and like many classes together."""

import itertools
import math

import numpy as np
import torch

from gansmith.metrics.math.intervals import (
    Result,
    Rows,
    Value,
    Z,
    around,
    at_least,
    enough,
    matrix,
    sentences,
    student,
)

SPLITS, SEED = 10, 2020  # As torch-fidelity has them.


def inception_score(logits: Rows, *, splits: int = SPLITS, seed: int | None = SEED) -> Result:
    """``exp E_x KL(p(y|x) || p(y))``, mean over splits (Salimans 2016, section 4).

    1 (all images alike, or all undecided) to the number of classes. The images are shuffled with the
    seed and split as torch-fidelity does.

    The interval is that of a mean of so many independent splits (Student's t; none for fewer than 4
    splits). It holds for images made anew, at this number of images a split; that few images a split
    make the score too low is not covered.

    Args:
        logits: [n, classes] before the softmax, n at least twice the splits.
        splits: parts that are scored one by one.
        seed: of the shuffling; None leaves the order.

    Returns: ``is`` and ``is_std``, the spread of the splits, which papers print behind "plus or minus".

    Raises:
        DataError: too few images, numbers that are not finite.
        SettingError: no splits.
    """
    at_least(1, splits=splits)
    rows = matrix(logits, "generated")
    enough(len(rows), "generated", 2 * splits)
    count, classes = rows.shape
    if seed is not None:
        order = torch.from_numpy(np.random.RandomState(seed).permutation(count))
        rows = rows[order.to(rows.device)]
    ends = [part * count // splits for part in range(splits + 1)]
    scores = np.array([_score(rows[first:last]) for first, last in itertools.pairwise(ends)])
    mean, spread = float(scores.mean()), float(scores.std())
    note = _note(count // splits, classes)
    if splits < 4:
        return {"is": Value(mean, note=note), "is_std": Value(spread)}
    error = spread / math.sqrt(splits - 1) * student(splits - 1) / Z
    return {"is": around(mean, error, note, low=1.0, high=float(classes)), "is_std": Value(spread)}


def _score(logits: torch.Tensor) -> float:
    # KL is the entropy of the mean less the mean entropy: no logarithm of a class that is never seen.
    shares = logits.double().softmax(1)
    together = torch.special.entr(shares.mean(0)).sum()
    return float((together - torch.special.entr(shares).sum(1).mean()).exp())


def _note(pictures: int, classes: int) -> str:
    short = f"Only {pictures} pictures a split for {classes} classes: the score comes out too low."
    return sentences(short if pictures < 5 * classes else "")
