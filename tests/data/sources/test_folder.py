"""Folders and zips are listed in one order, with labels where they are certain, and nothing is fatal."""

import io
import json
import os
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from gansmith.data.sources.base import Source
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.zip import ZipSource
from gansmith.errors import DataError


def png(shade=0):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), shade).save(buffer, "PNG")
    return buffer.getvalue()


def fill(root, names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    return root


def pack(path, names, prefix="", texts=None, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for number, name in enumerate(names):
            archive.writestr(prefix + name, png(number))
        for name, text in (texts or {}).items():
            archive.writestr(prefix + name, text)
    return path


def reasons(source):
    return {entry.name: entry.reason for entry in source.refused}


def test_names_are_sorted_relative_and_found_at_any_depth(tmp_path):
    source = FolderSource(fill(tmp_path, ["b.png", "z/y/x/c.JPG", "a/k.webp", "B.jpeg"]))
    assert isinstance(source, Source)
    assert source.names == ("B.jpeg", "a/k.webp", "b.png", "z/y/x/c.JPG")
    assert source.read(0) == png(3)
    assert source.refused == ()


def test_hidden_files_and_litter_do_not_count(tmp_path):
    fill(tmp_path, ["a.png", ".hidden.png", ".git/b.png", "__MACOSX/c.png", "__MACOSX/._a.png"])
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    source = FolderSource(tmp_path)
    assert source.names == ("a.png",)
    assert source.others == ("notes.txt",)


def test_pictures_pillow_cannot_read_are_named(tmp_path):
    fill(tmp_path, ["a.png", "b.HEIC"])
    assert "convert" in reasons(FolderSource(tmp_path))["b.HEIC"]


def test_what_is_not_a_folder_is_said(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        FolderSource(tmp_path / "nothing")


def test_links_are_followed_once_and_loops_end(tmp_path):
    fill(tmp_path / "data", ["real/a.png"])
    fill(tmp_path / "elsewhere", ["b.png"])
    os.symlink(tmp_path / "data", tmp_path / "data" / "real" / "loop")
    os.symlink(tmp_path / "data" / "real", tmp_path / "data" / "again")
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "other")
    os.symlink(tmp_path / "nowhere.png", tmp_path / "data" / "broken.png")
    os.symlink("self.png", tmp_path / "data" / "self.png")
    source = FolderSource(tmp_path / "data")
    assert source.names == ("other/b.png", "real/a.png")
    assert source.read(0) == png(0)
    assert set(reasons(source)) == {"broken.png", "self.png"}


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    fill(tmp_path, ["a.png", "closed/b.png"])
    scandir = os.scandir

    def closed(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    source = FolderSource(tmp_path)
    assert source.names == ("a.png",)
    assert "Permission denied" in reasons(source)["closed"]


def test_the_fingerprint_depends_on_names_and_contents_and_not_on_the_place(tmp_path):
    names = ["a.png", "b/c.png"]
    here, there = (FolderSource(fill(tmp_path / place, names)) for place in ("here", "there"))
    zipped = ZipSource(pack(tmp_path / "z.zip", names, prefix="here/"))
    assert here.fingerprint == there.fingerprint == zipped.fingerprint
    (tmp_path / "there" / "a.png").write_bytes(png() + b"x")
    assert FolderSource(tmp_path / "there").fingerprint != here.fingerprint
    fill(tmp_path / "here", ["d.png"])
    assert FolderSource(tmp_path / "here").fingerprint != here.fingerprint


def test_a_zip_is_read_without_unpacking(tmp_path):
    path = pack(tmp_path / "z.zip", ["b.png", "a.png"], texts={"x.txt": "x", "inner.zip": "x", ".h.png": "x"})
    source = ZipSource(path)
    assert source.names == ("a.png", "b.png")
    assert source.others == ("inner.zip", "x.txt")
    assert (source.read(0), source.read(1)) == (png(1), png(0))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["z.zip"]


def test_names_that_climb_out_of_a_zip_are_only_names(tmp_path):
    source = ZipSource(pack(tmp_path / "z.zip", ["../../evil.png", "a.png"]))
    assert source.names == ("a.png", "evil.png")
    assert source.read(1) == png(0)
    assert not (tmp_path.parent.parent / "evil.png").exists()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_by_many_threads(tmp_path, compression):
    names = [f"{number:03}.png" for number in range(100)]
    source = ZipSource(pack(tmp_path / "z.zip", names, compression=compression))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, range(100))) == [png(number) for number in range(100)]


def test_a_file_that_is_not_a_zip_is_said(tmp_path):
    junk, cut = tmp_path / "junk.zip", tmp_path / "cut.zip"
    junk.write_bytes(b"PK\x03\x04 but no more")
    whole = pack(tmp_path / "z.zip", ["a.png", "b.png"]).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for path in (junk, cut, tmp_path / "missing.zip"):
        with pytest.raises(DataError, match="A zip of pictures was expected"):
            ZipSource(path)


def test_encrypted_entries_are_refused(tmp_path):
    raw = bytearray(pack(tmp_path / "z.zip", ["a.png"]).read_bytes())
    directory = raw.index(b"PK\x01\x02")
    raw[directory + 8] |= 1
    (tmp_path / "z.zip").write_bytes(raw)
    source = ZipSource(tmp_path / "z.zip")
    assert source.names == ()
    assert "encrypted" in reasons(source)["a.png"]


def test_damaged_entries_are_refused_when_read(tmp_path):
    raw = bytearray(pack(tmp_path / "z.zip", ["a.png", "b.png"]).read_bytes())
    raw[60] ^= 0xFF
    (tmp_path / "z.zip").write_bytes(raw)
    source = ZipSource(tmp_path / "z.zip")
    with pytest.raises(DataError, match="damaged inside the zip"):
        source.read(0)
    assert source.read(1) == png(1)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_is_refused_whatever_the_compression(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "z.zip", "w", method) as archive:
        archive.writestr("a.png", png(0) * 20)
    whole = (tmp_path / "z.zip").read_bytes()
    refused = 0
    for place in range(35, 90, 3):
        raw = bytearray(whole)
        raw[place] ^= 0xFF
        (tmp_path / "z.zip").write_bytes(raw)
        try:
            assert ZipSource(tmp_path / "z.zip").read(0) == png(0) * 20
        except DataError:
            refused += 1
    assert refused > 10


def test_entries_of_absurd_size_are_refused(tmp_path):
    raw = bytearray(pack(tmp_path / "z.zip", ["a.png"]).read_bytes())
    directory = raw.index(b"PK\x01\x02")
    raw[directory + 24 : directory + 28] = struct.pack("<I", 3 * 2**30)
    (tmp_path / "z.zip").write_bytes(raw)
    assert "3,221,225,472 bytes" in reasons(ZipSource(tmp_path / "z.zip"))["a.png"]


def labels_of(source):
    return source.facts.labels.tolist()


def test_class_folders_are_labels_in_sorted_order(tmp_path):
    source = FolderSource(fill(tmp_path, ["dog/1.png", "cat/2.png", "cat/deep/3.png"]))
    assert source.names == ("cat/2.png", "cat/deep/3.png", "dog/1.png")
    assert labels_of(source) == [0, 0, 1]
    assert source.facts.label_names == ("cat", "dog")
    zipped = ZipSource(pack(tmp_path / "z.zip", ["dog/1.png", "cat/2.png"], prefix="animals/"))
    assert (zipped.names, labels_of(zipped)) == (("cat/2.png", "dog/1.png"), [0, 1])


@pytest.mark.parametrize(
    "names", [["cat/1.png", "dog/2.png", "3.png"], ["cat/1.png", "cat/2.png"], ["1.png"]]
)
def test_folders_that_do_not_sort_everything_are_no_labels(tmp_path, names):
    source = FolderSource(fill(tmp_path, names))
    assert source.facts.labels is None
    assert source.facts.label_names == ()


FILES = {
    "dataset.json": json.dumps({"labels": [["a/1.png", 3], ["a/2.png", 0]]}),
    "labels.json": json.dumps({"a/1.png": 3, "a/2.png": 0}),
    "labels.csv": "file,age,label\na/1.png,24,3\na/2.png,25,0\n",
}


@pytest.mark.parametrize("file", FILES)
def test_label_files_with_integers(tmp_path, file):
    fill(tmp_path, ["a/1.png", "a/2.png"])
    (tmp_path / file).write_text(FILES[file])
    source = FolderSource(tmp_path)
    assert labels_of(source) == [3, 0]
    assert source.facts.label_names == ("0", "1", "2", "3")
    assert source.refused == ()
    zipped = pack(tmp_path / "z.zip", ["a/1.png", "a/2.png"], texts={file: FILES[file]})
    assert labels_of(ZipSource(zipped)) == [3, 0]


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffilename;class\n1.png;dog\n2.png;cat\n",
        'Image,Target\r\n"1.png",dog\r\n.\\2.png,cat\r\n',
        "name,label\n2.png,cat\n1.png,dog\n\n",
    ],
)
def test_csv_dialects_with_string_labels(tmp_path, text):
    fill(tmp_path, ["1.png", "2.png"])
    (tmp_path / "labels.csv").write_bytes(text.encode())
    source = FolderSource(tmp_path)
    assert labels_of(source) == [1, 0]
    assert source.facts.label_names == ("cat", "dog")


