"""A step of each method that makes images of noise or of classes beside the plain eager loop, on a processor.

    python benchmarks/methods.py [--batch 8] [--case NAME] [--rounds 5] [--seconds 0.5] [--quick]

Recipes that a processor trains, on pictures in memory; ours in float32 and as `train.precision=auto` has it,
the plain loop (benchmarks/plain.py: the method's own networks and losses, or written out) in float32. They
take turns, and times are the processor's for this process, so that others on the machine disturb less.
"""

import argparse
import time

import torch
from measuring import Row, print_table
from steps import SMALL_CASES, Bench


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--case", default="", help="only cases with this in their name")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    torch.manual_seed(0)
    cpu, precisions = torch.device("cpu"), ("float32", "auto")
    bench = Bench(cpu, asked.rounds, asked.seconds, precisions, clock=time.process_time)
    if asked.quick:
        asked.batch, bench = 4, Bench(cpu, 1, 0.0, precisions, width=8, clock=time.process_time)
    rows: list[Row] = []
    for case in SMALL_CASES:
        if asked.case in case.name:
            rows += bench.rows(case, asked.batch)
            print(rows[-2], rows[-1], sep="\n", flush=True)
    print_table(rows)


if __name__ == "__main__":
    main()
