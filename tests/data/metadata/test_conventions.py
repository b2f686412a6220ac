"""The layouts of those who publish data sets are known, whole or damaged, and no pickle is trusted."""

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith.data.metadata.conventions import open_published, owners_facts
from gansmith.data.sources.base import Source
from gansmith.data.sources.cifar import PlainArray, read_plain_pickle
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.zip import ZipSource
from gansmith.errors import DataError

MNIST = Path(__file__).parents[3].parent / "shared" / "data" / "mnist"
RNG = np.random.default_rng(0)


def jpg(shade=0):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), shade).save(buffer, "JPEG")
    return buffer.getvalue()


def fill(root, names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpg(number))
    return root


def reasons(source):
    return {entry.name: entry.reason for entry in source.refused}


def pixels(source, index):
    rows = np.asarray(Image.open(io.BytesIO(source.read(index))))
    return rows[None] if rows.ndim == 2 else rows.transpose(2, 0, 1)


@pytest.mark.parametrize("names", [[], ["a.png"], ["cat/1.png", "dog/2.png"], ["raw/1.png"]])
def test_other_folders_are_not_recognised(tmp_path, names):
    assert open_published(fill(tmp_path, names)) is None
    assert open_published(tmp_path / "nothing") is None


# --- MNIST --------------------------------------------------------------------------------------------


def idx(folder, part="train", count=5, labels=None, pack=None, style="{}-{}-ubyte"):
    images = RNG.integers(0, 256, (count, 6, 4), dtype=np.uint8)
    labels = np.arange(count) % 3 if labels is None else np.array(labels)
    files = {
        "images-idx3": struct.pack(">4I", 0x803, count, 6, 4) + images.tobytes(),
        "labels-idx1": struct.pack(">2I", 0x801, len(labels)) + labels.astype(np.uint8).tobytes(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for kind, raw in files.items():
        (folder / (style.format(part, kind) + (".gz" if pack else ""))).write_bytes(
            pack(raw) if pack else raw
        )
    return images


@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("pack", [None, gzip.compress])
def test_idx_files(tmp_path, below, pack):
    images = idx(tmp_path / below, pack=pack)
    idx(tmp_path / below, "t10k", 2, pack=pack)
    source = open_published(tmp_path)
    assert isinstance(source, Source)
    assert source.names == tuple(f"train/{number:05d}" for number in range(5))
    assert all(np.array_equal(pixels(source, index)[0], images[index]) for index in range(5))
    assert source.read(0).startswith(b"P5 4 6 255\n")
    assert source.facts.labels.tolist() == [0, 1, 2, 0, 1]
    assert source.facts.label_names == tuple("0123456789")
    assert (source.facts.held_out, source.refused, source.others) == (None, (), ())
    again = pickle.loads(pickle.dumps(source.reader))
    assert again.read(source.key(3)) == source.read(3)


def test_test_pictures_come_when_asked_for_and_are_held_out(tmp_path):
    idx(tmp_path)
    held = idx(tmp_path, "t10k", 2)
    source = open_published(tmp_path, held_out=True)
    assert source.names[5:] == ("t10k/00000", "t10k/00001")
    assert source.facts.held_out.tolist() == [False] * 5 + [True] * 2
    assert np.array_equal(pixels(source, 6)[0], held[1])


def test_other_spellings_and_fashion(tmp_path):
    idx(tmp_path / "FashionMNIST" / "raw", style="{}-{}-ubyte")
    assert open_published(tmp_path).facts.label_names[9] == "Ankle boot"
    idx(tmp_path / "kaggle")
    for file in list((tmp_path / "kaggle").iterdir()):
        file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    assert len(open_published(tmp_path / "kaggle").names) == 5


def test_more_than_ten_labels_are_numbers(tmp_path):
    idx(tmp_path, labels=[0, 1, 2, 3, 11])
    assert open_published(tmp_path).facts.label_names[11] == "11"


def test_sets_of_equal_sizes_differ_by_their_labels(tmp_path):
    idx(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    labels = next((tmp_path / "c").rglob("*labels*"))
    labels.write_bytes(labels.read_bytes()[:8] + bytes([1, 1, 1, 1, 1]))
    a, b, c = (open_published(tmp_path / place).fingerprint for place in "abc")
    assert a == b != c


def test_cut_idx_files_are_used_as_far_as_they_go(tmp_path):
    idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[: 16 + 24 * 3 + 7])
    source = open_published(tmp_path)
    assert len(source.names) == 3
    assert reasons(source)[path.name] == "cut short: 3 of 5 pictures are there"
    assert source.facts.labels.tolist() == [0, 1, 2]


def test_labels_that_do_not_fit_are_not_used(tmp_path):
    idx(tmp_path, labels=[1, 2])
    source = open_published(tmp_path)
    assert source.facts.labels is None
    assert "2 labels for 5 pictures" in reasons(source)["train-labels-idx1-ubyte"]
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert open_published(tmp_path).facts.labels is None


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"", "begin with 0, 0, 8, 3"),
        (struct.pack(">4I", 0x803, 1, 6, 4)[:15], "begin with 0, 0, 8, 3"),
        (struct.pack(">4I", 0xD03, 1, 6, 4), "begin with 0, 0, 8, 3"),
        (struct.pack(">4I", 0x803, 1, 0, 4), "with 4x0"),
        (struct.pack(">4I", 0x803, 1, 6, 2**31), "2147483648x6"),
    ],
)
def test_pixels_in_another_format_are_said(tmp_path, header, told):
    idx(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header)
    with pytest.raises(DataError, match=told):
        open_published(tmp_path)