def test_a_csv_without_a_label_column_is_ignored(tmp_path):
    fill(tmp_path, ["cat/1.png", "dog/2.png"])
    (tmp_path / "labels.csv").write_text("file,age\ncat/1.png,3\n")
    source = FolderSource(tmp_path)
    assert labels_of(source) == [0, 1]
    assert source.refused == ()


def test_labels_for_missing_pictures_are_listed_and_not_fatal(tmp_path):
    fill(tmp_path, ["1.png"])
    (tmp_path / "labels.csv").write_text("file,label\n1.png,0\ngone.png,1\nlost.png,1\n")
    source = FolderSource(tmp_path)
    assert labels_of(source) == [0]
    assert set(reasons(source)) == {"gone.png", "lost.png"}
    assert "labels.csv names it" in reasons(source)["gone.png"]


def test_labels_for_some_pictures_are_labels_for_none(tmp_path):
    fill(tmp_path, [f"{number}.png" for number in range(5)])
    (tmp_path / "labels.csv").write_text("file,label\n1.png,0\n2.png,\n3.png,1\n")
    source = FolderSource(tmp_path)
    assert source.facts.labels is None
    assert reasons(source) == {"labels.csv": "3 pictures have no label; labels are not used"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.json", "{not json"),
        ("labels.json", "[1, 2]"),
        ("labels.json", '{"1.png": -1}'),
        ("labels.json", '{"1.png": [1, 2]}'),
        ("labels.json", '{"1.png": 1000000000000}'),
        ("dataset.json", "[]"),
        ("dataset.json", '{"labels": [["1.png"]]}'),
        ("labels.csv", b"file,label\n\xff\xfe.png,1\n"),
    ],
)
def test_damaged_label_files_are_refused_and_not_fatal(tmp_path, file, text):
    fill(tmp_path, ["1.png"])
    (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    source = FolderSource(tmp_path)
    assert source.facts.labels is None
    assert "labels are not used" in reasons(source)[file]


def test_stylegan_folders_without_labels_are_no_classes(tmp_path):
    fill(tmp_path, ["00000/1.png", "00001/2.png"])
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert FolderSource(tmp_path).facts.labels is None


@pytest.mark.slow
def test_a_million_tiny_files(tmp_path):
    """Links to one file: the listing is what is tried."""
    for folder in range(1000):
        place = tmp_path / "many" / f"{folder:03d}"
        place.mkdir(parents=True)
        (place / "000.png").write_bytes(png(0))
        for number in range(1, 1000):
            os.link(place / "000.png", place / f"{number:03d}.png")
    source = FolderSource(tmp_path / "many")
    assert len(source.names) == 1_000_000
    assert source.names[-1] == "999/999.png"
    assert source.read(999_999) == png(0)
    assert len(source.facts.label_names) == 1000
