"""The bytes of a prepared set depend on the pictures alone: on no number of workers, and on no odd name."""

import json
import os
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from preparing import (
    BAD,
    COUNT,
    EDGES,
    EIGHT,
    GOOD,
    StopError,
    contents,
    counted,
    encode,
    fill,
    make,
    noise,
    plain,
    scene,
    snapshot,
    stop_after,
    write,
)

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.inspect.inspect import inspect
from gansmith.data.inspect.report import as_text
from gansmith.data.mapped import open_prepared
from gansmith.data.metadata.facts import Facts
from gansmith.data.prepare.format import PreparedFolder, is_prepared
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.data.sources.folder import FolderSource, ZipSource
from gansmith.data.sources.pairs import PairSource
from gansmith.errors import DataError

# ---- what is made -------------------------------------------------------------------------------------


def test_a_set_holds_every_good_picture_and_says_why_others_are_left_out(source, whole, tmp_path):
    assert sorted(whole) == [
        *("captions.npy", "captions.utf8", "contact.png", "images.npy", "labels.npy", "names.npy"),
        *("names.utf8", "report.json", "report.txt", "rows.npy", "seen.npy", "set.json"),
    ]
    write(tmp_path, whole)
    folder = PreparedFolder(tmp_path)
    kept = [number for number in range(COUNT) if f"{number:03}.png" not in BAD]
    assert list(folder.names) == [f"{number:03}.png" for number in kept]
    assert np.load(tmp_path / "rows.npy").tolist() == kept
    assert folder.facts.labels.tolist() == [number % 3 for number in kept]
    assert folder.facts.captions == tuple(f"picture {number}" for number in kept)
    assert (folder.size, folder.channels) == (Size(8, 8), 3)
    reasons = {entry.name: entry.reason for entry in folder.refused}
    assert reasons.keys() == BAD.keys()
    assert all(part in reasons[name] for name, (_, part) in BAD.items()), reasons
    report = json.loads(whole["report.json"])
    assert (report["count"], report["looked_at"]) == (COUNT, GOOD)
    assert b"refused" in whole["report.txt"]


@pytest.mark.parametrize("workers", [2, 3])
def test_the_bytes_do_not_depend_on_the_number_of_workers(source, whole, tmp_path, workers):
    told = []
    done = make(source, tmp_path / "dest", workers=workers, progress=lambda *at: told.append(at))
    assert contents(tmp_path / "dest") == whole
    assert told == [(edge, COUNT) for edge in EDGES]
    assert done.pictures == GOOD


def test_the_source_is_never_written_to(source, tmp_path):
    root = shutil.copytree(source, tmp_path / "source")
    for path in root.iterdir():
        path.chmod(0o444)
    root.chmod(0o555)
    try:
        before = snapshot(root)
        with pytest.raises(StopError):
            make(root, tmp_path / "dest", progress=stop_after(32))
        make(root, tmp_path / "dest")
        assert snapshot(root) == before
    finally:
        root.chmod(0o755)


def test_a_file_is_read_once_and_once_more_where_a_size_is_chosen(source, tmp_path):
    found = counted(source)
    make(found, tmp_path / "given")
    assert found.reader.reads == Counter(found.names)
    found = counted(source)
    make(found, tmp_path / "chosen", Options())
    assert found.reader.reads == Counter([*found.names, *found.names])
    assert PreparedFolder(tmp_path / "chosen").size == Size(8, 8)


def test_at_most_256_headers_are_read(tmp_path):
    root = tmp_path / "source"
    write(root, dict.fromkeys((f"{number:03}.png" for number in range(300)), plain(7)))
    found = counted(root)
    make(found, tmp_path / "dest", Options())
    assert sum(found.reader.reads.values()) == 300 + 256
    assert max(found.reader.reads.values()) == 2


# ---- bad input ----------------------------------------------------------------------------------------


def test_pictures_that_are_all_bad_are_told(tmp_path):
    root = write(tmp_path / "source", {name: raw for name, (raw, _) in BAD.items()})
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"None of the pictures in .*source can be used. 003.png: .*trunc"
        ):
            make(root, tmp_path / "dest")
    assert not is_prepared(tmp_path / "dest")


