"""Tensors become something to look at: pictures, grids, real-versus-generated sheets, animations, curves."""

import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gansmith.core.files import whole_file
from gansmith.core.tensors import BytePictures, Images
from gansmith.errors import MissingPackageError, SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Picture = UInt8[Tensor, "channels height width"]
"""One picture as a file holds it, 0..255; channels is 1 (grey) or 3 (red, green, blue)."""

Rows = Sequence[Mapping[str, float | int]]
"""What a run logged, oldest first: a statistic's name -> its value, and ``images`` -> images seen."""

_WHITE = 255


def to_bytes(images: Images) -> BytePictures:
    """Pictures from networks, float in [-1, 1], as bytes 0..255 on the CPU, rounded to the nearest level.

    Values outside the range are clamped; what is not a number becomes 0.
    """
    levels = (images.detach().float() + 1.0) * 127.5
    return levels.nan_to_num(0.0).clamp(0.0, 255.0).round().to(torch.uint8).cpu()


class Canvas:
    """A grid that is filled one picture at a time, so that the pictures need not be in memory together.

    Args:
        count: how many pictures it will hold.
        shape: (channels, height, width) of each.
        columns: pictures in a row; None for a nearly square grid.
        gap: white pixels between neighbours.
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
        """Draw a picture at a place, counted from 0, row by row."""
        top, left = place // self._columns * self._down, place % self._columns * self._across
        height, width = picture.shape[1:]
        self.picture[:, top : top + height, left : left + width] = picture


def grid(
    pictures: BytePictures, columns: int | None = None, gap: int = 2
) -> UInt8[Tensor, "channels grid_height grid_width"]:
    """All pictures in one, row by row, with ``gap`` white pixels between neighbours and none around.

    ``columns=None`` makes it nearly square. Raises SettingError for no pictures, or numbers out of range.
    """
    channels, height, width = pictures.shape[1:]
    canvas = Canvas(len(pictures), (channels, height, width), columns, gap)
    for place, picture in enumerate(pictures):
        canvas.put(place, picture)
    return canvas.picture


def to_pil(picture: Picture) -> Image.Image:
    """A Pillow picture, "L" for one channel and "RGB" for three; SettingError for another number."""
    channels = picture.shape[0]
    if channels not in (1, 3):
        raise SettingError(f"A picture has 1 channel (grey) or 3 (colour). Received: {channels} channels.")
    pixels = picture.cpu().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


def with_caption(picture: Picture, text: str | None) -> UInt8[Tensor, "channels page_height width"]:
    """The picture with a line or more of small text below it, as wide as it is; as it is for no text."""
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


def sheet(
    real: UInt8[Tensor, "real channels height width"],
    made: UInt8[Tensor, "made channels height width"],
    headings: tuple[str, str] = ("real", "generated"),
) -> Image.Image:
    """Real pictures on the left, generated ones on the right, a heading over each half."""
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


@dataclass(frozen=True)
class _Film:
    size: tuple[int, int]
    fps: int
    hold_s: float
    comment: str
    xmp: bytes


def animate(
    frames: Iterable[Image.Image],
    path: Path,
    fps: int = 8,
    last_hold_s: float = 2.0,
    *,
    comment: str = "",
    xmp: bytes = b"",
) -> Path:
    """Frames as a film: ``.gif``, ``.webp`` or ``.mp4`` by the suffix of ``path``.

    An mp4 is written as the frames come, in constant memory. Pillow holds all frames of the two
    others until the file ends, and joins equal neighbours in a gif or webp into one longer frame.

    Frames are Pillow pictures of one size, shown ``fps`` a second; the last stays ``last_hold_s`` seconds
    longer. A gif or mp4 keeps the words of ``comment`` in the file, a webp the XMP packet ``xmp``.

    Raises:
        SettingError: another suffix, a number out of range, or no frames.
        MissingPackageError: mp4 without PyAV (``pip install 'gansmith[video]'``).
        StorageError: the disk refused.
    """
    writers = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise SettingError(f"An animation ends in {', '.join(writers)}. Received: {path.name!r}.")
    if fps < 1 or last_hold_s < 0:
        rule = "An animation has at least 1 frame a second and holds its last for 0 seconds or more."
        raise SettingError(f"{rule} Received: fps={fps}, last_hold_s={last_hold_s}.")
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise SettingError("An animation needs at least one frame. Received: none.")
    with whole_file(path) as part:
        writer(itertools.chain([first], rest), part, _Film(first.size, fps, last_hold_s, comment, xmp))
    return path


def _timed(frames: Iterable[Image.Image], film: _Film) -> Iterator[Image.Image]:
    """The frames, each with its length in milliseconds; of the others only the next one is in memory."""
    for frame, following in itertools.pairwise(itertools.chain(frames, [None])):
        if frame is not None:
            hold_s = film.hold_s if following is None else 0.0
            frame.info["duration"] = round(1000 * (1 / film.fps + hold_s))
            yield frame


def _write_gif(frames: Iterable[Image.Image], file: Path, film: _Film) -> None:
    timed = _timed(frames, film)
    options: dict[str, Any] = {"save_all": True, "append_images": timed, "loop": 0}
    next(timed).save(file, format="GIF", comment=film.comment.encode(), **options)


def _write_webp(frames: Iterable[Image.Image], file: Path, film: _Film) -> None:
    first, *others = frames  # Pillow would make the list by itself.
    lengths = [1000 / film.fps] * len(others) + [1000 * (1 / film.fps + film.hold_s)]
    options: dict[str, Any] = {"save_all": True, "append_images": others, "duration": lengths, "loop": 0}
    first.save(file, format="WEBP", quality=90, xmp=film.xmp, **options)


def _write_mp4(frames: Iterable[Image.Image], file: Path, film: _Film) -> None:
    try:
        import av
    except ImportError:
        raise MissingPackageError("av", "Writing an mp4", "video") from None
    try:
        av.codec.Codec("libx264", "w")
        codec, options = "libx264", {"crf": "18"}
    except av.error.FFmpegError:  # PyAV can be built without the GPL encoder; mpeg4 is always there.
        codec, options = "mpeg4", {"q:v": "2"}
    from_image: Any = av.VideoFrame.from_image  # PyAV leaves it without types.
    with av.open(str(file), "w", format="mp4") as container:
        container.metadata["comment"] = film.comment
        stream: Any = container.add_stream(codec, rate=film.fps, options=options)
        stream.pix_fmt = "yuv420p"  # The only layout every player shows; it needs even sides.
        stream.width, stream.height = (side + side % 2 for side in film.size)
        for frame in _held(frames, round(film.hold_s * film.fps)):
            even = Image.new("RGB", (stream.width, stream.height))
            even.paste(frame)
            container.mux(stream.encode(from_image(even)))
        container.mux(stream.encode())


def _held(frames: Iterable[Image.Image], repeats: int) -> Iterator[Image.Image]:
    """The frames, the last one ``repeats`` times more: players ignore a long last frame in an mp4."""
    frame = None
    for frame in frames:
        yield frame
    if frame is not None:
        yield from itertools.repeat(frame, repeats)


def curves(rows: Rows, path: Path) -> Path:
    """A png of a run's losses, of what its discriminator said (0..1), and of its accuracies if it has any.

    Raises SettingError where no name ends in ``loss``, speaks of ``accuracy`` or has ``D(`` in it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for row in rows if "images" in row for name in row))
    panels = {title: [name for name in names if belongs(name)] for title, belongs in _PANELS.items()}
    panels = {title: series for title, series in panels.items() if series}
    if not panels:
        raise SettingError("There are no statistics to draw: no row has a loss, a D(...) or an accuracy.")
    figure = Figure(figsize=(9, 3 * len(panels)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, series) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, title, series, rows)
    axes[-1].set_xlabel("images seen")
    with whole_file(path) as part:
        figure.savefig(part, format="png")
    return path


_PANELS: dict[str, Callable[[str], bool]] = {
    "loss": lambda name: name.endswith("loss"),
    "discriminator output": lambda name: "D(" in name,
    "accuracy": lambda name: "accuracy" in name.rpartition("/")[2],
}


def _draw_panel(axis: "Axes", title: str, series: Sequence[str], rows: Rows) -> None:
    for name in series:
        points = [(row["images"], row[name]) for row in rows if name in row and "images" in row]
        # A lone point has no line to be seen by.
        marker = "o" if len(points) < 3 else ""
        axis.plot(*zip(*points, strict=True), label=name, linewidth=1.4, marker=marker, markersize=4)
    if title != "loss":
        axis.set_ylim(-0.02, 1.02)
        axis.axhline(0.5, color="0.6", linewidth=0.8, linestyle=":")
    axis.set_ylabel(title)
    axis.grid(True, color="0.9", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
