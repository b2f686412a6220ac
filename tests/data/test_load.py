"""Loading keeps the order of names, survives bad files, and says what is wrong when nothing is left."""

import shutil
import threading
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.core.image_size import Size
from gansmith.data import load as module
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet, MemoryDataSet
from gansmith.data.load import LazyDataSet, load, resolve_channels
from gansmith.data.metadata.facts import Facts
from gansmith.data.open import SourceFacts, describe_source, open_data
from gansmith.data.sources.folder import FolderReader, FolderSource
from gansmith.data.sources.zip import ZipSource
from gansmith.errors import DataError

CONFIG = DataConfig(size=Size(8, 8))


def write(path, shade=0, mode="L", size=(8, 8), kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = shade if mode == "L" else (shade,) * 3
    Image.new(mode, size, colour).save(path, kind)


def folder(root, count=10, mode="L", **options):
    for number in range(count):
        write(root / f"{number:03}.png", number, mode, **options)
    return root


def shades(data):
    images = data.fetch(torch.arange(len(data)))["images"]
    return images.flatten(1).float().mean(1).round().int().tolist()


@pytest.fixture
def lazy(monkeypatch):
    monkeypatch.setattr(module, "MEMORY_LIMIT", 0)


def test_a_small_folder_goes_into_memory(tmp_path):
    source = FolderSource(folder(tmp_path))
    data = load(source, CONFIG)
    assert isinstance(data, MemoryDataSet)
    assert isinstance(data, DataSet)
    assert data.columns == ("images",)
    assert shades(data) == list(range(10))
    assert (data.name, data.refused) == (str(tmp_path), ())
    assert data.fingerprint.startswith(source.fingerprint)


def test_progress_ends_at_the_total(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 1)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 4)
    told = []
    load(FolderSource(folder(tmp_path)), CONFIG, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_bad_files_are_left_out_and_listed(tmp_path):
    folder(tmp_path)
    good = (tmp_path / "003.png").read_bytes()
    (tmp_path / "003.png").write_bytes(good[:40])
    (tmp_path / "005.png").write_bytes(b"junk")
    write(tmp_path / "007.png", size=(1, 1))
    data = load(FolderSource(tmp_path), CONFIG)
    assert shades(data) == [0, 1, 2, 4, 6, 8, 9]
    assert [entry.name for entry in data.refused] == ["003.png", "005.png", "007.png"]
    assert data.refused[2].reason == "1x1 pixels; the shorter side must be at least 4"


def test_labels_stay_with_their_pictures(tmp_path):
    folder(tmp_path / "cat", 3)
    folder(tmp_path / "dog", 2)
    (tmp_path / "cat" / "001.png").write_bytes(b"junk")
    data = load(FolderSource(tmp_path), CONFIG)
    assert data.fetch(torch.arange(4))["labels"].tolist() == [0, 0, 1, 1]
    assert data.fetch(torch.tensor([0]))["labels"].dtype == torch.int64


def test_attributes_of_a_source_become_a_column(tmp_path):
    source = FolderSource(folder(tmp_path, 3))
    source.facts = Facts(attributes=np.array([[0, 1], [1, 1], [1, 0]], dtype=np.uint8))
    (tmp_path / "000.png").write_bytes(b"junk")
    data = load(source, CONFIG)
    assert data.fetch(torch.tensor([0, 1]))["attributes"].tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize("limit", [2**30, 0])
def test_the_result_does_not_depend_on_the_number_of_threads(tmp_path, monkeypatch, limit):
    folder(tmp_path, 60)
    for number in (0, 7, 30, 59):
        (tmp_path / f"{number:03}.png").write_bytes(b"junk")
    monkeypatch.setattr(module, "MEMORY_LIMIT", limit)
    results = []
    for threads in (1, 2, 9):
        monkeypatch.setattr(module.os, "cpu_count", lambda threads=threads: threads)
        data = load(FolderSource(tmp_path), CONFIG)
        results.append((shades(data), data.refused))
    assert results[0] == results[1] == results[2]
    assert len(results[0][1]) == 4


def test_files_that_cannot_be_read_are_reasons(tmp_path, monkeypatch):
    source = FolderSource(folder(tmp_path, 3))
    read = FolderReader.read

    def closed(self, key):
        if key == "001.png":
            raise PermissionError(13, "Permission denied")
        return read(self, key)

    monkeypatch.setattr(FolderReader, "read", closed)
    (tmp_path / "002.png").unlink()
    data = load(source, CONFIG)
    assert shades(data) == [0]
    assert data.refused[0].reason == "it cannot be read: Permission denied"
    assert "No such file" in data.refused[1].reason


def test_damaged_zip_entries_are_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for path in sorted(folder(tmp_path / "in", 3).iterdir()):
            archive.writestr(path.name, path.read_bytes())
    raw = bytearray((tmp_path / "z.zip").read_bytes())
    raw[60] ^= 0xFF
    (tmp_path / "z.zip").write_bytes(raw)
    data = load(ZipSource(tmp_path / "z.zip"), CONFIG)
    assert shades(data) == [1, 2]
    assert "damaged inside the zip" in data.refused[0].reason


@pytest.mark.parametrize(("odd", "channels"), [(None, 1), (5, 3)])
def test_channels_are_one_only_where_every_picture_is_grey(tmp_path, odd, channels):
    folder(tmp_path)
    if odd is not None:
        write(tmp_path / f"{odd:03}.png", odd, "RGB")
    source = FolderSource(tmp_path)
    assert resolve_channels(source) == channels
    assert load(source, CONFIG).fetch(torch.tensor([0]))["images"].shape == (1, channels, 8, 8)


def test_bad_files_do_not_decide_on_channels(tmp_path):
    (folder(tmp_path) / "000.png").write_bytes(b"junk")
    assert resolve_channels(FolderSource(tmp_path)) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_that_are_asked_for_are_given(tmp_path, channels):
    config = DataConfig(size=Size(12, 8), channels=channels)
    data = load(FolderSource(folder(tmp_path, 2, "RGB")), config)
    assert data.fetch(torch.tensor([1]))["images"].shape == (1, channels, 8, 12)


def test_headers_are_spread_evenly(tmp_path):
    folder(tmp_path, 130)
    source = FolderSource(tmp_path)
    asked = []
    read = source.read
    source.read = lambda index: (asked.append(index), read(index))[1]
    resolve_channels(source)
    assert len(set(asked)) == len(asked) == 64
    assert asked[0] == 0
    assert asked[-1] >= 126


def test_large_sets_are_decoded_when_asked_for(tmp_path, lazy):
    source = FolderSource(folder(tmp_path))
    data = load(source, CONFIG)
    assert isinstance(data, LazyDataSet)
    assert isinstance(data, DataSet)
    assert len(data) == 10
    rows = torch.tensor([7, 2, 2, 9])
    images = data.fetch(rows)["images"]
    assert images.shape == (4, 1, 8, 8)
    assert images[:, 0, 0, 0].tolist() == [7, 2, 2, 9]
    assert len(data.fetch(rows[:0])["images"]) == 0


def test_lazy_and_memory_agree(tmp_path, monkeypatch):
    folder(tmp_path / "a", 5, "RGB", size=(13, 9))
    folder(tmp_path / "b", 4, "RGB", size=(9, 13))
    rows = torch.tensor([8, 0, 3])
    memory = load(FolderSource(tmp_path), CONFIG).fetch(rows)
    monkeypatch.setattr(module, "MEMORY_LIMIT", 0)
    drawn = load(FolderSource(tmp_path), CONFIG).fetch(rows)
    assert memory.keys() == drawn.keys() == {"images", "labels"}
    assert all(torch.equal(memory[name], drawn[name]) for name in memory)


def test_lazy_sets_replace_bad_files_by_the_next_good_one(tmp_path, lazy):
    folder(tmp_path / "a", 3)
    folder(tmp_path / "b", 3)
    for name in ("a/001.png", "a/002.png", "b/002.png"):
        (tmp_path / name).write_bytes(b"junk")
    data = load(FolderSource(tmp_path), CONFIG)
    first = data.fetch(torch.tensor([2, 5, 1, 0]))
    assert first["images"][:, 0, 0, 0].tolist() == [0, 0, 0, 0]
    assert first["labels"].tolist() == [1, 0, 1, 0]  # The label of the picture that stands in.
    assert sorted(entry.name for entry in data.refused) == ["a/001.png", "a/002.png", "b/002.png"]
    again = data.fetch(torch.tensor([2, 5, 1, 0]))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert len(data.refused) == 3


def test_lazy_sets_are_safe_in_threads(tmp_path, lazy):
    (folder(tmp_path, 40) / "017.png").write_bytes(b"junk")
    data = load(FolderSource(tmp_path), CONFIG)
    rows, results = torch.arange(40), []
    threads = [threading.Thread(target=lambda: results.append(data.fetch(rows)["images"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(results[0], other) for other in results)
    assert len(data.refused) == 1


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(DataError, match="it is empty") as caught:
        open_data(str(tmp_path), CONFIG)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_pictures_names_what_it_holds(tmp_path):
    for name in ("a.txt", "b.doc", "sub/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"3 files, none of them a picture: a\.txt, b\.doc, sub/c\.csv"):
        open_data(str(tmp_path), CONFIG)


def test_a_folder_with_other_archives_in_it_points_to_them(tmp_path):
    (tmp_path / "faces.7z").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"1 file, not a picture: faces\.7z\. Give the archive itself: .*faces\.7z"
    ):
        open_data(str(tmp_path), CONFIG)


@pytest.mark.parametrize("limit", [2**30, 0])
def test_a_folder_of_junk_shows_the_first_reasons(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(module, "MEMORY_LIMIT", limit)
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"0\.jpg: not a picture.*4\.jpg.*and 3 more"):
        open_data(str(tmp_path), CONFIG).fetch(torch.tensor([0]))


def test_only_unreadable_kinds_are_reasons_too(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\.heic: \.heic files cannot be read"):
        open_data(str(tmp_path), CONFIG)


def test_open_takes_folders_and_zips(tmp_path):
    folder(tmp_path / "pictures", 4)
    archive = shutil.make_archive(str(tmp_path / "pictures"), "zip", tmp_path / "pictures")
    from_folder = open_data(str(tmp_path / "pictures"), CONFIG)
    from_zip = open_data(archive, CONFIG)
    assert shades(from_folder) == shades(from_zip) == [0, 1, 2, 3]
    assert from_folder.fingerprint == from_zip.fingerprint


def test_paths_that_do_not_exist_suggest_what_does(tmp_path):
    (tmp_path / "portraits").mkdir()
    with pytest.raises(DataError, match=r"does not exist\. Did you mean '.*/portraits'"):
        open_data(str(tmp_path / "portrait"), CONFIG)
    with pytest.raises(DataError, match="Did you mean 'demo-faces'"):
        open_data("demo-face", CONFIG)
    with pytest.raises(DataError, match="Known names: celeba, cifar10"):
        open_data("qqqqqqqq", CONFIG)
    with pytest.raises(DataError, match=r"does not exist\.$"):  # No built-in name is a path.
        open_data(str(tmp_path / "digit"), CONFIG)


def test_single_files_are_told_what_data_may_be(tmp_path):
    write(tmp_path / "one.png")
    (tmp_path / "all.rar").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a single picture\. Give the folder"):
        open_data(str(tmp_path / "one.png"), CONFIG)
    with pytest.raises(DataError, match="a folder of pictures, a zip or tar of them"):
        open_data(str(tmp_path / "all.rar"), CONFIG)


def test_facts_come_from_headers(tmp_path):
    for number, size in enumerate([(20, 10), (30, 40), (50, 60)]):
        write(tmp_path / f"{number}.png", size=size)
    assert describe_source(str(tmp_path)) == SourceFacts(3, 30, 40, True)
    assert describe_source("mnist") == SourceFacts(60_000, 28, 28, True)
    assert describe_source("demo-faces:300").count == 300


def test_facts_of_nothing_are_an_error(tmp_path):
    with pytest.raises(DataError, match="it is empty"):
        describe_source(str(tmp_path))
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(DataError, match="none of the pictures looked at"):
        describe_source(str(tmp_path))
