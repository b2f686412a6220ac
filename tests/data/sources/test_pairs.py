"""Pairs stay pairs: beside each other or in two folders, swapped, reduced, with partners missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from preparing import contents, encode, make, noise, plain, write

from gansmith.core.image_size import Form, Size
from gansmith.data.config import DataConfig
from gansmith.data.load import load
from gansmith.data.mapped import MappedDataSet, open_prepared
from gansmith.data.metadata.facts import Facts
from gansmith.data.open import doubt_of_halves
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import Options
from gansmith.data.sources.base import Source
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.pairs import PairReader, PairSource, guess, headers, photos, picture_columns
from gansmith.data.sources.zip import ZipSource
from gansmith.errors import DataError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def beside(width=16, height=8, kind="PNG", left=RED, right=BLUE):
    """Two pictures of one colour side by side, in all ``width`` wide."""
    picture = Image.new("RGB", (width, height), left)
    picture.paste(right, (width // 2, 0, width, height))
    return encode(picture, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))


def pair(tmp_path, raw, form, swap=False, name="a.png"):
    """The pixels of the two pictures of one file."""
    root = write(tmp_path / "source", {name: raw})
    source = PairSource(FolderSource(root), "beside", swap=swap)
    make(
        source, tmp_path / "dest", Options(size=form.size, channels=form.channels, fit=form.fit, box=form.box)
    )
    return [np.load(tmp_path / "dest" / f"{name}.npy")[0] for name in ("source", "target")]


def of_two_folders(root, first, second, other=()):
    """Folders ``a`` and ``b`` of pictures; what is in ``a`` is red, what is in ``b`` is blue."""
    files = {f"a/{name}": plain(RED, 12, 8) for name in first} | {
        f"b/{name}": plain(BLUE, 12, 8) for name in second
    }
    return FolderSource(write(root, files | dict(other)))


def reasons(source):
    return {entry.name: entry.reason for entry in source.refused}


# ---- side by side -------------------------------------------------------------------------------------


def test_a_picture_as_high_as_wide_is_not_cut_in_two(tmp_path):
    files = {"a.png": beside(), "b.png": beside(16, 16), "c.png": beside(16, 20), "d.png": beside(18, 16)}
    source = PairSource(FolderSource(write(tmp_path / "source", files)), "beside")
    loaded = load(source, DataConfig(size=Size(8, 8), channels=3))
    assert len(loaded) == 2 and [entry.name for entry in loaded.refused] == ["b.png", "c.png"]
    assert loaded.refused[0].reason == "16x16 pixels, a single picture; two side by side are wider than high"


def test_there_is_a_doubt_where_pictures_are_less_than_twice_as_wide_as_high(tmp_path):
    place, config = (
        str(write(tmp_path / "d", {"a.png": beside(32, 16), "b.png": beside(32, 24)})),
        DataConfig(),
    )
    told = doubt_of_halves(place, replace(config, pairs="beside"))
    assert told is not None and "32x24 pixels" in told and "data.pairs=edges" in told
    assert doubt_of_halves(place, config) is None
    (tmp_path / "d" / "b.png").unlink()
    assert doubt_of_halves(place, replace(config, pairs="beside")) is None


@pytest.mark.parametrize("swap", [False, True])
def test_the_left_half_is_the_source(tmp_path, swap):
    raw = noise(0, 24, 16)
    pixels = pair(tmp_path, raw, Form(size=Size(12, 16), channels=3), swap)
    whole = np.asarray(Image.open(tmp_path / "source" / "a.png"))
    halves = [whole[:, :12], whole[:, 12:]]
    for made, half in zip(pixels, reversed(halves) if swap else halves, strict=True):
        assert np.array_equal(made, half)


@pytest.mark.parametrize("size", [Size(4, 4), Size(24, 16), Size(9, 31)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_halves_do_not_mix(tmp_path, size, fit):
    pixels = pair(tmp_path, beside(50, 20), Form(size=size, channels=3, fit=fit))
    assert [made.shape for made in pixels] == [(size.height, size.width, 3)] * 2
    assert (pixels[0] == RED).all()
    assert (pixels[1] == BLUE).all()


def test_a_box_is_cut_out_of_both_halves(tmp_path):
    raw = noise(0, 24, 16)
    pixels = pair(tmp_path, raw, Form(size=Size(5, 4), channels=3, box=(2, 3, 7, 7)))
    whole = np.asarray(Image.open(tmp_path / "source" / "a.png"))
    assert np.array_equal(pixels[0], whole[3:7, 2:7])
    assert np.array_equal(pixels[1], whole[3:7, 14:19])
    with pytest.raises(DataError, match="reaches outside"):
        pair(tmp_path / "outside", raw, Form(size=Size(5, 4), channels=3, box=(2, 3, 13, 7)))


def test_an_odd_width_is_refused(tmp_path):
    root = write(tmp_path / "source", {"a.png": beside(), "b.png": noise(0, 15, 8)})
    make(PairSource(FolderSource(root), "beside"), tmp_path / "dest", Options(size=Size(8, 8), channels=3))
    folder = PreparedFolder(tmp_path / "dest")
    assert tuple(folder.names) == ("a.png",)
    assert reasons(folder) == {"b.png": "15 pixels wide; two pictures side by side have an even width"}


@pytest.mark.parametrize("width", [1600, 1604])  # An eighth of 1604 has an odd width.
def test_a_reduced_jpeg_is_cut_in_its_middle(tmp_path, monkeypatch, width):
    raw, sizes = beside(width, 800, "JPEG"), []
    load_pixels = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: (sizes.append(self.size), load_pixels(self))[1])
    pixels = pair(tmp_path, raw, Form(size=Size(16, 16), channels=3), name="a.jpg")
    assert (width // 8 + (width % 8 > 0), 100) in sizes
    assert (width, 800) not in sizes
    for made, colour in zip(pixels, (RED, BLUE), strict=True):
        assert np.abs(made.astype(int) - colour).max() <= 30  # A column of the other half would make 255.


def test_sizes_at_the_limit_are_no_error(tmp_path):
    reader = PairSource(FolderSource(write(tmp_path, {"a.png": beside()})), "beside").reader
    form = Form(size=Size(8192, 4), channels=3)
    _, (source, target) = reader.photos(("a.png", "a.png"), form)
    assert (source.width, target.width) == (8, 8)


def test_facts_stay_with_pairs_beside_each_other_and_landmarks_of_both_sides_do_not(tmp_path):
    source = FolderSource(write(tmp_path / "source", {"0.png": beside(), "1.png": beside(left=(9, 9, 9))}))
    source.facts = Facts(
        labels=np.array([1, 0]),
        label_names=("x", "y"),
        captions=("one", "two"),
        landmarks=np.zeros((2, 1, 2), np.float32),
        landmark_names=("eye",),
        held_out=np.array([True, False]),
    )
    pairs = PairSource(source, "beside")
    make(pairs, tmp_path / "dest", Options(size=Size(8, 8)))
    facts = PreparedFolder(tmp_path / "dest").facts
    assert facts.labels.tolist() == [1, 0]
    assert facts.captions == ("one", "two")
    assert facts.held_out.tolist() == [True, False]
    assert facts.landmarks is None
    assert facts.landmark_names == ()


# ---- two folders --------------------------------------------------------------------------------------


def test_partners_are_found_by_name_whatever_their_ending(tmp_path):
    first, second = (
        ["1.png", "deep/2.png", "deep/3.png", "alone.png"],
        ["deep/2.jpg", "1.webp", "3.png", "deep/3.PNG"],
    )
    source = of_two_folders(tmp_path, first, second)
    pairs = PairSource(source, "folders")
    assert isinstance(pairs, Source)
    assert pairs.names == ("1.png", "deep/2.png", "deep/3.png")
    assert [pairs.key(row) for row in range(3)] == [
        ("a/1.png", "b/1.webp"),
        ("a/deep/2.png", "b/deep/2.jpg"),
        ("a/deep/3.png", "b/deep/3.PNG"),
    ]
    missing = "its partner is missing in the other folder"
    assert reasons(pairs) == {"a/alone.png": missing, "b/3.png": missing}
    assert pairs.read(1) == source.reader.read("a/deep/2.png")
    assert pairs.facts.labels is None  # The two folders are no classes.
    assert source.facts.labels is not None


def test_no_picture_goes_missing_without_a_word(tmp_path):
    source = of_two_folders(tmp_path, ["1.jpg", "1.png"], ["1.png", "1.webp"], {"stray.png": plain(0)})
    pairs = PairSource(source, "folders")
    assert pairs.names == ("1.jpg",)
    assert reasons(pairs) == {
        "a/1.png": "a/1.jpg has the same name up to the ending",
        "b/1.webp": "b/1.png has the same name up to the ending",
        "stray.png": "it lies in neither of the two folders of pairs",
    }


@pytest.mark.parametrize(
    ("between", "swap"), [(None, False), (("a", "b"), False), (("b", "a"), False), (None, True)]
)
def test_which_folder_is_the_source(tmp_path, between, swap):
    source = of_two_folders(tmp_path / "source", ["1.png"], ["1.png"])
    make(
        PairSource(source, "folders", between, swap), tmp_path / "dest", Options(size=Size(8, 8), channels=3)
    )
    folder = PreparedFolder(tmp_path / "dest")
    turned = swap or between == ("b", "a")
    assert (folder.arrays["source"] == (BLUE if turned else RED)).all()
    assert (folder.arrays["target"] == (RED if turned else BLUE)).all()


def test_two_folders_of_several_can_be_named(tmp_path):
    other = {"c/1.png": plain((0, 255, 0)), "c/2.png": plain(0), "3.png": plain(0)}
    source = of_two_folders(tmp_path, ["1.png"], ["1.png"], other)
    pairs = PairSource(source, "folders", ("c", "b"))
    assert [pairs.key(0)] == [("c/1.png", "b/1.png")]
    assert list(reasons(pairs)) == ["c/2.png"]  # The rest was left out on purpose.
    with pytest.raises(DataError, match=r"need two folders. Received: .*, with 3 \(a, b, c\). Name two"):
        PairSource(source, "folders")
    with pytest.raises(DataError, match=r"There is no folder 'bb' in .* Did you mean 'b'"):
        PairSource(source, "folders", ("a", "bb"))
    with pytest.raises(DataError, match=r"There is no folder '3.png'"):
        PairSource(source, "folders", ("a", "3.png"))


def test_folders_without_a_common_name_are_told(tmp_path):
    with pytest.raises(DataError, match="No file name is in both a and b of"):
        PairSource(of_two_folders(tmp_path, ["1.png"], ["2.png"]), "folders")
    with pytest.raises(DataError, match="No file name is in both a and a of"):
        PairSource(FolderSource(tmp_path), "folders", ("a", "a"))
    with pytest.raises(DataError, match=r"need two folders. Received: .*, with 0 \(none\)"):
        PairSource(FolderSource(tmp_path / "a"), "folders")


def test_a_pair_with_a_bad_half_is_refused_whole(tmp_path):
    source = of_two_folders(
        tmp_path / "source", ["1.png", "2.png", "3.png"], ["1.png"], {"b/2.png": b"", "b/3.png": b"bad"}
    )
    make(PairSource(source, "folders"), tmp_path / "dest", Options(size=Size(8, 8), channels=3))
    folder = PreparedFolder(tmp_path / "dest")
    assert tuple(folder.names) == ("1.png",)
    assert len(folder.arrays["source"]) == len(folder.arrays["target"]) == 1
    assert list(reasons(folder)) == ["2.png", "3.png"]


def test_halves_of_other_sizes_are_brought_to_one(tmp_path):
    source = of_two_folders(tmp_path / "source", ["1.png"], [], {"b/1.png": plain(BLUE, 30, 40)})
    make(PairSource(source, "folders"), tmp_path / "dest", Options(size=Size(9, 7), channels=3))
    assert PreparedFolder(tmp_path / "dest").arrays["target"].shape == (1, 7, 9, 3)


def test_the_fingerprint_tells_ways_of_pairing_apart(tmp_path):
    source = of_two_folders(tmp_path, ["1.png"], ["1.png"])
    made = [PairSource(source, "folders", swap=swap) for swap in (False, True)]
    made.append(PairSource(source, "beside"))
    assert len({pairs.fingerprint for pairs in [*made, source]}) == 4
    assert PairSource(source, "folders").fingerprint == made[0].fingerprint


# ---- size, channels, guesses --------------------------------------------------------------------------


def test_size_and_channels_are_those_of_one_picture_of_the_pair(tmp_path):
    source = PairSource(FolderSource(write(tmp_path / "wide", {"a.png": beside(24, 10)})), "beside")
    make(source, tmp_path / "one", Options())
    assert PreparedFolder(tmp_path / "one").size == Size(12, 10)
    grey = {"a/1.png": plain(9, 12, 8, "L"), "b/1.png": plain(BLUE, 12, 8)}
    source = PairSource(FolderSource(write(tmp_path / "grey", grey)), "folders")
    make(source, tmp_path / "two", Options())
    folder = PreparedFolder(tmp_path / "two")
    assert (folder.size, folder.channels) == (Size(12, 8), 3)  # The colours of the targets are not lost.
    assert (folder.arrays["target"] == BLUE).all()


def test_headers_of_a_row(tmp_path):
    source = of_two_folders(tmp_path, ["1.png"], ["1.png"])
    assert [(h.width, h.height) for h in headers(source, 0)] == [(12, 8)]
    assert [(h.width, h.height) for h in headers(PairSource(source, "beside"), 0)] == [(6, 8)]
    assert [(h.width, h.height) for h in headers(PairSource(source, "folders"), 0)] == [(12, 8)] * 2


def test_how_pairs_are_stored_is_guessed_from_folders_and_shape(tmp_path):
    source = of_two_folders(tmp_path, ["1.png"], ["1.png"])
    assert guess(source, False) == "folders"
    flat = FolderSource(tmp_path / "a")
    assert guess(flat, True) == "beside"
    with pytest.raises(DataError, match=r"Received: .*, which is neither. Say which with --set data.pairs"):
        guess(flat, False)
    write(tmp_path, {"c/1.png": plain(0)})
    assert guess(FolderSource(tmp_path), True) == "beside"
    with pytest.raises(DataError, match=r"has 3 folders: name two of them with --set data\.between"):
        guess(FolderSource(tmp_path), False)


def test_a_single_picture_is_no_pair(tmp_path):
    source = FolderSource(write(tmp_path, {"a.png": plain(7)}))
    assert picture_columns(source) == ("images",)
    assert picture_columns(PairSource(source, "beside")) == ("source", "target")
    raw, found = photos(source.reader, "a.png", Form(size=Size(8, 8), channels=3))
    assert (raw, len(found)) == (plain(7), 1)
    assert PairReader(source.reader, "beside").read(("a.png", "a.png")) == plain(7)


# ---- prepared and loaded ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["beside", "folders"])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_prepared_pairs_equal_loaded_ones_to_the_bit(tmp_path, kind, fit):
    files = {f"{side}/{number}.png": noise(10 * number + place, 20, 9)
             for place, side in enumerate("ab") for number in range(4)}  # fmt: skip
    pairs = PairSource(FolderSource(write(tmp_path / "source", files)), kind)
    config = DataConfig(size=Size(6, 8), channels=3, fit=fit)
    make(pairs, tmp_path / "dest", Options(size=config.size, channels=3, fit=fit))
    data, wanted = open_prepared(PreparedFolder(tmp_path / "dest"), config), load(pairs, config)
    assert isinstance(data, MappedDataSet)
    every = torch.arange(len(wanted))
    one, other = data.fetch(every), wanted.fetch(every)
    assert set(one) == set(other) >= {"source", "target"}
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["source"], one["target"])
    small = open_prepared(PreparedFolder(tmp_path / "dest"), DataConfig(size=Size(4, 4)))
    assert small.fetch(every)["target"].shape == (len(every), 3, 4, 4)


def test_the_bytes_of_pairs_do_not_depend_on_workers_or_archives(tmp_path):
    files = {f"{side}/{number:02}.png": noise(number, 12, 6) for side in "ab" for number in range(70)}
    root = write(tmp_path / "source", files | {"b/33.png": b"bad"})
    options = Options(size=Size(6, 6), channels=3)
    make(PairSource(FolderSource(root), "folders"), tmp_path / "one", options)
    make(PairSource(FolderSource(root), "folders"), tmp_path / "two", options, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    import shutil

    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", root)
    make(PairSource(ZipSource(packed), "folders"), tmp_path / "three", options)
    for name in ("source.npy", "target.npy", "set.json"):
        assert (tmp_path / "three" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize("swap", [False, True])
def test_landmarks_of_two_folders_are_the_targets_and_move_with_its_pixels(tmp_path, swap):
    """The two pictures of a pair may have other sizes, and so other scales."""
    files = {"a/0.png": plain(RED, 8, 8), "b/0.png": plain(BLUE, 32, 32)}
    source = FolderSource(write(tmp_path / "source", files))
    first, second = ([2.0, 6.0], [4.0, 20.0])
    places = {"a/0.png": [first], "b/0.png": [second]}
    source.facts = Facts(
        landmarks=np.array([places[name] for name in source.names], np.float32), landmark_names=("eye",)
    )
    pairs = PairSource(source, "folders", swap=swap)
    wanted = [4.0, 12.0] if swap else [2.0, 10.0]
    loaded = load(pairs, DataConfig(size=Size(16, 16)))
    assert loaded.fetch(torch.tensor([0]), ("landmarks",))["landmarks"].tolist() == [[wanted]]
    make(pairs, tmp_path / "dest", Options(size=Size(16, 16)))
    prepared = open_prepared(PreparedFolder(tmp_path / "dest"), DataConfig(size=Size(16, 16)))
    assert prepared.fetch(torch.tensor([0]), ("landmarks",))["landmarks"].tolist() == [[wanted]]
    assert prepared.info.landmark_names == ("eye",)


def test_landmarks_of_sources_alone_are_of_no_use_to_pairs(tmp_path):
    source = of_two_folders(tmp_path / "source", ["0.png"], ["0.png"])
    known = [[[1.0, 1.0]] if name.startswith("a/") else [[np.nan, np.nan]] for name in source.names]
    source.facts = Facts(landmarks=np.array(known, np.float32), landmark_names=("eye",))
    assert PairSource(source, "folders").facts.landmarks is None
    assert PairSource(source, "folders", swap=True).facts.landmarks.tolist() == [[[1.0, 1.0]]]
