"""A trained generator in use: one seed is one picture, to the last bit, and any number can be written.

Exactness. Convolution kernels choose their algorithm by the size of the batch, and another algorithm
rounds the last bit of a number another way; on an x86 CPU batches of 3 or 7 and, in some networks, of 1
to 8 gave other bits than 16, 33 or 64, while the place in the batch never mattered. So networks always
run on exactly ``RUN`` pictures: a shorter rest is filled up and the surplus thrown away. On one machine
and device a seed then has one picture, bit for bit. Another machine may differ in the last bits.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.errors import SettingError, StorageError
from gansmith.marks import Named, Origin, software_version, write_png, write_pngs, write_zip
from gansmith.method import ImageSpec, Method, Networks, NoiseToImage
from gansmith.noise import Noise
from gansmith.pictures import Canvas, to_bytes
from gansmith.tensors import BytePictures, Images, Latents

RUN = 16  # Larger: a single picture costs more. Smaller: a graphics card has too little to do.
"""How many pictures networks make at a time, whatever was asked for."""

GRID_PICTURES = 4096
GRID_PIXELS = 89_000_000  # Above 2**28 / 3 Pillow and others warn of a decompression bomb.
FLAT_FOLDER = 10_000  # Pictures; more go into sub-folders of a thousand seeds.

_PREVIEW = 64  # Pictures in the grid.png of a folder.
_LAST_SEED = 2**63 - 1


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

    def origin(self, seed: int | None = None) -> Origin:
        """What a picture of this generator is marked with; no seed for a picture of several."""
        return Origin(self.name, self.recipe_name, seed, self.images_seen, software_version())


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
    networks.to(where).eval()
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
class SeedRanges(Sequence[int]):
    """Seeds in order, kept as ranges: a million take no more memory than two."""

    ranges: tuple[range, ...]

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def __iter__(self) -> Iterator[int]:
        return itertools.chain.from_iterable(self.ranges)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        left = place + (len(self) if place < 0 else 0)
        for seeds in self.ranges:
            if 0 <= left < len(seeds):
                return seeds[left]
            left -= len(seeds)
        raise IndexError(place)


def parse_seeds(text: str) -> SeedRanges:
    """``"0-63,100,200-299"`` -> 164 seeds in that order, as ranges.

    Raises:
        SettingError: something that is no seed or range, a range that runs backwards, or no seeds.
    """
    rule = "Seeds are written as numbers and ranges with commas between, such as 0-63,100,200-299."
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)
        if match is None:
            raise SettingError(f"{rule} Received: {part.strip()!r} in {text!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise SettingError(
                f"A range of seeds runs upwards. Received: {part.strip()}. Write {last}-{first}."
            )
        if last > _LAST_SEED:
            raise SettingError(f"A seed is a whole number from 0 to 2^63 - 1. Received: {last}.")
        ranges.append(range(first, last + 1))
    if sum(one.stop - one.start for one in ranges) > _LAST_SEED:
        raise SettingError(f"That is more seeds than there are numbers for. Received: {text!r}.")
    return SeedRanges(tuple(ranges))


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

    def stream(self) -> Iterator[Named]:
        for seeds, made in pictures(self.generator, self.seeds, self.batch):
            for seed, picture in zip(seeds, made, strict=True):
                yield self.name(seed), picture, self.generator.origin(seed)

    def name(self, seed: int) -> str:
        """The file of a seed; the folder, too, follows from the seed, so that runs can be joined."""
        file = f"seed{seed:06d}.png"
        if len(self.seeds) <= FLAT_FOLDER:
            return file
        first = seed - seed % 1000
        return f"seeds{first:06d}-{first + 999:06d}/{file}"

    def canvas(self, count: int) -> Canvas:
        spec = self.generator.spec
        return Canvas(count, (spec.channels, spec.height, spec.width))

    def grid_origin(self) -> Origin:
        return self.generator.origin(self.seeds[0] if len(self.seeds) == 1 else None)


def write(
    generator: Generator,
    seeds: Sequence[int],
    out: Path,
    *,
    batch: int = 64,
    progress: Callable[[int], object] | None = None,
) -> Written:
    """Write the pictures of these seeds; the name ``out`` says in which form.

    - ``faces.png``: one grid of them all, at most 4096 pictures and 89 million pixels.
    - ``faces.zip``: a PNG for each, named by its seed.
    - ``faces`` or any folder that exists: a PNG for each, and ``grid.png`` with the first 64.

    A file is named ``seed000123.png``; where more than 10,000 are asked for it lies in a sub-folder of
    a thousand seeds. The same seeds give the same bytes again: there is no date in any file.

    ``batch`` pictures are held at a time; it changes none of them. ``progress`` is called with the number
    of further pictures that are done, as ``tqdm.update`` is.

    Raises:
        SettingError: no seeds, a seed twice, too many for a grid, or an ``out`` of no known form.
        StorageError: the disk refused; it says what was written.
    """
    if not seeds:
        raise SettingError("There is nothing to make: no seeds were given. Write, for example, 0-63.")
    _writer(out)(_Job(generator, seeds, out, batch, progress or (lambda count: None)))
    return Written(len(seeds), out)


def _writer(out: Path) -> Callable[[_Job], None]:
    rule = "Pictures are written to one .png, a .zip, or a folder (make it first if its name has a dot)."
    if out.is_dir() or not (out.suffix or out.is_file()):
        return _write_folder
    writer = {".png": _write_grid, ".zip": _write_zip}.get(out.suffix.lower())
    if writer is None:
        raise SettingError(f"{rule} Received: {str(out)!r}{', which is a file' if out.is_file() else ''}.")
    return writer


def _no_repeats(seeds: Sequence[int]) -> None:
    """Every file is named by its seed, so no seed may come twice; ranges are compared, not counted out."""
    ranges = seeds.ranges if isinstance(seeds, SeedRanges) else [range(seed, seed + 1) for seed in seeds]
    in_order = sorted(ranges, key=lambda one: one.start)
    for one, other in itertools.pairwise(in_order):
        if other.start < one.stop:
            raise SettingError(
                f"Each seed is one file, so it can be asked for once. Received twice: {other.start}."
            )


def _write_grid(job: _Job) -> None:
    count, spec = len(job.seeds), job.generator.spec
    if count > GRID_PICTURES or count * (spec.height + 2) * (spec.width + 2) > GRID_PIXELS:
        raise SettingError(
            f"One .png holds at most {GRID_PICTURES} pictures and {GRID_PIXELS // 10**6} million pixels. "
            f"Received: {count} pictures of {spec.width}x{spec.height}. Write to a folder or a .zip instead."
        )
    canvas = job.canvas(count)
    for place, (_, picture, _) in enumerate(job.stream()):
        canvas.put(place, picture)
        job.progress(1)
    write_png(canvas.picture, job.out, job.grid_origin())


def _write_zip(job: _Job) -> None:
    _no_repeats(job.seeds)
    write_zip(job.stream(), job.out, job.progress)


def _write_folder(job: _Job) -> None:
    _no_repeats(job.seeds)
    done, total = 0, len(job.seeds)
    canvas = job.canvas(min(_PREVIEW, total))
    try:
        for picture in write_pngs(job.stream(), job.out):
            if done < _PREVIEW:
                canvas.put(done, picture)
            done += 1
            job.progress(1)
        write_png(canvas.picture, job.out / "grid.png", job.grid_origin())
    except StorageError as problem:
        so_far = f"The first {done} of {total} pictures are whole; the same command writes all again."
        raise StorageError(f"{problem} {so_far}") from problem
