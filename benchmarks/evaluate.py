"""How fast pictures are evaluated, beside torch-fidelity, with the same Inception network and weights.

    python benchmarks/evaluate.py PICTURES [--count 128] [--rounds 3]

PICTURES is a folder or zip; one half is compared with another, at 64 px. Weights are random (the arithmetic
is the same, and no download is needed). Both compute FID, KID and the Inception score with the classic
resizing; they take turns, and a figure is the median of the rounds. The numbers are printed, too.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.open import open_data
from gansmith.metrics.compute import compute
from gansmith.metrics.features.inception import random_inception
from gansmith.metrics.features.packages import start
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import DataPictures

METRICS = ("fid", "kid", "is")


class Pictures(torch.utils.data.Dataset[torch.Tensor]):
    """Pictures for torch-fidelity."""

    def __init__(self, images: torch.Tensor) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._images[index]


def theirs(sides: list[torch.Tensor], weights: Path) -> dict[str, float]:
    """The numbers of torch-fidelity."""
    library: Any = start("torch_fidelity", "torch-fidelity", "This benchmark")
    found = library.calculate_metrics(
        input1=Pictures(sides[0]),
        input2=Pictures(sides[1]),
        feature_extractor_weights_path=str(weights),
        fid=True,
        kid=True,
        isc=True,
        kid_subset_size=len(sides[0]),
        cuda=False,
        batch_size=32,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
    )
    names = {
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "is": "inception_score_mean",
    }
    return {name: float(found[key]) for name, key in names.items()}


def ours(sides: list[DataPictures]) -> dict[str, float]:
    """The numbers of gansmith."""
    network = open_features("inception", weights="random:0", resize="legacy")
    found = compute(sides[0], sides[1], network, METRICS)
    return {name: found.values[name].value for name in METRICS}


def main() -> None:
    """Take turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pictures")
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    data = open_data(asked.pictures, DataConfig(size=Size(64, 64), channels=3))
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: 2 * asked.count]
    halves = [part.sort().values for part in torch.split(rows, asked.count)]
    tensors = [data.fetch(part, ("images",))["images"].contiguous() for part in halves]
    sets = [DataPictures(data, f"half {n}", f"half {n}", part) for n, part in enumerate(halves)]
    with tempfile.TemporaryDirectory() as place:
        weights = Path(place) / "weights.pth"
        torch.save(random_inception(0), weights)
        work: dict[str, Callable[[], dict[str, float]]] = {
            "torch-fidelity": lambda: theirs(tensors, weights),
            "gansmith": lambda: ours(sets),
        }
        seconds: dict[str, list[float]] = {name: [] for name in work}
        numbers: dict[str, dict[str, float]] = {}
        for _ in range(asked.rounds):
            for name, run in work.items():
                before = time.perf_counter()
                numbers[name] = run()
                seconds[name].append(time.perf_counter() - before)
    rates = {name: 2 * asked.count / statistics.median(times) for name, times in seconds.items()}
    for name, rate in rates.items():
        print(f"{name:16} {rate:8.2f} pictures/s   {numbers[name]}")
    pairs = zip(seconds["torch-fidelity"], seconds["gansmith"], strict=True)
    ratios = sorted(other / mine for other, mine in pairs)
    print(f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
