"""A prepared set is the same data as its folder, opens without being read, and knows when it is damaged."""

import json
import os
import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from preparing import contents, encode, fill, make, noise, plain, snapshot, write

from gansmith.core.image_size import Size
from gansmith.data import mapped
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet, MemoryDataSet
from gansmith.data.decode.reading import read
from gansmith.data.inspect.measure import SEEN
from gansmith.data.load import load
from gansmith.data.mapped import MappedDataSet, open_prepared
from gansmith.data.metadata.facts import Facts
from gansmith.data.prepare.format import PreparedFolder, as_picture_file, is_prepared, write_description
from gansmith.data.prepare.prepare import Options
from gansmith.data.sources.base import Source
from gansmith.data.sources.folder import FolderSource
from gansmith.errors import DataError

WIDE = Size(24, 16)
COUNT = 7
CAPTIONS = (
    "",
    "short",
    "ä" * 30,
    "the longest caption of all, by far: " + "x" * 50,
    "\U0001f600",
    "b\udcff",
    "end",
)
ALL = ("images", "labels", "attributes", "landmarks", "captions")


def told(root, captions=CAPTIONS):
    """Pictures of many shapes and kinds of which everything is known; one of them cannot be read."""
    files = {
        "0.png": noise(0, 40, 40),
        "1.png": noise(1, 30, 50, 1),
        "2.jpg": encode(Image.open(write(root, {"x": noise(2, 200, 90)}) / "x"), "JPEG"),
        "3.png": encode(Image.new("RGBA", (24, 16), (9, 200, 30, 128))),
        "4.png": b"bad",
        "5.png": noise(5, 24, 16),
        "6.png": noise(6, 10, 9),
    }
    (root / "x").unlink()
    source = FolderSource(write(root, files))
    landmarks = np.random.default_rng(0).uniform(0, 9, (COUNT, 3, 2)).astype(np.float32)
    landmarks[5, 1] = np.nan
    source.facts = Facts(
        labels=np.arange(COUNT) % 3,
        label_names=("a", "b", "c"),
        attributes=(np.arange(COUNT * 2) % 2).astype(np.uint8).reshape(COUNT, 2),
        attribute_names=("x", "y"),
        captions=captions,
        landmarks=landmarks,
        landmark_names=("p", "q", "r"),
        held_out=np.arange(COUNT) > 4,
    )
    return source


def opened(source, dest, config):
    """A source prepared in the form of a config, and opened in it."""
    make(source, dest, Options(size=config.size, channels=config.channels, fit=config.fit, box=config.box))
    return MappedDataSet(PreparedFolder(dest), replace(config, box=None))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """The set of ``told`` at 24x16 in colour."""
    root = tmp_path_factory.mktemp("wide")
    opened(told(root / "source"), root / "dest", DataConfig(size=WIDE, channels=3))
    return root / "dest"


def same(one, other):
    assert set(one) == set(other)
    for name, column in one.items():
        assert column.dtype == other[name].dtype, name
        np.testing.assert_array_equal(column.numpy(), other[name].numpy(), err_msg=name)


# ---- what training sees -------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "fit", "box"),
    [
        (WIDE, "crop", None),
        (WIDE, "pad", None),
        (WIDE, "stretch", None),
        (Size(8, 8), "crop", None),
        (WIDE, "crop", (1, 1, 9, 8)),
        (Size(7, 9), "pad", (1, 0, 9, 8)),
    ],
)
def test_a_prepared_set_equals_its_folder_to_the_bit(tmp_path, channels, size, fit, box):
    config = DataConfig(size=size, channels=channels, fit=fit, box=box)
    source = told(tmp_path / "source")
    wanted, data = load(source, config), opened(source, tmp_path / "dest", config)
    assert isinstance(wanted, MemoryDataSet)
    assert isinstance(data, DataSet)
    assert len(data) == len(wanted) == COUNT - 1
    assert data.columns == ALL
    assert data.in_arrays
    every = torch.arange(len(data))
    same(data.fetch(every), wanted.fetch(every))
    assert data.info.held_out.tolist() == wanted.info.held_out.tolist() == [False] * 4 + [True] * 2
    for name in ("label_names", "attribute_names", "landmark_names"):
        assert getattr(data.info, name) == getattr(wanted.info, name) != ()
    assert [entry.name for entry in data.refused] == [entry.name for entry in wanted.refused] == ["4.png"]


