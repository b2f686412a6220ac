"""Images from images by a trained model: one, a folder, an archive, a list, a video; any size, resumable."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.core.image_size import Box, Fit, Form, Size
from gansmith.core.noise import Noise
from gansmith.data.decode.reading import PICTURE_ERRORS, in_mode, read
from gansmith.data.decode.resize import fit as fit_photo
from gansmith.data.loading.loader import to_float
from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import none_usable
from gansmith.data.sources.made_pairs import fixed_hole, with_hole
from gansmith.errors import DataError, SettingError, nearest
from gansmith.images.provenance import Provenance, marked
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.models.aligned import aligner
from gansmith.models.asked import Conditions
from gansmith.models.generator import RUN, Generator
from gansmith.models.holes import HoleAsked, fill
from gansmith.models.load import open_generator
from gansmith.models.tiles import blend, starts
from gansmith.models.translate_film import is_film, translate_film
from gansmith.models.translate_places import Asked, Pictures, Place, place_of, result_names, source_of
from gansmith.models.write import collected

Pixels = UInt8[np.ndarray, "channels height width"]

_MOST_SCALE = 16
_GAP = 2  # White pixels between the two images of a strip.
_BESIDE = {"attributes", "landmarks"}  # What may be given beside an image.
_DIRECTIONS = ("a_to_b", "b_to_a")
_FILLED = ("source", "mask")
"""What a model that fills holes makes images of; such a method has ``reach``, too."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """How images are translated.

    Example:
        >>> Translation(fit="crop", compare=True)
    """

    direction: str | None = None  # Of a model of two domains: a_to_b or b_to_a; None: as it was trained.
    fit: Fit | None = None  # How images are brought to the model's size; None: larger ones in tiles.
    compare: bool = False  # Write strips: the source on the left, the result on the right.
    scale: float | None = (
        None  # Of a model that enlarges: how many times, 1 to 16; None: as often as it does.
    )
    align: str | None = None  # Likewise the largest face, by a template: ffhq, celeba or close.
    seed: int = 0  # Of the noise, the same for all images.
    settings: str | None = None  # Attributes to set, smiling=1,glasses=0, of a model that changes them.
    strength: float | None = None  # How far to go to what is set, 0 to 1; None: all the way.
    points: str | None = None  # Key points of the result, x,y,x,y,... in pixels, of a model that takes them.
    mask: str | None = None  # Of a model that fills holes: an image, white where the hole is.
    hole: tuple[int, int, int, int] | None = None  # Likewise: x, y, width, height in pixels.

    def __post_init__(self) -> None:
        if self.scale is not None and not 1.0 <= self.scale <= _MOST_SCALE:
            raise SettingError(f"scale is a number from 1 to {_MOST_SCALE}. Received: scale={self.scale:g}.")
        if self.align is not None and self.fit is not None:
            raise SettingError(
                "--align brings a face to the model's size by itself. Received: --align "
                f"{self.align} and --fit {self.fit}. Leave one of them out."
            )


@dataclass(frozen=True)
class Translated:
    """What came of it.

    Example:
        >>> translate("runs/edges", "drawings", "faces").kept
        0
    """

    path: Path
    made: int  # Images, or frames of a video.
    kept: int  # There and whole already.
    refused: tuple[Refused, ...] = ()
    tiled: int = 0  # Of those made, larger than the model's images and of their own size afterwards.


def translate(
    model: Generator | str,
    src: Asked,
    out: Path | str,
    asked: Translation | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
    world: World = SINGLE_PROCESS,
) -> Translated:
    """Make an image of each image of SRC with a MODEL that makes images out of images.

    Results are PNGs under the names of their sources, marked as made by a model. A video whose OUT is an mp4
    becomes one of the same rate, frame by frame, without its sound. An image larger than the
    model's is translated in overlapping tiles and keeps its size; a smaller one is continued at its edges and
    cut back. Transparency is kept, unless the model fills holes and it is the hole; outside a hole an image
    is not touched. What is there and whole is not made again, unless the model, the source or
    the way has changed. Images that cannot be read, or have no face to be aligned, are left out and listed.

    Args:
        model: a run, a checkpoint, or an open generator.
        src: an image, a folder in any nesting, a zip or tar, a prepared set, a video, or a list of files.
        out: a folder or a ``.zip``; of an image a ``.png``, ``.jpg`` or ``.webp``, of a video an ``.mp4``.
        asked: direction, fit, strips, scale, where holes are.
        progress: told (images done, images in all).
        world: processes that share the work; all must call this alike.

    Raises:
        SettingError: the model makes images of something else, or OUT is SRC or holds other files.
        DataError: there is no image, or none can be read.
        CheckpointError, RunError: there is no such model.
        MissingPackageError: a video without PyAV (``pip install 'gansmith[video]'``).
        StorageError: the disk refuses; what was written is whole, and the same command goes on.
        TrainingError: another process has gone.

    Example:
        >>> translate("runs/edges", "drawings", "faces", Translation(compare=True)).made
    """
    asked = asked or Translation()
    generator = _directed(open_generator(model) if isinstance(model, str) else model, asked.direction)
    _check_scale(generator, asked.scale)
    _check_hole(generator, asked)
    maker, tell, to = _Maker(generator, asked), progress or (lambda done, total: None), Path(out)
    if isinstance(src, Path | str) and is_film(src, to):
        if asked.align is not None:
            raise SettingError(
                "--align is for pictures: in a video the face would jump from frame to frame. Received: "
                f"--align {asked.align} for {src}. Leave it out, or translate into a folder."
            )
        made, kept, refused = translate_film(Path(src).expanduser(), to, maker, world, tell)
        return Translated(to, made, kept, refused)
    source = source_of(src)
    return _Job(maker, source, to, place_of(to, src, source), tell, world).run()


def translate_one(
    generator: Generator, raw: bytes, name: str, asked: Translation | None = None
) -> tuple[Image.Image, Provenance]:
    """The image that a model makes of the bytes of an image file, and its mark.

    Args:
        generator: a model that makes images out of images.
        raw: the file.
        name: what the mark calls it.
        asked: as for ``translate``.

    Raises:
        SettingError: the model makes images of something else, or knows nothing of what is asked.
        DataError: the file is no image, or nothing is to be filled in it.

    Example:
        >>> image, mark = translate_one(generator, Path("photo.jpg").read_bytes(), "photo.jpg")
    """
    asked = asked or Translation()
    generator = _directed(generator, asked.direction)
    _check_scale(generator, asked.scale)
    _check_hole(generator, asked)
    maker = _Maker(generator, asked)
    mark = maker.mark(name, hashlib.sha256(raw).hexdigest())
    return next(maker.images([maker.read(raw, name, mark)])), mark


def translate_pixels(generator: Generator, pictures: Iterable[Pixels]) -> Iterator[Pixels]:
    """What a model makes of pixels that are in memory already, in order, as ``translate`` makes it of files.

    Larger ones than the model's go through in tiles. Few are in memory at a time, however many there are.

    Args:
        generator: a model that makes images out of images alone.
        pictures: uint8 [channels, height, width] of any sizes, with the channels of the model's sources.

    Raises:
        SettingError: the model makes images of something else.

    Example:
        >>> small = np.zeros((3, 40, 30), np.uint8)
        >>> next(translate_pixels(open_generator("runs/x4"), [small])).shape
        (3, 160, 120)
    """
    maker, waiting = _Maker(_directed(generator, None), Translation()), list[Pixels]()
    for pixels in pictures:
        waiting.append(pixels)
        if len(waiting) == RUN or maker.large(pixels):
            yield from maker.results(waiting)
            waiting = []
    yield from maker.results(waiting)


def whole_picture(raw: bytes, channels: int, box: Box | None = None) -> Pixels:
    """The image of a file at its own size: upright, in sRGB, uint8 [channels, height, width].

    Args:
        raw: the file.
        channels: 1 for luma, 3 for colour.
        box: left, top, right, bottom in pixels of the part that is wanted; None for all.

    Raises:
        DataError: it is no image, or the box lies outside.

    Example:
        >>> whole_picture(Path("photo.jpg").read_bytes(), 3).shape
        (3, 480, 640)
    """
    photo = read(raw)
    image = in_mode(photo.in_srgb(photo.image), "L" if channels == 1 else "RGB")
    if box is not None:
        if box[2] > image.width or box[3] > image.height:
            raise DataError(f"{image.width}x{image.height} pixels; the box {box} reaches outside")
        image = image.crop(box)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _directed(generator: Generator, direction: str | None) -> Generator:
    """The generator that goes the way that was asked for.

    Raises:
        SettingError: it makes images of something else than one image, or knows no such direction.
    """
    kind: Any = generator.method.prompt_type
    fields: tuple[str, ...] = () if kind is None else kind._fields
    beside = set(fields[1:]) <= _BESIDE
    if fields != _FILLED and (not fields or fields[0] not in IMAGE_COLUMNS or not beside):
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


def _check_scale(generator: Generator, scale: float | None) -> None:
    spec = generator.spec
    if scale is None:
        return
    if spec.source_shrink == 1:
        raise SettingError(
            f"--scale is for models that enlarge. Received: --scale {scale:g} for {generator.name} "
            f"({generator.recipe_name}), which keeps sizes. Leave it out."
        )
    if scale > spec.source_shrink and spec.source[0] != spec.channels:
        raise SettingError(
            f"This model enlarges {spec.source_shrink} times and cannot go on from there: its results have "
            f"other channels than its sources. Received: --scale {scale:g}. Use {spec.source_shrink} or less."
        )


def _check_hole(generator: Generator, asked: Translation) -> None:
    told = {"--mask": asked.mask, "--hole": asked.hole}
    kind: Any = generator.method.prompt_type
    if kind._fields != _FILLED:
        for name, value in told.items():
            if value is not None:
                raise SettingError(
                    f"{name} is for models that fill holes, such as a context encoder. Received: it for "
                    f"{generator.name} ({generator.recipe_name}). Leave it out."
                )
    elif asked.fit is not None or asked.align is not None:
        given = f"--fit {asked.fit}" if asked.align is None else f"--align {asked.align}"
        raise SettingError(f"A hole is filled in the picture as it is. Received: {given}. Leave it out.")


@dataclass(frozen=True, eq=False)
class _Picture:
    """An image to be translated, and what is known of it."""

    to: str
    mark: Provenance
    pixels: Pixels  # With the channels the model takes, at its own size.
    alpha: NDArray[np.uint8] | None
    hole: NDArray[np.bool_] | None = None


class _Maker:
    """Images out of images; knows no files."""

    def __init__(self, generator: Generator, asked: Translation) -> None:
        self.conditions = Conditions.of(generator, asked.settings, asked.points, asked.strength)
        kind: Any = generator.method.prompt_type
        whole = asked.fit is not None or asked.align is not None
        if not whole and len(kind._fields) > 1 and kind._fields != _FILLED:
            asked = replace(asked, fit="crop")  # What is asked is of a whole picture, not of tiles.
        self.generator, self.asked, spec = generator, asked, generator.spec
        column = kind._fields[0]
        self.holes = HoleAsked(asked.mask, asked.hole) if kind._fields == _FILLED else None
        plain = spec.channels, spec.height, spec.width
        self.channels, self.high, self.wide = spec.source if column == "source" else plain
        self.times = spec.source_shrink if column == "source" else 1
        self.face = asked.align and aligner(asked.align, (self.wide, self.high), self.channels)

    def mark(self, name: str, digest: str) -> Provenance:
        """What the result of a source of that name and content is marked with."""
        asked, way = self.asked, "in tiles" if self.asked.fit is None else f"fit {self.asked.fit}"
        way = way if asked.align is None else f"face aligned to {asked.align}"
        way = way if self.holes is None else self.holes.note
        parts = (
            f"translated from {PurePosixPath(name).name} ({digest[:16]})",
            way,
            getattr(self.generator.method, "direction", None),
            None if asked.scale is None else f"scale {asked.scale:g}",
            self.conditions.words(),
            "beside its source" if asked.compare else None,
        )
        mark = self.generator.provenance(asked.seed, ", ".join(filter(None, parts)))
        return replace(mark, composite=asked.compare)

    def read(self, raw: bytes, to: str, mark: Provenance) -> _Picture:
        """The image of a file as the model takes it. Raises DataError where there is none."""
        if self.face:
            return _Picture(to, mark, self.face(raw), None)
        if self.asked.fit is not None:
            form = Form(size=Size(self.wide, self.high), channels=self.channels, fit=self.asked.fit)
            return _Picture(to, mark, fit_photo(read(raw, form), form).pixels, None)
        pixels = whole_picture(raw, self.channels)
        alpha = _alpha(raw)
        if self.holes is None:
            return _Picture(to, mark, pixels, alpha)
        hole = self.holes.of(pixels, alpha)
        by_alpha = self.asked.mask is None and self.asked.hole is None
        return _Picture(to, mark, pixels, None if by_alpha else alpha, hole)

    def alone(self, picture: _Picture) -> bool:
        """Whether an image takes several tiles, and is not made together with others."""
        return picture.hole is not None or self.large(picture.pixels)

    def large(self, pixels: Pixels) -> bool:
        """Whether pixels are more than one tile."""
        height, width = pixels.shape[1:]
        return bool(height > self.high or width > self.wide)

    def images(self, pictures: Sequence[_Picture]) -> Iterator[Image.Image]:
        """The finished images, in order; those of one tile in one run of the networks."""
        plain = self.results([picture.pixels for picture in pictures if picture.hole is None])
        for picture in pictures:
            hole = picture.hole
            yield self._finished(picture, next(plain) if hole is None else self._filled(picture.pixels, hole))

    def results(self, pictures: Sequence[Pixels]) -> Iterator[Pixels]:
        """The results of pixels without holes, in order; those of one tile in one run of the networks."""
        tiles = [_continued(pixels, self.high, self.wide) for pixels in pictures if not self.large(pixels)]
        together = iter(self._make(tiles) if tiles else ())
        for pixels in pictures:
            if self.large(pixels):
                yield self._tiled(pixels)
                continue
            height, width = (self.times * side for side in pixels.shape[1:])
            levels = next(together)[:, :height, :width]
            yield np.clip(levels + 0.5, 0.0, 255.0).astype(np.uint8)

    def _filled(self, pixels: Pixels, hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
        method: Any = self.generator.method
        reach = method.reach(self.generator.spec)
        return fill(
            pixels,
            hole,
            reach,
            (self.high, self.wide),
            lambda shown, mask: self._make([shown], [mask])[0],
            fixed_hole(self.generator.pairs, self.high, self.wide),
        )

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

    def _make(
        self, tiles: Sequence[Pixels], masks: Sequence[NDArray[np.uint8]] | None = None
    ) -> list[Float[np.ndarray, "_ _ _"]]:
        """The results of tiles of the model's size, in levels 0..255, not rounded."""
        made: list[NDArray[np.float32]] = []
        for at in range(0, len(tiles), 4 * RUN):
            shown = torch.from_numpy(np.stack(tiles[at : at + 4 * RUN]))
            noise = Noise(torch.full((len(shown),), self.asked.seed, dtype=torch.int64))
            given = self.generator.spec.to_network(to_float(shown))
            if masks is None:
                prompt = self.conditions.prompt(given)
            else:
                kind: Any = self.generator.method.prompt_type
                prompt = kind(given, to_float(torch.from_numpy(np.stack(masks[at : at + 4 * RUN]))))
            images = self.generator.make(noise, prompt)
            made += list(((images.float().cpu() + 1.0) * 127.5).numpy())
        return made

    def _finished(self, picture: _Picture, result: Pixels) -> Image.Image:
        image = self._scaled(picture, result)
        if picture.alpha is not None:
            image.putalpha(Image.fromarray(picture.alpha).resize(image.size, Image.Resampling.BICUBIC))
        if not self.asked.compare:
            return image
        shown = picture.pixels
        if picture.hole is not None:
            shown = with_hole(shown, 255 * picture.hole[None].astype(np.uint8))
        return _strip(_image(shown), image)

    def _scaled(self, picture: _Picture, result: Pixels) -> Image.Image:
        """As many times larger as was asked for: enlarged again while it is smaller, and reduced to that."""
        scale = self.asked.scale
        if scale is None:
            return _image(result)
        height, width = (round(scale * side) for side in picture.pixels.shape[1:])
        while result.shape[1] < height or result.shape[2] < width:
            result = self._tiled(result)
        image = _image(result)
        return (
            image
            if image.size == (width, height)
            else image.resize((width, height), Image.Resampling.LANCZOS)
        )


