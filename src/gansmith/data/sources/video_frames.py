"""One frame out of a video file, found by its time: opened safely, decoded forwards, any order right."""

import importlib
import math
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from gansmith.data.sources.video_pixels import Converter, ppm
from gansmith.errors import DataError, MissingPackageError

Key = tuple[str, float]
"""A video's name, and the presentation time of a frame in seconds as the stream counts."""

# Real containers only: a playlist or a list of files named clip.mp4 would make FFmpeg open what it names.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,live_flv,asf,ogg,mxf"
_ATTACHED_PICTURE = 0x400  # A cover in a file of sound; AV_DISPOSITION_ATTACHED_PIC of FFmpeg.
_PQ = 16  # The transfer curve SMPTE ST 2084, as ITU-T H.273 numbers it.
_NEAR = 1e-3  # In seconds: times this close are one.
_FAR = 10.0  # In seconds: a longer way ahead is jumped, a shorter one is read through.
_PACKETS = 600  # Looked through for a later keyframe before decoding begins.
_IDLE = 8  # Decoders kept open; one of 1920x1080 holds some 50 MB.


def packages() -> Any:
    """PyAV.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError:
        raise MissingPackageError("av", "Reading videos", "video") from None


def damage() -> tuple[type[Exception], ...]:
    """What PyAV has been seen to raise on bad bytes."""
    return packages().error.FFmpegError, OSError, LookupError, ValueError, ArithmeticError, MemoryError


def open_video(path: Path) -> tuple[Any, Any]:
    """The container of a video file and its stream of images; the caller closes the container.

    Raises:
        DataError: a reason of one line: no video, damaged, no decoder, too large, high dynamic range.
        MissingPackageError: PyAV is not installed.
    """
    av = packages()
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:  # "file:" keeps a colon in the name from being read as a protocol.
        container = av.open(f"file:{path.absolute()}", options=options, metadata_errors="replace")
    except av.error.EOFError:  # The header is whole.
        raise DataError("there are no frames in it: the file ends where the first one should begin") from None
    except (av.error.InvalidDataError, av.error.ArgumentError):
        raise DataError("not a video, or cut off before the index it needs") from None
    except damage() as error:
        raise DataError(f"it cannot be opened: {getattr(error, 'strerror', error)}") from error
    try:
        return container, _stream(container)
    except DataError:
        container.close()
        raise


def _stream(container: Any) -> Any:
    def is_cover(stream: Any) -> bool:
        return bool(getattr(getattr(stream, "disposition", 0), "value", 0) & _ATTACHED_PICTURE)

    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    if not streams:
        raise DataError("there is no video in it" + (", only sound" if container.streams.audio else ""))
    stream = max(streams, key=lambda stream: stream.width * stream.height if stream.codec_context else -1)
    if stream.codec_context is None:
        raise DataError("it is coded in a way this FFmpeg cannot decode; convert it to H.264")
    limit = 2 * (Image.MAX_IMAGE_PIXELS or stream.width * stream.height)
    if stream.width * stream.height > limit:
        raise DataError(f"{stream.width}x{stream.height} pixels a frame; at most {limit:,} are decoded")
    if stream.codec_context.color_trc == _PQ:
        raise DataError("high dynamic range (PQ); convert it to standard range (BT.709) first")
    stream.codec_context.thread_count = 1  # Reading is parallel by decoders, not within one.
    return stream


def time_of(packet: Any) -> float | None:
    """When a packet is shown, in seconds; when it is decoded where that is all the file says; or None."""
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None else float(stamp * packet.time_base)


class Decoder:
    r"""One open video, decoded forwards from where it stands; not for two threads at a time.

    Args:
        path: the video file.

    Raises:
        DataError: as `open_video`.

    Example:
        >>> decoder = Decoder(Path("clip.mp4"))
        >>> decoder.picture(0.5)[:13]
        b'P6\n64 64\n255\n'
        >>> decoder.close()
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._errors = damage()
        self._converter = Converter(packages())
        self._open()

    def _open(self) -> None:
        self.container, self.stream = open_video(self._path)
        self._begin()
        start = self.stream.start_time
        self.position = float(start * self.stream.time_base) if start is not None else 0.0

    def _begin(self) -> None:
        self._packets: Iterator[Any] = self.container.demux(self.stream)
        self._waiting: deque[Any] = deque()  # Packets read from the file and not yet decoded.
        self._frames: deque[Any] = deque()  # Decoded and not yet looked at.
        self._last: Any = None
        self._passed = -math.inf  # Decoding time of the last packet read.

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def picture(self, time: float) -> bytes:
        """The frame shown from ``time`` on as a binary PPM file.

        Raises:
            DataError: the video ends or is damaged before it.
        """
        try:
            return ppm(self._converter.pixels(self.frame(time), self.stream.sample_aspect_ratio))
        except self._errors as error:
            raise DataError(f"the frame at {time:.1f} s cannot be converted: {error}") from error

    def frame(self, time: float) -> Any:
        """The frame shown from ``time`` on, in seconds as the stream counts.

        Raises:
            DataError: the video ends or is damaged before it.
        """
        if self._last is not None and abs(self._last.time - time) <= _NEAR:
            return self._last
        if not self.position <= time + _NEAR <= self.position + _FAR:
            self._seek(time)
        frame = self._forward(time)
        rate = self.stream.average_rate or 25
        if frame is None or frame.time > time + max(2.5 / float(rate), 0.1):
            self.position = math.inf if frame is None else time
            self._frames.extendleft([frame] if frame is not None else [])
            raise DataError(f"the video ends or is damaged before {time:.1f} s")
        self._last, self.position = frame, frame.time
        return frame

    def _forward(self, time: float) -> Any:
        """The first whole frame at ``time`` or after; None at the end."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if frame.time is not None and frame.time >= time - _NEAR and not frame.is_corrupt:
                    return frame
            self._look_ahead(time)
            if not self._waiting:
                return None
            self._frames.extend(self._decoded(self._waiting.popleft(), time))

    def _look_ahead(self, time: float) -> None:
        """Read packets until those for ``time`` must be there; what precedes its keyframe is dropped."""
        while self._passed <= time + _NEAR and len(self._waiting) < _PACKETS:
            packet = self._read()
            if packet is None:
                self._passed = math.inf
                return
            shown = time_of(packet)
            if packet.is_keyframe and shown is not None and shown <= time + _NEAR:
                self._waiting.clear()
                self._frames.clear()
                self.stream.codec_context.flush_buffers()
            self._waiting.append(packet)
            stamp = packet.pts if packet.dts is None else packet.dts
            self._passed = math.inf if stamp is None else float(stamp * packet.time_base)

    def _read(self) -> Any:
        try:
            return next(self._packets, None)
        except self._errors:
            return None

    def _decoded(self, packet: Any, time: float) -> list[Any]:
        """The frames a packet gives; those that no other frame is built upon only from ``time`` on."""
        shown = time_of(packet)
        early = shown is not None and shown < time - _NEAR
        self.stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
        try:
            return [] if packet.is_corrupt else list(packet.decode())
        except self._errors:  # Damage; a later keyframe mends it.
            return []

    def _seek(self, time: float) -> None:
        """Stand at a keyframe before ``time``; files without a usable index are read from the start."""
        for back in (0.0, 3.0):  # Some formats land by decoding time, which may be a little late.
            try:
                target = math.floor((time - back) / self.stream.time_base)
                self.container.seek(target, stream=self.stream)
            except self._errors:
                break
            self._begin()
            packet = self._read()
            while packet is not None and not packet.is_keyframe:
                packet = self._read()
            shown = None if packet is None else time_of(packet)
            if shown is not None and shown <= time + _NEAR:
                self._waiting.append(packet)
                return
        stale = self.container
        self._open()
        stale.close()


class VideoReader:
    r"""Gives frames as binary PPM files; any order is right, and forwards in time is fast.

    Decoders stay open between frames, each where it stands, and threads use one each at a time.
    Copies sent to other processes open their own.

    Args:
        root: the folder the names of keys are relative to.

    Example:
        >>> VideoReader(Path(".")).read(("clip.mp4", 0.5))[:13]
        b'P6\n64 64\n255\n'
    """

    format = "video"  # What users are told.

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._idle: list[tuple[str, Decoder]] = []
        self._process = os.getpid()

    def __getstate__(self) -> Path:
        return self.root

    def __setstate__(self, root: Path) -> None:
        VideoReader.__init__(self, root)

    def read(self, key: Key) -> bytes:
        """The frame of a key as a binary PPM file.

        Raises:
            DataError: the video cannot be opened, or ends or is damaged before the frame.
        """
        name, time = key
        decoder = self._take(name, time) or Decoder(self.root / name)
        try:
            return decoder.picture(time)
        finally:
            self._keep(name, decoder)

    def close(self) -> None:
        """Close every open video; reading opens them again."""
        with self._lock:
            closing, self._idle = self._idle, []
        for _, decoder in closing:
            decoder.close()

    def _take(self, name: str, time: float) -> Decoder | None:
        """An idle decoder of that video: the nearest before ``time``, else any."""
        with self._lock:
            if self._process != os.getpid():  # A fork shares the files' positions with its parent.
                self._process, self._idle, self._not_ours = os.getpid(), [], self._idle
            places = [place for place, (idle, _) in enumerate(self._idle) if idle == name]
            if not places:
                return None

            def near(place: int) -> tuple[bool, float]:
                position = self._idle[place][1].position
                return position <= time + _NEAR, position

            return self._idle.pop(max(places, key=near))[1]

    def _keep(self, name: str, decoder: Decoder) -> None:
        with self._lock:
            self._idle.append((name, decoder))
            spare = self._idle.pop(0)[1] if len(self._idle) > _IDLE else None
        if spare is not None:
            spare.close()
