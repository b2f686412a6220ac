"""Images from images by a trained model: one, a folder or an archive of them, in any size, resumable."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from gansmith.core.files import check_outside_data, whole_file
from gansmith.core.image_size import Fit, Form, Size
from gansmith.core.noise import Noise
from gansmith.data.decode.reading import PICTURE_ERRORS, in_mode, read, suffixes
from gansmith.data.decode.resize import fit as fit_photo
from gansmith.data.loading.loader import to_float
from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import none_usable, nothing_found
from gansmith.data.sources.open import open_source
from gansmith.errors import DataError, SettingError, nearest
from gansmith.images.provenance import Provenance, marked, read_provenance
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.models.asked import Asked
from gansmith.models.generator import RUN, Generator
from gansmith.models.load import open_generator
from gansmith.models.tiles import blend, starts

Pixels = UInt8[np.ndarray, "channels height width"]

_GAP = 2  # White pixels between the two images of a strip.
_BESIDE = {"attributes", "landmarks"}  # What may be given beside an image.
_DIRECTIONS = ("a_to_b", "b_to_a")


@dataclass(frozen=True, kw_only=True)
class Translation:
    """How images are translated.

    Example:
        >>> Translation(fit="crop", compare=True)
    """

    direction: str | None = None  # Of a model of two domains: a_to_b or b_to_a; None: as it was trained.
    fit: Fit | None = None  # How images are brought to the model's size; None: larger ones in tiles.
    compare: bool = False  # Write strips: the source on the left, the result on the right.
    seed: int = 0  # Of the noise, the same for all images.
    settings: str | None = None  # Attributes to set, smiling=1,glasses=0, of a model that changes them.
    points: str | None = None  # Key points of the result, x,y,x,y,... in pixels, of a model that takes them.


@dataclass(frozen=True)
class Translated:
    """What came of it.

    Example:
        >>> done = translate("runs/edges", "drawings", "faces")
        >>> done.made, done.kept, len(done.refused)
    """

    path: Path
    made: int
    kept: int  # There and whole already.
    refused: tuple[Refused, ...] = ()


@runtime_checkable
class _Named(Protocol):
    """Image files with names, as sources have them."""

    @property
    def name(self) -> str: ...

    @property
    def names(self) -> Sequence[str]: ...

    def read(self, index: int) -> bytes: ...


@dataclass(frozen=True)
class _OneFile:
    """A single image as a source."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def names(self) -> Sequence[str]:
        return (self.path.name,)

    def read(self, index: int) -> bytes:
        return self.path.read_bytes()


