"""How soon gansmith answers: `gansmith --help`, and `gansmith demo` until its first training step.

    python benchmarks/start.py [--rounds 10] [--quick]

The commands themselves are run, each in a process of its own. The first training step is that of `gansmith
demo --images 32`, one batch: its run is watched until the row of numbers of this step is written, which
is soon after it (held-out pictures are measured between). So the figure is rather too high than too low.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import Row, print_table, ratios

GANSMITH = (sys.executable, "-m", "gansmith")
WATCH = 0.005  # Seconds between two looks.


def seconds_of(*words: str) -> float:
    """How long a command takes."""
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def imports_torch(*words: str) -> bool:
    """Whether a Python command imports torch, by the interpreter's own list."""
    told = subprocess.run(
        (words[0], "-X", "importtime", *words[1:]),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    return re.search(r"\| +torch$", told.stderr.decode(), re.MULTILINE) is not None


def first_step() -> float:
    """Seconds until the numbers of the demo's first step are written."""
    with tempfile.TemporaryDirectory() as place:
        stats = Path(place) / "demo" / "stats.jsonl"
        words = (*GANSMITH, "demo", "--images", "32", "--run", str(stats.parent))
        start = time.perf_counter()
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                if stats.exists() and stats.stat().st_size:
                    seconds = time.perf_counter() - start
                    process.wait()
                    return seconds
                time.sleep(WATCH)
    raise SystemExit("The demo ended without a row of numbers; run `gansmith demo --images 32` to see why.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    rounds = 1 if asked.quick else asked.rounds
    commands = {
        "python": (sys.executable, "-c", "pass"),
        "torch": (sys.executable, "-c", "import torch"),
        "help": (*GANSMITH, "--help"),
    }
    for words in commands.values():
        seconds_of(*words)  # Files are in the system's memory from here on.
    times: dict[str, list[float]] = {name: [] for name in commands}
    steps = []
    for _ in range(rounds):
        for name, words in commands.items():
            times[name].append(seconds_of(*words))
        steps.append(first_step())
    middle = {name: statistics.median(found) for name, found in times.items()}
    torch_too = "torch is imported" if imports_torch(*commands["help"]) else "torch is not imported"
    print_table(
        [
            Row(
                f"`gansmith --help` ({torch_too})",
                f"{middle['help']:.2f} s",
                f"an empty Python: {middle['python']:.2f} s",
                ratios(times["python"], times["help"]),
            ),
            Row(
                "`gansmith demo` to the end of its first training step",
                f"{statistics.median(steps):.1f} s",
                f"`import torch`: {middle['torch']:.1f} s",
                ratios(times["torch"], steps),
            ),
        ]
    )


if __name__ == "__main__":
    main()
