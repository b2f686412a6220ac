"""Whole pictures enlarged in one piece beside in tiles, and a sheet of what models and bicubic make of them.

    python benchmarks/super_resolution.py PICTURES MODEL [MODEL ...] [--sheet FILE --show NAME [NAME ...]]

PICTURES is a folder or zip of large pictures of any size. They are made small and enlarged again in tiles by
the code of ``gansmith evaluate MODEL PICTURES --metrics psnr_y,ssim_y``, which has these figures, intervals
and bicubic's; what is told here besides is how much tiles cost: every MODEL enlarges whole pictures, too, as
its network is convolutions. Figures are means over pictures of Y (ITU-R 601, 16 to 235) without a border of
4 px, as in Ledig 2016. ``--sheet`` writes small | bicubic | each model whole | large.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.loading.loader import to_float
from gansmith.data.sources.made_pairs import with_channels
from gansmith.images.grid import to_bytes
from gansmith.metrics.image_sets import open_rows
from gansmith.metrics.registry import pair_score
from gansmith.metrics.whole_pictures import Enlarged, WholePictures
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator

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
    spec = generators[0].spec
    config = DataConfig(size=Size(spec.width, spec.height), channels=spec.channels)
    pictures = WholePictures(open_rows(options.pictures, config), spec.channels, spec.source_shrink)
    ways: dict[str, list[Enlarged]] = {}
    for model, generator in zip(options.models, generators, strict=True):
        found = list(pictures.enlarged(generator))
        ways.setdefault("bicubic", [replace(one, made=one.bicubic) for one in found])
        ways[f"{model}, in tiles"] = found
        ways[f"{model}, whole"] = [replace(one, made=whole(generator, one.small)) for one in found]
    print("| enlarged by | PSNR of Y, dB | SSIM of Y |\n|---|---|---|")
    for way, found in ways.items():
        scores = [[float(pair_score(name)(batch(one.made), batch(one.large))) for one in found] for name in Y]
        print(f"| {way} | {np.mean(scores[0]):.2f} | {np.mean(scores[1]):.4f} |", flush=True)
    if options.sheet is not None:
        shown = [found for way, found in ways.items() if not way.endswith("in tiles")]
        names = [pictures.name(one.index) for one in shown[0]]
        rows = [row for row, name in enumerate(names) if any(part in name for part in options.show)]
        sheet = [
            strip([found[row] for found in shown], options.crop) for row in rows or range(min(3, len(names)))
        ]
        whole_sheet = np.concatenate(sheet, axis=1).transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(whole_sheet)).save(options.sheet)


Y = ("psnr_y", "ssim_y")


def whole(generator: Generator, pixels: Pixels) -> Pixels:
    """Enlarged in one piece by the run's generator."""
    shown = with_channels(pixels, generator.spec.source[0])
    with torch.inference_mode():
        given = generator.spec.to_network(to_float(batch(shown)))
        made: Tensor = generator.networks.get_submodule("generator")(given)
    return np.asarray(to_bytes(generator.spec.to_pictures(made))[0])


def strip(ways: list[Enlarged], side: int) -> Pixels:
    """The middle of one picture: the small one in squares, what each way makes of it, the large one."""
    one = ways[0]
    times = one.large.shape[1] // one.small.shape[1]
    squares = one.small.repeat(times, axis=1).repeat(times, axis=2)
    parts = [middle(pixels, side) for pixels in (squares, *(way.made for way in ways), one.large)]
    return np.concatenate(parts, axis=2)


def middle(pixels: Pixels, side: int) -> Pixels:
    """A square about the middle."""
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    return pixels[:, top : top + side, left : left + side]


def batch(pixels: Pixels) -> Tensor:
    """A batch of one."""
    return torch.from_numpy(np.ascontiguousarray(pixels))[None]


if __name__ == "__main__":
    main()
