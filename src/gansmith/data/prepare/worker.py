"""What one worker does when images are prepared: files in, pixels and measurements out, nothing else.

Worker processes import this module, so it must not import torch: they would start in seconds, not at once.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.core import stopping
from gansmith.core.image_size import Form
from gansmith.data.decode.reading import Photo, read
from gansmith.data.decode.resize import fit
from gansmith.data.inspect.measure import SEEN, seen
from gansmith.data.metadata.facts import VANISHED, Refused
from gansmith.data.sources.base import Reader, Source
from gansmith.data.sources.pairs import photos, row_of
from gansmith.errors import DataError, GansmithError
from gansmith.faces.align import Template, align
from gansmith.faces.detect import LEAST_FACE, LEAST_SCORE, Detector, open_detector


@dataclass(frozen=True, kw_only=True)
class Faces:
    """How faces are found and brought into line.

    Example:
        >>> from gansmith.faces.align import named_template
        >>> Faces(template=named_template("ffhq"), min_face=64)
    """

    template: Template
    detector: str = "dlib"
    every: bool = False  # All faces of an image, largest first; else the largest alone.
    min_score: float = LEAST_SCORE  # The detector's confidence.
    min_face: int = LEAST_FACE  # The shorter side of a face's box, in pixels of the file.

    def open(self) -> Detector:
        """The detector, its models loaded.

        Raises:
            MissingPackageError: its package is not installed.
            SettingError: a value is out of its range.
        """
        return open_detector(
            self.detector, min_score=self.min_score, min_face=self.min_face, every_face=self.every
        )


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is done to every image; small, for it is sent to each worker.

    Example:
        >>> source = open_source("my_photos")
        >>> job = Job(reader=source.reader, form=Form(size=Size(32, 32), channels=3))
        >>> [done for done, block in blocks(source, job, start=0, workers=1)]
        [12]
    """

    reader: Reader
    form: Form
    faces: Faces | None = None


@dataclass(frozen=True)
class Task:
    """One image of the source; ``landmarks`` [points, 2] in its pixels where the source knows them.

    Example:
        >>> Maker(job).block([Task(0, "0.png", source.key(0))]).names
        ['0.png']
    """

    index: int
    name: str
    key: Any
    landmarks: NDArray[np.float32] | None = None


@dataclass
class Block:
    """What a worker made of a run of tasks; row by row in the order of the tasks.

    Example:
        >>> (_, block), *_ = blocks(source, job, start=0, workers=1)
        >>> block.measured()["width"].tolist()[:3]
        [32, 32, 32]
    """

    index: list[int] = field(default_factory=list)  # Of the task each row comes from.
    names: list[str] = field(default_factory=list)
    pixels: list[tuple[NDArray[np.uint8], ...]] = field(default_factory=list)
    """For each row its image, or the two of a pair: [height, width, channels]."""
    landmarks: list[NDArray[np.float32]] = field(default_factory=list)  # [points, 2], or empty altogether.
    seen: list[Any] = field(default_factory=list)  # Rows of `SEEN`.
    refused: list[Refused] = field(default_factory=list)

    def add(
        self,
        index: int,
        name: str,
        pixels: Sequence[NDArray[np.uint8]],
        seen: Any,
        landmarks: NDArray[np.float32] | None,
    ) -> None:
        """One row more; ``pixels`` are [channels, height, width] each."""
        self.index.append(index)
        self.names.append(name)
        self.pixels.append(tuple(np.ascontiguousarray(one.transpose(1, 2, 0)) for one in pixels))
        self.seen.append(seen)
        if landmarks is not None:
            self.landmarks.append(landmarks)

    def measured(self) -> NDArray[Any]:
        """The measurements as one array."""
        return np.array(self.seen, dtype=SEEN)


