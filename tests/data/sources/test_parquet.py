"""Tables of pictures: the columns are found, splits and labels known, and no table is read as a whole."""

import importlib.util
import io
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from gansmith.data.sources import table_files
from gansmith.data.sources.base import Source
from gansmith.data.sources.parquet import TableSource, is_table
from gansmith.errors import DataError, MissingPackageError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FEATURES = {
    "image": {"_type": "Image"},
    "label": {"_type": "ClassLabel", "names": ["cat", "dog", "newt"]},
    "text": {"dtype": "string", "_type": "Value"},
}


def png(shade=0):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), shade).save(buffer, "PNG")
    return buffer.getvalue()


def table(shades, features=None, **columns):
    cells = [{"bytes": png(shade), "path": f"{shade}.png"} for shade in shades]
    made = pa.table({"image": cells, **columns})
    if features is not None:
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return made


def write(path, made, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, path, **options)
    return path


def write_stream(path, made, rows=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema) as stream:
        stream.write_table(made, max_chunksize=rows)
    return path


def reasons(source):
    return {entry.name: entry.reason for entry in source.refused}


def test_a_single_file(tmp_path):
    made = table(range(5), FEATURES, label=[0, 1, 2, 1, 0], text=list("abcde"))
    source = TableSource(write(tmp_path / "faces.parquet", made, row_group_size=2))
    assert isinstance(source, Source)
    assert source.names == tuple(f"faces/{row:06d}" for row in range(5))
    assert [source.read(index) for index in range(5)] == [png(shade) for shade in range(5)]
    assert [source.key(index) for index in (0, 1, 2, 4)] == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 2, 0)]
    assert source.facts.labels.tolist() == [0, 1, 2, 1, 0]
    assert source.facts.label_names == ("cat", "dog", "newt")
    assert source.facts.captions == tuple("abcde")
    assert (source.facts.held_out, source.refused, source.others) == (None, (), ())


def test_splits_of_a_folder_are_told_by_the_names_of_files(tmp_path):
    for number, name in enumerate(["train-00000-of-00002", "train-00001-of-00002", "validation-0", "test-0"]):
        write(tmp_path / "data" / f"{name}.parquet", table([number], label=[number]))
    write(tmp_path / ".cache" / "x.parquet", table([9]))
    source = TableSource(tmp_path)
    assert source.names[0] == "data/test-0/000000"
    assert [source.read(index) for index in range(4)] == [png(shade) for shade in (3, 0, 1, 2)]
    assert source.facts.held_out.tolist() == [True, False, False, True]
    assert source.facts.label_names == ("0", "1", "2", "3")


def test_folders_of_save_to_disk(tmp_path):
    made = table(range(5), FEATURES, label=[0, 1, 2, 1, 0], text=list("abcde"))
    write_stream(tmp_path / "train" / "data-00000-of-00001.arrow", made)
    write_stream(tmp_path / "test" / "data-00000-of-00001.arrow", table([7], FEATURES, label=[2], text=["f"]))
    write_stream(tmp_path / "train" / "cache-0123.arrow", made)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    (tmp_path / "train" / "state.json").write_text("{}")
    source = TableSource(tmp_path)
    assert len(source.names) == 6
    assert [source.read(index) for index in range(6)] == [png(shade) for shade in (7, 0, 1, 2, 3, 4)]
    assert source.facts.labels.tolist() == [2, 0, 1, 2, 1, 0]
    assert source.facts.held_out.tolist() == [True] + [False] * 5
    assert source.facts.captions == tuple("fabcde")


def test_the_other_arrow_format(tmp_path):
    made = table(range(3))
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, made.schema) as out:
        out.write_table(made, max_chunksize=2)
    assert TableSource(tmp_path / "a.arrow").read(2) == png(2)


