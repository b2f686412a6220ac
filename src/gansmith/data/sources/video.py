"""Images out of videos: frames at even steps of time and after each cut, from a file or a folder of them.

Listing reads every video once without decoding more than its keyframes. So the times in names are those
of frames that are really there: headers that promise more, or say nothing, do no harm.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.sources.base import Listing
from gansmith.data.sources.folder import walk
from gansmith.data.sources.identity import of_files
from gansmith.data.sources.video_frames import Key, VideoReader, damage, open_video, packages, time_of
from gansmith.errors import DataError, SettingError

VIDEO_SUFFIXES = frozenset(
    (
        ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
        ".mxf", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv",
    )
)  # fmt: skip
"""The endings of files taken for videos, in lower case with the dot. GIF and WebP are images."""

Times = NDArray[np.float64]
"""Of frames, in seconds, ascending, [n]."""

_CUT = 20.0  # Of 255: the mean difference of 16x9 grey thumbnails that makes two keyframes two scenes.
_SETTLED = 0.2  # In seconds: a frame this long after a cut is past blending and coarse coding.
_APART = 0.25  # In seconds: keyframes nearer than this to the last are not compared (all are, in MJPEG).
_LATE = 1.0  # In seconds: headers may promise this much more than there is before it is worth a word.


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Which frames of a video become images.

    Raises:
        SettingError: a value outside its range.

    Example:
        >>> VideoSource("clip.mp4", Sampling(every=0.5, scenes=False, max_frames=100))
    """

    every: float = 1.0
    """Seconds from one frame to the next, 0.01 or more."""
    scenes: bool = True
    """Whether the first settled frame after each cut is taken too, in place of its near neighbours."""
    max_frames: int = 500
    """Frames per video at most, 1 or more; of more, as many are taken evenly over its length."""

    def __post_init__(self) -> None:
        if not (isfinite(self.every) and self.every >= 0.01):
            raise SettingError(f"sampling.every must be 0.01 seconds or more. Received: every={self.every}.")
        if self.max_frames < 1:
            raise SettingError(
                f"sampling.max_frames must be 1 frame or more. Received: max_frames={self.max_frames}."
            )

    def choose(self, frames: Times, cuts: Sequence[float]) -> Times:
        """The times of the frames to take.

        Args:
            frames: of every frame.
            cuts: when new scenes begin.
        """
        grid = _on_grid(frames, self.every)
        near = min(self.every / 2, 0.5)
        for cut in cuts if self.scenes else ():
            settled = frames[np.searchsorted(frames, cut + _SETTLED + 1e-6) - 1]
            neighbours = (grid >= cut - 1e-6) & (np.abs(grid - settled) < near)
            grid = np.append(grid[~neighbours], settled)
        taken: Times = np.unique(grid)
        if len(taken) > self.max_frames:
            taken = taken[
                ((np.arange(self.max_frames) + 0.5) * len(taken) / self.max_frames).astype(np.int64)
            ]
        return taken


def _on_grid(frames: Times, every: float) -> Times:
    """The frames on the screen at steps of ``every`` seconds; few even where damage makes times absurd."""
    steps = (frames - frames[0]) / every
    before = np.ceil(steps - 1e-6)  # How many steps come before each frame.
    following = np.append(before[1:], np.floor(steps[-1] + 1e-6) + 1)
    shown: Times = frames[following > before]
    return shown


@dataclass(frozen=True, eq=False)
class Contents:
    """What one pass over a video found.

    Example:
        >>> found = scan(Path("clip.mp4"))
        >>> len(found.frames), found.missing
        (24, '')
    """

    frames: Times  # Those that can be decoded; at least one.
    cuts: tuple[float, ...]  # When new scenes begin, in seconds; found at keyframes.
    missing: str  # One line where the header promises more than there is, else nothing.


def scan(path: Path, scenes: bool = True) -> Contents:
    """The times of a video's frames, from its packets; only keyframes are decoded, and only for cuts.

    A cut is told from the keyframe before and the one after, so in a video whose keyframes come at
    fixed steps a cut is placed at the next step.

    Raises:
        DataError: a reason of one line: not a video, no images in it, ...
        MissingPackageError: PyAV is not installed.
    """
    container, stream = open_video(path)
    try:
        cuts = _Cuts(stream) if scenes else None
        shown, begin, end = _read_through(container, stream, cuts)
        frames = np.unique(np.array(shown, dtype=np.float64))
        frames = frames[frames >= begin]
        if not len(frames):
            raise DataError("there are no frames in it")
        return Contents(
            frames=frames,
            cuts=tuple(cuts.found) if cuts else (),
            missing=_missing(container, stream, float(frames[0]), end),
        )
    finally:
        container.close()


def _read_through(container: Any, stream: Any, cuts: "_Cuts | None") -> tuple[list[float], float, float]:
    """When each packet is shown, the first keyframe, and the end of the last packet."""
    shown, begin, end = list[float](), float("inf"), float("-inf")
    packets = container.demux(stream)
    try:
        for packet in packets:
            time = time_of(packet)
            if time is None or packet.is_corrupt or packet.is_discard or not packet.size:
                continue
            shown.append(time)
            end = max(end, time + float((packet.duration or 0) * packet.time_base))
            if packet.is_keyframe:
                begin = min(begin, time)
                if cuts is not None:
                    cuts.see(packet, time)
    except damage():
        pass  # The file is damaged from here on; what was found counts.
    return shown, begin, end


