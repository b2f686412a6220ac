"""MS-SSIM: how alike the images of one set are."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError, SettingError
from gansmith.metrics.features.base import check_pictures, start
from gansmith.metrics.math.intervals import Value, mean_value, sentences

_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_LEAST_SIDES = {5: 176, 4: 99, 3: 44, 2: 22, 1: 11}
"""Scales -> the shorter side they need, so that the window of 11 fits into the smallest."""
_PAIRS_AT_ONCE = 32


def ms_ssim(pictures: BytePictures, *, pairs: int = 1000, seed: int = 0) -> Value:
    """How alike generated images are: the mean MS-SSIM of random pairs (Odena 2017, section 4.2).

    Multi-scale structural similarity (Wang 2003) is 1 for equal images and about 0 for unrelated ones.
    Compare with the same number of real images: a larger value means less diversity. With classes,
    measure each class alone. No image is in two pairs, so that the bootstrap interval holds.

    Args:
        images: generated ones, uint8 [n, 1 or 3, h, w]; 2 * pairs of them are used, where there are so many.
        pairs: how many, at least 1.
        seed: of the choice.

    Returns: a value from 0 to 1; a note where the images are too small for the five scales of the paper.

    Raises:
        DataError: fewer than two images, or sides below 11 pixels.
        SettingError: no pairs.
        MissingPackageError: torchmetrics is not installed.
    """
    if pairs < 1:
        raise SettingError(f"pairs must be at least 1. Received: pairs={pairs}.")
    check_pictures(pictures)
    if len(pictures) < 2:
        raise DataError("Diversity is measured on pairs of pictures. Received: 1 picture.")
    scales, note = _scales(min(pictures.shape[2:]))
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
    count = min(pairs, len(pictures) // 2)
    if count < pairs:
        note = sentences(f"From {count} pairs instead of {pairs}: there are no more pictures.", note)
    chosen = order[: 2 * count].view(2, count)
    scores = torch.cat(list(_similarities(pictures, chosen, scales)))
    return mean_value(scores, seed, note)


def _scales(side: int) -> tuple[int, str]:
    scales = next((scales for scales, least in _LEAST_SIDES.items() if side >= least), 0)
    if not scales:
        raise DataError(
            f"MS-SSIM needs pictures of {_LEAST_SIDES[1]} pixels or more a side. Received: {side}. "
            "For smaller pictures use swd."
        )
    if scales == len(_BETAS):
        return scales, ""
    return scales, (
        f"{scales} of 5 scales: pictures of {side} pixels are too small for more. "
        "Compare with pictures of the same size only."
    )


def _similarities(
    pictures: BytePictures, chosen: Tensor, scales: int
) -> Iterator[Float[Tensor, " pictures"]]:
    library = start("torchmetrics.functional.image", "torchmetrics", "MS-SSIM")
    total = sum(_BETAS[:scales])
    betas = tuple(beta / total for beta in _BETAS[:scales])
    for part in torch.split(chosen, _PAIRS_AT_ONCE, dim=1):
        first, second = (pictures[rows].cpu().float() for rows in part)
        yield library.multiscale_structural_similarity_index_measure(
            first, second, data_range=255.0, betas=betas, reduction="none"
        )
