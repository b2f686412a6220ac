"""The standing check: seeded mutations of files, read in a process of their own whose time is counted."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import lies
import pytest
import torch
from sessions import go

from gansmith.runs.run import Run

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("FUZZ_COUNT") or "100")  # Of each kind of file.
SEED = int(os.environ.get("FUZZ_SEED") or "0")
MOST_SECONDS = 10  # For one file.

READER = """
import json, sys, time
import toys
from gansmith.config.serialization import know
from pathlib import Path
from gansmith.data.sources.parquet import TableSource
from gansmith.errors import GansmithError
from gansmith.core.noise import Noise
from gansmith.models.load import open_generator
from gansmith.reporting.page import report
from gansmith.runs.run import Run
know(toys)
def run(path):
    return Run.open(path).facts_of_data(), Run.open(path).rows(), Run.open(path).rollbacks()
def table(path):
    source = TableSource(path)
    for index in range(len(source.names)):
        source.read(index)
kinds = {
    "parquet": table,
    "arrow": table,
    "checkpoint": lambda path: open_generator(str(path), "cpu").make(Noise.of(0)),
    "foreign": lambda path: open_generator(str(path), "cpu").make(Noise.of(0)),
    "recipe": run,
    "report": lambda path: report(path, path / "page.html"),
}
slowest, refused, taken, faults = 0.0, 0, 0, []
for line in sys.stdin:
    kind, path = json.loads(line)
    start = time.perf_counter()
    try:
        kinds[kind](Path(path))
        taken += 1
    except GansmithError:
        refused += 1
    except Exception as error:
        faults.append(f"{path}: {type(error).__name__}: {error}"[:300])
    slowest = max(slowest, time.perf_counter() - start)
print(json.dumps([refused, taken, faults, round(slowest, 2)]))
"""


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut out, put in or doubled."""
    for _ in range(chance.choice((1, 1, 4))):
        place, kind = chance.randrange(len(content) + 1), chance.randrange(4)
        before, after = content[:place], content[place:]
        odd = chance.choice((b"[" * 1000, b'{"a":' * 1000, b"9" * 30, b"\x00" * 9, b"\xff", b"null", b'"'))
        content = (
            before + odd + after, before + after[chance.randrange(1, 200) :],
            before + bytes([chance.randrange(256)]) + after[1:], before + after[:500] + after,
        )[kind]  # fmt: skip
    return content


def wrong_run(run: Path, place: Path, names: list[str], chance: random.Random) -> None:
    """A copy of a run without its checkpoints, one of its files changed."""
    shutil.copytree(run, place, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    file = place / chance.choice(names)
    if chance.random() < 0.5 and file.suffix == ".json":
        _, tree = lies.odd_tree(json.loads(file.read_text()), chance)
        file.write_text(json.dumps(tree))
    else:
        file.write_bytes(mutated(file.read_bytes(), chance))


def tables(kind: str, folder: Path, chance: random.Random) -> list[Path]:
    """Tables of images, the first as it was written."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    made = arrow.table(
        {"image": [bytes([at]) * 200 for at in range(40)], "label": [0, 1] * 20, "text": ["a"] * 40}
    )
    paths = [folder / f"whole.{kind}", *(folder / f"{number}.{kind}" for number in range(COUNT))]
    if kind == "parquet":
        parquet.write_table(made, paths[0], row_group_size=10)
    else:
        opener = chance.choice((arrow.ipc.new_stream, arrow.ipc.new_file))
        with arrow.OSFile(str(paths[0]), "wb") as file, opener(file, made.schema) as out:
            out.write_table(made, max_chunksize=10)
    whole = paths[0].read_bytes()
    for path in paths[1:]:
        raw = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20))):
            raw[chance.randrange(len(raw))] = chance.choice((0, 255, chance.randrange(256)))
        path.write_bytes(mutated(whole, chance) if chance.random() < 0.3 else raw)
    return paths


def files(kind: str, run: Path, folder: Path, chance: random.Random) -> list[Path]:
    if kind in ("parquet", "arrow"):
        return tables(kind, folder, chance)
    checkpoint = Run.open(run).checkpoint_files()[-1]
    tensors, facts = lies.read(checkpoint)
    weights = {"0.weight": torch.randn(8, 4, 4, 4), "2.weight": torch.randn(4, 3, 4, 4)}
    torch.save({"g": weights}, folder / "g.pt")
    foreign = (folder / "g.pt").read_bytes()
    whole = {"checkpoint": checkpoint, "foreign": folder / "g.pt"}
    made = [whole.get(kind, run)]  # What is right is used.
    for number in range(COUNT):
        path = folder / f"{kind}{number}"
        if kind == "checkpoint":
            path = path.with_suffix(".safetensors")
            if number % 3 == 0:
                path.write_bytes(mutated(checkpoint.read_bytes(), chance))
            else:
                change: Any = lies.odd_tensors(tensors, chance)[1] if number % 3 == 1 else tensors
                lies.write(path, change, lies.odd_tree(facts, chance)[1] if number % 3 == 2 else facts)
        elif kind == "foreign":
            path = path.with_suffix(".pt")
            path.write_bytes(mutated(foreign, chance))
        else:
            names = ["recipe.json"] if kind == "recipe" else ["recipe.json", "data.json", "stats.jsonl"]
            wrong_run(run, path, names, chance)
        made.append(path)
    return made


@pytest.mark.parametrize("kind", ["checkpoint", "foreign", "recipe", "report", "parquet", "arrow"])
def test_every_file_is_used_or_refused_in_words(kind: str, tmp_path: Path) -> None:
    go(tmp_path / "run")
    lines = [json.dumps([kind, str(p)]) for p in files(kind, tmp_path / "run", tmp_path, random.Random(SEED))]
    done = subprocess.run(
        [sys.executable, "-c", READER], input="\n".join(lines), capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(["src", "tests"])}, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    refused, taken, faults, slowest = json.loads(done.stdout.splitlines()[-1])
    print(f"{kind}: {refused} refused, {taken} used, {len(faults)} faults, {slowest} s")
    assert not faults, faults
    assert refused and taken and slowest < MOST_SECONDS