def test_plain_bytes_and_the_liked_name(tmp_path):
    raw = [png(1), png(2)]
    for kind in (pa.binary(), pa.large_binary()):
        made = pa.table(
            {"png": pa.array([b"x", b"y"], kind), "img": pa.array(raw, kind), "class": ["b", "a"]}
        )
        source = TableSource(write(tmp_path / "a.parquet", made))
        assert [source.read(0), source.read(1)] == raw
        assert (source.facts.labels.tolist(), source.facts.label_names) == ([1, 0], ("a", "b"))


def test_other_facts(tmp_path):
    made = table(range(2), captions=[["a", "b"], []], Smiling=[True, False], Male=[False, False])
    facts = TableSource(write(tmp_path / "a.parquet", made)).facts
    assert facts.captions == ("a", "")
    assert (facts.attributes.tolist(), facts.attribute_names) == ([[1, 0], [0, 0]], ("Smiling", "Male"))
    made = table(range(2), Smiling=[True, None], text=[None, None])
    facts = TableSource(write(tmp_path / "b.parquet", made)).facts
    assert (facts.attributes, facts.captions, facts.labels) == (None, None, None)


def test_sound_is_no_picture(tmp_path):
    features = {"image": {"_type": "Audio"}}
    write(tmp_path / "a.parquet", table([0], features))
    with pytest.raises(
        DataError, match=r"no column holds the bytes of pictures; its columns: image \(struct"
    ):
        TableSource(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"info": null}', '{"info": {"features": [1]}}', "[" * 100_000])
def test_damaged_metadata_is_as_none(tmp_path, text):
    made = table([0, 1], label=[0, 1]).replace_schema_metadata({"huggingface": text})
    assert TableSource(write(tmp_path / "a.parquet", made)).facts.label_names == ("0", "1")


@pytest.mark.parametrize("names", [3, 10**30, True, None, "cat", {"0": "a"}, [1, None], [["a"], "b"], []])
def test_names_of_another_kind_stop_nothing(tmp_path, names):
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    facts = TableSource(write(tmp_path / "a.parquet", table([0, 1], features, label=[0, 1]))).facts
    assert facts.labels.tolist() == [0, 1]
    assert len(facts.label_names) == 2 and all(isinstance(name, str) for name in facts.label_names)


@pytest.mark.parametrize("labels", [[0, -1], [0, None], [-5, 3], [0, 10**12], ["a", None]])
def test_labels_that_cannot_be_used_are_told(tmp_path, labels):
    source = TableSource(write(tmp_path / "a.parquet", table([0, 1], label=labels)))
    assert source.facts.labels is None
    assert "labels are not used" in reasons(source)["label"]
    assert source.read(1) == png(1)


def test_files_that_do_not_fit_are_refused_by_name(tmp_path):
    write(tmp_path / "a.parquet", table([1], label=[0], text=["x"]))
    write(tmp_path / "b.parquet", table([2], label=[1]))
    write(tmp_path / "c.parquet", pa.table({"picture": [png()]}))
    (tmp_path / "d.parquet").write_bytes(b"PAR1 and no more PAR1")
    (tmp_path / "e.arrow").write_bytes(b"nothing of the kind")
    (tmp_path / "f.parquet").write_bytes(b"")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "g.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.parquet").mkdir()
    source = TableSource(tmp_path)
    assert source.names == ("a/000000", "b/000000")
    assert set(reasons(source)) == {"c.parquet", "d.parquet", "e.arrow", "f.parquet", "g.parquet"}
    assert "no column image" in reasons(source)["c.parquet"]
    assert source.facts.captions == ("x", "")
    assert source.facts.labels.tolist() == [0, 1]


def test_what_holds_no_pictures_is_said(tmp_path):
    with pytest.raises(DataError, match="it holds none"):
        TableSource(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"a\.parquet: it cannot be read"):
        TableSource(tmp_path / "a.parquet")


def test_pictures_that_are_not_in_the_table_are_told(tmp_path):
    cells = [{"bytes": None, "path": "/etc/passwd"}, {"bytes": None, "path": None}, None]
    made = pa.table({"image": pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))})
    source = TableSource(write(tmp_path / "a.parquet", made))
    with pytest.raises(DataError, match="only the name of a file is stored: /etc/passwd"):
        source.read(0)
    for index in (1, 2):
        with pytest.raises(DataError, match="no picture is stored"):
            source.read(index)


