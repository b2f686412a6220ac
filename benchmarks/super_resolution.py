"""How near enlarged pictures come to the large ones: PSNR and SSIM of brightness, beside bicubic.

    python benchmarks/super_resolution.py PICTURES MODEL [MODEL ...] [--sheet FILE --show NAME [NAME ...]]

PICTURES is a folder or zip of large pictures of any size. Each is cut to a multiple of the scale, made
small (bicubic, antialiased), and enlarged by every MODEL in tiles, as ``gansmith translate`` does it, and
whole, as the networks are convolutions. Figures are means over pictures of Y (ITU-R 601, 16 to 235) without
a border of 4 px, as in Ledig 2016. ``--sheet`` writes small | bicubic | each model whole | large.
"""

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gansmith.data.loading.loader import to_float
from gansmith.data.sources.made_pairs import smaller
from gansmith.data.sources.open import open_source
from gansmith.images.grid import to_bytes
from gansmith.metrics.scores.paired import bright, each_psnr, each_ssim
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator
from gansmith.models.translate import translate

Pixels = NDArray[np.uint8]


def main() -> None:
    """Read, enlarge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--show", nargs="*", default=[], help="Parts of the names of pictures on the sheet.")
    parser.add_argument("--crop", type=int, default=128, help="Side of what the sheet shows.")
    options = parser.parse_args()
    generators = [open_generator(model, "cpu") for model in options.models]
    times = generators[0].spec.source_shrink
    large = {name: cut(pixels, times) for name, pixels in read(options.pictures).items()}
    small = {name: smaller(pixels, times) for name, pixels in large.items()}
    made = {"bicubic": {name: bicubic(pixels, times) for name, pixels in small.items()}}
    for model, generator in zip(options.models, generators, strict=True):
        made[f"{model}, in tiles"] = in_tiles(generator, small)
        made[f"{model}, whole"] = {name: whole(generator, pixels) for name, pixels in small.items()}
    print("| enlarged by | PSNR of Y, dB | SSIM of Y |\n|---|---|---|")
    for way, pictures in made.items():
        pairs = [(one(pictures[name]), one(large[name])) for name in large]
        found = [
            (float(each_psnr(bright(a), bright(b))), float(each_ssim(bright(a), bright(b)))) for a, b in pairs
        ]
        mean = np.mean(found, axis=0)
        print(f"| {way} | {mean[0]:.2f} | {mean[1]:.4f} |", flush=True)
    if options.sheet is not None:
        columns = [{name: nearest(pixels, times) for name, pixels in small.items()}]
        columns += [pictures for way, pictures in made.items() if not way.endswith("in tiles")]
        names = [name for name in large if any(part in name for part in options.show)] or list(large)[:3]
        rows = [[middle(column[name], options.crop) for column in [*columns, large]] for name in names]
        sheet = np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1)
        Image.fromarray(np.ascontiguousarray(sheet.transpose(1, 2, 0))).save(options.sheet)


def read(place: str) -> dict[str, Pixels]:
    """Every picture, uint8 [3, height, width], by name."""
    source = open_source(place)
    found: dict[str, Pixels] = {}
    for index, name in enumerate(source.names):
        with Image.open(io.BytesIO(source.read(index))) as picture:
            found[name] = np.ascontiguousarray(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
    return found


def cut(pixels: Pixels, times: int) -> Pixels:
    """The part whose sides are multiples of the scale, from the top left."""
    height, width = (side // times * times for side in pixels.shape[1:])
    return np.ascontiguousarray(pixels[:, :height, :width])


def bicubic(pixels: Pixels, times: int) -> Pixels:
    """Enlarged by Pillow."""
    return _resized(pixels, times, Image.Resampling.BICUBIC)


def nearest(pixels: Pixels, times: int) -> Pixels:
    """The small picture, a square a pixel."""
    return _resized(pixels, times, Image.Resampling.NEAREST)


def _resized(pixels: Pixels, times: int, how: Image.Resampling) -> Pixels:
    image = Image.fromarray(pixels.transpose(1, 2, 0))
    return np.asarray(image.resize((times * image.width, times * image.height), how)).transpose(2, 0, 1)


def whole(generator: Generator, pixels: Pixels) -> Pixels:
    """Enlarged in one piece by the run's generator."""
    with torch.inference_mode():
        given = generator.spec.to_network(to_float(one(pixels)))
        made: Tensor = generator.networks.get_submodule("generator")(given)
    return np.asarray(to_bytes(generator.spec.to_pictures(made))[0])


def in_tiles(generator: Generator, small: dict[str, Pixels]) -> dict[str, Pixels]:
    """Enlarged by ``translate``."""
    with tempfile.TemporaryDirectory() as folder:
        src, out = Path(folder) / "small", Path(folder) / "large"
        src.mkdir()
        for number, pixels in enumerate(small.values()):
            Image.fromarray(pixels.transpose(1, 2, 0)).save(src / f"{number:04d}.png")
        translate(generator, src, out)
        return {
            name: np.asarray(Image.open(out / f"{number:04d}.png").convert("RGB")).transpose(2, 0, 1)
            for number, name in enumerate(small)
        }


def middle(pixels: Pixels, side: int) -> Pixels:
    """A square about the middle."""
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    return pixels[:, top : top + side, left : left + side]


def one(pixels: Pixels) -> Tensor:
    """A batch of one."""
    return torch.from_numpy(np.ascontiguousarray(pixels))[None]


if __name__ == "__main__":
    main()
