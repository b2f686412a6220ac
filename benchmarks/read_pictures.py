"""How fast pictures reach training, by the form they are stored in: float batches of 64 at 64 px.

    python benchmarks/read_pictures.py PHOTOGRAPHS [--count 2000] [--seconds 4] [--rounds 3]

PHOTOGRAPHS is a folder or zip of real photographs. Each form holds the same pictures; batches are shuffled,
as in training. Ours are read by gansmith's Loader with its one thread ahead, torchvision's ImageFolder by a
DataLoader with two worker processes. "open" is the time until the first batch. Forms take turns; a figure
is the median of the rounds.
"""

import argparse
import io
import shutil
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gansmith.core.image_size import Form, Size
from gansmith.data.builtin.sets import import_torchvision
from gansmith.data.config import DataConfig
from gansmith.data.decode.resize import decode
from gansmith.data.load import LazyDataSet
from gansmith.data.loading.loader import Loader
from gansmith.data.mapped import MappedDataSet
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.data.sources.open import open_source
from gansmith.data.sources.shard_writer import ShardWriter
from gansmith.methods.batches import ImageBatch

BATCH, SIDE = 64, 64
CONFIG = DataConfig(size=Size(SIDE, SIDE), channels=3, validation=0.0)
Batches = Iterator[torch.Tensor]


def ours(data: Any) -> Batches:
    """Batches by gansmith's loader."""
    loader: Loader[ImageBatch] = Loader(data, ImageBatch, CONFIG, 0, torch.device("cpu"))
    position = 0
    try:
        while True:
            yield loader.batch(position, BATCH, position + BATCH).images
            position += BATCH
    finally:
        loader.close()


def image_folder(folder: Path) -> Batches:
    """Batches by torchvision's ImageFolder and a DataLoader with two workers."""
    from torch.utils.data import DataLoader

    import_torchvision("ImageFolder")  # Where its operators were built for another torch.
    from torchvision import datasets, transforms

    steps = [transforms.Resize(SIDE), transforms.CenterCrop(SIDE), transforms.ToTensor()]
    change = transforms.Compose([*steps, transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    data = datasets.ImageFolder(str(folder), change)
    loader = DataLoader(data, BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)
    while True:
        for images, _ in loader:
            yield images


def write_forms(photographs: str, place: Path, count: int) -> dict[str, Callable[[], Batches]]:
    """All forms in a folder, and how each is opened."""
    source = open_source(photographs)
    form = Form(size=Size(SIDE, SIDE), channels=3)
    for name in ("large/all", "small/all"):
        (place / name).mkdir(parents=True)
    shards = ShardWriter(place / "shards", maxcount=1000)
    with zipfile.ZipFile(place / "small.zip", "w") as archive, shards:
        for index in range(min(count, len(source.names))):
            pixels = decode(source.read(index), form).pixels
            raw = io.BytesIO()
            Image.fromarray(pixels.transpose(1, 2, 0)).save(raw, "PNG")
            archive.writestr(f"{index:06d}.png", raw.getvalue())
            (place / "small" / "all" / f"{index:06d}.png").write_bytes(raw.getvalue())
            shards.write(f"{index:06d}", np.ascontiguousarray(pixels), {})
            large = Image.open(io.BytesIO(source.read(index))).convert("RGB")
            large.resize((1024, 1024)).save(place / "large" / "all" / f"{index:06d}.jpg", quality=92)
    prepare(open_source(str(place / "small")), place / "set", Options(size=Size(SIDE, SIDE)))
    write_table(place)
    return {
        "prepared set, mapped": lambda: ours(MappedDataSet(PreparedFolder(place / "set"), CONFIG)),
        "prepared set, in memory": lambda: ours(
            MappedDataSet(PreparedFolder(place / "set"), CONFIG).in_memory()
        ),
        "zip of PNG": lambda: ours(LazyDataSet(open_source(str(place / "small.zip")), CONFIG)),
        "WebDataset shards of PNG": lambda: ours(LazyDataSet(open_source(str(place / "shards")), CONFIG)),
        "Parquet of PNG": lambda: ours(LazyDataSet(open_source(str(place / "table")), CONFIG)),
        "folder of 1024 px JPEG": lambda: ours(
            LazyDataSet(open_source(str(place / "large")), replace(CONFIG))
        ),
        "ImageFolder, 64 px PNG": lambda: image_folder(place / "small"),
        "ImageFolder, 1024 px JPEG": lambda: image_folder(place / "large"),
    }


def write_table(place: Path) -> None:
    """The small pictures as a Parquet file, in the layout of Hugging Face."""
    import pyarrow
    from pyarrow import parquet

    files = sorted((place / "small" / "all").iterdir())
    rows = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    (place / "table").mkdir()
    parquet.write_table(pyarrow.table({"image": rows}), place / "table" / "train.parquet", row_group_size=100)


def measure(make: Callable[[], Batches], seconds: float) -> tuple[float, float]:
    """(seconds until the first batch, images a second after it)."""
    start = time.perf_counter()
    batches = make()
    next(batches)
    opened = time.perf_counter() - start
    for _ in range(4):  # Workers and caches settle.
        next(batches)
    start, seen = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        seen += len(next(batches))
    rate = seen / (time.perf_counter() - start)
    batches.close()  # type: ignore[attr-defined]
    return opened, rate


def main() -> None:
    """Run all forms in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    try:
        forms = write_forms(asked.photographs, place, asked.count)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
        for _ in range(asked.rounds):
            for name, make in forms.items():
                found[name].append(measure(make, asked.seconds))
    finally:
        shutil.rmtree(place)
    base = statistics.median(rate for _, rate in found["ImageFolder, 64 px PNG"])
    print(f"{'form':28} {'open':>9} {'images/s':>10}   beside ImageFolder, 64 px PNG")
    for name, rounds in found.items():
        opened, rate = (statistics.median(side) for side in zip(*rounds, strict=True))
        print(f"{name:28} {opened:7.3f} s {rate:10,.0f}   {rate / base:.2f}x")


if __name__ == "__main__":
    main()