def test_parts_of_different_sizes_are_said(tmp_path):
    idx(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 1, 2, 2) + bytes(4))
    with pytest.raises(DataError, match="one size"):
        open_published(tmp_path, held_out=True)


def test_a_folder_of_several_sets_is_said(tmp_path):
    idx(tmp_path / "MNIST" / "raw")
    idx(tmp_path / "FashionMNIST" / "raw")
    with pytest.raises(DataError, match=r"holds several: .*MNIST/raw, .*FashionMNIST/raw"):
        open_published(tmp_path)


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"{MNIST} is not here")
def test_mnist_itself():
    source = open_published(MNIST)
    assert len(source.names) == len(source.facts.labels) == 60_000
    assert (source.facts.labels[:5].tolist(), pixels(source, 59_999).shape) == ([5, 0, 4, 1, 9], (1, 28, 28))


# --- CIFAR-10 -----------------------------------------------------------------------------------------


def images32(count):
    return RNG.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def batch(images, labels, protocol=2):
    table = {b"batch_label": b"x", b"labels": labels, b"data": images.reshape(len(images), -1)}
    return pickle.dumps(table | {b"filenames": [b"a.png"] * len(labels)}, protocol)


def python2(images, labels):
    """The same as Python 2 wrote it in 2009, opcode by opcode."""
    raw = images.tobytes()

    def text(value):
        return b"U" + bytes([len(value)]) + value

    numbers = b"]" + b"(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    kind = (
        b"cnumpy\ndtype\n"
        + b"("
        + text(b"u1")
        + b"K\0K\1tR(K\3"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0t" + text(b"b") + b"tR"
    shape = b"(M" + struct.pack("<H", len(labels)) + b"M" + struct.pack("<H", 3072) + b"t"
    array = made + b"(K\1" + shape + kind + b"\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"
    return b"\x80\x02}(" + text(b"labels") + numbers + text(b"data") + array + b"u."


@pytest.mark.parametrize("write", [python2, batch, lambda i, ls: batch(i, ls, 4)])
@pytest.mark.parametrize("below", ["", "cifar-10-batches-py"])
def test_pickled_batches(tmp_path, write, below):
    folder = tmp_path / below
    folder.mkdir(exist_ok=True)
    images = images32(5)
    (folder / "data_batch_2").write_bytes(write(images[3:], [9, 1]))
    (folder / "data_batch_1").write_bytes(write(images[:3], [0, 5, 2]))
    (folder / "test_batch").write_bytes(write(images[:1], [7]))
    (folder / "batches.meta").write_bytes(b"not needed")
    source = open_published(tmp_path)
    assert isinstance(source, Source)
    assert source.names[2:4] == ("data_batch_1/00002", "data_batch_2/00000")
    assert all(np.array_equal(pixels(source, index), images[index]) for index in range(5))
    assert source.facts.labels.tolist() == [0, 5, 2, 9, 1]
    assert source.facts.label_names[9] == "truck"
    assert sorted(os.listdir(folder)) == ["batches.meta", "data_batch_1", "data_batch_2", "test_batch"]
    both = open_published(tmp_path, held_out=True)
    assert (both.facts.held_out.tolist(), both.facts.labels[-1]) == ([False] * 5 + [True], 7)