def test_a_folder_without_pictures_is_told(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(DataError, match="No pictures in"):
        make(tmp_path / "source", tmp_path / "dest")
    write(tmp_path / "source", {"notes.txt": b"x"})
    with pytest.raises(DataError, match=r"found 1 file, not a picture: notes.txt"):
        make(tmp_path / "source", tmp_path / "dest")
    assert not (tmp_path / "dest").exists()


BYTES = b"byte\xff\xfe.png".decode("utf-8", "surrogateescape")
NAMES = [
    *("A.png", "a.png", "line\nbreak.png", "smile \U0001f600/ä.png", BYTES, "tab\t\x1b[31m.png"),
    *("c" * 200 + ".png", "quote'\".png", " .png", "-x.png"),
]


def test_odd_names_come_back_exactly(tmp_path):
    try:
        root = write(tmp_path / "source", {name: noise(number) for number, name in enumerate(NAMES)})
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    if len(list(root.rglob("*.png"))) < len(NAMES):
        pytest.skip("this file system has no two names that differ by case")
    os.link(root / BYTES, root / b"copy\xff.png".decode("utf-8", "surrogateescape"))
    (root / b"bad\xff\n.png".decode("utf-8", "surrogateescape")).write_bytes(b"bad")
    with pytest.raises(StopError):
        make(root, tmp_path / "dest", progress=stop_after(1))
    made = make(root, tmp_path / "dest")
    folder = PreparedFolder(tmp_path / "dest")
    assert sorted(folder.names) == sorted([*NAMES, "copy\udcff.png"])
    for row, name in enumerate(folder.names):
        pixels = np.asarray(Image.open(root / name).convert("RGB"))
        again = make_one(tmp_path / f"one{row}", pixels)
        assert np.array_equal(folder.arrays["images"][row], again), name
    for name in ("report.json", "set.json"):
        assert json.loads((tmp_path / "dest" / name).read_bytes().decode("ascii"))
    text = (tmp_path / "dest" / "report.txt").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.splitlines())
    assert made.report.exact == (("byte\udcff\udcfe.png", "copy\udcff.png"),)
    assert (tmp_path / "dest" / "duplicates.png").exists()
    assert [entry.name for entry in folder.refused] == ["bad\\udcff\n.png"]


def make_one(root, pixels):
    write(root / "source", {"x.png": encode(Image.fromarray(pixels))})
    make(root / "source", root / "dest")
    return np.load(root / "dest" / "images.npy")[0]


def test_class_folders_with_odd_names(tmp_path):
    odd = b"cl\xff\nass".decode("utf-8", "surrogateescape")
    root = write(tmp_path / "source", {"a/1.png": noise(1), f"{odd}/2.png": noise(2)})
    make(root, tmp_path / "dest")
    assert PreparedFolder(tmp_path / "dest").facts.label_names == ("a", odd)


def test_a_zip_gives_the_bytes_of_its_folder(source, whole, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "source"), "zip", source)
    prepare(ZipSource(packed), tmp_path / "dest", EIGHT, workers=2)
    for name in ("images.npy", "names.utf8", "seen.npy", "labels.npy", "captions.utf8", "set.json"):
        assert (tmp_path / "dest" / name).read_bytes() == whole[name], name


# ---- size and channels that are not given -------------------------------------------------------------


def formed(root, files, options=None):
    write(root / "source", files)
    make(root / "source", root / "dest", options or Options())
    folder = PreparedFolder(root / "dest")
    return str(folder.size), folder.channels


def test_pictures_of_one_size_keep_it(tmp_path):
    assert formed(tmp_path / "1", {"a.png": noise(0), "b.png": noise(1)}) == ("12x10", 3)
    assert formed(tmp_path / "2", {"a.png": plain(5, 9, 9, "L")}) == ("9", 1)
    assert formed(tmp_path / "3", {"a.png": plain(5, 9, 9, "L"), "b.png": plain(5, 9, 9)}) == ("9", 3)


def test_pictures_of_many_sizes_get_a_usual_one_that_enlarges_few(tmp_path):
    files = {f"{side}.png": plain(5, side, 2 * side, "L") for side in (20, 33, 40, 50, 70)}
    assert formed(tmp_path / "1", files) == ("32", 1)  # The largest usual one below the median, 40.
    assert formed(tmp_path / "2", {"a.png": noise(0, 5, 5), "b.png": noise(0, 6, 6)}) == ("8", 3)


