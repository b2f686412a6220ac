"""How fast pictures are prepared, beside the plain Pillow loop everybody writes, on one core each.

    python benchmarks/prepare.py PHOTOGRAPHS [--count 200] [--rounds 3] [--case "256 px"]

PHOTOGRAPHS is a folder or zip of real photographs; they are enlarged to 1024 px and saved as JPEG and PNG in
a temporary folder first. The plain loop opens, crops to a square, resizes (bicubic) and saves a JPEG of
quality 95. Both run in turn, several times; a figure is the median of the rounds, with the least and the
greatest of their ratios. Our side does more: it measures, hashes and reports.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from gansmith.core.image_size import Size
from gansmith.data.decode.reading import read
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.data.sources.open import open_source

CASES = (
    ("JPEG 1024 px -> 64 px", "jpg", 1024, 64),
    ("JPEG 1024 px -> 128 px", "jpg", 1024, 128),
    ("JPEG 1024 px -> 256 px", "jpg", 1024, 256),
    ("JPEG 1024 px -> 512 px", "jpg", 1024, 512),
    ("PNG 1024 px -> 64 px", "png", 1024, 64),
    ("JPEG 128 px -> 64 px", "jpg", 128, 64),
    ("PNG 128 px -> 64 px", "png", 128, 64),
)


def write_photographs(photographs: str, folder: Path, count: int, side: int, ending: str) -> None:
    """The first ``count`` pictures, centre cropped, at ``side`` x ``side``."""
    source = open_source(photographs)
    folder.mkdir(parents=True)
    for index in range(min(count, len(source.names))):
        picture = read(source.read(index)).image.convert("RGB")
        cut = min(picture.size)
        left, top = (picture.width - cut) // 2, (picture.height - cut) // 2
        picture = picture.crop((left, top, left + cut, top + cut))
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
        picture.save(folder / f"{index:05d}.{ending}", quality=92)


def plain(folder: Path, out: Path, side: int) -> None:
    """The loop of a thousand tutorials."""
    out.mkdir()
    for path in sorted(folder.iterdir()):
        picture = Image.open(path).convert("RGB")
        cut = min(picture.size)
        left, top = (picture.width - cut) // 2, (picture.height - cut) // 2
        picture = picture.crop((left, top, left + cut, top + cut))
        picture.resize((side, side)).save(out / f"{path.stem}.jpg", quality=95)


def ours(folder: Path, out: Path, side: int) -> None:
    """`gansmith prepare`, in this process alone."""
    prepare(open_source(str(folder)), out, Options(size=Size(side, side)), workers=1)


def seconds(work: Callable[[Path, Path, int], None], folder: Path, out: Path, side: int) -> float:
    """How long it takes."""
    start = time.process_time()
    work(folder, out, side)
    return time.process_time() - start


def main() -> None:
    """Run all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", default="", help="only cases with this in their name")
    asked = parser.parse_args()
    print(f"{'case':24} {'plain':>10} {'prepare':>10} {'ratio':>7}   least to greatest")
    with tempfile.TemporaryDirectory() as place:
        for name, ending, large, small in [case for case in CASES if asked.case in case[0]]:
            folder = Path(place) / f"{large}{ending}"
            if not folder.exists():
                many = asked.count if large > 512 else 10 * asked.count  # Small ones are over at once.
                write_photographs(asked.photographs, folder, many, large, ending)
            count = len(list(folder.iterdir()))
            times: list[tuple[float, float]] = []
            for number in range(asked.rounds):
                outs = [Path(place) / f"{name} {side} {number}" for side in ("plain", "ours")]
                times.append((seconds(plain, folder, outs[0], small), seconds(ours, folder, outs[1], small)))
            ratios = [theirs / mine for theirs, mine in times]
            rates = [count / statistics.median(side) for side in zip(*times, strict=True)]
            print(
                f"{name:24} {rates[0]:8.1f}/s {rates[1]:8.1f}/s {statistics.median(ratios):6.2f}x   "
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
