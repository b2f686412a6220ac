"""The standing check of data: spoiled files of every kind, read while time and memory are counted."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from spoiled import KINDS, PICTURES

pytestmark = pytest.mark.slow
COUNT = int(
    os.environ.get("FUZZ_COUNT") or "100"
)  # Of each kind; a twelfth of it of each format of pictures.
SEED = int(os.environ.get("FUZZ_SEED") or "0")
MOST_SECONDS = 10  # For one file.
MOST_MEMORY = 512  # MiB more than before.

READER = """
import json, resource, signal, sys, time
import torch
torch.set_num_threads(1)
from pathlib import Path
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.inspect.inspect import inspect
from gansmith.data.inspect.report import as_text
from gansmith.data.open import open_data
from gansmith.errors import GansmithError
from gansmith.images.origin import read_origin
from gansmith.metrics.math.distances import Space
from gansmith.metrics.scores.fid import fid
from gansmith.metrics.statistics import load

def data(path):
    data = open_data(str(path), DataConfig(size=Size(8, 8)))
    data.fetch(torch.arange(min(len(data), 20)))
    as_text(inspect(str(path), max_pictures=20, workers=1).report)
    return not data.refused

def statistics(path):
    found = load(path)
    fid(found.moments, found.moments)
    return True

def mark(path):
    found = read_origin(path)
    found.as_text(), json.dumps(found.as_json())
    return found.problem is None

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

kinds = {"statistics": statistics, "mark": mark}
resource.setrlimit(resource.RLIMIT_DATA, (4 * 2**30,) * 2)
for line in sys.stdin:
    kind, path = json.loads(line)
    Path("/proc/self/clear_refs").write_text("5")  # From here on the peak is counted anew.
    before, start, fault = memory("VmRSS"), time.perf_counter(), ""
    signal.alarm(60)
    try:
        outcome = "used" if kinds.get(kind, data)(Path(path)) else "in part"
    except GansmithError as error:
        outcome = "refused"
    except Exception as error:
        outcome, fault = "fault", f"{type(error).__module__}.{type(error).__name__}: {error}"[:300]
    signal.alarm(0)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # Of the largest until now.
    grown = max(memory("VmHWM") - before, children)
    print(json.dumps([outcome, fault, time.perf_counter() - start, grown]), flush=True)
"""


def read(kind: str, paths: list[Path]) -> Iterator[list[Any]]:
    """[outcome, fault, seconds, MiB] of each; a process that dies is a fault of the file it read."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["src", "tests"]), "OMP_NUM_THREADS": "1"}
    while paths:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", READER],
            input="".join(json.dumps([kind, str(path)]) + "\n" for path in paths),
            capture_output=True, text=True, check=False, env=environment, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        found = [json.loads(line) for line in done.stdout.splitlines()]
        yield from found
        paths = paths[len(found) :]
        if done.returncode:
            name = signal.Signals(-done.returncode).name if done.returncode < 0 else done.stderr[-500:]
            yield ["fault", f"the process died: {name}", 0.0, 0.0]
            paths = paths[1:]


@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_data_are_used_or_refused_in_words(kind: str, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {kind}")
    whole = tmp_path / "whole"
    whole.mkdir()
    KINDS[kind].make(whole)
    count = COUNT if not kind.startswith("picture") else max(5, 12 * COUNT // len(PICTURES))
    places = [KINDS[kind].copy(whole, tmp_path / f"{number}", chance) for number in range(count)]
    results = list(read(kind, places))
    assert len(results) == count
    outcomes = [result[0] for result in results]
    slowest, most = (max(result[place] for result in results) for place in (2, 3))
    faults = [f"{places[i]}: {result[1]}" for i, result in enumerate(results) if result[0] == "fault"]
    large = [
        f"{places[i]}: {result[3]:.0f} MiB" for i, result in enumerate(results) if result[3] > MOST_MEMORY
    ]
    counts = " | ".join(str(outcomes.count(name)) for name in ("refused", "in part", "used", "fault"))
    print(f"\n| {kind} | {counts} | {slowest:.2f} | {most:.0f} |")
    if kept := os.environ.get("FUZZ_KEEP"):
        shutil.copytree(tmp_path, Path(kept) / kind.replace(" ", "_"), dirs_exist_ok=True)
    assert not faults, "\n".join(faults)
    assert not large, "\n".join(large)
    assert slowest < MOST_SECONDS