def test_a_box_gives_its_own_size(tmp_path):
    options = Options(box=(1, 2, 9, 8))
    assert formed(tmp_path, {"a.png": noise(0)}, options) == ("8x6", 3)
    pixels = np.asarray(Image.open(tmp_path / "source" / "a.png"))
    assert np.array_equal(np.load(tmp_path / "dest" / "images.npy")[0], pixels[2:8, 1:9])


def test_sizes_that_no_set_can_have_are_brought_to_a_usual_one(tmp_path):
    files = {"a.png": plain(5, 10000, 8), "b.png": plain(5, 10000, 8)}
    assert formed(tmp_path, files) == ("8", 3)
    with pytest.raises(DataError, match="None of the pictures"):
        formed(tmp_path / "tiny", {"a.png": plain(5, 2, 2)})


def test_headers_that_cannot_be_read_do_not_count(tmp_path):
    assert formed(tmp_path, {"a.png": b"bad", "b.png": noise(0), "c.png": b""}) == ("12x10", 3)
    with pytest.raises(DataError, match="None of the pictures"):
        formed(tmp_path / "bad", {"a.png": b"bad"})


# ---- facts --------------------------------------------------------------------------------------------


def told(root, count=6):
    """Pictures of which everything is known; the third cannot be read."""
    fill(root, count)
    write(root, {"002.png": b"bad"})
    source = FolderSource(root)
    at = np.arange(count * 4, dtype=np.float32).reshape(count, 2, 2) / 4
    at[4] = np.nan
    source.facts = Facts(
        labels=np.arange(count) % 2,
        label_names=("even", "odd"),
        attributes=np.arange(count * 3, dtype=np.uint8).reshape(count, 3) % 2,
        attribute_names=("x", "y", "z"),
        captions=tuple(f"caption {number}" for number in range(count)),
        landmarks=at,
        landmark_names=("eye", "nose"),
        held_out=np.arange(count) >= 4,
    )
    return source


def test_facts_follow_their_pictures(tmp_path):
    source = told(tmp_path / "source")
    make(source, tmp_path / "dest", Options(size=Size(12, 10), channels=3))
    facts, rows = PreparedFolder(tmp_path / "dest").facts, [0, 1, 3, 4, 5]
    for name in ("labels", "attributes", "landmarks", "held_out"):
        wanted = getattr(source.facts, name)[rows]
        np.testing.assert_array_equal(getattr(facts, name), wanted, err_msg=name)
        assert getattr(facts, name).dtype == wanted.dtype
    assert facts.captions == tuple(source.facts.captions[row] for row in rows)
    assert (facts.label_names, facts.attribute_names) == (("even", "odd"), ("x", "y", "z"))
    assert facts.landmark_names == ("eye", "nose")
    report = json.loads((tmp_path / "dest" / "report.json").read_text())
    assert report["split"] == {"training": 3, "held_out": 2, "seed": -1}
    assert report["labels"] == [{"name": "even", "count": 2}, {"name": "odd", "count": 3}]


def test_landmarks_without_names_are_numbered(tmp_path):
    source = told(tmp_path / "source")
    source.facts = replace(source.facts, landmark_names=())
    make(source, tmp_path / "dest")
    assert PreparedFolder(tmp_path / "dest").facts.landmark_names == ("0", "1")


@pytest.mark.parametrize("fact", ["labels", "attributes", "captions", "landmarks", "held_out", "label_names"])
def test_facts_that_changed_are_told_and_change_the_fingerprint(tmp_path, fact):
    source = told(tmp_path / "source")
    make(source, tmp_path / "dest")
    value = getattr(source.facts, fact)
    source.facts = replace(
        source.facts, **{fact: value[::-1] if isinstance(value, tuple) else value[::-1].copy()}
    )
    with pytest.raises(DataError, match="labels and the like differ"):
        make(source, tmp_path / "dest")
    make(source, tmp_path / "other")
    one, other = (PreparedFolder(tmp_path / name).fingerprint for name in ("dest", "other"))
    assert one != other


