"""Seconds for a step over processes, resolutions and sizes of the data set.

    python benchmarks/scaling.py [--rounds 3] [--steps 8] [--seconds 3] [--quick]

Processes: `gansmith train` of DCGAN-64 at batch 64, alone and under torchrun, the same batch shared out; each
run gets one thread for each process, or two threads in one process. Resolutions: DCGAN at 32, 64 and 128
px. Data sets: 1,000 to 10,000,000 pictures that are made when they are fetched, the real sampler and
loader, and networks so small (8 px) that a step takes milliseconds and anything beside it would be seen.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from measuring import (
    Row,
    noise_pictures,
    operations,
    our_trainer,
    peak,
    print_table,
    ratios,
    take_turns,
    with_settings,
)
from torch import Tensor

from gansmith.core.image_size import Size
from gansmith.data.dataset import DatasetInfo
from gansmith.data.loading.loader import Loader
from gansmith.data.metadata.facts import Refused
from gansmith.engine.device import pick_precision
from gansmith.engine.trainer import Trainer
from gansmith.recipes import named

CPU = torch.device("cpu")
FIRST, BATCH = 2, 64


def seconds_of_a_run(processes: int, threads: int, steps: int, settings: Sequence[str]) -> float:
    """Seconds for a step of a whole training command, from the rows it writes after the first two steps."""
    alone = (sys.executable, "-m", "gansmith")
    shared = (
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    )
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        words = [*(alone if processes == 1 else (*shared, "-m", "gansmith")), "train", "demo-faces:1024"]
        words += ["--recipe", "dcgan64", "--device", "cpu", "--run-dir", str(run)]
        length = [f"train.images={BATCH * (FIRST + steps)}", f"train.log_every={BATCH * FIRST}"]
        for setting in (*length, f"train.batch={BATCH}", *settings):
            words += ["--set", setting]
        there = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(words, env=there, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        lines = (run / "stats.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "images_per_second" in row]
    return BATCH * (rows[-1]["seconds"] - rows[0]["seconds"]) / (rows[-1]["images"] - rows[0]["images"])


def over_processes(rounds: int, steps: int, settings: Sequence[str] = ()) -> list[Row]:
    """One process of one thread, two of one thread, one of two threads."""
    cases = {
        "1 process, 1 thread": (1, 1),
        "2 processes, 1 thread each": (2, 1),
        "1 process, 2 threads": (1, 2),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (processes, threads) in cases.items():
            times[name].append(seconds_of_a_run(processes, threads, steps, settings))
        print("processes:", {name: f"{found[-1]:.2f} s" for name, found in times.items()}, flush=True)
    base = times["1 process, 1 thread"]
    return [
        Row(
            f"DCGAN-64, batch {BATCH}, a step, {name}",
            _milliseconds(found),
            "1 process, 1 thread",
            ratios(base, found),
        )
        for name, found in times.items()
    ]


def over_resolutions(sizes: Sequence[int], batch: int, rounds: int, seconds: float) -> list[Row]:
    """DCGAN with one doubling more at each size; the ratio is of operations a second."""
    recipe = with_settings(named("dcgan64"), batch=batch)
    steps = {
        size: our_trainer(
            replace(recipe, data=replace(recipe.data, size=Size(size, size))), noise_pictures(256, size), CPU
        ).step
        for size in sizes
    }
    counted = {size: operations(step) for size, step in steps.items()}
    times = take_turns({str(size): step for size, step in steps.items()}, rounds, seconds, CPU)
    fastest = peak(pick_precision("auto", CPU), CPU)
    speeds = {size: [counted[size] / each for each in times[str(size)]] for size in sizes}
    return [
        Row(
            f"DCGAN at {size} px, batch {batch}, a step of {counted[size] / 1e9:.0f} billion operations",
            _milliseconds(times[str(size)]),
            f"operations a second at {sizes[0]} px",
            ratios(speeds[size], speeds[sizes[0]]),
            statistics.median(speeds[size]) / fastest,
        )
        for size in sizes
    ]


class MadeOnFetch:
    """Any number of pictures of 8 px that take no memory."""

    refused: tuple[Refused, ...] = ()
    info = DatasetInfo()
    in_arrays = False
    columns: tuple[str, ...] = ("images",)

    def __init__(self, length: int) -> None:
        self.name = self.fingerprint = f"{length} pictures"
        self._length = length

    def __len__(self) -> int:
        return self._length

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """Flat pictures, the row as their level."""
        level = (rows % 251).to(torch.uint8)
        return {"images": level[:, None, None, None].expand(-1, 3, 8, 8).contiguous()}


def over_data(lengths: Sequence[int], rounds: int, seconds: float) -> list[Row]:
    """RpGAN at 8 px with narrow networks, over data sets of several sizes."""
    recipe = named("rpgan8")
    method = replace(recipe.method, generator_width=4, discriminator_width=4)  # type: ignore[type-var]
    recipe = replace(recipe, method=method, data=replace(recipe.data, channels=3))
    loops = {}
    for length in lengths:
        loader = Loader(MadeOnFetch(length), method.batch_type, recipe.data, recipe.train.seed, CPU)
        loops[f"{length:,}"] = Trainer(recipe, loader, CPU).step
    times = take_turns(loops, rounds, seconds, CPU)
    base = times[f"{lengths[0]:,}"]
    return [
        Row(
            f"{name} pictures, a step of a tiny RpGAN",
            _milliseconds(found),
            f"{lengths[0]:,} pictures",
            ratios(base, found),
        )
        for name, found in times.items()
    ]


def _milliseconds(times: Sequence[float]) -> str:
    return f"{1000 * statistics.median(times):,.1f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    torch.manual_seed(0)
    if asked.quick:
        tiny = ("method.generator_width=4", "method.discriminator_width=4", "data.size=16")
        rows = over_data([1_000, 100_000], 1, 0.2)
        rows += over_resolutions([16, 32], 4, 1, 0.0)
        rows += over_processes(1, 2, tiny)
    else:
        rows = over_data([10**power for power in range(3, 8)], asked.rounds, asked.seconds)
        rows += over_resolutions([32, 64, 128], 32, asked.rounds, asked.seconds)
        rows += over_processes(asked.rounds, asked.steps)
    print_table(rows)


if __name__ == "__main__":
    main()