def translate(
    model: Generator | str,
    src: Path | str,
    out: Path | str,
    asked: Translation | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Translated:
    """Make an image of each image of SRC with a MODEL that makes images out of images.

    Results are PNGs under the names of their sources, marked as made by a model. An image larger than the
    model's is translated in overlapping tiles and keeps its size; a smaller one is continued at its edges and
    cut back. Transparency is kept. What is there and whole is not made again, unless the model, the source or
    the way has changed. Images that cannot be read are left out and listed.

    Args:
        model: a run, a checkpoint, or an open generator.
        src: an image, a folder in any nesting, a zip or tar, a prepared set.
        out: a folder; of a single image a ``.png``, too.
        asked: direction, fit, strips.
        progress: told (images done, images in all).

    Raises:
        SettingError: the model makes images of something else, or OUT is SRC or holds other files.
        DataError: there is no image, or none can be read.
        CheckpointError, RunError: there is no such model.
        StorageError: the disk refuses; what was written is whole, and the same command goes on.

    Example:
        >>> translate("runs/edges", "drawings", "faces", Translation(compare=True)).made
    """
    asked = asked or Translation()
    generator = _directed(open_generator(model) if isinstance(model, str) else model, asked.direction)
    conditions = Asked.of(generator, asked.settings, asked.points)
    if asked.fit is None and len(generator.method.prompt_type._fields) > 1:  # type: ignore[union-attr]
        asked = replace(asked, fit="crop")  # What is asked is of a whole picture, not of tiles.
    source = open_images(str(src))
    job = _Job(
        generator,
        source,
        _place(Path(out), source),
        asked,
        conditions,
        progress or (lambda done, total: None),
    )
    check_outside_data(Path(out), str(src))
    return job.run()


def _directed(generator: Generator, direction: str | None) -> Generator:
    """The generator that goes the way that was asked for.

    Raises:
        SettingError: it makes images of something else than one image, or knows no such direction.
    """
    kind: Any = generator.method.prompt_type
    fields: tuple[str, ...] = () if kind is None else kind._fields
    if not fields or fields[0] not in IMAGE_COLUMNS or not set(fields[1:]) <= _BESIDE:
        given = f"{' and '.join(fields)}, and noise" if fields else "noise alone"
        raise SettingError(
            "translate is for models that make images out of images, such as pix2pix and CycleGAN. Received: "
            f"{generator.name} ({generator.recipe_name}), which makes them of {given}. Use gansmith generate."
        )
    if direction is None:
        return generator
    if not hasattr(generator.method, "direction"):
        raise SettingError(
            f"--direction is for models of two domains. Received: {direction} for {generator.name} "
            f"({generator.recipe_name}), which goes one way only. Leave it out."
        )
    if direction not in _DIRECTIONS:
        raise SettingError(f"There is no direction '{direction}'.{nearest(direction, _DIRECTIONS)}")
    method: Any = generator.method
    return replace(generator, method=replace(method, direction=direction))


def open_images(src: str) -> _Named:
    """The images of a file, a folder, an archive or a prepared set.

    Raises:
        DataError: there are none.
    """
    path = Path(src).expanduser()
    if path.is_file() and path.suffix.lower() in suffixes():
        return _OneFile(path)
    source = open_source(src)
    if not len(source.names):
        raise nothing_found(source)
    return source


def _place(out: Path, source: _Named) -> Path:
    """OUT, once it is sure that it can hold the results."""
    one = isinstance(source, _OneFile)
    if out.is_dir() or not (out.suffix or out.is_file()) or (one and out.suffix.lower() == ".png"):
        return out
    there = ", which is a file" if out.is_file() else ""
    raise SettingError(
        "Results go into a folder (make it first if its name has a dot), or that of a single picture into a "
        f".png. Received: {out}{there}, for {len(source.names)} picture{'s' * (len(source.names) != 1)}."
    )


@dataclass(frozen=True, eq=False)
class _Picture:
    """An image to be translated, and what is known of it."""

    to: Path
    mark: Provenance
    pixels: Pixels  # With the channels the model takes, at its own size.
    alpha: NDArray[np.uint8] | None


@dataclass(eq=False)
class _Job:
    generator: Generator
    source: _Named
    out: Path
    asked: Translation
    conditions: Asked
    progress: Callable[[int, int], object]
    made: int = 0
    kept: int = 0
    refused: list[Refused] = field(default_factory=list)

    def __post_init__(self) -> None:
        spec = self.generator.spec
        column = self.generator.method.prompt_type._fields[0]  # type: ignore[union-attr]
        plain = spec.channels, spec.height, spec.width
        self.channels, self.high, self.wide = spec.source if column == "source" else plain
        self.times = spec.source_shrink if column == "source" else 1

    def run(self) -> Translated:
        waiting: list[_Picture] = []  # Of one tile each: they share a run of the networks.
        for picture in self._pictures():
            if picture.pixels.shape[1] > self.high or picture.pixels.shape[2] > self.wide:
                self._write(picture, self._tiled(picture.pixels))
                continue
            waiting.append(picture)
            if len(waiting) == RUN:
                self._together(waiting)
                waiting = []
        self._together(waiting)
        if not self.made and not self.kept:
            raise none_usable(self.source.name, self.refused)
        return Translated(self.out, self.made, self.kept, tuple(self.refused))

    def _tell(self) -> None:
        self.progress(self.made + self.kept + len(self.refused), len(self.source.names))

    def _pictures(self) -> Iterator[_Picture]:
        """Those that are not there yet."""
        for index, to in enumerate(self._targets()):
            try:
                raw = self.source.read(index)
                mark = self._mark(self.source.names[index], raw)
                if self._whole(to, mark):
                    self.kept += 1
                    self._tell()
                    continue
                yield self._read(raw, to, mark)
            except (DataError, OSError) as error:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                self.refused.append(Refused(self.source.names[index], reason))
                self._tell()

    def _targets(self) -> Iterator[Path]:
        """Where each result goes: its source's name with .png, the whole name where two would be one."""
        if self.out.suffix.lower() == ".png" and not self.out.is_dir():
            yield self.out
            return
        taken: set[str] = set()
        for name in self.source.names:
            to = str(PurePosixPath(name).with_suffix(".png"))
            to = f"{name}.png" if to.lower() in taken else to
            taken.add(to.lower())
            yield self.out / to

    def _mark(self, name: str, raw: bytes) -> Provenance:
        digest = hashlib.sha256(raw).hexdigest()[:16]
        way = "in tiles" if self.asked.fit is None else f"fit {self.asked.fit}"
        direction = getattr(self.generator.method, "direction", None)
        parts = (
            f"translated from {PurePosixPath(name).name} ({digest})",
            way,
            direction,
            self.conditions.words(),
        )
        note = ", ".join(filter(None, (*parts, "beside its source" if self.asked.compare else None)))
        mark = self.generator.provenance(self.asked.seed, note)
        return replace(mark, composite=self.asked.compare)

    def _whole(self, to: Path, mark: Provenance) -> bool:
        """Whether the very result is there.

        Raises:
            SettingError: what is there was not made by this verb.
        """
        if not to.exists():
            return False
        there = None
        with suppress(DataError):
            there = read_provenance(to)
        if there is None or not (there.note or "").startswith("translated from "):
            raise SettingError(
                "translate writes over nothing but its own results. Received: "
                f"{to}, which is something else. Choose another OUT."
            )
        return there == mark

    def _read(self, raw: bytes, to: Path, mark: Provenance) -> _Picture:
        if self.asked.fit is not None:
            form = Form(size=Size(self.wide, self.high), channels=self.channels, fit=self.asked.fit)
            return _Picture(to, mark, fit_photo(read(raw, form), form).pixels, None)
        photo = read(raw)
        image = in_mode(photo.in_srgb(photo.image), "L" if self.channels == 1 else "RGB")
        pixels = np.asarray(image)
        pixels = pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return _Picture(to, mark, pixels, _alpha(raw))

    def _together(self, pictures: Sequence[_Picture]) -> None:
        """Images no larger than the model's, in one run."""
        if not pictures:
            return
        results = self._make([_continued(picture.pixels, self.high, self.wide) for picture in pictures])
        for picture, levels in zip(pictures, results, strict=True):
            height, width = (self.times * side for side in picture.pixels.shape[1:])
            result = np.clip(levels[:, :height, :width] + 0.5, 0.0, 255.0).astype(np.uint8)
            self._write(picture, result)

    def _tiled(self, pixels: Pixels) -> NDArray[np.uint8]:
        height, width = pixels.shape[1:]
        pixels = _continued(pixels, self.high, self.wide)
        tops, lefts = starts(pixels.shape[1], self.high), starts(pixels.shape[2], self.wide)

        def row(number: int) -> Sequence[NDArray[np.float32]]:
            top = tops[number]
            return self._make([pixels[:, top : top + self.high, left : left + self.wide] for left in lefts])

        times = self.times
        whole = blend(
            (times * pixels.shape[1], times * pixels.shape[2]),
            (times * self.high, times * self.wide),
            [times * top for top in tops],
            [times * left for left in lefts],
            row,
        )
        return whole[:, : times * height, : times * width]

    def _make(self, tiles: Sequence[Pixels]) -> list[Float[np.ndarray, "_ _ _"]]:
        """The results of tiles of the model's size, in levels 0..255, not rounded."""
        made: list[NDArray[np.float32]] = []
        for at in range(0, len(tiles), 4 * RUN):
            shown = torch.from_numpy(np.stack(tiles[at : at + 4 * RUN]))
            noise = Noise(torch.full((len(shown),), self.asked.seed, dtype=torch.int64))
            images = self.generator.make(noise, self.conditions.prompt(self._shown(shown)))
            made += list(((images.float().cpu() + 1.0) * 127.5).numpy())
        return made

    def _shown(self, pixels: Tensor) -> Tensor:
        return self.generator.spec.to_network(to_float(pixels))

    def _write(self, picture: _Picture, result: Pixels) -> None:
        image = _image(result)
        if picture.alpha is not None:
            alpha = Image.fromarray(picture.alpha).resize(image.size, Image.Resampling.BICUBIC)
            image.putalpha(alpha)
        if self.asked.compare:
            image = _strip(_image(picture.pixels), image)
        content = marked(image, picture.mark, picture.to.suffix)
        with whole_file(picture.to) as part:
            part.write_bytes(content)
        self.made += 1
        self._tell()


def _alpha(raw: bytes) -> NDArray[np.uint8] | None:
    """How opaque each pixel of a file is, upright; None where all are."""
    try:
        with Image.open(io.BytesIO(raw)) as image:
            if not image.has_transparency_data:
                return None
            upright = ImageOps.exif_transpose(image.convert("RGBA"))
            alpha = np.asarray(upright.getchannel("A"))
    except PICTURE_ERRORS:
        return None
    return None if bool((alpha == 255).all()) else alpha


def _continued(pixels: Pixels, height: int, width: int) -> NDArray[np.uint8]:
    """The image, mirrored outwards to the right and below where it is smaller than that."""
    down, right = (max(side - have, 0) for side, have in zip((height, width), pixels.shape[1:], strict=True))
    return np.pad(pixels, ((0, 0), (0, down), (0, right)), mode="symmetric") if down or right else pixels


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _strip(source: Image.Image, result: Image.Image) -> Image.Image:
    """Source and result side by side, the source enlarged where the result is larger."""
    if source.size != result.size:
        source = source.resize(result.size, Image.Resampling.BICUBIC)
    mode = "RGBA" if "A" in result.mode else ("L" if source.mode == result.mode == "L" else "RGB")
    strip = Image.new(mode, (2 * result.width + _GAP, result.height), "white")
    strip.paste(source.convert(mode), (0, 0))
    strip.paste(result.convert(mode), (result.width + _GAP, 0))
    return strip
