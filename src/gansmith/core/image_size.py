"""An image size and the ways another shape is brought to it."""

from dataclasses import dataclass
from typing import Literal

from gansmith.errors import SettingError

Fit = Literal["crop", "pad", "stretch"]
"""How another shape becomes the wanted one: cut the centre, pad with the edge, or squeeze."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are the first column and row outside."""


@dataclass(frozen=True)
class Size:
    """An image size in pixels, written 64 or 128x96: width first.

    Example:
        >>> Size.parse("128x96")
        Size(width=128, height=96)
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        if not (4 <= self.width <= 8192 and 4 <= self.height <= 8192):
            raise SettingError(f"A picture must be 4 to 8192 pixels a side. Received: size={self}.")

    @classmethod
    def parse(cls, text: str) -> "Size":
        """``"64"`` -> 64 x 64; ``"128x96"`` -> 128 wide, 96 high."""
        parts = text.lower().split("x")
        if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
            raise SettingError(f"A size is written 64 or 128x96 (width x height). Received: {text!r}.")
        return cls(int(parts[0]), int(parts[-1]))

    def __str__(self) -> str:
        return str(self.width) if self.width == self.height else f"{self.width}x{self.height}"


@dataclass(frozen=True, kw_only=True)
class Form:
    """The size and channels that every image of a data set is brought to; ``box`` is cut out first.

    Example:
        >>> Form(size=Size(64, 64), channels=3, fit="pad")
    """

    size: Size
    channels: int  # 1 (luma) or 3 (RGB).
    fit: Fit = "crop"
    box: Box | None = None

    def __post_init__(self) -> None:
        check_box(self.box)


def check_box(box: Box | None) -> None:
    """Raise unless a box has an inside.

    Raises:
        SettingError: it has none.
    """
    if box is not None and not (0 <= box[0] < box[2] and 0 <= box[1] < box[3]):
        raise SettingError(
            "A box is left,top,right,bottom in pixels, with left < right and top < bottom. "
            f"Received: box={','.join(map(str, box))}."
        )
