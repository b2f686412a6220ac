"""What run lengths do to PNGs: seconds and bytes beside Pillow's defaults, on photographs.

    python benchmarks/png_compression.py PHOTOGRAPHS [--sizes 64 128 512] [--count 60]

Generated pictures are written so (gansmith/marks.py). PHOTOGRAPHS is a folder or an archive. Both ways take
turns on each picture; the ratio of times is the median over pictures, with least and greatest.
"""

import argparse
import io
import time
import zlib

import torch
from measuring import Row, print_table, ratios
from PIL import Image

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.open import open_data
from gansmith.images.grid import to_pil


def encode(picture: Image.Image, kind: int) -> tuple[float, int]:
    """Seconds and bytes."""
    file, start = io.BytesIO(), time.perf_counter()
    picture.save(file, format="PNG", compress_type=kind)
    return time.perf_counter() - start, file.tell()


def measure(photographs: str, side: int, count: int) -> Row:
    """One size."""
    data = open_data(photographs, DataConfig(size=Size(side, side), channels=3))
    rows = torch.arange(min(count, len(data)))
    pictures = [to_pil(picture) for picture in data.fetch(rows, ("images",))["images"]]
    default, ours = ([encode(p, kind) for p in pictures] for kind in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE))
    before, after = (sum(size for _, size in found) / len(found) for found in (default, ours))
    return Row(
        f"PNG, {side}x{side}, run lengths",
        f"{after:,.0f} bytes, {100 * (after / before - 1):+.1f} %",
        f"Pillow's defaults: {before:,.0f} bytes",
        ratios([seconds for seconds, _ in default], [seconds for seconds, _ in ours]),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 512])
    parser.add_argument("--count", type=int, default=60)
    asked = parser.parse_args()
    print_table([measure(asked.photographs, side, asked.count) for side in asked.sizes])


if __name__ == "__main__":
    main()
