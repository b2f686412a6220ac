"""Operations on batches of images, each linear in the images, so that they can be differentiated twice.

torch's own ``grid_sample`` has no second derivative; here the four neighbours of a place are gathered.
"""

from functools import lru_cache

import torch
from torch import Tensor

from gansmith.core.tensors import Images


def warp(images: Images, matrix: Tensor) -> Images:
    """Each image looked up at moved places, bilinearly, and mirrored beyond its border.

    Args:
        images: [batch, channels, height, width].
        matrix: [batch, 2, 3]; a pixel (x, y), counted from the centre, is taken from M (x, y, 1).
    """
    batch, channels, height, width = images.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device) - (height - 1) / 2,
        torch.arange(width, device=images.device) - (width - 1) / 2,
        indexing="ij",
    )
    places = torch.stack([x.flatten(), y.flatten(), torch.ones_like(x).flatten()])
    found = matrix.float() @ places  # [batch, 2, pixels]
    x, y = found[:, 0] + (width - 1) / 2, found[:, 1] + (height - 1) / 2
    # So that a quarter turn lands on pixels, whatever float32 makes of it.
    x, y = (torch.where((v - v.round()).abs() < 1e-4, v.round(), v) for v in (x, y))
    left, top = x.floor(), y.floor()
    rows = images.flatten(2)
    made = torch.zeros_like(rows)
    for at_x, of_x in ((left, 1 - (x - left)), (left + 1, x - left)):
        for at_y, of_y in ((top, 1 - (y - top)), (top + 1, y - top)):
            index = _mirrored(at_y, height) * width + _mirrored(at_x, width)
            taken = rows.gather(2, index[:, None].expand(-1, channels, -1))
            made = made + taken * (of_x * of_y).to(rows.dtype)[:, None]
    return made.view(batch, channels, height, width)


def _mirrored(place: Tensor, size: int) -> Tensor:
    """Whole places beyond 0 ... size - 1 led back as by mirrors on the outer pixels."""
    period = max(2 * (size - 1), 1)
    place = place.long().remainder(period)
    return torch.minimum(place, period - place).clamp(0, size - 1)


def shift(images: Images, x: Tensor, y: Tensor) -> Images:
    """Each image moved by whole pixels to the right and down, [batch] each; what comes in is 0."""
    height, width = images.shape[2:]
    columns = torch.arange(width, device=images.device) - x[:, None]
    rows = torch.arange(height, device=images.device) - y[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None]
    flat = index.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    moved = images.flatten(2).gather(2, flat).view_as(images)
    return moved * inside[:, None].to(images.dtype)


def recolor(images: Images, matrix: Tensor) -> Images:
    """The channels of each pixel mixed: [batch, channels, channels + 1], the last column is added."""
    matrix = matrix.to(images.dtype)
    mixed = torch.einsum("boc,bchw->bohw", matrix[:, :, :-1], images)
    return mixed + matrix[:, :, -1, None, None]


def brighten(images: Images, amount: Tensor) -> Images:
    """X + amount, one for each image."""
    return images + amount.to(images.dtype)[:, None, None, None]


def saturate(images: Images, factor: Tensor) -> Images:
    """Each pixel's distance from its own mean over channels, times a factor for each image."""
    grey = images.mean(dim=1, keepdim=True)
    return grey + (images - grey) * factor.to(images.dtype)[:, None, None, None]


def contrast(images: Images, factor: Tensor) -> Images:
    """The distance from the image's mean, times a factor for each image."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * factor.to(images.dtype)[:, None, None, None]


BANDS = 4
"""Of frequencies, from the lowest: up to 1/8, 1/4, 1/2 of the highest a grid can hold, and up to that one."""

# The half-band filter of Daubechies' wavelet with two vanishing moments (sym2): its own correlation, halved.
_HALF_BAND = (-1 / 32, 0.0, 9 / 32, 1 / 2, 9 / 32, 0.0, -1 / 32)


def amplify(images: Images, gains: Tensor) -> Images:
    """Four bands of frequencies, each times a gain of the image's, along rows and along columns.

    The bands add up to the image, so gains of 1 leave it as it is; beyond its border it is mirrored (Karras
    2020, "Training GANs with limited data", appendix B).

    Args:
        images: [batch, channels, height, width].
        gains: [batch, 4], of the lowest band first.
    """
    down, across = (
        torch.einsum("bk,kij->bij", gains.to(images), _bands(size).to(images)) for size in images.shape[2:]
    )
    return down[:, None] @ images @ across[:, None].transpose(2, 3)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # What is kept may be needed by a gradient later.
def _bands(size: int) -> Tensor:
    """[4, size, size], float64: what each band makes of a row of pixels, from the lowest band on.

    L(z) parts the lower half of frequencies from the upper, 1 - L(z); L(z^2) parts that again, and so on.
    """
    upper, rest = [], torch.ones(1, dtype=torch.float64)
    for step in (1, 2, 4):
        low = torch.zeros(6 * step + 1, dtype=torch.float64)
        low[::step] = torch.tensor(_HALF_BAND, dtype=torch.float64)
        high = -low
        high[3 * step] += 1.0
        upper.append(_product(rest, high))
        rest = _product(rest, low)
    rows = torch.arange(size)[:, None]
    matrices = torch.zeros(BANDS, size, size, dtype=torch.float64)
    for matrix, taps in zip(matrices, [rest, *upper[::-1]], strict=True):
        places = _mirrored(rows + torch.arange(len(taps)) - len(taps) // 2, size)
        matrix.scatter_add_(1, places, taps.expand(size, -1))
    return matrices


def _product(one: Tensor, other: Tensor) -> Tensor:
    """The coefficients of a product of two polynomials."""
    made = one.new_zeros(len(one) + len(other) - 1)
    for i, coefficient in enumerate(one):
        made[i : i + len(other)] += coefficient * other
    return made


def add_noise(images: Images, noise: Tensor, deviation: Tensor) -> Images:
    """Images plus noise, [batch, channels, height, width] from N(0, 1), times a deviation for each image."""
    return images + (noise * deviation[:, None, None, None]).to(images.dtype)


def cut_out(images: Images, x: Tensor, y: Tensor, size: Tensor) -> Images:
    """A rectangle of each image set to 0.

    Args:
        images: [batch, channels, height, width].
        x: its centre, [batch], as a share of the width.
        y: its centre as a share of the height.
        size: its sides as a share of the image's; 0: nothing is cut.
    """
    height, width = images.shape[2:]
    across = (torch.arange(width, device=images.device) + 0.5) / width
    down = (torch.arange(height, device=images.device) + 0.5) / height
    hidden_x = (across - x[:, None]).abs() < size[:, None] / 2
    hidden_y = (down - y[:, None]).abs() < size[:, None] / 2
    hidden = hidden_y[:, :, None] & hidden_x[:, None]
    return images * (~hidden)[:, None].to(images.dtype)
