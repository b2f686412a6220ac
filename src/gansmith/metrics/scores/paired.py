"""How near generated images come to the ones they should be: L1, PSNR, SSIM and LPIPS of pairs.

Images are float in [-1, 1] or uint8, both sets [n, 1 or 3, h, w] of one shape. Large sets go through
``each_...`` a batch at a time; ``mean_value`` makes a value of all the scores.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gansmith.core.tensors import Scores
from gansmith.errors import DataError
from gansmith.metrics.features.base import check_pictures, start
from gansmith.metrics.features.resize import Levels
from gansmith.metrics.math.intervals import Value, mean_value
from gansmith.metrics.scores.lpips import PictureDistance

Pictures = Float[Tensor, "_ _ _ _"] | UInt8[Tensor, "_ _ _ _"]
"""As ``Images`` or ``BytePictures``; whether two sets fit is checked here, in words."""

_AT_ONCE = 32
_LEAST_SSIM = 11  # Pixels: the window.
_USUAL_LPIPS = 64
_OUTSIDE = 1e-4  # What rounding may leave beyond -1 and 1.


def psnr(fake: Pictures, real: Pictures, *, seed: int = 0) -> Value:
    """The mean peak signal-to-noise ratio in decibels: 10 log10(255^2 / mean squared error). More is better.

    Equal images would have an infinite one; they are left out of the mean, and the note says so. Where all
    are equal the value is infinite.

    Raises:
        DataError: sets that do not fit, or numbers outside the range.
        MissingPackageError: torchmetrics is not installed.
    """
    return psnr_value(each_psnr(fake, real), seed)


def psnr_value(scores: Scores, seed: int = 0) -> Value:
    """The mean of scores of ``each_psnr``, those of equal images left out."""
    different = scores[scores.isfinite()]
    equal = len(scores) - len(different)
    if not len(different):
        return Value(float("inf"), note="All pairs are equal.")
    note = f"{equal} of {len(scores)} pairs are equal and left out." if equal else ""
    return mean_value(different, seed, note)


def ssim(fake: Pictures, real: Pictures, *, seed: int = 0) -> Value:
    """The mean structural similarity (Wang 2004): Gaussian window of 11 pixels, 1 for equal images.

    Raises:
        DataError: sets that do not fit, numbers outside the range, or sides below 11 pixels.
        MissingPackageError: torchmetrics is not installed.
    """
    return mean_value(each_ssim(fake, real), seed)


def lpips(fake: Pictures, real: Pictures, distance: PictureDistance, *, seed: int = 0) -> Value:
    """The mean learned perceptual distance (Zhang 2018) of ``open_lpips``; 0 for equal images.

    Raises:
        DataError: sets that do not fit, numbers outside the range, or sides below 32 pixels.
    """
    scores = each_lpips(fake, real, distance)
    side = min(fake.shape[2:])
    small = f"LPIPS was made for pictures of {_USUAL_LPIPS} pixels and more; these have {side}."
    return mean_value(scores, seed, small if side < _USUAL_LPIPS else "")


def each_l1(fake: Pictures, real: Pictures) -> Scores:
    """The mean absolute difference of each pair, of images from 0 to 1; 0 for equal ones.

    Raises:
        DataError: sets that do not fit, or numbers outside the range.

    Example:
        >>> each_l1(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8))
        tensor([0.5000])
    """
    return _in_parts(lambda a, b: (a - b).abs().mean(dim=(1, 2, 3)) / 255.0, fake, real)


def bright(pictures: Pictures, border: int = 4) -> Float[Tensor, "_ 1 _ _"]:
    """Y of YCbCr (ITU-R 601, 16 to 235) without a border, in [-1, 1], as papers on super-resolution have it.

    Args:
        images: as everywhere here.
        border: pixels cut off on each side.

    Raises:
        DataError: nothing is left inside the border.
    """
    height, width = pictures.shape[2:]
    if min(height, width) <= 2 * border:
        raise DataError(
            f"A border of {border} pixels is cut on each side. Received: pictures of {width}x{height}."
        )
    levels = _levels(pictures)[:, :, border : height - border, border : width - border]
    red, green, blue = levels.expand(-1, 3, -1, -1).unbind(1)
    luma = 16.0 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255.0
    return luma[:, None] / 127.5 - 1.0


def each_psnr(fake: Pictures, real: Pictures) -> Scores:
    """The PSNR of each pair, in decibels; infinite for equal ones. See ``psnr``."""
    library = start("torchmetrics.functional.image", "torchmetrics", "PSNR")

    def scores(first: Levels, second: Levels) -> Tensor:
        found: Tensor = library.peak_signal_noise_ratio(
            first, second, data_range=255.0, reduction="none", dim=(1, 2, 3)
        )
        return found

    return _in_parts(scores, fake, real)


def each_ssim(fake: Pictures, real: Pictures) -> Scores:
    """The SSIM of each pair. See ``ssim``."""
    library = start("torchmetrics.functional.image", "torchmetrics", "SSIM")
    _check(fake, real)
    if min(fake.shape[2:]) < _LEAST_SSIM:
        raise DataError(
            f"SSIM needs pictures of {_LEAST_SSIM} pixels or more a side. "
            f"Received: {fake.shape[3]}x{fake.shape[2]}. For smaller pictures use psnr."
        )

    def scores(first: Levels, second: Levels) -> Tensor:
        found: Tensor = library.structural_similarity_index_measure(
            first, second, data_range=255.0, reduction="none"
        )
        return found

    return _in_parts(scores, fake, real)


def each_lpips(fake: Pictures, real: Pictures, distance: PictureDistance) -> Scores:
    """The LPIPS of each pair. See ``lpips``."""
    return _in_parts(lambda a, b: distance(a / 127.5 - 1.0, b / 127.5 - 1.0), fake, real)


def _in_parts(scores: Callable[[Levels, Levels], Tensor], fake: Pictures, real: Pictures) -> Scores:
    _check(fake, real)
    parts = zip(torch.split(fake, _AT_ONCE), torch.split(real, _AT_ONCE), strict=True)
    return torch.cat([scores(_levels(a), _levels(b)).cpu().reshape(-1) for a, b in parts])


def _check(fake: Pictures, real: Pictures) -> None:
    check_pictures(fake)
    if fake.shape != real.shape:
        raise DataError(
            "Pairs are as many generated as real pictures, of one size and number of channels. "
            f"Received: {list(fake.shape)} generated and {list(real.shape)} real ones."
        )
    for name, pictures in (("generated", fake), ("real", real)):
        if pictures.dtype == torch.uint8:
            continue
        if not bool(pictures.isfinite().all()):
            raise DataError(f"Pictures must be numbers. Received: nan or inf in the {name} ones.")
        low, high = pictures.aminmax()
        if low < -1 - _OUTSIDE or high > 1 + _OUTSIDE:
            raise DataError(
                "Pictures are numbers from -1 to 1, or bytes. "
                f"Received: from {float(low):g} to {float(high):g} in the {name} ones."
            )


def _levels(pictures: Tensor) -> Levels:
    if pictures.dtype == torch.uint8:
        return pictures.cpu().float()
    return ((pictures.detach().cpu().float() + 1.0) * 127.5).clamp(0.0, 255.0)
