"""What precision, recall, density and coverage cost: seconds and memory for random features.

    python benchmarks/neighbours.py [--count 5000] [--size 2048] [--memory 1024] [--device cpu]

Two sets of ``count`` random features each. Products take 4 count^2 size multiplications, so ten times the
pictures take a hundred times as long; memory grows with the features alone. Random normal features of
2,048 numbers are nearly all equally far apart: the hardest case for rounding, hence the row of exact pairs.
"""

import argparse
import resource
import time

import torch

from gansmith.metrics.math.distances import Space
from gansmith.metrics.scores.prdc import neighbours


def resident() -> float:
    """The most memory this process has had so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--size", type=int, default=2_048)
    parser.add_argument("--memory", type=int, default=1_024, help="MiB for the work")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    made, real = (
        torch.randn(options.count, options.size, generator=generator).to(options.device) for _ in range(2)
    )
    exact = 0
    measure = Space.exactly

    def counting(space: Space, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        nonlocal exact
        exact += len(x)
        return measure(space, x, y)

    Space.exactly = counting  # type: ignore[method-assign]
    before, start = resident(), time.perf_counter()
    found = neighbours(made, real, memory=options.memory * 2**20)
    seconds = time.perf_counter() - start
    products = 4 * options.count**2 * options.size
    print(" ".join(f"{name} {value.value:.4f}" for name, value in found.items()))
    print(f"{options.count} + {options.count} pictures of {options.size} numbers: {seconds:.1f} s")
    print(
        f"{products / seconds / 1e9:.1f} billion multiplications a second, {torch.get_num_threads()} threads"
    )
    print(f"{exact} pairs measured exactly, of {4 * options.count**2} distances")
    print(f"memory {resident():.0f} MiB at most, of which {before:.0f} before it began")
    if options.device.startswith("cuda"):
        print(f"memory of the device {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB at most")


if __name__ == "__main__":
    main()