def test_batches_of_bare_pixels(tmp_path):
    images, labels = images32(4), [3, 0, 9, 1]
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rows = [bytes([label]) + image.tobytes() for label, image in zip(labels, images, strict=True)]
    (folder / "data_batch_1.bin").write_bytes(b"".join(rows[:2]) + rows[3][:100])
    (folder / "data_batch_5.bin").write_bytes(b"".join(rows[2:]))
    (folder / "data_batch_3.bin").write_bytes(b"\x0b" + bytes(3072))
    (folder / "data_batch_4.bin").write_bytes(b"")
    source = open_published(tmp_path)
    assert source.facts.labels.tolist() == labels
    assert all(np.array_equal(pixels(source, index), images[index]) for index in range(4))
    assert source.read(0).startswith(b"P6 32 32 255\n")
    told = reasons(source)
    assert told["data_batch_1.bin"] == "cut short: 2 whole pictures are there"
    assert "labels from 11 to 11" in told["data_batch_3.bin"]
    assert "no whole picture" in told["data_batch_4.bin"]


@pytest.mark.parametrize(
    "labels",
    [[10**30, 0], [0, -1], [10, 0], [0.0, 1], ["0", 1], [True, 0], (0, 1), {0: 1}, None, [[0], 1], [], 7],
)
def test_a_batch_whose_labels_are_none_is_left_out(tmp_path, labels):
    (tmp_path / "data_batch_1").write_bytes(batch(images32(2), [0, 1]))
    (tmp_path / "data_batch_2").write_bytes(
        pickle.dumps({"data": images32(2).reshape(2, -1), "labels": labels}, protocol=2)
    )
    source = open_published(tmp_path)
    assert source.facts.labels.tolist() == [0, 1]
    assert "labels" in reasons(source)["data_batch_2"]


class Evil:
    def __init__(self, call, *given):
        self.call, self.given = call, given

    def __reduce__(self):
        return self.call, self.given


EVIL = {
    "system": Evil(os.system, "touch pwned"),
    "eval": Evil(eval, "open('pwned', 'w')"),
    "import": Evil(__import__, "antigravity"),
    "attribute": Evil(getattr, "x", "upper"),
    "a set": {1, 2},
    "a class": Path,
    "objects": np.array([Evil(os.system, "touch pwned")], dtype=object),
}


@pytest.mark.parametrize("kind", EVIL)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_that_ask_for_more_are_refused_and_not_run(tmp_path, monkeypatch, kind, protocol):
    monkeypatch.chdir(tmp_path)
    raw = pickle.dumps({b"data": EVIL[kind], b"labels": [0]}, protocol)
    try:
        given = read_plain_pickle(raw)
        assert kind == "a set" and protocol == 4 and given[b"data"] == {1, 2}  # Protocol 4 has a word for it.
    except DataError as error:
        assert "which pictures do not need" in str(error)
    (tmp_path / "data_batch_1").write_bytes(raw)
    with pytest.raises(DataError, match=r"files of CIFAR-10 were expected.*data_batch_1"):
        open_published(tmp_path)
    assert os.listdir(tmp_path) == ["data_batch_1"]


PICKLES = {
    "empty": b"",
    "cut": batch(np.zeros((2, 3072), np.uint8), [0, 1])[:2000],
    "no table": pickle.dumps([1, 2]),
    "no labels": pickle.dumps({b"data": b"x"}),
    "labels of text": pickle.dumps({b"data": b"x", b"labels": ["a"]}),
    "labels too large": batch(np.zeros((1, 3072), np.uint8), [10]),
    "labels below 0": batch(np.zeros((1, 3072), np.uint8), [-1]),
    "fewer pixels": batch(np.zeros((1, 3072), np.uint8), [0, 1]),
    "no array": pickle.dumps({b"data": b"x" * 3072, b"labels": [0]}),
    "another kind": batch(np.zeros((1, 3072), np.float64), [0]),
    "other order": batch(np.asfortranarray(np.zeros((2, 3072), np.uint8)), [0, 1]),
    "a memo beyond all": b"\x80\x02}r\xff\xff\xff\xff.",
    "a text beyond all": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".",
    "a frame beyond all": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b".",
    "a newer kind of array": batch(np.zeros((1, 3072), np.uint8), [0], 5),
    "itself": b"\x80\x02}q\0U\4datah\0s.",
    "a function changed": b"cnumpy.core.multiarray\n_reconstruct\nN}U\x0c__defaults__N.s\x86b.",
    "a persistent name": b"\x80\x02Px\n.",
    "nothing on the stack": b"\x80\x02R.",
    "coding": b"\x80\x02c_codecs\nencode\n(X\1\0\0\0aX\5\0\0\0rot13tR.",
    "beyond latin": b"\x80\x02c_codecs\nencode\n(X\3\0\0\0\xe2\x82\xacX\6\0\0\0latin1tR.",
}