class Maker:
    """Makes images; holds what is dear to open, such as a face detector.

    Args:
        job: what is done to every image.

    Example:
        >>> maker = Maker(Job(reader=source.reader, form=Form(size=Size(32, 32), channels=3)))
        >>> maker.block([Task(0, "0.png", source.key(0))]).pixels[0][0].shape
        (32, 32, 3)
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._format: str | None = getattr(job.reader, "format", None)  # Where no file of the user's is read.
        self._detector: Detector | None = None

    def block(self, tasks: Sequence[Task]) -> Block:
        """Do some tasks; an image that cannot be used is refused with its reason.

        Raises:
            GansmithError: something that is wrong for all images, such as a missing package.
        """
        block = Block()
        for task in tasks:
            try:
                self._one(task, block)
            except DataError as error:
                block.refused.append(Refused(task.name, str(error)))
            except (FileNotFoundError, NotADirectoryError):
                block.refused.append(Refused(task.name, VANISHED))
            except OSError as error:
                reason = f"it cannot be read: {error.strerror or error}"
                block.refused.append(Refused(task.name, reason))
            except MemoryError:
                reason = "there is not enough memory to read it"
                block.refused.append(Refused(task.name, reason))
        return block

    def _one(self, task: Task, block: Block) -> None:
        if self._job.faces is None:
            self._whole(task, block)
        else:
            self._faces(task, self._job.reader.read(task.key), block, self._job.faces)

    def _whole(self, task: Task, block: Block) -> None:
        raw, found = photos(self._job.reader, task.key, self._job.form)
        photo = self._told(found[0])
        decoded = [fit(photo, self._job.form) for photo in found]
        points = None if task.landmarks is None else decoded[-1].placement.points(task.landmarks)
        measured = _measured(raw, photo, decoded[0].pixels)  # Before the row: a failure leaves no half row.
        pictures = row_of(self._job.reader, [picture.pixels for picture in decoded], task.index, points)
        block.add(task.index, task.name, pictures, measured, points)

    def _told(self, photo: Photo) -> Photo:
        """The image with the name of the format that users are told."""
        return photo if self._format is None else replace(photo, format=self._format)

    def _faces(self, task: Task, raw: bytes, block: Block, wanted: Faces) -> None:
        photo = self._told(read(raw))
        rgb = np.asarray(photo.in_srgb(photo.image).convert("RGB"))
        if self._detector is None:
            self._detector = wanted.open()
        found = self._detector.find(rgb)
        if not found:
            raise DataError("no face was found")
        size = (self._job.form.size.width, self._job.form.size.height)
        for number, face in enumerate(found if wanted.every else found[:1]):
            name = task.name if number == 0 else f"{task.name}#face{number + 1}"
            try:
                aligned = align(rgb, face.landmarks, self._detector.points, size, wanted.template)
            except DataError as error:  # The other faces are none the worse.
                block.refused.append(Refused(name, str(error)))
                continue
            pixels = _with_channels(aligned.pixels, self._job.form.channels)
            measured = _measured(raw, photo, pixels, face.box[3] - face.box[1])
            if number:  # Faces of one file are no copies of each other, and its bytes count once.
                measured["digest"] ^= np.uint64(number)
                measured["bytes"] = 0
            block.add(task.index, name, [pixels], measured, aligned.landmarks)


def _measured(raw: bytes, photo: Photo, pixels: NDArray[np.uint8], face: float = float("nan")) -> Any:
    return seen(
        raw,
        pixels,
        width=photo.width,
        height=photo.height,
        format=photo.format,
        mode=photo.mode,
        face=face,
    )


def _with_channels(rgb: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """[height, width, 3] -> [channels, height, width]."""
    if channels == 3:
        return np.ascontiguousarray(rgb.transpose(2, 0, 1))
    luma = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return (luma + 0.5).astype(np.uint8)[None]


# ---- in a worker process ------------------------------------------------------------------------------

_maker: Maker | None = None


def start_worker(job: Job) -> None:
    """Get a worker process ready: it ignores Ctrl-C, and ends when its parent does."""
    global _maker
    import multiprocessing
    import os
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    _maker = Maker(job)


def work(tasks: Sequence[Task]) -> Block | GansmithError:
    """Do some tasks in a worker process; an error that is wrong for all images is returned, not raised."""
    assert _maker is not None
    try:
        return _maker.block(tasks)
    except GansmithError as error:  # Not every exception survives pickling; this one is sent as a value.
        return GansmithError(str(error))


_CHUNK = 32  # Images a worker is given at a time, at most;
_CHUNK_BYTES = 2**21  # fewer where they are large, so that they stay in the processor's cache.
_AHEAD = 4  # Chunks under way per worker; bounds the memory whatever the number of images.


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blocks(source: Source, job: Job, start: int, workers: int) -> Iterator[tuple[int, Block]]:
    """(images of the source done, what became of the last few), in order, from image ``start`` on.

    Raises:
        GansmithError: something that is wrong for all images, or a worker that was killed.
    """
    size = job.form.size.width * job.form.size.height * job.form.channels
    chunk_size = max(1, min(_CHUNK, _CHUNK_BYTES // size))
    chunks = _chunks(source, start, chunk_size)
    left = len(source.names) - start
    if workers == 1 or (left <= 2 * chunk_size and job.faces is None):  # Not worth starting processes.
        maker = Maker(job)
        for chunk in chunks:
            yield chunk[-1].index + 1, maker.block(chunk)
        return
    try:
        with _pool(job, min(workers, -(-left // chunk_size))) as pool:
            yield from _pooled(pool, chunks, _AHEAD * workers)
    except BrokenProcessPool as error:
        raise DataError(
            "A worker process was ended from outside, most often for want of memory. What is prepared so far "
            "is kept: the same command goes on. Use fewer with --workers."
        ) from error


def _pooled(
    pool: ProcessPoolExecutor, chunks: Iterator[list[Task]], max_waiting: int
) -> Iterator[tuple[int, Block]]:
    """The blocks in order, ``max_waiting`` of them under way at a time."""
    waiting: deque[tuple[int, Future[Block | GansmithError]]] = deque()
    for chunk in chunks:
        with stopping.held():  # This may start a process, which would end in a traceback of its own.
            waiting.append((chunk[-1].index + 1, pool.submit(work, chunk)))
        if len(waiting) >= max_waiting:
            done, future = waiting.popleft()
            yield done, _result(future)
    while waiting:
        done, future = waiting.popleft()
        yield done, _result(future)


def _chunks(source: Source, start: int, size: int) -> Iterator[list[Task]]:
    landmarks = source.facts.landmarks
    tasks = (
        Task(index, source.names[index], source.key(index), None if landmarks is None else landmarks[index])
        for index in range(start, len(source.names))
    )
    return iter(lambda: list(islice(tasks, size)), [])


def _result(future: "Future[Block | GansmithError]") -> Block:
    result = future.result()
    if isinstance(result, GansmithError):
        raise result
    return result


@contextmanager
def _pool(job: Job, workers: int) -> Iterator[ProcessPoolExecutor]:
    # Fresh processes: a fork of one that has threads (torch, tqdm) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker, initargs=(job,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