def test_rows_come_in_the_order_asked_for_and_columns_as_chosen(wide):
    data = MappedDataSet(PreparedFolder(wide), DataConfig(size=WIDE))
    whole = data.fetch(torch.arange(len(data)))
    for rows in ([3, 0, 5, 1], [2, 2, 2], [5], [4, 4, 0]):
        chosen = torch.tensor(rows)
        same(data.fetch(chosen), {name: column[chosen] for name, column in whole.items()})
        same(data.fetch(chosen, ("labels",)), {"labels": whole["labels"][chosen]})
        assert list(data.fetch(chosen, ("captions", "images"))) == ["captions", "images"]
    assert data.fetch(torch.arange(2), ()) == {}
    none = data.fetch(torch.arange(0), ("images", "labels", "landmarks", "captions"))
    assert none["images"].shape == (0, 3, 16, 24)
    assert none["landmarks"].shape == (0, 3, 2)
    assert len(none["captions"]) == 0
    for row in (len(data), -len(data) - 1):
        with pytest.raises(IndexError):
            data.fetch(torch.tensor([row]))
    with pytest.raises(KeyError):
        data.fetch(torch.arange(2), ("nonsense",))


def test_what_is_fetched_is_a_copy(wide):
    before = snapshot(wide)
    data = MappedDataSet(PreparedFolder(wide), DataConfig(size=WIDE))
    first = data.fetch(torch.arange(6))
    kept = {name: column.clone() for name, column in first.items()}
    for column in first.values():
        column.zero_()
    same(data.fetch(torch.arange(6)), kept)
    assert snapshot(wide) == before


def test_files_that_can_only_be_read_are_enough(wide):
    for path in wide.iterdir():
        path.chmod(0o444)
    wide.chmod(0o555)
    before = snapshot(wide)
    folder = PreparedFolder(wide)
    assert len(MappedDataSet(folder, DataConfig(size=WIDE)).in_memory()) == len(folder.facts.labels) == 6
    with pytest.raises(ValueError, match="read-only"):
        folder.arrays["images"][0] = 0
    assert snapshot(wide) == before
    wide.chmod(0o755)


def test_in_memory_is_all_of_it(wide, monkeypatch):
    data = MappedDataSet(PreparedFolder(wide), DataConfig(size=WIDE))
    for at_once in (4, 1024):
        monkeypatch.setattr(mapped, "_AT_ONCE", at_once)
        held = data.in_memory()
        assert isinstance(held, MemoryDataSet)
        same(held.fetch(torch.arange(6)), data.fetch(torch.arange(6)))
        assert (held.name, held.fingerprint) == (data.name, data.fingerprint)
        assert (held.refused, held.info) == (data.refused, data.info)


@pytest.mark.parametrize("captions", [("",) * COUNT, ("ä" * 700, *CAPTIONS[1:])])
def test_captions_are_as_wide_as_from_a_folder(tmp_path, captions):
    config = DataConfig(size=Size(8, 8), channels=3)
    source = told(tmp_path / "source", captions)
    data, wanted = opened(source, tmp_path / "dest", config), load(source, config)
    every = torch.arange(6)
    assert data.fetch(every)["captions"].shape[1] <= 1024
    same(data.fetch(every, ("captions",)), wanted.fetch(every, ("captions",)))
    assert data.fetch(every[:1])["captions"].shape[1] == data.fetch(every)["captions"].shape[1]


def halves(tmp_path, mode="RGB"):
    """One picture of 24x16: left red, right blue, with a landmark where they meet."""
    picture = Image.new("RGB", (24, 16), (255, 0, 0))
    picture.paste((0, 0, 255), (12, 0, 24, 16))
    source = FolderSource(write(tmp_path / "source", {"a.png": encode(picture.convert(mode))}))
    source.facts = Facts(landmarks=np.array([[(12.0, 4.0)]], np.float32))
    make(source, tmp_path / "dest", Options())
    return PreparedFolder(tmp_path / "dest")


