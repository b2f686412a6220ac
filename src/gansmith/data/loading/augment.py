"""Chance changes to training images: flips, cuts, turns and colour, a whole batch at a time on its device.

What an image meets is a function of its own noise stream and of nothing else: not of the batch around
it, nor of which other changes are asked for. Images of one row (a source and its target) move and are
coloured alike, and landmarks move with them.

A generator learns to make what it is shown. Turned training images give turned images, odd colours
odd colours: ask for what could have been in the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.tensors import Images
from gansmith.errors import SettingError

Column = Float[Tensor, "batch _ _ _"]
"""Images of a batch, float32 in [-1, 1]; the columns of a batch may differ in size and channels."""

Landmarks = Float[Tensor, "batch points 2"]
"""Points of each image, x and y in pixels; the middle of the first pixel is at (0.5, 0.5)."""

PerPicture = Float[Tensor, " batch"]
"""One number for each image."""

Affine = Float[Tensor, "batch 2 3"]
"""Where in the old image a point of the new one is taken from: ``old = affine @ (x, y, 1)``, in pixels."""

_FACE = (1, 0, 2, 4, 3)  # Left eye, right eye, nose, left and right corner of the mouth.
_DRAWS = 10  # Numbers an image takes from its stream, whatever is asked for; the first is the mirror's.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # Luma (ITU-R BT.601).
_CHROMA = (0.436 / (1.0 - _BLUE)) / (0.615 / (1.0 - _RED))  # The scale of U = B - Y over that of V = R - Y.

_RANGES = {
    "crop": (0.1, 1.0, "the least share of the sides that a cut keeps; 1 cuts nothing"),
    "rotate": (0.0, 180.0, "degrees, to either side"),
    "brightness": (0.0, 1.0, "a share of the way from black to white"),
    "contrast": (0.0, 1.0, "a share of the contrast a picture has"),
    "saturation": (0.0, 1.0, "a share of the colour a picture has"),
    "hue": (0.0, 180.0, "degrees around the colour circle, to either side"),
}


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What chance does to training images besides mirroring; by default nothing.

    Each number is drawn evenly for each image. Grey images have no saturation and no hue to change.

    Example:
        >>> DataConfig(mirror=True, augment=Augment(rotate=5.0, brightness=0.1))
    """

    flip: bool = False  # Half of the images upside down.
    crop: float = 1.0  # Cut to a share of both sides from `crop` to 1, then enlarged to the full size.
    rotate: float = 0.0  # Degrees, from -rotate to rotate; what lies beyond the edge is the mirrored inside.
    brightness: float = 0.0  # Lighter or darker by up to this share of the way from black to white.
    contrast: float = 0.0  # Differences from the image's mean grey times 1 - contrast to 1 + contrast.
    saturation: float = 0.0  # Differences from grey times 1 - saturation to 1 + saturation.
    hue: float = 0.0  # Degrees, from -hue to hue, around the colour circle of YIQ at equal luma.
    swap: tuple[int, ...] | None = None  # Landmark i of a mirrored image was landmark swap[i].

    def __post_init__(self) -> None:
        for name, (least, most, meaning) in _RANGES.items():
            given = getattr(self, name)
            if not least <= given <= most:
                raise SettingError(
                    f"data.augment.{name} is a number from {least:g} to {most:g}: {meaning}. "
                    f"Received: {name}={given}."
                )
        swap = () if self.swap is None else self.swap
        if sorted(swap) != list(range(len(swap))) or any(swap[swap[i]] != i for i in swap):
            raise SettingError(
                "data.augment.swap says for each landmark, counted from 0, which one it trades places with "
                f"in a mirrored picture, itself if none; five points of a face have {_FACE}. "
                f"Received: swap={self.swap}."
            )

    @property
    def resamples(self) -> bool:
        """Whether pixels must be found between pixels, unlike for a flip."""
        return self.crop < 1.0 or self.rotate > 0.0

    @property
    def relights(self) -> bool:
        """Whether brightness or contrast change."""
        return self.brightness > 0.0 or self.contrast > 0.0

    @property
    def tints(self) -> bool:
        """Whether saturation or hue change."""
        return self.saturation > 0.0 or self.hue > 0.0


class Geometry(NamedTuple):
    """Where the points of each image go: cut out at an angle, enlarged, then mirrored and flipped.

    Example:
        >>> geometry, _ = draw(Augment(rotate=10.0), mirror=True, noise=Noise.of(0, 1))
        >>> affine(geometry, width=64, height=64).shape
        torch.Size([2, 2, 3])
    """

    mirror: Bool[Tensor, " batch"]  # Left to right.
    flip: Bool[Tensor, " batch"]  # Upside down.
    angle: PerPicture  # Degrees; the content turns counterclockwise.
    side: PerPicture  # Share of both sides that the cut keeps.
    x: PerPicture  # Where the cut is in what is to spare: 0 left, 1 right.
    y: PerPicture  # 0 top, 1 bottom.


