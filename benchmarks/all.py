"""All benchmarks that need no pictures of yours, one after the other, and one table last.

    python benchmarks/all.py [--quick]

What `make bench` runs. Each script runs in a process of its own; on a machine with a GPU the GPU's is among
them. What needs a package that is not here is said. --quick only sees that all of them work.
"""

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from measuring import HEADER, machine

HERE = Path(__file__).parent
QUICK = ("--quick",)
SCRIPTS = {  # Script -> what makes it quick.
    "start.py": QUICK,
    "generate.py": ("--count", "16", "--rounds", "1"),
    "train_dcgan.py": QUICK,
    "train_wgan_gp.py": QUICK,
    "train_translators.py": QUICK,
    "methods.py": QUICK,
    "health.py": QUICK,
    "scaling.py": QUICK,
    "convolutions.py": ("--batch", "4", "--rounds", "1"),
    "neighbours.py": ("--count", "200", "--size", "64"),
    "many_entries.py": ("--entries", "10000"),
    "app.py": QUICK,
}
NEEDS = {"app.py": ("fastapi", "playwright")}
ELSEWHERE = {  # Script -> why it is not among them.
    "all.py": "it runs the others",
    "gpu.py": "it needs a GPU, and is run where there is one",
    "face_alignment.py": "it tells pixels, in a table of its own, and wants photographs beside drawn faces",
    "structure.py": "it counts lines, and measures nothing",
}


def run(script: Path, *words: str) -> list[str]:
    """Run a script, show what it says, and keep the lines of its tables."""
    print(f"\n==== {script.name} {' '.join(words)}", flush=True)
    kept = []
    with subprocess.Popen((sys.executable, script, *words), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("|"):
                kept.append(line.rstrip())
    if process.returncode:
        kept.append(f"| {script.name} | ended with {process.returncode} | - | - | - |")
    return kept


def main() -> None:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only see that all of them work")
    asked = parser.parse_args()
    scripts = {**SCRIPTS, **({"gpu.py": QUICK} if torch.cuda.is_available() else {})}
    lines = []
    for name, quick in scripts.items():
        missing = [package for package in NEEDS.get(name, ()) if find_spec(package) is None]
        if missing:
            print(f"\n==== {name} left out: {' and '.join(missing)} not installed", flush=True)
        else:
            lines += run(HERE / name, *(quick if asked.quick else ()))
    rows = [line for line in lines if line != HEADER and not line.startswith("|--")]
    if asked.quick:
        print("\nWith --quick the scripts are only seen to work: what follows are no figures.")
    print(f"\n{machine()}\n\n{HEADER}\n|---|---|---|---|---|", *rows, sep="\n")
    if any("ended with" in row for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
