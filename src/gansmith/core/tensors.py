"""Names for the shapes of tensors that cross a module's border; tests check them, training does not pay."""

from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

Images = Float[Tensor, "batch channels height width"]
"""Images as networks see them, float in [-1, 1]."""

BytePictures = UInt8[Tensor, "batch channels height width"]
"""Images as files hold them, 0..255."""

Scores = Float[Tensor, "batch *patches"]
"""One number per image, or per patch of it, from a critic, before any sigmoid: higher means more real."""

Latents = Float[Tensor, "batch *latent"]
"""What a generator starts from: [batch, numbers], or [batch, layers, numbers] in a space like w+."""

Labels = Int[Tensor, " batch"]
"""One class number per image."""

Attributes = UInt8[Tensor, "batch attributes"]
"""Facts that hold (1) or do not (0), per image."""

AttributeShares = Float[Tensor, "batch attributes"]
"""The same with what lies between: from 0, does not hold, to 1, holds."""

Landmarks = Float[Tensor, "batch points 2"]
"""x and y of points in pixels; the middle of the first pixel is at (0.5, 0.5)."""

Captions = UInt8[Tensor, "batch length"]
"""Sentences as UTF-8, zeros behind their end."""

Seeds = Int[Tensor, " batch"]
"""One seed per image, int64."""

Scalar = Float[Tensor, ""]
"""A loss."""

Batch = tuple[Any, ...]
"""What training sees: a NamedTuple of tensors whose first dimension is the batch."""


def per_image(scores: Float[Tensor, "batch *patches"]) -> Float[Tensor, " batch"]:
    """One score an image: the mean over its patches, where a critic judges patches."""
    return scores if scores.dim() == 1 else scores.flatten(1).mean(dim=1)


def full(tensor: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The tensor in float32, or as it is in float64: what is summed and compared keeps all its digits."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
