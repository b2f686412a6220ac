"""Which recipe makes the best images in a given time? Each is trained equally long, and one table is printed.

    python benchmarks/quality.py DATA --recipes faces32 dcgan32 --time 3m --seeds 0 1 2 --out DIR

A recipe may carry settings of its own: ``faces32,method.generator_width=48``. Runs lie in ``--out``; the
same command again goes on where it stopped, and trains nothing twice. The runs take turns, seed by seed, so
that what else a machine does disturbs all alike. Columns:

    face         Frechet distance of dlib's face descriptor (gansmith[faces]; or --no-faces)
    recall       share of real faces within reach of a generated one, by the same descriptor (k = 3)
    swd          sliced Wasserstein distance x 1000 by Laplacian level, finest first (sliced_wasserstein.py)
    spread       standard deviation of pixels over images, as a share of that of the real ones
    images/s     of training alone, and how many images were seen

The first row compares real images with other real ones, and is the best that any generator could reach.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import machine
from numpy.typing import NDArray
from sliced_wasserstein import distance
from torch import Tensor

from gansmith.data.loading.sampler import split
from gansmith.data.open import open_data
from gansmith.metrics.features.face import open_face
from gansmith.models.load import open_generator
from gansmith.models.write import pictures
from gansmith.runs.run import Run

Descriptors = NDArray[np.float64]
SPLIT = 0  # Seed of training and held-out images for the figures, so that they are the same for all.
COLUMNS = ("recipe", "seed", "face", "recall", "swd", "spread", "images/s", "images", "seconds")


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--recipes", nargs="+", required=True, metavar="NAME[,A.B=V...]")
    parser.add_argument("--time", default="10m")
    parser.add_argument(
        "--images", type=int, help="As many for each instead of a time, on a machine that is shared."
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=900)
    parser.add_argument("--out", type=Path, default=Path("quality"))
    parser.add_argument("--faces", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--code", help="A Python file with parts of your own, for train and here.")
    options = parser.parse_args()
    if options.code:
        from gansmith.models.user_code import import_code

        import_code(options.code)
    print(f"\n{options.data}, {length_of(options)} each, {machine()}\n")
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
    floor_done = False
    for seed in options.seeds:
        for asked in options.recipes:
            place = options.out / f"{asked.replace(',', '+').replace('/', '_')}-{seed}"
            row = measured(options, asked, seed, place)
            if not floor_done:
                print(line("real", "", row["floor"]), flush=True)
                floor_done = True
            print(line(asked, str(seed), row), flush=True)


def measured(options: argparse.Namespace, asked: str, seed: int, place: Path) -> dict[str, Any]:
    """What one run came to; kept beside it, with what it was asked for."""
    kept = place / "quality.json"
    question = {
        "data": str(Path(options.data).expanduser()),
        "length": length_of(options),
        "samples": options.samples,
    }
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text())
        if found.pop("asked", question) != question:
            sys.exit(f"{kept} is of other data or another length than {question}. Choose another --out.")
        return found
    recipe, *settings = re.split(
        r",(?![^()]*\))", asked
    )  # Not at the commas within Linear(start=0.5,end=0.1).
    command = [sys.executable, "-m", "gansmith", "train", options.data, "--recipe", recipe]
    command += ["--run", str(place), "--set", f"train.seed={seed}"]
    command += ["--set", f"train.images={options.images}"] if options.images else ["--time", options.time]
    for setting in settings:
        command += ["--set", setting]
    command += ["--code", options.code] if options.code else []
    start = time.perf_counter()
    with options.out.mkdir(parents=True, exist_ok=True) or open(f"{place}.log", "w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env=dict(os.environ))
    seconds = time.perf_counter() - start
    run = Run.open(place)
    rows = [row["images_per_second"] for row in run.rows() if "images_per_second" in row]
    found = scores(run, options)
    found |= {"speed": float(np.median(rows)), "images": run.recipe.train.images, "seconds": seconds}
    kept.write_text(json.dumps({"asked": question, **found}))
    return found


def length_of(options: argparse.Namespace) -> str:
    """How long each is trained, in words."""
    return f"{options.images:,} images" if options.images else str(options.time)


def scores(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of a run, and of real images beside real ones under ``floor``."""
    recipe = run.recipe
    data = open_data(options.data, recipe.data, fields=recipe.method.batch_type._fields)
    training, held_out = split(len(data), recipe.data.validation, SPLIT)
    count = min(options.samples, len(held_out))
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(0))
    real = data.fetch(training[order[:count]])["images"]
    others = data.fetch(held_out[:count])["images"]
    fake = torch.cat([part for _, part in pictures(open_generator(str(run.path)), range(count))])
    with_faces = options.faces and real.shape[1] == 3
    found = one(real, fake)
    which = f"{hashlib.sha256(data.fingerprint.encode()).hexdigest()[:8]}-{recipe.data.size}-{count}"
    floor = known(options.out / f"real-{which}.json", lambda: one(real, others))
    if with_faces:
        places = [options.out / f"{name}-{which}.npy" for name in ("real", "others")]
        for place, images in zip(places, (real, others), strict=True):
            if not place.is_file():
                np.save(place, descriptors(images))
        of_real, of_others = (np.load(place) for place in places)
        of_fake = descriptors(fake)
        found |= {"face": frechet(of_real, of_fake), "recall": recall(of_real, of_fake)}
        floor |= {"face": frechet(of_real, of_others), "recall": recall(of_real, of_others)}
    return found | {"floor": floor}


def known(place: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file holds, measured and written where there is none."""
    if not place.is_file():
        place.write_text(json.dumps(measure()))
    found: dict[str, Any] = json.loads(place.read_text())
    return found


def one(real: Tensor, those: Tensor) -> dict[str, Any]:
    """Figures of pixels, of one set beside another."""
    spread = float(those.float().std(0).mean() / real.float().std(0).mean())
    return {"swd": distance(real, those, 0), "spread": spread}


def descriptors(images: Tensor) -> Descriptors:
    """Dlib's 128 numbers of each face, float64 [n, 128]."""
    return open_face()(images).features.double().numpy()


def frechet(a: Descriptors, b: Descriptors) -> float:
    """|mean - mean|^2 + tr(A + B - 2 (A B)^(1/2)), the root by eigenvalues."""
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values = np.linalg.eigvals(first @ second)
    root = np.sqrt(np.clip(values.real, 0.0, None)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first) + np.trace(second) - 2.0 * root)


def recall(real: Descriptors, fake: Descriptors, neighbours: int = 3) -> float:
    """Share of real faces within the reach of a generated one (Kynkaanniemi 2019)."""
    a, b = torch.from_numpy(real), torch.from_numpy(fake)
    reach = torch.cdist(b, b).sort(dim=1).values[:, neighbours]
    return float((torch.cdist(a, b) <= reach).any(1).double().mean())


def line(recipe: str, seed: str, row: dict[str, Any]) -> str:
    """A line of the table."""
    face, recall = (f"{row[name]:.3f}" if name in row else "-" for name in ("face", "recall"))
    levels = " ".join(f"{level:.0f}" for level in row["swd"])
    numbers = (f"{row[name]:.0f}" if name in row else "-" for name in ("speed", "images", "seconds"))
    cells = (recipe, seed, face, recall, levels, f"{row['spread']:.2f}", *numbers)
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
