"""What decoding a JPEG at reduced scale does to pixels, beside what the choice of a filter does.

    python benchmarks/reduced_decoding.py PHOTOGRAPHS

PHOTOGRAPHS is a folder or zip of photographs without loss, such as PNG. Each becomes a JPEG of quality 92, is
shrunk 4 and 8 times in different ways, and compared with full decoding and bicubic: median PSNR in decibels.
"""

import argparse
import io
from statistics import median

import numpy as np
from PIL import Image

from gansmith.data.decode.reading import read
from gansmith.data.sources.open import open_source

BICUBIC, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.LANCZOS


def decibels(first: Image.Image, second: Image.Image) -> float:
    """PSNR of two pictures."""
    apart = np.asarray(first).astype(float) - np.asarray(second).astype(float)
    return float(10 * np.log10(255**2 / max((apart**2).mean(), 1e-9)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs")
    source = open_source(parser.parse_args().photographs)
    found: dict[str, list[float]] = {}
    for index in range(len(source.names)):
        picture = read(source.read(index)).image.convert("RGB")
        side = min(picture.size) // 32 * 32
        raw = io.BytesIO()
        picture.crop((0, 0, side, side)).save(raw, "JPEG", quality=92)
        for times in (4, 8):
            size = (side // times, side // times)
            full = Image.open(raw).resize(size, BICUBIC)
            ways = {"Lanczos in place of bicubic": Image.open(raw).resize(size, LANCZOS)}
            for reduced, name in ((2, "decoded at twice the size"), (1, "decoded at the size itself")):
                small = Image.open(raw)
                small.draft(None, (reduced * size[0], reduced * size[1]))
                ways[name] = small.resize(size, BICUBIC)
            for name, made in ways.items():
                found.setdefault(f"1/{times}, {name}", []).append(decibels(made, full))
    for name in sorted(found):
        print(f"{name:36} {median(found[name]):6.1f} dB   (least {min(found[name]):.1f})")


if __name__ == "__main__":
    main()