@pytest.mark.parametrize("codec", ["none", "snappy", "zstd"])
def test_damage_inside_is_refused_when_read(tmp_path, codec):
    path = write(tmp_path / "a.parquet", table(range(40)), row_group_size=20, compression=codec)
    raw = bytearray(path.read_bytes())
    raw[4:40] = b"\xff" * 36  # The first page.
    path.write_bytes(raw)
    source = TableSource(path)
    with pytest.raises(DataError, match="damaged inside the table"):
        source.read(3)
    assert source.read(25) == png(25)


def test_readers_are_pickled_small_and_read_in_threads(tmp_path):
    path = write(tmp_path / "a.parquet", table(range(60)), row_group_size=7)
    source = TableSource(path)
    source.read(0)
    sent = pickle.dumps(source.reader)
    assert len(sent) < 1000
    keys = [source.key(index) for index in range(60)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(pickle.loads(sent).read, keys)) == [png(shade) for shade in range(60)]


def test_at_most_so_many_bytes_are_kept(tmp_path, monkeypatch):
    path = str(write(tmp_path / "a.parquet", table(range(60)), row_group_size=10))
    cells = table_files.Cells()
    cells.cell(path, 0, "image", 0)
    size = cells.groups[path, 0, "image"][1]
    monkeypatch.setattr(table_files, "CACHED", int(2.5 * size))
    for index in [*range(0, 60, 9), *range(59, 0, -9)]:
        assert cells.cell(path, index // 10, "image", index % 10)["bytes"] == png(index)
        assert 1 <= len(cells.groups) <= 3
    assert len(cells.groups) == 2


def test_groups_too_large_to_keep_are_passed_through(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "CACHED", 1000)
    monkeypatch.setattr(table_files, "_PIECE", 10_000)
    path = str(write(tmp_path / "a.parquet", table(range(60)), row_group_size=30))
    cells = table_files.Cells()
    for index in [*range(60), 3, 59, 58, 29, 30, 0]:
        assert cells.cell(path, index // 30, "image", index % 30)["bytes"] == png(index)
    assert cells.groups == {}
    assert len(cells.windows) == 1


def test_the_fingerprint_depends_on_names_and_contents_and_not_on_the_place(tmp_path):
    for place in ("here", "there"):
        write(tmp_path / place / "a.parquet", table(range(3)))
    here, there = (TableSource(tmp_path / place).fingerprint for place in ("here", "there"))
    assert here == there
    write(tmp_path / "there" / "a.parquet", table(range(4)))
    assert TableSource(tmp_path / "there").fingerprint != here


def test_without_pyarrow_it_is_said(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", table([0]))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else real(name))
    with pytest.raises(MissingPackageError, match=r"gansmith\[datasets\]"):
        TableSource(path)


def test_endings_and_threads():
    assert is_table("a.PARQUET") and is_table("b.arrow")
    assert not is_table("a.csv")
    assert threading.active_count() < 30  # Tables are read without threads, so that processes may fork.


def test_another_column_may_be_the_class(tmp_path):
    made = table(
        range(3), FEATURES, label=[0, 1, 2], text=list("abc"), age=[7, 8, 7], hat=[True, False, True]
    )
    path = write(tmp_path / "a.parquet", made)
    facts = TableSource(path, label="age").facts
    assert (facts.labels.tolist(), facts.label_names[8]) == ([7, 8, 7], "8")
    assert TableSource(path, label="text").facts.label_names == ("a", "b", "c")
    with pytest.raises(DataError, match=r"Received: 'aeg'\. Did you mean 'age'"):
        TableSource(path, label="aeg")
    facts = TableSource(path, label="hat").facts
    assert (facts.labels.tolist(), facts.attributes) == ([1, 0, 1], None)
