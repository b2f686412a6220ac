"""How many of a known number of modes a generator finds, and how evenly: the Stacked-MNIST test."""

import math

import numpy as np
import torch
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.math.intervals import Result, Rows, Value, Z, around, at_least, enough, tensor

CLASSES = 1000
"""Of Stacked-MNIST: a digit in each of three channels."""


def stacked(digits: Rows) -> Tensor:
    """Class numbers [n] in 0..999 of the digits a classifier reads in three channels, [n, 3] in 0..9.

    Raises:
        DataError: another shape, or numbers that are no digits.
    """
    read = _whole(digits)
    if read.ndim != 2 or read.shape[1] != 3 or bool(((read < 0) | (read > 9)).any()):
        rule = "A stacked picture has three digits from 0 to 9."
        raise DataError(f"{rule} Received: shape {list(read.shape)}{_range(read)}.")
    return read @ torch.tensor([100, 10, 1], device=read.device)


def modes(predictions: Rows, *, classes: int = CLASSES, reference: Rows | None = None) -> Result:
    """Modes found, and how far their shares are from those of real images (Metz 2017, section 3.3).

    - modes: how many classes occur at all. 1 to ``classes``. The interval is for another draw of as many
      images: the variance of the number is at most the expected number of classes met just once.
    - modes_kl: ``sum p log(p / q)`` in nats, p the made shares, q the real ones. 0 is even. The interval adds
      the variance of the sum and that of its bias, about (modes - 1) / 2n, which stays in the value as in
      the papers and is told in the note where it is more than a tenth.

    Args:
        predictions: the class of each generated image, [n] whole numbers in 0..classes-1.
        classes: modes there are; at least 2.
        reference: images of each class among the real ones, [classes]; None for evenly many.

    Returns: ``modes`` and ``modes_kl``.

    Raises:
        DataError: no images, classes that do not exist, or a reference without a class that was found.
        SettingError: fewer than 2 classes.
    """
    at_least(2, classes=classes)
    found = _whole(predictions)
    if found.ndim != 1 or bool(((found < 0) | (found >= classes)).any()):
        rule = f"Each generated picture has one class, a whole number from 0 to {classes - 1}."
        raise DataError(f"{rule} Received: shape {list(found.shape)}{_range(found)}.")
    enough(len(found), "generated", 1)
    counts = torch.bincount(found.cpu(), minlength=classes)
    real = torch.ones(classes, dtype=torch.float64) if reference is None else _reference(reference, counts)
    real = real / real.sum()
    return {"modes": _modes(counts, real), "modes_kl": _divergence(counts, real)}


def _modes(counts: Tensor, real: Tensor) -> Value:
    number, total = int((counts > 0).sum()), int(counts.sum())
    missed = float((1 - real[real > 0]).pow(total).sum())
    note = f"A perfect generator would miss about {missed:.3g} modes with {total} pictures."
    once = int((counts == 1).sum())
    most = float((real > 0).sum())
    return around(float(number), math.sqrt(once), note if missed >= 0.5 else "", low=1.0, high=most)


def _divergence(counts: Tensor, real: Tensor) -> Value:
    total = float(counts.sum())
    seen = counts > 0
    shares = counts[seen].double() / total
    logs = (shares / real[seen]).log()
    value = float((shares * logs).sum())
    first = max(0.0, float((shares * logs.square()).sum()) - value**2) / total
    bias = (len(shares) - 1) / (2 * total)
    note = f"About {bias:.2g} of it come from having {int(total)} pictures."
    error = math.sqrt(first + bias / total)
    return Value(value, max(0.0, value - Z * error), value + Z * error, note if bias > value / 10 else "")


def _reference(given: Rows, counts: Tensor) -> Tensor:
    real = tensor(given).cpu().double()
    if real.shape != counts.shape or not bool((real >= 0).all() and real.isfinite().all() and real.sum() > 0):
        rule = f"The reference has the number of real pictures of each of the {len(counts)} classes."
        raise DataError(f"{rule} Received: shape {list(real.shape)}, sum {float(real.sum())}.")
    strange = ((real == 0) & (counts > 0)).nonzero().flatten().tolist()
    if strange:
        raise DataError(
            "Generated pictures can only be of classes that real pictures have. Received: made pictures of "
            f"{len(strange)} classes without real ones, such as class {strange[0]}. Count more real pictures."
        )
    return real


def _whole(given: Rows) -> Tensor:
    numbers = (
        given.dtype.kind in "iu"
        if isinstance(given, np.ndarray)
        else not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
    )
    if not numbers:
        raise DataError(
            f"Classes are whole numbers. Received: {given.dtype}. Take the greatest logit first: argmax(1)."
        )
    return tensor(given).long()


def _range(numbers: Tensor) -> str:
    return f", from {int(numbers.min())} to {int(numbers.max())}" if numbers.numel() else ""
