"""Two ways to bring images to the size a feature network wants; scores depend on which.

``legacy`` is what TensorFlow 1 did inside the Inception graph of the first FIDs, and what most published
numbers were made with: two neighbours a pixel, no smoothing before shrinking. ``clean`` smooths (Parmar
2022), so that an image and its faithful small copy look alike to the network.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Levels = Float[Tensor, "batch channels height width"]
"""Images as levels of light from 0 to 255 that need not be whole numbers, float32."""

Square = Float[Tensor, "batch channels side side"]
"""``Levels`` of as many rows as columns."""


def clean(pictures: Levels, side: int) -> Square:
    """Bicubic with anti-aliasing to ``side`` x ``side``, unrounded, cut to 0..255.

    The filter is Pillow's, which clean FID takes for the truth; sums in float32 instead of float64 make
    levels differ by less than 0.01.
    """
    made = F.interpolate(pictures, (side, side), mode="bicubic", antialias=True)
    return made.clamp(0.0, 255.0)


def legacy(pictures: Levels, side: int) -> Square:
    """TensorFlow 1's bilinear to ``side`` x ``side``: pixel ``i`` comes from place ``i * old / side``.

    To the bit what torch-fidelity computes. Only the columns that a row needs are made, which is quicker.
    """
    before, behind, share = _neighbours(pictures.shape[3], side, pictures.device)
    left = pictures[:, :, :, before]
    wide = left + (pictures[:, :, :, behind] - left) * share
    before, behind, share = _neighbours(pictures.shape[2], side, pictures.device)
    top = wide[:, :, before]
    return top + (wide[:, :, behind] - top) * share[:, None]


def _neighbours(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each new pixel the two old ones it lies between, and the share of the second."""
    scale = torch.tensor(old / new, dtype=torch.float32, device=device)
    place = torch.arange(new, dtype=torch.float32, device=device) * scale
    before = place.long()
    return before, (before + 1).clamp_max(old - 1), place - before.float()


RESIZERS: dict[str, Callable[[Levels, int], Square]] = {"clean": clean, "legacy": legacy}
