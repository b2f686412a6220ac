"""Images of a trained generator as files: a grid, a zip, or a folder of marked PNGs."""

import itertools
import os
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.core.files import whole_file
from gansmith.core.noise import Noise
from gansmith.core.seeds import check_no_repeats
from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError, SettingError, StorageError
from gansmith.images.grid import Canvas, Picture, to_bytes, with_caption
from gansmith.images.provenance import (
    KINDS,
    Provenance,
    check_kind,
    png_bytes,
    read_provenance,
    write_picture,
    write_png,
)
from gansmith.models.generator import RUN, Generator, Move
from gansmith.models.load import open_generator
from gansmith.models.prompts import Wish

# Pillow compresses outside the interpreter lock, but around it small images only wait for each other: of
# 32 px an image took 1.4 ms with one thread, 1.7 with two and 2.0 with four.
_THREADS = max(1, min(8, (os.cpu_count() or 1) - 1))
_SMALL = 2**13  # Numbers of an image, up to which one thread is fastest: 32 px yes, 64 px no longer.
_GROUP = 8  # Images a thread takes at a time: handing them over costs as much as a small one.
_AHEAD = 16  # Images that wait to be encoded.

Out = TypeVar("Out")


Named = tuple[str, Picture, Provenance]
"""An image to be written, under which name, and where it came from."""


def write_pngs(
    pictures: Iterable[Named], folder: Path, ahead: int = _AHEAD, beside: bool = True
) -> Iterator[Named]:
    """Write marked PNGs under their names, in a few threads; yields each image once its file is whole.

    ``ahead`` images are in memory besides those that ``pictures`` holds: as many as it makes at a time.
    With ``beside`` these are written while it makes the next; without, which is faster where a processor
    makes them, in turn with that.

    Raises:
        StorageError: the disk refused; what was yielded before is written.
    """

    def write(named: Named) -> Named:
        name, picture, provenance = named
        write_png(picture, folder / name, provenance)
        return named

    return _in_threads(write, pictures, ahead, beside)


def encoded(
    pictures: Iterable[Named], ahead: int = _AHEAD, beside: bool = True
) -> Iterator[tuple[str, bytes]]:
    """Names and marked PNGs, in order, encoded in a few threads; the rest as in ``write_pngs``."""

    def encode(named: Named) -> tuple[str, bytes]:
        name, picture, provenance = named
        return name, png_bytes(picture, provenance)

    return _in_threads(encode, pictures, ahead, beside)


def write_zip(files: Iterable[tuple[str, bytes]], path: Path, progress: Callable[[int], object]) -> None:
    """An archive of named PNGs, stored as they come: PNGs do not shrink again.

    Equal images give an equal archive: all files bear the date 1980-01-01. Besides a file, only the table
    of names is in memory, about half a kilobyte for each. ``progress`` is called with 1 for each.

    Raises:
        StorageError: the disk refused; no archive was written.
    """
    with whole_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3  # Unix, on every system, for equal bytes.
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
            progress(1)


def _in_threads(
    work: Callable[[Named], Out], items: Iterable[Named], ahead: int, beside: bool
) -> Iterator[Out]:
    """``map`` in a few threads, in order, with few items in memory however many there are.

    With ``beside`` that happens while the next items are made. Without, in turn with them: on a processor
    both want the same cores, and torch's threads wait for the slowest of them.
    """

    def do(group: list[Named]) -> list[Out]:
        return [work(item) for item in group]

    rest, waiting = iter(items), deque[Future[list[Out]]]()
    with ThreadPoolExecutor(_THREADS if beside else _THREADS + 1) as pool:
        try:
            while group := list(itertools.islice(rest, _GROUP if beside else ahead)):
                if not beside and group[0][1].numel() <= _SMALL:
                    yield from map(work, group)
                    continue
                parts = [group[at : at + _GROUP] for at in range(0, len(group), _GROUP)]
                waiting.extend(pool.submit(do, part) for part in parts)
                while waiting and (not beside or len(waiting) * _GROUP > ahead):
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


