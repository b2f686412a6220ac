"""Animations: GIF, WebP and MP4."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from gansmith.core.files import whole_file
from gansmith.errors import MissingPackageError, SettingError
from gansmith.images.marks import append_to_gif, append_to_mp4


@dataclass(frozen=True)
class _Film:
    size: tuple[int, int]
    fps: int | Fraction
    hold_s: float
    comment: str
    xmp: bytes


def animate(
    frames: Iterable[Image.Image],
    path: Path,
    fps: int | Fraction = 8,
    last_hold_s: float = 2.0,
    *,
    comment: str = "",
    xmp: bytes = b"",
) -> Path:
    """Frames as a film: ``.gif``, ``.webp`` or ``.mp4`` by the suffix of ``path``.

    An mp4 is written as the frames come, in constant memory. Pillow holds all frames of the two
    others until the file ends, and joins equal neighbours in a gif or webp into one longer frame.

    Frames are Pillow images of one size, shown ``fps`` a second; the last stays ``last_hold_s`` seconds
    longer. The file keeps the XMP packet ``xmp``, a gif or mp4 the words of ``comment``, too.

    Raises:
        SettingError: another suffix, a number out of range, or no frames.
        MissingPackageError: mp4 without PyAV (``pip install 'gansmith[video]'``).
        StorageError: the disk refused.
    """
    writers = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise SettingError(f"An animation ends in {', '.join(writers)}. Received: {path.name!r}.")
    if fps <= 0 or last_hold_s < 0:
        rule = "An animation has more than 0 frames a second and holds its last for 0 seconds or more."
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
            frame.info["duration"] = round(1000 * (float(1 / film.fps) + hold_s))
            yield frame


def _write_gif(frames: Iterable[Image.Image], file: Path, film: _Film) -> None:
    timed = _timed(frames, film)
    options: dict[str, Any] = {"save_all": True, "append_images": timed, "loop": 0}
    next(timed).save(file, format="GIF", comment=film.comment.encode(), **options)
    if film.xmp:
        append_to_gif(file, film.xmp)


def _write_webp(frames: Iterable[Image.Image], file: Path, film: _Film) -> None:
    first, *others = frames  # Pillow would make the list by itself.
    each = float(1000 / film.fps)
    lengths = [each] * len(others) + [each + 1000 * film.hold_s]
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
    if film.xmp:
        append_to_mp4(file, film.xmp)


def _held(frames: Iterable[Image.Image], repeats: int) -> Iterator[Image.Image]:
    """The frames, the last one ``repeats`` times more: players ignore a long last frame in an mp4."""
    frame = None
    for frame in frames:
        yield frame
    if frame is not None:
        yield from itertools.repeat(frame, repeats)