def _missing(container: Any, stream: Any, begin: float, end: float) -> str:
    said = 0.0
    if stream.duration:
        said = float(stream.duration * stream.time_base)
    elif container.duration:
        said = container.duration / 1e6
    if said <= end - begin + _LATE:
        return ""
    return f"it ends at {end - begin:.1f} s, though its header says {said:.1f} s; what is there is used"


class _Cuts:
    """Compares each keyframe with the one before it."""

    def __init__(self, stream: Any) -> None:
        self.found: list[float] = []
        self._context = stream.codec_context
        self._errors = damage()
        self._reformatter: Any = packages().video.reformatter.VideoReformatter()
        self._last: NDArray[np.int16] | None = None
        self._seen = float("-inf")

    def see(self, packet: Any, time: float) -> None:
        """Take note of a cut if this keyframe shows another scene than the last."""
        if time - self._seen < _APART:
            return
        self._seen = time
        try:
            frames = [*self._context.decode(packet), *self._context.decode(None)]
            self._context.flush_buffers()
            small = [
                self._reformatter.reformat(frame, width=16, height=9, format="gray8", interpolation="AREA")
                for frame in frames[-1:]
            ]
        except self._errors:
            return
        for thumbnail in small:
            grey = thumbnail.to_ndarray().astype(np.int16)
            if self._last is not None and np.abs(grey - self._last).mean() > _CUT:
                self.found.append(time)
            self._last = grey


class _Videos(Listing):
    """A listing that sorts videos out instead of images."""

    def add(self, name: str, size: int) -> None:
        """Sort one file in by its ending."""
        if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES:
            self.sizes[name] = size
        else:
            self.others.append(name)


class VideoSource:
    """Frames of a video, or of the videos of a folder and its sub-folders; hidden files do not count.

    A name is ``clip.mp4#t=12.340``: the video, and seconds from its first frame. Names go by video, then
    by time.

    Args:
        path: a video file (of any ending), or a folder.
        sampling: which frames.

    Raises:
        DataError: there is no such file or folder.
        MissingPackageError: PyAV is not installed.

    Example:
        >>> source = VideoSource("clip.mp4", Sampling(every=0.5))
        >>> source.names[0]
        'clip.mp4#t=0.000'
    """

    def __init__(self, path: Path | str, sampling: Sampling = Sampling()) -> None:
        packages()
        root, listing = _listed(Path(path))
        self.name, self.sampling = str(path), sampling
        self.asked: dict[str, Any] = {"every": sampling.every, "frames": sampling.max_frames}
        """What the fingerprint has beside the files."""
        self.reader = VideoReader(root)
        self.others: tuple[str, ...] = tuple(sorted(listing.others))
        self.videos: tuple[str, ...] = tuple(sorted(listing.sizes))
        names, keys, groups = list[str](), list[Key](), list[int]()
        refused = [*listing.refused, *listing.passed_over]
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            scanned = pool.map(lambda name: _scanned(root / name, listing.sizes[name], sampling), self.videos)
            for group, (video, found) in enumerate(zip(self.videos, scanned, strict=True)):
                begin, times, reason = found
                names += [f"{video}#t={time - begin:.3f}" for time in times]
                keys += [(video, time) for time in times]
                groups += [group] * len(times)
                refused += [Refused(video, reason, False)] if reason else []
        self.names: Sequence[str] = tuple(names)
        self._keys = tuple(keys)
        self.groups: tuple[int, ...] = tuple(groups)
        """For each frame the place of its video in ``videos``."""
        self.refused: tuple[Refused, ...] = tuple(sorted(refused, key=lambda entry: entry.name))
        self.facts = Facts()
        self._files = [(name, root / name) for name in self.videos]

    @cached_property
    def fingerprint(self) -> str:
        """Of which frames of which videos, and samples of their contents; where they lie does not matter."""
        return of_files(self._files, repr(self.sampling), *self.names)

    def key(self, index: int) -> Key:
        """The video of frame ``index`` and its time there, in seconds as the stream counts."""
        return self._keys[index]

    def read(self, index: int) -> bytes:
        """Frame ``index`` as a binary PPM file. Raises DataError where it cannot be decoded."""
        return self.reader.read(self.key(index))


def _listed(path: Path) -> tuple[Path, _Videos]:
    """The folder names are relative to, and what was found."""
    listing = _Videos()
    if path.is_dir():
        walk(path, listing)
        return path, listing
    try:
        if not path.is_file():
            raise DataError(
                f"A video or a folder of videos was expected. Received: {path}, which is neither."
            )
        listing.sizes[path.name] = path.stat().st_size
    except OSError as error:
        raise DataError(f"A video was expected. Received: {path} ({error.strerror}).") from error
    return path.parent, listing


def _scanned(path: Path, size: int, sampling: Sampling) -> tuple[float, list[float], str]:
    """When a video begins, the times to take, and what is to be said against it."""
    if not size:
        return 0.0, [], "the file is empty"
    try:
        found = scan(path, sampling.scenes)
    except DataError as error:
        return 0.0, [], str(error)
    return float(found.frames[0]), sampling.choose(found.frames, found.cuts).tolist(), found.missing
