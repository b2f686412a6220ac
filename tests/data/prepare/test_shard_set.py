"""Prepared sets whose pictures lie in WebDataset shards: the same as others in all but where pixels are."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.mapped import MappedDataSet
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.pairs import PairSource
from gansmith.data.sources.webdataset import ShardSource
from gansmith.errors import DataError

SIZE = Size(12, 8)
CONFIG = DataConfig(size=SIZE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A hundred noisy pictures with labels, captions and one file that is none."""
    random = np.random.default_rng(0)
    place = tmp_path / "in"
    place.mkdir()
    rows = ["file,label,caption"]
    for number in range(100):
        pixels = random.integers(0, 256, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number:03d}.png")
        rows.append(f'{number:03d}.png,{("cat", "dog")[number % 2]},"picture, number {number}"')
    (place / "bad.png").write_bytes(b"no picture")
    (place / "data.csv").write_text("\n".join([*rows, "bad.png,cat,none"]))
    return place


def make(folder: Path, dest: Path, shards: int | None, **options: Any) -> None:
    prepare(FolderSource(folder), dest, Options(size=SIZE, shards=shards), workers=1, **options)


def bytes_of(dest: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in dest.iterdir()}


def test_training_sees_the_same_as_from_pixels(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "pixels", None)
    make(folder, tmp_path / "shards", 40)
    assert sorted(path.name for path in (tmp_path / "shards").glob("*.tar")) == ["000000.tar", "000001.tar"]
    pixels, shards = (MappedDataSet(PreparedFolder(tmp_path / name), CONFIG) for name in ("pixels", "shards"))
    assert (len(shards), shards.columns, shards.in_arrays) == (100, pixels.columns, False)
    for rows in (
        torch.arange(100),
        torch.tensor([7]),
        torch.tensor([99, 0, 0]),
        torch.tensor([], dtype=torch.int64),
    ):
        wanted, found = pixels.fetch(rows), shards.fetch(rows)
        for name, column in wanted.items():
            if len(rows) or name != "images":
                assert torch.equal(column, found[name]), name
    assert len(list(PreparedFolder(tmp_path / "shards").refused)) == 1


def test_the_shards_stand_on_their_own(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "out", 40)
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in (tmp_path / "out").glob("*.tar"):
        (alone / path.name).write_bytes(path.read_bytes())
    source = ShardSource(alone)
    facts = source.facts
    assert len(source.names) == 100
    assert facts.labels is not None and facts.labels.tolist() == [0, 1] * 50
    assert facts.label_names == ("cat", "dog")
    assert facts.captions is not None and facts.captions[3] == "picture, number 3"


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_an_interrupted_command_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path, stop: int) -> None:
    make(folder, tmp_path / "whole", 40)
    calls = itertools.count(1)

    def interrupt(done: int, total: int) -> None:
        if next(calls) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(folder, tmp_path / "again", 40, progress=interrupt)
    assert not (tmp_path / "again" / "set.json").exists()
    make(folder, tmp_path / "again", 40)
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "whole")


def test_a_damaged_or_missing_shard_is_told(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "out", 40)
    data = MappedDataSet(PreparedFolder(tmp_path / "out"), CONFIG)
    path = tmp_path / "out" / "000001.tar"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"out is damaged: 000001\.tar cannot be read"):
        data.fetch(torch.tensor([99]))
    path.unlink()
    with pytest.raises(DataError, match=r"out is damaged: 000001\.tar cannot be read"):
        data.fetch(torch.tensor([0, 99]))


def test_pairs_are_not_written_as_shards(folder: Path, tmp_path: Path) -> None:
    source = PairSource(FolderSource(folder), "beside")
    with pytest.raises(DataError, match="Pairs are not written as shards"):
        prepare(source, tmp_path / "out", Options(size=SIZE, shards=40), workers=1)
