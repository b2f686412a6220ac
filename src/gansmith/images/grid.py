"""Tensors become something to look at: images, grids, real-versus-generated sheets."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gansmith.core.tensors import BytePictures, Images
from gansmith.errors import SettingError

Picture = UInt8[Tensor, "channels height width"]
"""One image as a file holds it, 0..255; channels is 1 (grey) or 3 (red, green, blue)."""

_WHITE = 255
_SEEN = 64  # Pixels that small images are enlarged to.
_TEXT, _LINE = 12, 15  # Size of texts beside rows, and from line to line, in pixels.
_LEAST_TEXT, _MOST_TEXT, _MOST_LINES = 120, 240, 12  # Width of these texts in pixels, and how many lines.


def to_bytes(images: Images) -> BytePictures:
    """Images from networks, float in [-1, 1], as bytes 0..255 on the CPU, rounded to the nearest level.

    Values outside the range are clamped; what is not a number becomes 0.
    """
    levels = (images.detach().float() + 1.0) * 127.5
    return levels.nan_to_num(0.0).clamp(0.0, 255.0).round().to(torch.uint8).cpu()


class Canvas:
    """A grid that is filled one image at a time, so that the images need not be in memory together.

    Args:
        count: how many images it will hold.
        shape: (channels, height, width) of each.
        columns: images in a row; None for a nearly square grid.
        gap: white pixels between neighbours.

    Example:
        >>> canvas = Canvas(4, (3, 8, 8), gap=0)
        >>> canvas.put(3, torch.zeros(3, 8, 8, dtype=torch.uint8))
        >>> canvas.picture.shape
        torch.Size([3, 16, 16])
    """

    def __init__(
        self, count: int, shape: tuple[int, int, int], columns: int | None = None, gap: int = 2
    ) -> None:
        if count < 1:
            raise SettingError("A grid needs at least one picture. Received: none.")
        if min(gap, count if columns is None else columns - 1) < 0:
            rule = "A grid has at least one column, and a gap of 0 or more pixels."
            raise SettingError(f"{rule} Received: columns={columns}, gap={gap}.")
        self._columns = min(count, columns or math.ceil(math.sqrt(count)))
        channels, height, width = shape
        self._down, self._across = height + gap, width + gap
        rows = math.ceil(count / self._columns)
        size = (channels, rows * self._down - gap, self._columns * self._across - gap)
        self.picture = torch.full(size, _WHITE, dtype=torch.uint8)

    def put(self, place: int, picture: Picture) -> None:
        """Draw an image at a place, counted from 0, row by row."""
        top, left = place // self._columns * self._down, place % self._columns * self._across
        height, width = picture.shape[1:]
        self.picture[:, top : top + height, left : left + width] = picture


def grid(
    pictures: BytePictures, columns: int | None = None, gap: int = 2
) -> UInt8[Tensor, "channels grid_height grid_width"]:
    """All images in one, row by row, with ``gap`` white pixels between neighbours and none around.

    ``columns=None`` makes it nearly square. Raises SettingError for no images, or numbers out of range.
    """
    channels, height, width = pictures.shape[1:]
    canvas = Canvas(len(pictures), (channels, height, width), columns, gap)
    for place, picture in enumerate(pictures):
        canvas.put(place, picture)
    return canvas.picture


def to_pil(picture: Picture) -> Image.Image:
    """A Pillow image, "L" for one channel and "RGB" for three; SettingError for another number."""
    channels = picture.shape[0]
    if channels not in (1, 3):
        raise SettingError(f"A picture has 1 channel (grey) or 3 (colour). Received: {channels} channels.")
    pixels = picture.cpu().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


def with_caption(picture: Picture, text: str | None) -> UInt8[Tensor, "channels page_height width"]:
    """The image with a line or more of small text below it, as wide as it is; as it is for no text."""
    if not text:
        return picture
    image = to_pil(picture)
    font = ImageFont.load_default(size=max(10, min(14, image.width // 24)))
    letters = max(1, int(image.width / max(font.getlength(text) / len(text), 1.0)))
    lines = textwrap.wrap(text, letters) or [""]
    height = math.ceil(font.getbbox("Ag")[3]) + 4
    page = Image.new(image.mode, (image.width, image.height + height * len(lines)), "white")
    page.paste(image, (0, 0))
    pen = ImageDraw.Draw(page)
    for place, line in enumerate(lines):
        pen.text((1, image.height + place * height + 1), line, fill="black", font=font)
    pixels = torch.from_numpy(np.asarray(page).copy())
    return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1).contiguous()


def enlarged(pictures: BytePictures) -> UInt8[Tensor, "batch channels seen_height seen_width"]:
    """Small images with each pixel as a square of them, so large that a person sees them: 64 px or nearly."""
    times = max(1, _SEEN // max(pictures.shape[2:]))
    return pictures.repeat_interleave(times, 2).repeat_interleave(times, 3)


def with_texts(
    rows: Sequence[Picture], texts: Sequence[str], gap: int = 2
) -> UInt8[Tensor, "channels page_height page_width"]:
    """Rows of images one under the other, on white, each with its text to the left of it.

    Args:
        rows: [channels, height, width] each, with as many channels and as wide.
        texts: one for each row; lines are wrapped, and what would be longer than 12 of them is cut.
        gap: white pixels between rows.

    Example:
        >>> with_texts([torch.zeros(3, 64, 640, dtype=torch.uint8)], ["a red cap"]).shape[1]
        64
    """
    font = ImageFont.load_default(size=_TEXT)
    wide = max(rows[0].shape[2] // 3, _LEAST_TEXT)
    pages = [_in_lines(text, font, min(wide, _MOST_TEXT)) for text in texts]
    left = math.ceil(max(font.getlength(line) for lines in pages for line in lines)) + 2 * _TEXT // 2
    high = [max(row.shape[1], _LINE * len(lines)) for row, lines in zip(rows, pages, strict=True)]
    size = (left + rows[0].shape[2], sum(high) + gap * (len(rows) - 1))
    page = Image.new("L" if len(rows[0]) == 1 else "RGB", size, "white")
    pen, top = ImageDraw.Draw(page), 0
    for row, lines, height in zip(rows, pages, high, strict=True):
        page.paste(to_pil(row), (left, top))
        for place, line in enumerate(lines):
            pen.text((2, top + place * _LINE), line, fill="black", font=font)
        top += height + gap
    pixels = torch.from_numpy(np.asarray(page).copy())
    return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1).contiguous()


def _in_lines(text: str, font: Any, width: int) -> list[str]:
    """A text in lines of a width in pixels, the last of too many with dots at its end."""
    letters = max(1, int(width / max(font.getlength(text) / max(len(text), 1), 1.0)))
    return textwrap.wrap(text, letters, max_lines=_MOST_LINES, placeholder=" ...") or [""]


def sheet(
    real: UInt8[Tensor, "real channels height width"],
    made: UInt8[Tensor, "made channels height width"],
    headings: tuple[str, str] = ("real", "generated"),
) -> Image.Image:
    """Real images on the left, generated ones on the right, a heading over each half."""
    halves = [to_pil(grid(half)).convert("RGB") for half in (real, made)]
    # The largest text size that never needs more than a third of a small half's width.
    size = max(10, min(28, min(half.width for half in halves) // 12))
    font = ImageFont.load_default(size=size)
    margin, top = size // 2, 2 * size
    texts = [math.ceil(font.getlength(heading)) for heading in headings]
    widths = [max(half.width, text) for half, text in zip(halves, texts, strict=True)]
    total = (sum(widths) + 4 * margin, top + max(half.height for half in halves) + margin)
    page = Image.new("RGB", total, "white")
    pen = ImageDraw.Draw(page)
    left = margin
    for half, heading, width in zip(halves, headings, widths, strict=True):
        pen.text((left, top // 2), heading, fill="black", font=font, anchor="lm")
        page.paste(half, (left, top))
        left += width + 2 * margin
    return page
