"""The same data is what has the same contents: every source notices others of equal names and sizes."""

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.open import open_data
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.data.sources import identity
from gansmith.data.sources.open import open_source
from gansmith.errors import DataError, RunError
from gansmith.recipes import named
from gansmith.runs.run import Run
from gansmith.training.session import facts_of

COUNT = 40


def pixels(seed: int, side: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (COUNT, side, side, 3), dtype=np.uint8)


def bitmap(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "BMP")
    return buffer.getvalue()


def files(seed: int) -> dict[str, bytes]:
    return {f"{number:02d}.bmp": bitmap(picture) for number, picture in enumerate(pixels(seed))}


def as_folder(path: Path, seed: int) -> Path:
    path.mkdir(exist_ok=True)
    for name, raw in files(seed).items():
        (path / name).write_bytes(raw)
    return path


def as_zip(path: Path, seed: int, how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", how) as archive:
        for name, raw in files(seed).items():
            archive.writestr(zipfile.ZipInfo(name), raw, how)
    return path.with_suffix(".zip")


def as_packed_zip(path: Path, seed: int) -> Path:
    return as_zip(path, seed, zipfile.ZIP_DEFLATED)


def as_tar(path: Path, seed: int, facts: bool = False) -> Path:
    with tarfile.open(path.with_suffix(".tar"), "w") as archive:
        for name, raw in files(seed).items():
            for each, content in [(name, raw), *([(f"{name[:2]}.cls", b"1")] if facts else [])]:
                info = tarfile.TarInfo(each)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path.with_suffix(".tar")


def as_shard(path: Path, seed: int) -> Path:
    return as_tar(path, seed, facts=True)


def as_parquet(path: Path, seed: int) -> Path:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"image": list(files(seed).values())})
    parquet.write_table(table, path.with_suffix(".parquet"), compression="none", use_dictionary=False)
    return path.with_suffix(".parquet")


def as_idx(path: Path, seed: int) -> Path:
    path.mkdir(exist_ok=True)
    grey = pixels(seed)[..., 0]
    (path / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, *grey.shape) + grey.tobytes())
    return path


def as_cifar(path: Path, seed: int) -> Path:
    path.mkdir(exist_ok=True)
    rows = np.random.default_rng(seed).integers(0, 256, (COUNT, 3073), dtype=np.uint8)
    rows[:, 0] = 3
    (path / "data_batch_1.bin").write_bytes(rows.tobytes())
    return path


def as_prepared(path: Path, seed: int) -> Path:
    if not path.exists():
        prepare(str(as_folder(path.with_name("loose"), 0)), path, Options(size=Size(12, 12)), workers=1)
    images = np.load(path / "images.npy", mmap_mode="r+")
    images[:] = pixels(seed)
    images.flush()
    return path


def as_pairs(path: Path, seed: int) -> Path:
    for side in ("a", "b"):
        path.mkdir(exist_ok=True)
        as_folder(path / side, seed)
    return path


WAYS = (
    *(as_folder, as_zip, as_packed_zip, as_tar, as_shard, as_parquet, as_idx, as_cifar, as_prepared),
    as_pairs,
)
CONFIG = DataConfig(size=Size(12, 12))


@pytest.mark.parametrize("way", WAYS)
def test_others_of_equal_names_and_sizes_are_other_data(tmp_path, way):
    def opened(path):
        if way is as_pairs:
            return open_data(str(path), CONFIG, fields=("source", "target"))
        return open_data(str(path), CONFIG)

    path = way(tmp_path / "data", 0)
    sizes = [file.stat().st_size for file in sorted(path.rglob("*")) or [path]]
    recipe = named("rpgan8")
    before = facts_of(opened(path))
    run = Run.create(tmp_path / "run", recipe, before)
    run.check_unchanged(recipe, facts_of(opened(path)))
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / path.name)
    for file in (*moved.rglob("*"), moved):
        os.utime(file, (1, 1))
    assert facts_of(opened(moved))["fingerprint"] == before["fingerprint"]  # Neither place nor date counts.
    moved.rename(path)
    way(path.with_suffix(""), 1)
    if way is not as_packed_zip:
        assert [file.stat().st_size for file in sorted(path.rglob("*")) or [path]] == sizes
    with pytest.raises(RunError, match="data: "):
        run.check_unchanged(recipe, facts_of(opened(path)))


@pytest.mark.parametrize("way", [as_folder, as_zip, as_tar, as_parquet, as_idx])
def test_a_set_is_not_continued_with_other_pictures(tmp_path, way):
    path = way(tmp_path / "data", 0)
    prepare(str(path), tmp_path / "set", Options(size=Size(8, 8)), workers=1)
    prepare(str(path), tmp_path / "set", Options(size=Size(8, 8)), workers=1)
    way(path.with_suffix(""), 1)
    with pytest.raises(DataError, match="SRC is not what"):
        prepare(str(path), tmp_path / "set", Options(size=Size(8, 8)), workers=1)


def test_other_labels_are_other_data(tmp_path):
    as_folder(tmp_path / "data", 0)
    prints = set()
    for last in "01":
        lines = [f"{number:02d}.bmp,{number % 2 if number < 39 else last}" for number in range(COUNT)]
        (tmp_path / "data" / "labels.csv").write_text("\n".join(["file,label", *lines]))
        prints.add(open_data(str(tmp_path / "data"), CONFIG).fingerprint)
    assert len(prints) == 2


def test_one_place_in_a_large_picture_is_enough(tmp_path):
    """White margins begin and end many scans, so the middle counts, too."""
    picture = np.full((400, 400, 3), 255, np.uint8)
    prints = []
    for shade in (0, 1):
        picture[150:250] = shade
        for place in ("a", "z.zip"):
            if place == "a":
                (tmp_path / "a").mkdir(exist_ok=True)
                (tmp_path / "a" / "x.bmp").write_bytes(bitmap(picture))
            else:
                with zipfile.ZipFile(tmp_path / place, "w") as archive:
                    archive.write(tmp_path / "a" / "x.bmp", "x.bmp")
            prints.append(open_source(str(tmp_path / place)).fingerprint)
    assert prints[0] == prints[1] != prints[2] == prints[3]


def test_of_many_pictures_some_are_looked_at(monkeypatch):
    seen = []
    monkeypatch.setattr(identity, "FILES", 10)
    names = [f"{number}" for number in range(1000)]
    identity.of_pictures(names, [5] * 1000, lambda row, start, length: seen.append(row) or b"12345")
    assert sorted(seen) == list(range(0, 1000, 100))


def test_an_older_fingerprint_cannot_tell_and_passes():
    new = identity.of_files([])
    assert identity.is_same("0f" * 32, new) and identity.is_same(new, new)
    assert not identity.is_same(new, identity.of_files([], "else"))
    assert not identity.is_same("digits:9", "digits:10") and not identity.is_same(None, new)