@pytest.mark.parametrize("kind", PICKLES)
def test_damaged_batches_are_told_and_the_others_used(tmp_path, kind):
    images = images32(1)
    (tmp_path / "data_batch_1").write_bytes(PICKLES[kind])
    (tmp_path / "data_batch_2").write_bytes(batch(images, [4]))
    source = open_published(tmp_path)
    assert source.names == ("data_batch_2/00000",)
    assert "data_batch_1" in reasons(source)
    assert np.array_equal(pixels(source, 0), images[0])


def test_pickles_of_absurd_size_are_not_read(tmp_path):
    with (tmp_path / "data_batch_1").open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(DataError, match="more than 67,108,864 bytes"):
        open_published(tmp_path)


def test_arrays_are_only_their_bytes():
    made = read_plain_pickle(pickle.dumps(np.arange(3, dtype=np.uint8), 2))
    assert isinstance(made, PlainArray)
    assert made.data == b"\0\1\2"
    assert read_plain_pickle(pickle.dumps({"a": [1, b"x", (2.5, None)]})) == {"a": [1, b"x", (2.5, None)]}


# --- Sets of files ------------------------------------------------------------------------------------

ATTRIBUTES = "3\nBald Smiling\n000001.jpg -1  1\n000002.jpg  1 -1\n000003.jpg -1 -1\n"
PARTITION = "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n"
CELEBA = [f"img_align_celeba/00000{number}.jpg" for number in (1, 2, 3)]


def check_celeba(source):
    assert source.names == ("000001.jpg", "000002.jpg", "000003.jpg")
    assert source.facts.attribute_names == ("Bald", "Smiling")
    assert source.facts.attributes.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert source.facts.held_out.tolist() == [False, True, True]
    assert (source.facts.labels, source.refused) == (None, ())


@pytest.mark.parametrize(("attributes", "partition"), [("", ""), ("Anno", "Eval")])
def test_celeba_and_the_files_beside_it(tmp_path, attributes, partition):
    fill(tmp_path, CELEBA)
    for folder, name, text in (
        (attributes, "list_attr_celeba.txt", ATTRIBUTES),
        (partition, "list_eval_partition.txt", PARTITION),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text)
    check_celeba(open_published(tmp_path))
    check_celeba(open_published(tmp_path / "img_align_celeba"))
    assert open_published(tmp_path).name == str(tmp_path)


@pytest.mark.parametrize("below", ["", "Img"])
def test_celeba_in_its_zip(tmp_path, below):
    (tmp_path / below).mkdir(exist_ok=True)
    with zipfile.ZipFile(tmp_path / below / "img_align_celeba.zip", "w") as archive:
        for name in CELEBA:
            archive.writestr(name, jpg())
    (tmp_path / "list_attr_celeba.txt").write_text(ATTRIBUTES)
    (tmp_path / "list_eval_partition.txt").write_text(PARTITION)
    source = open_published(tmp_path)
    assert isinstance(source, ZipSource)
    check_celeba(source)


def test_celeba_twice_wrapped_and_damaged(tmp_path):
    fill(tmp_path, [f"img_align_celeba/{name}" for name in CELEBA])
    (tmp_path / "list_attr_celeba.txt").write_bytes(b"\xff\xfe\0\0 nothing")
    source = open_published(tmp_path)
    assert source.names[0] == "000001.jpg"
    assert source.facts.attributes is None
    assert "list_attr_celeba.txt" in reasons(source)


def test_celeba_without_the_owners_files_is_a_folder_of_pictures(tmp_path):
    assert open_published(fill(tmp_path, CELEBA)) is None


FFHQ = ["00000/00000.png", "00000/00999.png", "01000/01000.png", "69000/69999.png"]


def entry(number, category="training"):
    points = [[number % 100 + 0.25 * point, 1023.5] for point in range(68)]
    return {"category": category, "image": {"face_landmarks": points, "pixel_size": [1024, 1024]}}