def test_captions_that_are_no_text_are_kept_as_far_as_they_can_be(tmp_path):
    source = told(tmp_path / "source")
    source.facts = replace(source.facts, captions=("\ud83d", "b\udcff", "", "\0", "e", "f"))
    make(source, tmp_path / "dest")
    assert PreparedFolder(tmp_path / "dest").facts.captions == ("?", "b\udcff", "\0", "e", "f")


# ---- frames of videos, prepared sets as sources -------------------------------------------------------


class Frames(FolderSource):
    """70 frames of two videos with 10 scenes each, and two copies of each scene that differ slightly."""

    def __init__(self, root):
        super().__init__(root)
        self.groups = tuple(number // 35 for number in range(len(self.names)))


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    root = tmp_path_factory.mktemp("frames")
    return Frames(
        write(root, {f"{number:02}.png": scene(number % 35 % 10, number // 10) for number in range(70)})
    )


def test_frames_that_look_alike_are_dropped_within_a_video_and_not_across(frames, tmp_path):
    make(frames, tmp_path / "dest")
    kept = [*range(10), *range(35, 45)]
    assert np.load(tmp_path / "dest" / "rows.npy").tolist() == kept
    folder = PreparedFolder(tmp_path / "dest")
    assert {entry.reason for entry in folder.refused} == {"nearly the same as another frame of its video"}
    assert len(folder.refused) == 70 - len(kept)
    assert [entry.name for entry in folder.refused][:2] == ["10.png", "11.png"]


def test_frames_left_out_as_repeats_are_not_counted_as_refused(frames, tmp_path):
    done = make(frames, tmp_path / "dest")
    again = make(frames, tmp_path / "dest")
    for report in (done.report, again.report, inspect(PreparedFolder(tmp_path / "dest")).report):
        assert (report.count, report.looked_at, len(report.repeated), report.refused) == (70, 20, 50, ())
        assert not report.sampled
        told = as_text(report)
        assert "50 frames left out, nearly the same as another of the same video" in told
        assert "refused" not in told
    kept = json.loads((tmp_path / "dest" / "report.json").read_text())
    assert (len(kept["repeated"]), kept["refused_files"]) == (50, [])
    assert open_prepared(PreparedFolder(tmp_path / "dest"), DataConfig(size=Size(8, 8))).refused == ()


@pytest.mark.parametrize("pictures", [32, 64])
def test_frames_are_remembered_over_an_interruption(frames, tmp_path, pictures):
    make(frames, tmp_path / "whole")
    with pytest.raises(StopError):
        make(frames, tmp_path / "dest", progress=stop_after(pictures))
    assert make(frames, tmp_path / "dest").before == pictures
    assert contents(tmp_path / "dest") == contents(tmp_path / "whole")


def test_frames_all_alike_leave_a_run_without_rows(tmp_path):
    root = write(tmp_path / "source", dict.fromkeys((f"{number:02}.png" for number in range(40)), scene(1)))
    source = FolderSource(root)
    source.groups = (0,) * 40
    assert make(source, tmp_path / "dest").pictures == 1


def test_a_prepared_set_can_be_prepared_again(source, whole, tmp_path):
    write(tmp_path / "set", whole)
    prepare(PreparedFolder(tmp_path / "set"), tmp_path / "same", Options(), workers=1)
    again = PreparedFolder(tmp_path / "same")
    assert (tmp_path / "same" / "images.npy").read_bytes() == whole["images.npy"]
    assert (tmp_path / "same" / "labels.npy").read_bytes() == whole["labels.npy"]
    assert (tmp_path / "same" / "captions.utf8").read_bytes() == whole["captions.utf8"]
    assert again.refused == PreparedFolder(tmp_path / "set").refused
    with pytest.raises(DataError, match="SRC is never written to"):
        prepare(PreparedFolder(tmp_path / "set"), tmp_path / "set", Options(), workers=1)


def test_a_prepared_set_of_pairs_is_not_halved_silently(tmp_path):
    root = write(tmp_path / "source", {f"{number}.png": noise(number, 16, 8) for number in range(3)})
    prepare(PairSource(FolderSource(root), "beside"), tmp_path / "pairs", EIGHT, workers=1)
    with pytest.raises(DataError, match="A prepared set of pairs is not prepared again"):
        prepare(PreparedFolder(tmp_path / "pairs"), tmp_path / "dest", EIGHT, workers=1)
    assert not (tmp_path / "dest").exists()
