"""Steps of WGAN-GP at 64 px, second derivatives and all, beside the plain eager loop in float32.

    python benchmarks/train_wgan_gp.py [--batch 4] [--rounds 3] [--seconds 10] [--quick]

The networks of the recipe wgan-gp64 and five moves of the critic for one of the generator in both loops
(benchmarks/plain.py), on pictures in memory. They take turns of some seconds.
"""

import argparse

import torch
from measuring import print_table
from steps import CASES, Bench


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    torch.manual_seed(0)
    both = ("float32", "auto")
    bench = Bench(torch.device("cpu"), asked.rounds, asked.seconds, both)
    if asked.quick:
        asked.batch, bench = 2, Bench(torch.device("cpu"), 1, 0.0, both, width=8)
    case = next(case for case in CASES if case.name == "WGAN-GP-64")
    print_table(bench.rows(case, asked.batch))


if __name__ == "__main__":
    main()
