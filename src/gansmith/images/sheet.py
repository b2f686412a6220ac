"""Contact sheets of images of any size, and of look-alikes side by side. Needs no torch."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
_GAP = 2  # White pixels between images of a sheet.
_ACROSS, _DOWN = 8, 16  # Look-alikes in a row of their sheet, and rows.


def contact_sheet(pictures: Sequence[Picture], columns: int | None = None) -> Image.Image:
    """All images on one white sheet, row by row; smaller ones stand in the middle of their cell.

    Args:
        images: [C, H, W] each, C 1 or 3; sizes and channels may differ. At least one.
        columns: images in a row; None for a nearly square grid.
    """
    if not pictures or (columns is not None and columns < 1):
        rule = "A contact sheet needs at least one picture and one column."
        raise ValueError(f"{rule} Received: {len(pictures)} pictures, columns={columns}.")
    across = min(len(pictures), columns or math.ceil(math.sqrt(len(pictures))))
    return _sheet([pictures[first : first + across] for first in range(0, len(pictures), across)])


def duplicate_sheet(groups: Sequence[Sequence[Picture]]) -> Image.Image:
    """Look-alikes side by side, a row to a group: the first 8 of each of the first 16 groups.

    Args:
        groups: images as ``contact_sheet`` takes them, at least one.
    """
    return _sheet([group[:_ACROSS] for group in groups[:_DOWN]])


def _sheet(rows: Sequence[Sequence[Picture]]) -> Image.Image:
    shapes = [picture.shape for row in rows for picture in row]
    if not shapes or any(len(shape) != 3 or shape[0] not in (1, 3) for shape in shapes):
        raise ValueError(f"A sheet shows pictures [C, H, W] with C 1 or 3. Received: {shapes[:3]}.")
    height, width = max(shape[1] for shape in shapes), max(shape[2] for shape in shapes)
    down, across = height + _GAP, width + _GAP
    sheet = np.full((len(rows) * down - _GAP, max(map(len, rows)) * across - _GAP, 3), 255, dtype=np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top = y * down + (height - picture.shape[1]) // 2
            left = x * across + (width - picture.shape[2]) // 2
            place = sheet[top : top + picture.shape[1], left : left + picture.shape[2]]
            place[:] = picture.transpose(1, 2, 0)
    return Image.fromarray(sheet)