class Colour(NamedTuple):
    """How the colours of each image change.

    Example:
        >>> _, colour = draw(Augment(contrast=0.2), mirror=False, noise=Noise.of(0, 1))
        >>> relight(torch.zeros(2, 3, 8, 8), colour).shape
        torch.Size([2, 3, 8, 8])
    """

    brightness: PerPicture  # Share of the way from black to white that is added.
    contrast: PerPicture  # Factor of the differences from the image's mean luma.
    saturation: PerPicture  # Factor of the differences from grey.
    hue: PerPicture  # Degrees around the colour circle, from red towards yellow.


def augment(
    config: Augment,
    mirror: bool,
    images: Mapping[str, Column],
    landmarks: Landmarks | None,
    noise: Noise,
) -> tuple[dict[str, Column], Landmarks | None]:
    """Change the images of a batch as chance has it.

    Nothing waits for the device. Flips alone are exact; everything else that moves points is composed
    and sampled once, bicubic (on MPS, which lacks it, bilinear). Memory formats are kept.

    Args:
        config: what may happen.
        mirror: whether half of the images are mirrored, left to right.
        images: the columns that hold images, by name; all move and are coloured alike.
        landmarks: points of the column ``images``, or of the first where none has that name; they may
            leave the image. In an image that was mirrored or flipped, not both, left and right points
            trade places: as ``config.swap`` has it, else those of five-point faces.
        noise: a fresh stream for each image; ten numbers are taken.

    Returns: columns and landmarks of the same shapes; the same tensors where nothing is asked for.

    Raises:
        SettingError: ``config.swap`` is for another number of landmarks.
    """
    moves = mirror or config.flip or config.resamples
    if not (moves or config.relights or config.tints):
        return dict(images), landmarks
    geometry, colour = draw(config, mirror, noise)
    changed = {name: _changed(column, config, mirror, geometry, colour) for name, column in images.items()}
    if landmarks is not None and moves:
        height, width = images["images" if "images" in images else next(iter(images))].shape[2:]
        landmarks = move(landmarks, geometry, width, height, config.swap)
    return changed, landmarks


def draw(config: Augment, mirror: bool, noise: Noise) -> tuple[Geometry, Colour]:
    """What happens to each image. A change that is not asked for takes its number all the same."""
    numbers = noise.uniform(_DRAWS)
    mirrored, flipped, angle, side, x, y, *light = numbers.unbind(1)
    geometry = Geometry(
        mirror=mirrored < (0.5 if mirror else 0.0),
        flip=flipped < (0.5 if config.flip else 0.0),
        angle=(2.0 * angle - 1.0) * config.rotate,
        side=1.0 - (1.0 - config.crop) * side,
        x=x,
        y=y,
    )
    brightness, contrast, saturation, hue = (2.0 * number - 1.0 for number in light)
    colour = Colour(
        brightness=brightness * config.brightness,
        contrast=1.0 + contrast * config.contrast,
        saturation=1.0 + saturation * config.saturation,
        hue=hue * config.hue,
    )
    return geometry, colour


def affine(geometry: Geometry, width: int, height: int) -> Affine:
    """The map from points of the new image to points of the old one, in pixels."""
    angle = torch.deg2rad(geometry.angle)
    cos, sin = geometry.side * torch.cos(angle), geometry.side * torch.sin(angle)
    across, down = 1.0 - 2.0 * geometry.mirror.float(), 1.0 - 2.0 * geometry.flip.float()
    a, b, c, d = cos * across, -sin * down, sin * across, cos * down
    spare = 1.0 - geometry.side
    # The middle of the new image comes from the middle of the cut.
    x = width / 2 + spare * (geometry.x - 0.5) * width - a * (width / 2) - b * (height / 2)
    y = height / 2 + spare * (geometry.y - 0.5) * height - c * (width / 2) - d * (height / 2)
    return torch.stack([a, b, x, c, d, y], dim=1).view(-1, 2, 3)


def resample(images: Images, taken_from: Affine) -> Images:
    """Images whose points are taken from where the map says; beyond the edge lies the mirrored inside."""
    height, width = images.shape[2:]
    # Not affine_grid: it multiplies matrices, which some settings round to ten bits, a pixel in a thousand.
    entries = taken_from[:, :, :, None, None]
    x = torch.arange(width, device=images.device) + 0.5
    y = (torch.arange(height, device=images.device) + 0.5)[:, None]
    places = [entries[:, row, 0] * x + entries[:, row, 1] * y + entries[:, row, 2] for row in (0, 1)]
    grid = torch.stack([places[0] * (2.0 / width) - 1.0, places[1] * (2.0 / height) - 1.0], dim=3)
    # Of the differences between neighbouring pixels of faces, bicubic keeps 97 %, bilinear 84 %.
    mode = "bilinear" if images.device.type == "mps" else "bicubic"
    sampled = F.grid_sample(images, grid, mode=mode, padding_mode="reflection", align_corners=False)
    return _formatted_like(sampled.clamp_(-1.0, 1.0), images)  # Bicubic weights overshoot at edges.


