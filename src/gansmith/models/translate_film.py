"""A video, frame by frame, into a video of the same rate, in constant memory."""

import hashlib
import io
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from gansmith.core.distributed import World
from gansmith.core.files import check_outside_data
from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.video import VIDEO_SUFFIXES
from gansmith.data.sources.video_frames import damage, open_video, packages
from gansmith.data.sources.video_pixels import Converter, ppm
from gansmith.errors import DataError
from gansmith.images.animation import animate
from gansmith.images.origin import provenance_in
from gansmith.images.provenance import Provenance, description, xmp_packet
from gansmith.models.generator import RUN
from gansmith.models.translate_places import ours
from gansmith.models.write import collected

_USUAL, _FASTEST = Fraction(25), 1000  # Frames a second: where a file says nothing, and what is believed.


@runtime_checkable
class _Maker(Protocol):
    """Images out of images."""

    def mark(self, name: str, digest: str) -> Provenance: ...

    def read(self, raw: bytes, to: str, mark: Provenance) -> Any: ...

    def images(self, pictures: Sequence[Any]) -> Iterator[Image.Image]: ...


def is_film(src: Path | str, out: Path) -> bool:
    """Whether a video is to become a video: OUT says so."""
    video = Path(src).suffix.lower() in VIDEO_SUFFIXES and Path(src).expanduser().is_file()
    return video and out.suffix.lower() == ".mp4" and not out.is_dir()


class _Frames:
    """The frames of a video in order, as files; what ends it early is noted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._container, self._stream = open_video(path)
        except DataError as error:
            raise DataError(f"A video was expected. Received: {path}: {error}.") from None
        self.count = 0
        self.problem: str | None = None

    @property
    def rate(self) -> Fraction:
        """Frames a second."""
        rate = self._stream.average_rate or self._stream.guessed_rate or _USUAL
        return Fraction(rate).limit_denominator(2**15) if 0 < rate <= _FASTEST else _USUAL

    @property
    def expected(self) -> int:
        """How many frames the file says there are; at least as many as were seen."""
        return max(int(self._stream.frames or 0), self.count)

    def __iter__(self) -> Iterator[bytes]:
        converter, errors = Converter(packages()), damage()
        packets = self._container.decode(self._stream)
        while True:
            try:
                frame = next(packets, None)
                raw = (
                    None if frame is None else ppm(converter.pixels(frame, self._stream.sample_aspect_ratio))
                )
            except errors as error:
                self.problem = (
                    f"it is damaged after {self.count} frames ({error}); what is before them was made"
                )
                raw = None
            if raw is None:
                break
            self.count += 1
            yield raw
        self._container.close()
        if not self.count:
            raise DataError(f"A video was expected. Received: {self.path}: there are no frames in it.")


def translate_film(
    src: Path, out: Path, maker: _Maker, world: World, progress: Callable[[int, int], object]
) -> tuple[int, int, tuple[Refused, ...]]:
    """(frames made, frames kept, what was left out); several processes make a part of each group of frames.

    Raises:
        DataError: it is no video, or one without frames.
        MissingPackageError: PyAV is not installed.
        SettingError: OUT is SRC, or something else that is there.
        StorageError: the disk refuses; OUT is as it was.
    """
    check_outside_data(out, str(src))
    with src.open("rb") as file:
        mark = maker.mark(src.name, hashlib.file_digest(file, "sha256").hexdigest())
    frames = _Frames(src)
    if out.exists():
        with out.open("rb") as file:
            there = ours(provenance_in(file), out)
        if there == mark:
            progress(frames.expected, frames.expected)
            return 0, frames.expected, ()

    def made() -> Iterator[Image.Image]:
        rest = iter(frames)
        while group := list(itertools.islice(rest, RUN * world.size)):
            start, stop = world.span(len(group))
            mine = [maker.read(raw, src.name, mark) for raw in group[start:stop]]
            for content in collected(world, [_ppm(image) for image in maker.images(mine)]):
                yield Image.open(io.BytesIO(content))
            progress(frames.count, frames.expected)

    if world.is_main:
        animate(made(), out, frames.rate, 0.0, comment=description(mark), xmp=xmp_packet(mark))
    else:
        deque(made(), maxlen=0)
    world.barrier()
    progress(frames.count, frames.count)
    refused = () if frames.problem is None else (Refused(src.name, frames.problem),)
    return frames.count, 0, refused


def _ppm(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PPM")
    return file.getvalue()