@pytest.mark.parametrize(
    ("config", "point"),
    [
        (DataConfig(size=Size(8, 8)), (4, 2)),
        (DataConfig(size=Size(48, 32)), (24, 8)),
        (DataConfig(size=Size(8, 8), fit="stretch"), (4, 2)),
        (DataConfig(size=Size(24, 24), fit="pad"), (12, 8)),
        (DataConfig(size=Size(8, 8), box=(8, 2, 16, 10)), (4, 2)),
        (DataConfig(size=WIDE, box=(6, 0, 18, 8)), (12, 8)),
    ],
)
def test_another_form_is_made_when_rows_are_fetched(tmp_path, config, point):
    data = open_prepared(halves(tmp_path), config)
    row = data.fetch(torch.arange(1))
    picture = row["images"][0]
    width, height = config.size.width, config.size.height
    assert picture.shape == (3, height, width)
    ends = {tuple(picture[:, y, 0].tolist()) for y in range(height)}
    assert ends == {(255, 0, 0)}
    ends = {tuple(picture[:, y, -1].tolist()) for y in range(height)}
    assert ends == {(0, 0, 255)}
    assert int((picture[0] > picture[2]).sum()) == height * width // 2  # They meet in the middle still.
    assert row["landmarks"].tolist() == [[list(point)]]


def test_a_box_of_the_size_wanted_is_cut_and_not_resized(tmp_path):
    raw = noise(0, 24, 16)
    make(write(tmp_path / "source", {"a.png": raw}), tmp_path / "dest", Options())
    data = open_prepared(PreparedFolder(tmp_path / "dest"), DataConfig(size=Size(8, 6), box=(3, 2, 11, 8)))
    pixels = np.asarray(Image.open(tmp_path / "source" / "a.png"))[2:8, 3:11]
    assert np.array_equal(data.fetch(torch.arange(1))["images"][0].permute(1, 2, 0).numpy(), pixels)


def test_a_box_outside_the_pictures_is_told(wide):
    with pytest.raises(DataError, match="reaches outside"):
        open_prepared(PreparedFolder(wide), DataConfig(size=WIDE, box=(0, 0, 25, 16)))


def test_channels_follow_the_set_or_what_is_asked(tmp_path):
    colour = halves(tmp_path / "colour")
    grey = open_prepared(colour, DataConfig(size=WIDE, channels=1)).fetch(torch.arange(1))["images"][0]
    assert (grey.shape, int(grey[0, 0, 0]), int(grey[0, 0, -1])) == ((1, 16, 24), 76, 29)
    folder = halves(tmp_path / "grey", "L")
    assert (
        folder.channels,
        open_prepared(folder, DataConfig(size=WIDE)).fetch(torch.arange(1))["images"].shape[1],
    ) == (1, 1)
    three = open_prepared(folder, DataConfig(size=WIDE, channels=3)).fetch(torch.arange(1))["images"][0]
    assert three.shape == (3, 16, 24)
    assert torch.equal(three[0], three[2])


@pytest.mark.parametrize(
    ("config", "in_memory"),
    [
        (DataConfig(size=WIDE), False),
        (DataConfig(size=WIDE, channels=3, fit="pad"), False),
        (DataConfig(size=Size(8, 8)), True),
        (DataConfig(size=WIDE, channels=1), True),
        (DataConfig(size=WIDE, box=(0, 0, 24, 16)), True),
    ],
)
def test_a_set_is_mapped_in_its_own_form_and_held_in_another(wide, monkeypatch, config, in_memory):
    folder = PreparedFolder(wide)
    assert isinstance(open_prepared(folder, config), MemoryDataSet if in_memory else MappedDataSet)
    monkeypatch.setattr(mapped, "MEMORY_LIMIT", 100)
    data = open_prepared(folder, config)  # Too large to hold.
    assert isinstance(data, MappedDataSet)
    rows = data.fetch(torch.tensor([5, 0]))["images"]
    assert rows.shape == (2, config.channels or 3, config.size.height, config.size.width)