@dataclass(eq=False)
class _Job:
    """Pictures from a source to a place: this process's share of them."""

    maker: _Maker
    source: Pictures
    out: Path
    place: Place
    progress: Callable[[int, int], object]
    world: World
    made: int = 0
    kept: int = 0
    tiled: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)  # Place in the source, and why.

    def run(self) -> Translated:
        waiting: list[_Picture] = []  # Of one tile each: they share a run of the networks.
        for picture in self._pictures():
            if self.maker.alone(picture):
                self.tiled += picture.hole is None and self.maker.times == 1
                self._write([picture])
                continue
            waiting.append(picture)
            if len(waiting) == RUN:
                self._write(waiting)
                waiting = []
        self._write(waiting)
        return self._together()

    def _together(self) -> Translated:
        """What all processes have done, once they have."""
        made, kept, tiled, refused = self.made, self.kept, self.tiled, self.refused
        if self.world.size > 1:
            mine = json.dumps([made, kept, tiled, refused]).encode()
            every = collected(self.world, [mine])
            everyones = self.world.broadcast([json.loads(one) for one in every])
            made, kept, tiled = (sum(one[part] for one in everyones) for part in range(3))
            refused = [(place, why) for one in everyones for place, why in one[3]]
        named = tuple(Refused(self.source.names[place], why) for place, why in sorted(refused))
        if not made and not kept:
            raise none_usable(self.source.name, named)
        if self.world.is_main:
            self.place.close()
        self.world.barrier()
        return Translated(self.out, made, kept, named, tiled)

    def _tell(self) -> None:
        done, total = self.made + self.kept + len(self.refused), len(self.source.names)
        self.progress(min(self.world.size * done, total), total)

    def _pictures(self) -> Iterator[_Picture]:
        """Those of this process that are not there yet."""
        for index, to in enumerate(result_names(self.out, self.source.names)):
            if index % self.world.size != self.world.rank:
                continue
            try:
                raw = self.source.read(index)
                mark = self.maker.mark(self.source.names[index], hashlib.sha256(raw).hexdigest())
                if self.place.there(to) == mark:
                    self.kept += 1
                    self._tell()
                    continue
                yield self.maker.read(raw, to, mark)
            except (DataError, OSError) as error:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                self.refused.append((index, reason))
                self._tell()

    def _write(self, pictures: Sequence[_Picture]) -> None:
        for picture, image in zip(pictures, self.maker.images(pictures), strict=True):
            self.place.put(picture.to, marked(image, picture.mark, PurePosixPath(picture.to).suffix))
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
