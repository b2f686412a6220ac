"""Opening a prepared set of ten million pictures: seconds and memory, from the command to the first batch.

    python benchmarks/many_entries.py [--entries 10000000]

The set is synthetic: its pictures are holes in a sparse file (123 GB that take no room on disk), its names
and labels are real. A process of its own opens it, then makes a loader and one batch, and tells what that
took; memory is the most the process held, the interpreter and torch included.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gansmith.core.files import write_text
from gansmith.data.inspect.measure import SEEN
from gansmith.data.prepare.columns import ArrayWriter
from gansmith.data.prepare.format import write_description

_AT_ONCE = 1_000_000


def make(folder: Path, entries: int) -> None:
    """A prepared set of that many pictures of 64 px."""
    holes = {"images": ((64, 64, 3), np.uint8), "seen": ((), SEEN), "rows": ((), np.int64)}
    for name, (shape, kind) in holes.items():
        column = ArrayWriter(folder / f"{name}.npy", kind, shape)
        row = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        column.rows = entries
        column.close()
        with open(folder / f"{name}.npy", "r+b") as file:
            file.truncate(file.seek(0, 2) + entries * row)
    names, labels = (ArrayWriter(folder / f"{name}.npy", np.int64, ()) for name in ("names", "labels"))
    with open(folder / "names.utf8", "wb") as file:
        for start in range(0, entries, _AT_ONCE):
            numbers = np.arange(start, min(start + _AT_ONCE, entries))
            file.write(b"".join(b"%08d.png" % number for number in numbers.tolist()))
            names.append((numbers + 1) * 12)
            labels.append(numbers % 10)
    names.close()
    labels.close()
    told = {
        "pictures": entries,
        "fingerprint": "synthetic",
        "label_names": [str(number) for number in range(10)],
        "attribute_names": [],
        "landmark_names": [],
        "caption_bytes": 0,
        "made": {},
    }
    write_text(folder / "set.json", write_description(folder, told))


def most_memory() -> float:
    """The most this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def look(folder: Path) -> dict[str, float]:
    """What opening and the first batch take."""
    import torch

    from gansmith.data.config import DataConfig
    from gansmith.data.loading.loader import Loader
    from gansmith.data.open import open_data
    from gansmith.methods.batches import LabelledBatch

    before, start = most_memory(), time.perf_counter()
    data = open_data(str(folder), DataConfig())
    opened = time.perf_counter() - start
    after_open = most_memory()
    loader = Loader(data, LabelledBatch, DataConfig(), 0, torch.device("cpu"))
    batch = loader.batch(0, 64, 64)
    first = time.perf_counter() - start
    assert batch.labels.shape == (64,) and len(data) == len(loader.training) + len(loader.held_out)
    loader.close()
    return {
        "MB before opening": before,
        "seconds to open": opened,
        "MB when open": after_open,
        "seconds to the first batch": first,
        "MB at the first batch": most_memory(),
    }


def main() -> None:
    """Make the set, look at it in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.look is not None:
        print(json.dumps(look(asked.look)))
        return
    with tempfile.TemporaryDirectory() as place:
        make(Path(place), asked.entries)
        words = [sys.executable, __file__, "--look", place]
        told = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout
        for name, value in json.loads(told).items():
            print(f"{name:28} {value:8.2f}")


if __name__ == "__main__":
    main()