# ---- as files, and as a source ------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_as_a_file_has_its_pixels(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    again = np.asarray(read(as_picture_file(pixels)).image).reshape(pixels.shape)
    assert np.array_equal(again, pixels)


def test_a_prepared_set_is_a_source(wide):
    folder = PreparedFolder(wide)
    assert isinstance(folder, Source)
    assert is_prepared(wide)
    for row in range(len(folder)):
        assert np.array_equal(np.asarray(read(folder.read(row)).image), folder.arrays["images"][row])
    again = pickle.loads(pickle.dumps(folder.reader))
    assert again.read(folder.key(2)) == folder.read(2)


def test_report_and_refused_are_empty_where_there_is_no_report(wide, tmp_path):
    write(tmp_path, contents(wide))
    for text in ("{", "[]"):
        (tmp_path / "report.json").write_text(text)
        assert PreparedFolder(tmp_path).refused == ()
    (tmp_path / "report.json").unlink()
    assert PreparedFolder(tmp_path).report() == {}


# ---- damage -------------------------------------------------------------------------------------------


def described(change):
    def damage(root):
        told = json.loads((root / "set.json").read_text())
        change(told)
        (root / "set.json").write_text(json.dumps(told))

    return damage


def replaced(name, values):
    return lambda root: np.save(root / f"{name}.npy", values, allow_pickle=True)


def resized(name, values):
    """A column changed, and its description with it."""

    def damage(root):
        np.save(root / f"{name}.npy", values)
        shape = {"dtype": str(values.dtype), "shape": list(values.shape)}
        described(lambda told: told["columns"].update({name: shape}))(root)

    return damage


def cut(name, count=1):
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-count])


