"""Images of a run made small enough to travel inside a page."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gansmith.reporting.html import text

MOST_FRAMES = 40
FRAMES_BYTES = 2_200_000  # All of them; base64 makes a third more of it.

_QUALITIES = (86, 74, 60)
_MOST_MARK = 2**15  # Bytes of an XMP packet that are carried over; ours have 2 KB.


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, with the size of its pixels.

    Example:
        >>> embed(Path("grid.png"), side=256, max_bytes=100_000).tag("samples")
    """

    uri: str
    width: int
    height: int

    def tag(self, alt: str, more: str = "") -> str:
        """The HTML; ``alt`` is plain text, ``more`` are attributes."""
        crisp = ' class="crisp"' if self.width <= 320 else ""  # Small ones look better as clean squares.
        return (
            f'<img src="{self.uri}" width="{self.width}" height="{self.height}" '
            f'alt="{text(alt)}"{crisp}{more}>'
        )


def embed(file: Path, side: int, max_bytes: int) -> Picture | None:
    """An image file as WebP with its longer side at most ``side`` pixels, in at most about ``max_bytes``.

    Quality goes down first, then size. The mark that says a machine made it (XMP) is kept. None where the
    file is no image.
    """
    try:
        with Image.open(file) as opened:
            mark = opened.info.get("xmp", b"")
            picture = _flat(opened)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    kept = mark if isinstance(mark, bytes) and len(mark) <= _MOST_MARK else b""
    written = _webp(picture, kept, max_bytes)
    return Picture("data:image/webp;base64," + base64.b64encode(written).decode(), *picture.size)


def _flat(opened: Image.Image) -> Image.Image:
    """RGB, what is transparent on white."""
    if "A" in opened.getbands() or "transparency" in opened.info:
        whole = opened.convert("RGBA")
        page = Image.new("RGBA", whole.size, "white")
        return Image.alpha_composite(page, whole).convert("RGB")
    return opened.convert("RGB")


def _webp(picture: Image.Image, mark: bytes, max_bytes: int) -> bytes:
    written = b""
    for quality in _QUALITIES:
        written = _encoded(picture, quality, mark)
        if len(written) <= max_bytes:
            return written
    while len(written) > max_bytes and min(picture.size) > 64:
        shrink = min(0.9, math.sqrt(max_bytes / len(written)))
        picture.thumbnail(
            (round(picture.width * shrink), round(picture.height * shrink)), Image.Resampling.LANCZOS
        )
        written = _encoded(picture, _QUALITIES[-1], mark)
    return written


def _encoded(picture: Image.Image, quality: int, mark: bytes) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=quality, method=4, xmp=mark)
    return file.getvalue()


def thinned(grids: Sequence[tuple[int, Path]], max_count: int = MOST_FRAMES) -> list[tuple[int, Path]]:
    """At most ``max_count`` of the grids, evenly, the first and the last among them."""
    if len(grids) <= max_count:
        return list(grids)
    return [grids[round(place * (len(grids) - 1) / (max_count - 1))] for place in range(max_count)]


def frames(grids: Sequence[tuple[int, Path]], side: int = 640) -> list[tuple[int, Picture]]:
    """Grids over time, small; files that are no images are left out."""
    chosen = thinned(grids)
    made = [(images, embed(file, side, FRAMES_BYTES // max(len(chosen), 1))) for images, file in chosen]
    return [(images, picture) for images, picture in made if picture is not None]