def move(
    landmarks: Landmarks,
    geometry: Geometry,
    width: int,
    height: int,
    swap: tuple[int, ...] | None = None,
) -> Landmarks:
    """Landmarks of images ``width`` x ``height`` where the image's points went.

    Names such as "left eye" are those of an upright face. An image both mirrored and flipped is a face
    turned by half a circle, so its names stay.

    Raises:
        SettingError: ``swap`` is for another number of points.
    """
    points = landmarks.shape[1]
    if swap is None:
        swap = _FACE if points == len(_FACE) else tuple(range(points))
    if len(swap) != points:
        raise SettingError(
            f"data.augment.swap needs one entry for each landmark, and these pictures have {points}. "
            f"Received: swap={swap}."
        )
    a, b, x, c, d, y = affine(geometry, width, height).flatten(1)[:, :, None].unbind(1)
    from_x, from_y = landmarks[..., 0] - x, landmarks[..., 1] - y
    area = a * d - b * c
    moved = torch.stack([(d * from_x - b * from_y) / area, (a * from_y - c * from_x) / area], dim=2)
    # Stacked slices, as indexing by a list would send it to the device and wait.
    traded = torch.stack([moved[:, index] for index in swap], dim=1) if swap else moved
    return torch.where((geometry.mirror ^ geometry.flip)[:, None, None], traded, moved)


def relight(images: Images, colour: Colour) -> Images:
    """Brightness and contrast, the latter about the mean luma of each image; not clamped."""
    # Summed in double precision, the mean does not show in what order a larger or smaller batch is summed.
    precision = torch.float32 if images.device.type == "mps" else torch.float64
    mean = _luma(images).mean(dim=(1, 2, 3), dtype=precision).float()
    # The range [-1, 1] is two long.
    offset = mean * (1.0 - colour.contrast) + 2.0 * colour.brightness
    return images * _spread(colour.contrast) + _spread(offset)


def tint(images: Images, colour: Colour) -> Images:
    """Saturation and hue: the chroma of each pixel scaled and turned, its luma kept; not clamped.

    The colour plane is that of YIQ, or of YUV, which is the same plane turned by 33 degrees. Grey
    images are returned as they are.
    """
    if images.shape[1] == 1:
        return images
    luma = _luma(images)
    red, blue = images[:, 0:1] - luma, images[:, 2:3] - luma
    angle = torch.deg2rad(colour.hue)
    keep = _spread(colour.saturation * torch.cos(angle))
    turn = _spread(colour.saturation * torch.sin(angle))
    # U is proportional to B - Y and V to R - Y; (U, V) turns as a vector does.
    new_red = luma + keep * red + turn * (blue * _CHROMA)
    new_blue = luma + keep * blue - turn * (red / _CHROMA)
    new_green = (luma - _RED * new_red - _BLUE * new_blue) / _GREEN
    return _formatted_like(torch.cat([new_red, new_green, new_blue], dim=1), images)


def _changed(images: Column, config: Augment, mirror: bool, geometry: Geometry, colour: Colour) -> Column:
    height, width = images.shape[2:]
    if config.resamples:
        images = resample(images, affine(geometry, width, height))
    else:
        for asked, flips, side in ((mirror, geometry.mirror, 3), (config.flip, geometry.flip, 2)):
            if asked:  # Where-ing both versions needs no count of the flipped ones, hence no wait.
                images = torch.where(flips.view(-1, 1, 1, 1), images.flip(side), images)
    if config.tints:
        images = tint(images, colour)
    if config.relights:
        images = relight(images, colour)
    return images.clamp(-1.0, 1.0) if config.tints or config.relights else images


def _luma(images: Tensor) -> Tensor:
    """[batch, 1, height, width]."""
    if images.shape[1] == 1:
        return images
    return _RED * images[:, 0:1] + _GREEN * images[:, 1:2] + _BLUE * images[:, 2:3]


def _spread(numbers: Tensor) -> Tensor:
    return numbers.view(-1, 1, 1, 1)


def _formatted_like(images: Tensor, other: Tensor) -> Tensor:
    if other.is_contiguous(memory_format=torch.channels_last):
        return images.contiguous(memory_format=torch.channels_last)
    return images
