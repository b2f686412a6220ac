"""Shards are read with the facts that lie in them, and those that are written are read by WebDataset."""

import errno
import io
import json
import os
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from gansmith.data.sources.base import Source
from gansmith.data.sources.tar import TarSource
from gansmith.data.sources.webdataset import ShardSource, ShardWriter, is_tar, open_tar
from gansmith.errors import DataError, StorageError


def png(shade=0):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), shade).save(buffer, "PNG")
    return buffer.getvalue()


def shard(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, raw in files.items():
            raw = raw.encode() if isinstance(raw, str) else raw
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def reasons(source):
    return {entry.name: entry.reason for entry in source.refused}


def test_samples_of_all_shards_have_their_facts(tmp_path):
    points = [[1, 2], [3.5, 4]]
    shard(tmp_path / "b.tar", {"1.jpg": png(2), "1.cls": "2", "1.txt": "two\n", "1.json": "{}"})
    shard(tmp_path / "a.tar", {
        "1.json": json.dumps({"caption": "zero", "label": 7, "landmarks": points, "attributes": {"hat": 1}}),
        "1.jpg": png(0), "1.cls": " 0 ", "2.cls": "1", "2.txt": "one", "2.png": png(1),
    })  # fmt: skip
    source = ShardSource(tmp_path)
    assert isinstance(source, Source)
    assert source.names == ("a/1.jpg", "a/2.png", "b/1.jpg")
    assert [source.read(index) for index in range(3)] == [png(0), png(1), png(2)]
    assert source.facts.labels.tolist() == [0, 1, 2]  # What comes later in the shard has the last word.
    assert source.facts.captions == ("zero", "one", "two")
    assert source.facts.landmarks[0].tolist() == points
    assert np.isnan(source.facts.landmarks[1:]).all()
    assert reasons(source) == {"attributes": "pictures have different attributes; attributes are not used"}
    assert pickle.loads(pickle.dumps(source.reader)).read(source.key(2)) == png(2)


def test_shards_of_one_name_in_two_folders_stay_apart(tmp_path):
    for part, shade in (("train", 0), ("val", 1)):
        shard(tmp_path / part / "0000.tar", {"1.jpg": png(shade), "1.cls": str(shade)})
    source = ShardSource(tmp_path)
    assert source.names == ("train/0000/1.jpg", "val/0000/1.jpg")
    assert source.facts.held_out.tolist() == [False, True]


def test_the_plainest_picture_of_a_sample_counts(tmp_path):
    files = {"1.mask.png": png(9), "1.jpg": png(1), "1.seg.webp": png(8), "d.x/2.png": png(2), "1.npy": "x"}
    source = ShardSource(shard(tmp_path / "a.tar", files))
    assert source.names == ("a/1.jpg", "a/d.x/2.png")
    assert source.read(0) == png(1)
    assert source.others == ("a/1.npy",)
    assert source.facts.labels is None  # Folders in shards are no classes.


def test_a_tar_is_a_shard_where_most_pictures_have_facts(tmp_path):
    facts = {f"{number}.cls": str(number) for number in range(3)}
    few = shard(tmp_path / "few.tar", {**{f"{number}.jpg": png() for number in range(6)}, **facts})
    most = shard(tmp_path / "most.tar", {**{f"{number}.jpg": png() for number in range(5)}, **facts})
    assert isinstance(open_tar(few), TarSource)
    opened = open_tar(most)
    assert isinstance(opened, ShardSource)
    assert opened.names[0] == "most/0.jpg"
    assert reasons(opened) == {"labels": "2 pictures have no label; labels are not used"}


@pytest.mark.parametrize(
    ("file", "raw", "told"),
    [
        ("1.cls", "one", "invalid literal"),
        ("1.json", "{", "cannot be read"),
        ("1.json", "[" * 100_000, "cannot be read"),
        ("1.txt", b"\xff\xfe", "codec"),
        ("1.txt", b"a" * (2**20 + 1), "more than 1,048,576 bytes"),
    ],
)
def test_damaged_facts_are_told_and_the_picture_stays(tmp_path, file, raw, told):
    source = ShardSource(shard(tmp_path / "a.tar", {"1.jpg": png(), file: raw}))
    assert source.names == ("a/1.jpg",)
    assert told in reasons(source)[f"a/{file}"]


def test_json_that_is_no_object_says_nothing(tmp_path):
    source = ShardSource(shard(tmp_path / "a.tar", {"1.jpg": png(), "1.json": "[1]"}))
    assert (source.facts.labels, source.refused) == (None, ())


def test_cut_shards_are_used_up_to_the_cut(tmp_path):
    path = shard(tmp_path / "a.tar", {"1.jpg": png(1), "1.cls": "0", "2.jpg": png(2), "2.cls": "1"})
    path.write_bytes(path.read_bytes()[: 4 * 512 + 530])
    source = ShardSource(tmp_path)
    assert source.names == ("a/1.jpg",)
    assert "cut short" in reasons(source)["a"]
    assert "cut short" in reasons(source)["a/2.jpg"]


def test_hidden_shards_do_not_count_and_none_at_all_is_said(tmp_path):
    shard(tmp_path / ".a.tar", {"1.jpg": png()})
    (tmp_path / "folder.tar").mkdir()
    with pytest.raises(DataError, match="which holds none"):
        ShardSource(tmp_path)


def test_endings():
    assert is_tar("A.TAR") and is_tar("a.tar.gz") and is_tar("x.tgz")
    assert not is_tar("a.tar.zip")


# --- Writing ------------------------------------------------------------------------------------------


def pictures(count, channels=3, side=16):
    return np.random.default_rng(0).integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def write(folder, images, **options):
    with ShardWriter(folder, **options) as writer:
        for number, pixels in enumerate(images):
            facts = {"label": number % 2, "label_name": "ab"[number % 2], "caption": f"no. {number} ä"}
            facts |= {"attributes": {"x": np.uint8(1)}, "landmarks": np.full((2, 2), number + 0.5)}
            writer.write(f"{number:06d}", pixels, facts | {"held_out": number == 3})


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_is_read_back(tmp_path, kind, channels):
    images = pictures(5, channels)
    write(tmp_path / "out", images, kind=kind, maxcount=2)
    assert sorted(os.listdir(tmp_path / "out")) == ["000000.tar", "000001.tar", "000002.tar"]
    source = ShardSource(tmp_path / "out")
    assert source.names[2] == f"000001/000002.{kind}"
    for index, pixels in enumerate(images):
        rows = np.asarray(Image.open(io.BytesIO(source.read(index))).convert("L" if channels == 1 else "RGB"))
        assert np.array_equal(rows.reshape(16, 16, channels).transpose(2, 0, 1), pixels)
    facts = source.facts
    assert (facts.labels.tolist(), facts.label_names) == ([0, 1, 0, 1, 0], ("a", "b"))
    assert (facts.captions[4], facts.attribute_names) == ("no. 4 ä", ("x",))
    assert facts.landmarks[:, 0, 0].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert facts.held_out.tolist() == [False, False, False, True, False]
    assert source.refused == ()


def test_jpeg_is_close(tmp_path):
    smooth = np.broadcast_to(np.linspace(0, 255, 16).astype(np.uint8), (3, 16, 16))
    write(tmp_path / "out", [smooth], kind="jpg")
    pixels = np.asarray(Image.open(io.BytesIO(ShardSource(tmp_path / "out").read(0))), dtype=int)
    assert np.abs(pixels.transpose(2, 0, 1) - smooth).max() <= 4


def test_webdataset_reads_them(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    images = pictures(3)
    write(tmp_path / "out", images, maxcount=2)
    for number in range(2):
        path = tmp_path / "out" / f"{number:06d}.tar"
        with path.open("rb") as stream:
            samples = list(webdataset.tariterators.group_by_keys(
                webdataset.tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            ))  # fmt: skip
        assert [sample["__key__"] for sample in samples] == [["000000", "000001"], ["000002"]][number]
        for sample in samples:
            index = int(sample["__key__"])
            assert json.loads(sample["json"])["caption"] == f"no. {index} ä"
            rows = np.asarray(Image.open(io.BytesIO(sample["png"])))
            assert np.array_equal(rows.transpose(2, 0, 1), images[index])


def test_the_same_pictures_give_the_same_bytes(tmp_path):
    for place in ("one", "two"):
        write(tmp_path / place, pictures(3))
    first, second = ((tmp_path / place / "000000.tar").read_bytes() for place in ("one", "two"))
    assert first == second
    with tarfile.open(tmp_path / "one" / "000000.tar") as archive:
        said = {(info.mtime, info.uid, info.gid, info.uname, info.gname) for info in archive}
    assert said == {(0, 0, 0, "", "")}


def test_shards_keep_to_their_largest_size(tmp_path):
    write(tmp_path / "out", pictures(6), maxsize=7000, kind="png")
    with tarfile.open(tmp_path / "out" / "000000.tar") as archive:
        per_shard = len(archive.getnames()) // 2
    assert 1 < per_shard < 6
    assert len(os.listdir(tmp_path / "out")) == -(-6 // per_shard)
    write(tmp_path / "single", pictures(3), maxsize=1)  # One picture there always is.
    assert len(os.listdir(tmp_path / "single")) == 3


def test_facts_are_left_out_where_there_are_none(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.write("cats/1", pictures(1)[0], {})
    with tarfile.open(tmp_path / "000000.tar") as archive:
        assert archive.getnames() == ["cats/1.png"]


def test_an_unfinished_shard_goes_and_whole_ones_stay(tmp_path):
    with pytest.raises(OSError, match="a picture"), ShardWriter(tmp_path, maxcount=2) as writer:
        for number, pixels in enumerate(pictures(5)):
            if number == 3:
                raise OSError("a picture that cannot be read")
            writer.write(str(number), pixels, {})
    assert os.listdir(tmp_path) == ["000000.tar"]


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="disk is full"), ShardWriter(tmp_path) as writer:
        monkeypatch.setattr(tarfile.TarFile, "addfile", full)
        writer.write("1", pictures(1)[0], {})
    assert os.listdir(tmp_path) == []


def test_shards_are_not_mixed_with_older_ones(tmp_path):
    write(tmp_path, pictures(1))
    with pytest.raises(DataError, match="where there are none"):
        ShardWriter(tmp_path)


@pytest.mark.parametrize("options", [{"maxcount": 0}, {"maxsize": 0}])
def test_a_shard_holds_something(tmp_path, options):
    with pytest.raises(DataError, match="at least 1"):
        ShardWriter(tmp_path, **options)


@pytest.mark.parametrize("key", ["", "a.b", "../a", "/a", "a/", "a//b", "a\\b", "a\nb"])
def test_keys_webdataset_would_misread_are_refused(tmp_path, key):
    with ShardWriter(tmp_path) as writer, pytest.raises(DataError, match="a name without dots"):
        writer.write(key, pictures(1)[0], {})
    assert os.listdir(tmp_path) == []


def test_a_key_is_used_once(tmp_path):
    with ShardWriter(tmp_path, maxcount=1) as writer:
        writer.write("1", pictures(1)[0], {})
        with pytest.raises(DataError, match="1 twice"):
            writer.write("1", pictures(1)[0], {})


@pytest.mark.parametrize("facts", [{"x": float("nan")}, {"x": object()}, {"x": {1, 2}}])
def test_facts_that_json_cannot_say_are_refused(tmp_path, facts):
    with ShardWriter(tmp_path) as writer, pytest.raises(DataError, match="cannot be written as JSON"):
        writer.write("1", pictures(1)[0], facts)


@pytest.mark.parametrize("shape", [(2, 4, 4), (3, 0, 4), (4, 4, 4)])
def test_pixels_that_are_no_picture_are_refused(tmp_path, shape):
    with ShardWriter(tmp_path) as writer, pytest.raises(DataError, match="1 or 3, height, width"):
        writer.write("1", np.zeros(shape, np.uint8), {})


def test_pictures_too_large_for_their_format_are_refused(tmp_path):
    with ShardWriter(tmp_path, kind="webp") as writer, pytest.raises(DataError, match="as webp"):
        writer.write("1", np.zeros((1, 1, 20_000), np.uint8), {})


def test_another_key_may_be_the_class(tmp_path):
    files = {
        "1.jpg": png(),
        "1.json": '{"age": 3, "label": 0}',
        "2.jpg": png(),
        "2.json": '{"age": 5, "attributes": {"hat": 1}}',
    }
    path = shard(tmp_path / "a.tar", files)
    assert open_tar(path, label="age").facts.labels.tolist() == [3, 5]
    told = open_tar(path, label="hat")
    assert told.facts.labels is None
    assert "1 picture has no label" in reasons(told)["labels"]
    with pytest.raises(DataError, match=r"Received: 'aeg'\. Did you mean 'age'"):
        open_tar(path, label="aeg")
    text = "file,age\n1.png,x\n2.png,y\n"
    table = shard(tmp_path / "b.tar", {"1.png": png(), "2.png": png(), "labels.csv": text})
    assert open_tar(table, label="age").facts.label_names == ("x", "y")