@pytest.mark.parametrize(("size", "scale"), [("images1024x1024", 1.0), ("thumbnails128x128", 0.125)])
def test_ffhq_with_the_owners_facts(tmp_path, size, scale):
    fill(tmp_path / size, FFHQ)
    numbers = {int(Path(name).stem): name for name in FFHQ}
    table = {
        str(number): entry(number, "validation" if number > 60_000 else "training") for number in numbers
    }
    table |= {"5": entry(5)}  # A picture that is not here.
    (tmp_path / "ffhq-dataset-v2.json").write_text(json.dumps(table, indent=1))
    for path in (tmp_path, tmp_path / size):
        source = open_published(path)
        assert source.names == tuple(FFHQ)
        assert source.facts.labels is None
        assert source.facts.held_out.tolist() == [False, False, False, True]
        wanted = [(number % 100 + 0.25 * 4 + 0.5) * scale for number in numbers]
        assert source.facts.landmarks.shape == (4, 68, 2)
        assert source.facts.landmarks[:, 4, 0].tolist() == wanted
        assert source.facts.landmarks[:, :, 1].max() == 1024 * scale  # The last pixel's far corner.


def test_ffhq_of_both_sizes_is_one_set(tmp_path):
    for size in ("images1024x1024", "thumbnails128x128"):
        fill(tmp_path / size, FFHQ)
    source = open_published(tmp_path)
    assert (len(source.names), source.facts.labels, source.facts.landmarks) == (4, None, None)
    assert source.reader.root.name == "images1024x1024"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"0": {"image": 1}}', '{"a": {}}', '{"0": 5}', "[" * 100_000,
     '{"0": {"category": "training", "image": {"face_landmarks": [[1, 2]]}}'],
)  # fmt: skip
def test_damaged_facts_of_ffhq_are_told_at_most(tmp_path, text):
    fill(tmp_path / "thumbnails128x128", FFHQ)
    (tmp_path / "ffhq-dataset-v2.json").write_text(text)
    source = open_published(tmp_path)
    assert len(source.names) == 4
    assert source.facts.labels is None
    landmarks = source.facts.landmarks
    assert landmarks is None or np.isnan(landmarks[1:]).all()


def test_folders_called_like_ffhq_with_other_files(tmp_path):
    assert (
        open_published(fill(tmp_path, ["thumbnails128x128/cat.png", "thumbnails128x128/x/dog.png"])) is None
    )
    (tmp_path / "empty" / "thumbnails128x128").mkdir(parents=True)
    assert open_published(tmp_path / "empty") is None


def test_thousands_are_no_classes(tmp_path):
    source = FolderSource(fill(tmp_path, FFHQ))
    assert source.facts.labels is not None
    assert owners_facts(source).facts.labels is None
    (tmp_path / "labels.csv").write_text("file,label\n" + "".join(f"{name},00000\n" for name in FFHQ))
    assert owners_facts(FolderSource(tmp_path)).facts.labels is not None  # What a file says stays.


PEOPLE = ["Ada_L/Ada_L_0001.jpg", "Bo/Bo_0001.jpg", "Cy/Cy_0001.jpg", "Cy/Cy_0002.jpg", "Ed/Ed_0001.jpg"]


def test_people_are_no_classes(tmp_path):
    assert owners_facts(FolderSource(fill(tmp_path / "lfw", PEOPLE))).facts.labels is None
    with zipfile.ZipFile(tmp_path / "lfw.zip", "w") as archive:
        for name in PEOPLE:
            archive.writestr(f"lfw_funneled/{name}", jpg())
    source = owners_facts(ZipSource(tmp_path / "lfw.zip"))
    assert (source.facts.labels, len(source.names)) == (None, 5)


def test_classes_named_like_people_stay_classes(tmp_path):
    names = [f"{flower}/{flower}_{number:04d}.jpg" for flower in ("daisy", "rose") for number in (1, 2)]
    assert owners_facts(FolderSource(fill(tmp_path, names))).facts.label_names == ("daisy", "rose")
    other = owners_facts(FolderSource(fill(tmp_path / "other", ["cat/1.png", "dog/2.png"])))
    assert other.facts.label_names == ("cat", "dog")
    (tmp_path / "empty").mkdir()
    assert owners_facts(FolderSource(tmp_path / "empty")).names == ()


def test_a_column_may_be_chosen_where_there_are_columns(tmp_path):
    idx(tmp_path / "mnist")
    with pytest.raises(DataError, match=r"data\.label must be"):
        open_published(tmp_path / "mnist", label="age")
    fill(tmp_path / "celeba", CELEBA)
    (tmp_path / "celeba" / "identity_CelebA.txt").write_text("000001.jpg 7\n000002.jpg 9\n000003.jpg 7\n")
    facts = open_published(tmp_path / "celeba", label="identity").facts
    assert facts.labels.tolist() == [0, 1, 0]
    assert open_published(fill(tmp_path / "thumbnails128x128", FFHQ), label="age") is None