GRID_PICTURES = 4096
GRID_PIXELS = 89_000_000  # Above 2**28 / 3 Pillow and others warn of a decompression bomb.
FLAT_FOLDER = 10_000  # Images; more go into sub-folders of a thousand seeds.
_PREVIEW = 64  # Images in the grid.png of a folder.


@dataclass(frozen=True)
class Choice:
    """Which images of a generator are wanted besides their seeds.

    Example:
        >>> Choice(wish=Wish(label="smiling"), truncation=0.7)
    """

    wish: Wish | None = None  # Of a conditional model.
    truncation: float | None = None  # psi in [0, 1]; None for none.
    move: Move | None = None  # What is done to their latents, such as directions.


def pictures(
    generator: Generator, seeds: Iterable[int], batch: int = 64, choice: Choice | None = None
) -> Iterator[tuple[list[int], BytePictures]]:
    """The images of these seeds, in order, a few at a time, in constant memory.

    Seeds run from 0 to 2^63 - 1. ``batch`` images, rounded up to a multiple of ``RUN``, are held at a
    time; it changes none. Yields some seeds and their images, uint8 on the CPU.
    """
    if batch < 1:
        raise SettingError(f"batch is a number of pictures, at least 1. Received: batch={batch}.")
    rest, chosen = iter(seeds), choice or Choice()
    while chunk := list(itertools.islice(rest, batch + -batch % RUN)):
        prompts = generator.prompts(chunk, chosen.wish)
        yield chunk, to_bytes(generator.make(Noise.of(*chunk), prompts, chosen.truncation, chosen.move))


@dataclass(frozen=True)
class Written:
    """The result of ``generate``: how many images were written, and where they are.

    Example:
        >>> generate("runs/one", "grid.png", range(4)).count
        4
    """

    count: int
    path: Path
    others: int = 0  # Pictures of other weights that lie in the same folder.


