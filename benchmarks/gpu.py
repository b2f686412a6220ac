"""On a GPU: images per second, memory and share of the matrix-product peak, beside the plain eager loop.

    python benchmarks/gpu.py [--batch 64 128 1024] [--minutes 8] [--seconds 2] [--rounds 3]
    python benchmarks/gpu.py --compile on                  ours compiled (train.engine.compile)
    python benchmarks/gpu.py --device cpu --quick          only see that it works

Each method that makes images of noise or of classes (steps.CASES), on pictures in memory, so this is the step
itself: ours in bfloat16 as `train.precision=auto` has it, the plain loop (benchmarks/plain.py) in float32 as
torch's defaults have it: written out for DCGAN and WGAN-GP, else the method's own networks and losses with
every gradient that `backward` computes. They take turns. Of turns that are played now and then, the share of
the peak counts those of one step. Memory is the most that torch held for each. What does not fit into
memory, or for which no time is left, is said. The table comes last.
"""

import argparse
import time

import torch
from measuring import Row, print_table
from steps import CASES, Bench


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128, 1024])
    parser.add_argument("--case", default="", help="only cases with this in their name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--minutes", type=float, default=8.0, help="begin no new row after so long")
    parser.add_argument("--compile", default="off", choices=["off", "on", "graphs"])
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    start = time.perf_counter()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("There is no CUDA device on this machine. To try the script: --device cpu --quick")
    torch.manual_seed(0)
    device = torch.device(asked.device)
    bench = Bench(device, asked.rounds, asked.seconds, compile=asked.compile)
    if asked.quick:
        asked.batch, bench = [4], Bench(device, 1, 0.0, width=8, compile=asked.compile)
    told = {str(kind): f"{speed / 1e12:.2f} TFLOP/s" for kind, speed in bench.peaks.items()}
    print(f"A large product of matrices: {told}", flush=True)
    rows: list[Row] = []
    for batch in asked.batch:
        for case in CASES:
            if asked.case not in case.name:
                continue
            if time.perf_counter() - start > 60 * asked.minutes:
                rows.append(Row(f"{case.name}, batch {batch}", "no time was left"))
                continue
            rows += bench.rows(case, batch)
            print(f"{time.perf_counter() - start:.0f} s: {rows[-1]}", flush=True)
    print_table(rows)


if __name__ == "__main__":
    main()
