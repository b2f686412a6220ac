"""Images per second of a whole `gansmith train` on a folder of JPEG files, beside the tutorials' plain loop.

    python benchmarks/train_dcgan.py [--folder FACES] [--batch 64 128] [--rounds 3] [--steps 12] [--quick]

DCGAN-64 (ngf 64). Ours is `gansmith.training.session.train` into a run directory: its own reading of the
folder, averaged weights, numbers, pictures and checkpoints as they come. Beside it the plain loop
(benchmarks/plain.py), eager in float32, fed by torchvision's ImageFolder and two DataLoader workers. Whole
runs take turns; the rate is that after a run's first two steps. Without --folder, 1024 demo faces are
saved as JPEG of 128 px first.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from measuring import Row, noise_pictures, operations, our_trainer, peak, print_table, ratios, with_settings
from PIL import Image
from plain import dcgan, image_folder

from gansmith.config.recipe import Recipe
from gansmith.data.builtin.demo_faces import draw, sample
from gansmith.data.open import open_data
from gansmith.engine.device import pick_precision
from gansmith.recipes import named
from gansmith.training.session import train

CPU = torch.device("cpu")
FIRST = 2  # Steps before the clock starts.


def save_faces(folder: Path, count: int) -> None:
    """Demo faces as JPEG files of 128 px, in one class folder as ImageFolder wants it."""
    folder.mkdir(parents=True)
    for index in range(count):
        picture = Image.fromarray(draw.draw(sample.face(0, index), 128, 128))
        picture.save(folder / f"{index:05d}.jpg", quality=92)


def our_run(folder: Path, batch: int, steps: int, precision: str) -> float:
    """Seconds for an image in a run of `gansmith train`, from the rows it writes."""
    recipe = with_settings(
        recipe_of(batch, precision),
        images=batch * (FIRST + steps),
        log_every=batch * FIRST,
        keep_checkpoints=1,
    )
    with tempfile.TemporaryDirectory() as place:
        outcome = train(recipe, open_data(str(folder), recipe.data), Path(place) / "run", device="cpu")
        lines = outcome.run.stats.read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "images_per_second" in row]
    return (rows[-1]["seconds"] - rows[0]["seconds"]) / (rows[-1]["images"] - rows[0]["images"])


def plain_run(folder: Path, batch: int, steps: int) -> float:
    """Seconds for an image in the plain loop."""
    batches: Iterator[torch.Tensor] = image_folder(folder, 64, batch)
    step = dcgan(lambda: next(batches), 64, CPU)
    for _ in range(FIRST):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    seconds = time.perf_counter() - start
    batches.close()  # type: ignore[attr-defined]
    return seconds / steps / batch


def recipe_of(batch: int, precision: str) -> Recipe:
    """The textbook recipe."""
    return with_settings(named("dcgan64"), batch=batch, precision=precision)


def shares(batch: int) -> dict[str, float]:
    """Seconds an image would take if every operation went as fast as a large product of matrices."""
    images = noise_pictures(batch, 64)
    real = images.float() / 127.5 - 1
    of_plain, of_ours = dcgan(lambda: real, 64, CPU), our_trainer(recipe_of(batch, "auto"), images, CPU).step
    peaks = {name: peak(pick_precision(name, CPU), CPU) for name in ("float32", "auto")}
    ours = {name: operations(of_ours) / batch / fastest for name, fastest in peaks.items()}
    return {"plain": operations(of_plain) / batch / peaks["float32"], **ours}


def measure(folder: Path, batch: int, rounds: int, steps: int) -> list[Row]:
    """The rows of one batch size."""
    times: dict[str, list[float]] = {"plain": [], "float32": [], "auto": []}
    for _ in range(rounds):
        times["plain"].append(plain_run(folder.parent, batch, steps))
        for precision in ("float32", "auto"):
            times[precision].append(our_run(folder, batch, steps, precision))
        print(f"batch {batch}:", {name: f"{1 / found[-1]:.1f} images/s" for name, found in times.items()})
    least = shares(batch)
    middle = {name: statistics.median(found) for name, found in times.items()}
    extra = (
        f"plain, float32: {1 / middle['plain']:.1f} images/s, {100 * least['plain'] / middle['plain']:.0f} %"
    )
    rows = []
    for name in ("float32", "auto"):
        kind = str(pick_precision(name, CPU)).removeprefix("torch.")
        what = f"DCGAN-64, batch {batch}, whole `train`, {kind}"
        found = ratios(times["plain"], times[name])
        rows.append(Row(what, f"{1 / middle[name]:.1f} images/s", extra, found, least[name] / middle[name]))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, help="a folder of JPEG files inside another one of its own")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    if asked.quick:
        asked.batch, asked.rounds, asked.steps = [8], 1, 4
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        folder = asked.folder or Path(place) / "faces" / "all"
        if asked.folder is None:
            save_faces(folder, 64 if asked.quick else 1024)
        found = [measure(folder, batch, asked.rounds, asked.steps) for batch in asked.batch]
    print_table(list(itertools.chain.from_iterable(found)))


if __name__ == "__main__":
    main()