@dataclass(frozen=True)
class _Job:
    generator: Generator
    seeds: Sequence[int]
    out: Path
    batch: int
    progress: Callable[[int], object]
    world: World
    choice: Choice

    def arranged(self, seeds: Sequence[int]) -> tuple[list[int], str | None]:
        """The place of each seed in a grid of these, by class where there are classes, and what says so."""
        prompts, asks = self.generator.prompts(seeds, self.choice.wish), self.generator.asks
        if prompts is None or asks is None:
            return list(range(len(seeds))), None
        order, note = asks.arrange(prompts)
        places = [0] * len(order)
        for place, row in enumerate(order):
            places[row] = place
        return places, note

    def note(self, seed: int) -> str | None:
        """What an image was made of besides its seed, in words."""
        asks = self.generator.asks
        parts = [] if asks is None else [asks.describe(self.generator.prompts([seed], self.choice.wish), 0)]
        if self.choice.truncation is not None:
            parts.append(f"truncation {self.choice.truncation:g}")
        if self.choice.move is not None:
            parts.append(self.choice.move.note)
        return "; ".join(filter(None, parts)) or None

    @property
    def beside(self) -> bool:
        """Whether images are encoded while others are made: on a processor both want the same cores."""
        return self.generator.device.type != "cpu"

    def rounds(self) -> Iterator[tuple[list[int], list[int]]]:
        """The seeds in order, a batch for each process at a time, and those of them that are this one's."""
        rest = iter(self.seeds)
        while seeds := list(itertools.islice(rest, self.batch * self.world.size)):
            start, stop = self.world.span(len(seeds))
            yield seeds, seeds[start:stop]

    def stream(self) -> Iterator[Named]:
        """The images of this process."""
        mine = itertools.chain.from_iterable(mine for _, mine in self.rounds())
        for seeds, made in pictures(self.generator, mine, self.batch, self.choice):
            for seed, picture in zip(seeds, made, strict=True):
                yield self.name(seed), picture, self.generator.provenance(seed, self.note(seed))

    def brought(self, contents: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
        """Each seed with what its process made of it, in order, at the first process; at others nothing.

        Every process must come to the end. A few batches are in memory, however many seeds there are.
        """
        for seeds, mine in self.rounds():
            everyones = collected(self.world, list(itertools.islice(contents, len(mine))))
            if self.world.is_main:
                yield from zip(seeds, everyones, strict=True)

    def name(self, seed: int) -> str:
        """The file of a seed; the folder, too, follows from the seed, so that runs can be joined."""
        file = f"seed{seed:06d}.png"
        if len(self.seeds) <= FLAT_FOLDER:
            return file
        first = seed - seed % 1000
        return f"seeds{first:06d}-{first + 999:06d}/{file}"

    def canvas(self, count: int) -> Canvas:
        return Canvas(count, self.shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        spec = self.generator.spec
        return spec.channels, spec.height, spec.width

    def write_canvas(self, canvas: Canvas, path: Path, note: str | None) -> None:
        """A grid with what it is sorted by below it."""
        seed = self.seeds[0] if len(self.seeds) == 1 else None
        moved = None if self.choice.move is None else self.choice.move.note
        said = "; ".join(filter(None, (note, moved))) or None
        write_picture(with_caption(canvas.picture, note), path, self.generator.provenance(seed, said))


def generate(
    model: Generator | str, out: Path | str, seeds: Sequence[int] = range(64), choice: Choice | None = None
) -> Written:
    """Write the images of these seeds by a MODEL: a run directory, a checkpoint, or an open generator.

    Args:
        model: whose images.
        out: a ``.png``, ``.jpg`` or ``.webp`` for a grid, a ``.zip``, or a folder for a PNG each.
        seeds: one image each, from 0 to 2^63 - 1.
        choice: label, attributes, caption and truncation; None for what the seeds draw.

    Raises:
        SettingError, CheckpointError, RunError, StorageError: as ``open_generator`` and ``write`` say.

    Example:
        >>> generate("runs/digits", "sevens.png", range(25), Choice(wish=Wish(label="7")))
    """
    generator = open_generator(model) if isinstance(model, str) else model
    return write(generator, seeds, Path(out), choice=choice)


def write(
    generator: Generator,
    seeds: Sequence[int],
    out: Path,
    *,
    batch: int = 64,
    progress: Callable[[int], object] | None = None,
    world: World = SINGLE_PROCESS,
    choice: Choice | None = None,
) -> Written:
    """Write the images of these seeds; the name ``out`` says in which form.

    - ``faces.png``: one grid of them all, at most 4096 images and 89 million pixels; so for .jpg and .webp.
    - ``faces.zip``: a PNG for each, named by its seed.
    - ``faces`` or any folder that exists: a PNG for each, and ``grid.png`` with the first 64.

    A file is named ``seed000123.png``; where more than 10,000 are asked for it lies in a sub-folder of
    a thousand seeds. The same seeds give the same bytes again: there is no date in any file.

    ``batch`` images are held at a time; it changes none of them. ``progress`` is called with the number
    of further images that are done, as ``tqdm.update`` is. Where several processes make them together all
    must call this with the same seeds; what is written are the bytes that one would have written.

    Raises:
        SettingError: no seeds, a seed twice, too many for a grid, or an ``out`` of no known form.
        StorageError: the disk refused; it says what was written.
        TrainingError: another process has gone.
    """
    if not seeds:
        raise SettingError("There is nothing to make: no seeds were given. Write, for example, 0-63.")
    job = _Job(generator, seeds, out, batch, progress or (lambda count: None), world, choice or Choice())
    _writer(out)(job)
    return Written(len(seeds), out, _of_others(job) if world.is_main and out.is_dir() else 0)


def _of_others(job: _Job) -> int:
    """Pictures of a generator in the folder that were not made now, where the first is of other weights."""
    made = {job.name(seed) for seed in job.seeds}
    others = sorted(path for path in job.out.glob("seed*.png") if path.name not in made)
    try:
        mark = read_provenance(others[0]) if others else None
    except (DataError, StorageError):
        return 0
    return len(others) if mark is not None and mark.fingerprint != job.generator.fingerprint else 0


def _writer(out: Path) -> Callable[[_Job], None]:
    rule = (
        "Pictures are written to one .png, .jpg or .webp, a .zip, or a folder (make it first if its name has "
        "a dot)."
    )
    if out.is_dir() or not (out.suffix or out.is_file()):
        return _write_folder
    writer = {".zip": _write_zip, **dict.fromkeys(KINDS, _write_grid)}.get(out.suffix.lower())
    if writer is None:
        raise SettingError(f"{rule} Received: {str(out)!r}{', which is a file' if out.is_file() else ''}.")
    return writer


def _write_grid(job: _Job) -> None:
    count, spec = len(job.seeds), job.generator.spec
    if count > GRID_PICTURES or count * (spec.height + 2) * (spec.width + 2) > GRID_PIXELS:
        raise SettingError(
            f"One .png holds at most {GRID_PICTURES} pictures and {GRID_PIXELS // 10**6} million pixels. "
            f"Received: {count} pictures of {spec.width}x{spec.height}. Write to a folder or a .zip instead."
        )
    canvas, (places, note) = job.canvas(count), job.arranged(job.seeds)
    check_kind(job.out.suffix, canvas.picture.shape[2], canvas.picture.shape[1])
    raw = (picture.numpy().tobytes() for _, picture, _ in job.stream())
    for place, (_, content) in zip(places, job.brought(raw), strict=False):
        canvas.put(place, torch.frombuffer(bytearray(content), dtype=torch.uint8).view(job.shape))
        job.progress(1)
    if job.world.is_main:
        job.write_canvas(canvas, job.out, note)


def _write_zip(job: _Job) -> None:
    check_no_repeats(job.seeds)
    contents = (content for _, content in encoded(job.stream(), job.batch, job.beside))
    files = ((job.name(seed), content) for seed, content in job.brought(contents))
    if job.world.is_main:
        write_zip(files, job.out, job.progress)
    else:
        deque(files, maxlen=0)


def _write_folder(job: _Job) -> None:
    check_no_repeats(job.seeds)
    done, total, world = 0, len(job.seeds), job.world
    shown = job.seeds[:_PREVIEW]
    order, note = job.arranged(shown)
    places = dict(zip(shown, order, strict=True))
    canvas = job.canvas(len(places))
    try:
        for _, picture, provenance in write_pngs(job.stream(), job.out, job.batch, job.beside):
            if provenance.seed in places:
                canvas.put(places.pop(provenance.seed), picture)
            done += 1
            job.progress(world.size)  # The others are as far, but for some of the last round.
        if world.is_main:
            _write_preview(job, canvas, places, note)
    except StorageError as problem:
        so_far = (
            f"The first {done} of {total} pictures are whole" if world.size == 1 else "What is there is whole"
        )
        raise StorageError(f"{problem} {so_far}; the same command writes all again.") from problem
    job.progress(total - done * world.size)
    world.barrier()


def _write_preview(job: _Job, canvas: Canvas, places: dict[int, int], note: str | None) -> None:
    """The grid of a folder, once what other processes made of it is made here, too."""
    for seeds, made in pictures(job.generator, list(places), job.batch, job.choice):
        for seed, picture in zip(seeds, made, strict=True):
            canvas.put(places[seed], picture)
    job.write_canvas(canvas, job.out / "grid.png", note)


def collected(world: World, contents: list[bytes]) -> list[bytes]:
    """The contents of all processes, in the order of their ranks, at the first one; none at the others."""
    if world.size == 1:
        return contents
    # An empty buffer would be refused: one more byte, which nobody reads.
    joined = torch.frombuffer(bytearray(b"".join([*contents, b"."])), dtype=torch.uint8)[:-1]
    lengths = world.gather(torch.tensor([len(content) for content in contents], dtype=torch.int64))
    parts = world.gather(joined)
    if lengths is None or parts is None:
        return []
    whole, every = b"".join(part.numpy().tobytes() for part in parts), torch.cat(lengths).tolist()
    ends = itertools.accumulate(every)
    return [whole[end - length : end] for end, length in zip(ends, every, strict=True)]