DAMAGE = {
    "no json": (lambda root: (root / "set.json").write_text("{"), "set.json cannot be read"),
    "not text": (lambda root: (root / "set.json").write_bytes(b"\xff\xfe"), "set.json cannot be read"),
    "deep": (lambda root: (root / "set.json").write_text("[" * 100000), "set.json cannot be read"),
    "a list": (lambda root: (root / "set.json").write_text("[]"), "not the description of a prepared set"),
    "other json": (lambda root: (root / "set.json").write_text("{}"), "not the description"),
    "later": (described(lambda told: told.update(version=2)), "of version 2, and .* reads version 1"),
    "no version": (described(lambda told: told.pop("version")), "version None"),
    "no columns": (described(lambda told: told.pop("columns")), "damaged: columns are missing"),
    "listed columns": (described(lambda told: told.update(columns=["images"])), "damaged: columns are"),
    "no texts": (described(lambda told: told.update(texts="captions")), "damaged: texts are"),
    "a number": (described(lambda told: told.update(fingerprint=3)), "damaged: fingerprint are"),
    "names": (described(lambda told: told.update(label_names=None)), "damaged: label_names are"),
    "width": (described(lambda told: told.update(caption_bytes="9")), "damaged: caption_bytes are"),
    "no pictures": (described(lambda told: told["columns"].pop("images")), "damaged: pictures are"),
    "odd column": (described(lambda told: told["columns"].update(labels=3)), "labels.npy holds"),
    "other column": (described(lambda told: told["columns"].update({"../x": {}})), "damaged: columns are"),
    "no images": (lambda root: (root / "images.npy").unlink(), "images.npy cannot be read"),
    "no names": (lambda root: (root / "names.npy").unlink(), "names.npy cannot be read"),
    "no text": (lambda root: (root / "names.utf8").unlink(), "names.utf8 cannot be read"),
    "no captions": (lambda root: (root / "captions.npy").unlink(), "captions.npy cannot be read"),
    "short images": (cut("images.npy"), "images.npy cannot be read"),
    "short names": (cut("names.utf8"), "names.utf8 is damaged"),
    "short captions": (cut("captions.utf8"), "captions.utf8 is damaged"),
    "shape": (replaced("images", np.zeros((6, 16, 23, 3), np.uint8)), "images.npy holds .*23.* says .*24"),
    "type": (replaced("labels", np.zeros(6, np.int32)), "labels.npy holds .*int32.* says .*int64"),
    "objects": (replaced("labels", np.array([{}] * 6)), "labels.npy cannot be read .*objects"),
    "lengths": (resized("labels", np.zeros(5, np.int64)), "columns differ in length .*'labels': 5"),
    "fewer names": (replaced("names", np.zeros(5, np.int64)), "columns differ in length"),
    "captions": (replaced("captions", np.zeros(7, np.int64)), "columns differ in length .*'captions': 7"),
    "float images": (resized("images", np.zeros((6, 4, 4, 3))), "images are uint8 with 4 dim"),
    "flat images": (resized("images", np.zeros((6, 4, 4), np.uint8)), "images are uint8 with 4 dim"),
    "channels": (resized("images", np.zeros((6, 4, 4, 4), np.uint8)), "pictures are uint8"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_set_is_told_when_it_is_opened(wide, tmp_path, kind):
    damage, message = DAMAGE[kind]
    root = write(tmp_path / "set", contents(wide))
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        PreparedFolder(root)
    assert str(root) in str(caught.value)
    assert "repare" in str(caught.value) or "Give" in str(caught.value)


@pytest.mark.parametrize("values", [np.zeros(5, SEEN), np.zeros(6)])
def test_damaged_measurements_are_told_when_they_are_asked_for(wide, tmp_path, values):
    write(tmp_path, contents(wide))
    np.save(tmp_path / "seen.npy", values)
    folder = PreparedFolder(tmp_path)
    assert len(folder) == 6
    with pytest.raises(DataError, match=r"seen.npy is not of this set"):
        _ = folder.seen
    (tmp_path / "seen.npy").unlink()
    with pytest.raises(DataError, match=r"seen.npy cannot be read"):
        _ = folder.seen


def test_a_folder_that_is_not_finished_is_no_prepared_set(wide, tmp_path):
    files = contents(wide)
    assert not is_prepared(fill(tmp_path / "pictures", 1))
    assert not is_prepared(write(tmp_path / "begun", {k: v for k, v in files.items() if k != "set.json"}))
    assert not is_prepared(write(tmp_path / "other", {"set.json": b"{}", "a.png": plain(0)}))
    assert not is_prepared(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"set.json cannot be read"):
        PreparedFolder(tmp_path / "begun")


# ---- ten million pictures -----------------------------------------------------------------------------

MANY = 10_000_000


def sparse(path, dtype, shape):
    """A column of zeros that takes no room."""
    with open(path, "wb") as file:
        described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, described)
        file.truncate(file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize)


def resident():
    """Bytes of memory this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_ten_million_pictures_are_opened_without_being_read(tmp_path):
    sparse(tmp_path / "images.npy", np.uint8, (MANY, 8, 8, 3))
    if os.stat(tmp_path / "images.npy").st_blocks * 512 > MANY:
        pytest.skip("this file system has no sparse files")
    sparse(tmp_path / "labels.npy", np.int64, (MANY,))
    sparse(tmp_path / "landmarks.npy", np.float32, (MANY, 5, 2))
    for name in ("names", "captions"):
        sparse(tmp_path / f"{name}.npy", np.int64, (MANY,))
        (tmp_path / f"{name}.utf8").touch()
    names = {"label_names": ["a"], "attribute_names": [], "landmark_names": list("abcde")}
    text = write_description(tmp_path, {"fingerprint": "x", "caption_bytes": 0, **names})
    (tmp_path / "set.json").write_text(text)
    tracemalloc.start()
    before = resident()
    data = open_prepared(PreparedFolder(tmp_path), DataConfig(size=Size(8, 8)))
    rows = data.fetch(torch.tensor([MANY - 1, 0, MANY // 2]))
    grown, (_, peak) = resident() - before, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data) == MANY
    assert isinstance(data, MappedDataSet)
    assert rows["images"].shape == (3, 3, 8, 8)
    assert set(rows) == {"images", "labels", "landmarks", "captions"}
    assert peak < 10e6
    assert grown < 100e6
