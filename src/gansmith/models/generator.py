"""A trained generator in use: one seed is one picture, to the last bit, and any number can be written.

Exactness. Convolution kernels choose their algorithm by the size of the batch, and another algorithm
rounds the last bit of a number another way; on an x86 CPU batches of 3 or 7 and, in some networks, of 1
to 8 gave other bits than 16, 33 or 64, while the place in the batch never mattered. So networks always
run on exactly ``RUN`` pictures: a shorter rest is filled up and the surplus thrown away. On one machine
and device a seed then has one picture, bit for bit. Another machine may differ in the last bits.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.core.noise import Noise
from gansmith.core.seeds import check_no_repeats
from gansmith.core.tensors import BytePictures, Images, Latents
from gansmith.errors import SettingError, StorageError
from gansmith.images.grid import Canvas, to_bytes
from gansmith.images.provenance import (
    Named,
    Provenance,
    encoded,
    software_version,
    write_png,
    write_pngs,
    write_zip,
)
from gansmith.methods.base import ImageSpec, Method, Networks, NoiseToImage

RUN = 16  # Larger: a single picture costs more. Smaller: a graphics card has too little to do.
"""How many pictures networks make at a time, whatever was asked for."""

GRID_PICTURES = 4096
GRID_PIXELS = 89_000_000  # Above 2**28 / 3 Pillow and others warn of a decompression bomb.
FLAT_FOLDER = 10_000  # Pictures; more go into sub-folders of a thousand seeds.

_PREVIEW = 64  # Pictures in the grid.png of a folder.


@dataclass(frozen=True)
class Generator:
    """A trained generator and where it came from, ready to make pictures.

    Build one with ``from_method`` or wrap its functions in ``steadily``: ``make`` and ``decode`` must
    give the same bits for a picture whatever is in the batch beside it.
    """

    name: str  # For marks and messages.
    recipe_name: str
    spec: ImageSpec
    images_seen: int | None  # None: not known.
    latents: Callable[[Noise], Latents] | None  # None: there is no latent to walk through.
    decode: Callable[[Latents], Images] | None
    make: Callable[[Noise], Images]  # One picture for each seed of a fresh noise.
    device: torch.device

    def provenance(self, seed: int | None = None) -> Provenance:
        """What a picture of this generator is marked with; no seed for a picture of several."""
        return Provenance(self.name, self.recipe_name, seed, self.images_seen, software_version())


def steadily(function: Callable[[Tensor], Images]) -> Callable[[Tensor], Images]:
    """A network function that always runs on ``RUN`` rows, so that no picture depends on its batch.

    ``function`` and the result take [batch, ...] and give [batch, channels, height, width], the result
    without gradients, for any batch of at least one.
    """

    def in_runs(rows: Tensor) -> Images:
        surplus = -len(rows) % RUN
        # With other flags cuDNN may pick another algorithm in another process, or round to ten bits.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            full = torch.cat([rows, rows[:1].expand(surplus, *rows.shape[1:])])
            made = [function(full[at : at + RUN]) for at in range(0, len(full), RUN)]
            return torch.cat(made)[: len(rows)]

    return in_runs


def from_method(
    method: Method[Any, Any, Any],
    networks: Networks,
    spec: ImageSpec,
    *,
    name: str,
    recipe_name: str,
    images_seen: int | None = None,
    device: torch.device | str = "cpu",
) -> Generator:
    """The generator of a method and its trained networks, for methods whose pictures need no prompt.

    The networks are moved to ``device`` and put in eval mode; they run in inference mode.
    """
    where = torch.device(device)
    order = torch.contiguous_format if where.type == "mps" else torch.channels_last
    networks.to(where, memory_format=order).eval()  # type: ignore[call-overload]
    make = steadily(lambda seeds: spec.to_pictures(method.generate(networks, None, Noise(seeds))))
    latents = decode = None
    if isinstance(method, NoiseToImage):
        walkable: NoiseToImage[Any, Any] = method

        def latents(noise: Noise) -> Latents:
            return walkable.latents(Noise(noise.seeds.to(where)))

        decode = steadily(lambda rows: spec.to_pictures(walkable.decode(networks, rows.to(where))))
    return Generator(
        name,
        recipe_name,
        spec,
        images_seen,
        latents,
        decode,
        lambda noise: make(noise.seeds.to(where)),
        where,
    )


def pictures(
    generator: Generator, seeds: Iterable[int], batch: int = 64
) -> Iterator[tuple[list[int], BytePictures]]:
    """The pictures of these seeds, in order, a few at a time, in constant memory.

    Seeds run from 0 to 2^63 - 1. ``batch`` pictures, rounded up to a multiple of ``RUN``, are held at a
    time; it changes none. Yields some seeds and their pictures, uint8 on the CPU.
    """
    if batch < 1:
        raise SettingError(f"batch is a number of pictures, at least 1. Received: batch={batch}.")
    rest = iter(seeds)
    while chunk := list(itertools.islice(rest, batch + -batch % RUN)):
        yield chunk, to_bytes(generator.make(Noise.of(*chunk)))


@dataclass(frozen=True)
class Written:
    """How many pictures were written, and where they are."""

    count: int
    path: Path


@dataclass(frozen=True)
class _Job:
    generator: Generator
    seeds: Sequence[int]
    out: Path
    batch: int
    progress: Callable[[int], object]
    world: World

    @property
    def beside(self) -> bool:
        """Whether pictures are encoded while others are made: on a processor both want the same cores."""
        return self.generator.device.type != "cpu"

    def rounds(self) -> Iterator[tuple[list[int], list[int]]]:
        """The seeds in order, a batch for each process at a time, and those of them that are this one's."""
        rest = iter(self.seeds)
        while seeds := list(itertools.islice(rest, self.batch * self.world.size)):
            start, stop = self.world.span(len(seeds))
            yield seeds, seeds[start:stop]

    def stream(self) -> Iterator[Named]:
        """The pictures of this process."""
        mine = itertools.chain.from_iterable(mine for _, mine in self.rounds())
        for seeds, made in pictures(self.generator, mine, self.batch):
            for seed, picture in zip(seeds, made, strict=True):
                yield self.name(seed), picture, self.generator.provenance(seed)

    def brought(self, contents: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
        """Each seed with what its process made of it, in order, at the first process; at others nothing.

        Every process must come to the end. A few batches are in memory, however many seeds there are.
        """
        for seeds, mine in self.rounds():
            everyones = _collected(self.world, list(itertools.islice(contents, len(mine))))
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

    def grid_provenance(self) -> Provenance:
        return self.generator.provenance(self.seeds[0] if len(self.seeds) == 1 else None)


def write(
    generator: Generator,
    seeds: Sequence[int],
    out: Path,
    *,
    batch: int = 64,
    progress: Callable[[int], object] | None = None,
    world: World = SINGLE_PROCESS,
) -> Written:
    """Write the pictures of these seeds; the name ``out`` says in which form.

    - ``faces.png``: one grid of them all, at most 4096 pictures and 89 million pixels.
    - ``faces.zip``: a PNG for each, named by its seed.
    - ``faces`` or any folder that exists: a PNG for each, and ``grid.png`` with the first 64.

    A file is named ``seed000123.png``; where more than 10,000 are asked for it lies in a sub-folder of
    a thousand seeds. The same seeds give the same bytes again: there is no date in any file.

    ``batch`` pictures are held at a time; it changes none of them. ``progress`` is called with the number
    of further pictures that are done, as ``tqdm.update`` is. Where several processes make them together all
    must call this with the same seeds; what is written are the bytes that one would have written.

    Raises:
        SettingError: no seeds, a seed twice, too many for a grid, or an ``out`` of no known form.
        StorageError: the disk refused; it says what was written.
        TrainingError: another process has gone.
    """
    if not seeds:
        raise SettingError("There is nothing to make: no seeds were given. Write, for example, 0-63.")
    _writer(out)(_Job(generator, seeds, out, batch, progress or (lambda count: None), world))
    return Written(len(seeds), out)


def _writer(out: Path) -> Callable[[_Job], None]:
    rule = "Pictures are written to one .png, a .zip, or a folder (make it first if its name has a dot)."
    if out.is_dir() or not (out.suffix or out.is_file()):
        return _write_folder
    writer = {".png": _write_grid, ".zip": _write_zip}.get(out.suffix.lower())
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
    canvas = job.canvas(count)
    raw = (picture.numpy().tobytes() for _, picture, _ in job.stream())
    for place, (_, content) in enumerate(job.brought(raw)):
        canvas.put(place, torch.frombuffer(bytearray(content), dtype=torch.uint8).view(job.shape))
        job.progress(1)
    if job.world.is_main:
        write_png(canvas.picture, job.out, job.grid_provenance())


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
    places = {seed: place for place, seed in enumerate(itertools.islice(job.seeds, _PREVIEW))}
    canvas = job.canvas(len(places))
    try:
        for _, picture, provenance in write_pngs(job.stream(), job.out, job.batch, job.beside):
            if provenance.seed in places:
                canvas.put(places.pop(provenance.seed), picture)
            done += 1
            job.progress(world.size)  # The others are as far, but for some of the last round.
        if world.is_main:
            _write_preview(job, canvas, places)
    except StorageError as problem:
        so_far = (
            f"The first {done} of {total} pictures are whole" if world.size == 1 else "What is there is whole"
        )
        raise StorageError(f"{problem} {so_far}; the same command writes all again.") from problem
    job.progress(total - done * world.size)
    world.barrier()


def _write_preview(job: _Job, canvas: Canvas, places: dict[int, int]) -> None:
    """The grid of a folder, once what other processes made of it is made here, too."""
    for seeds, made in pictures(job.generator, list(places), job.batch):
        for seed, picture in zip(seeds, made, strict=True):
            canvas.put(places[seed], picture)
    write_png(canvas.picture, job.out / "grid.png", job.grid_provenance())


def _collected(world: World, contents: list[bytes]) -> list[bytes]:
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
