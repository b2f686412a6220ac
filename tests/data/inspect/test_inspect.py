"""A fair sample is enough to report on pictures, and of a prepared set nothing is decoded at all."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from preparing import (
    EIGHT,
    contents,
    counted,
    encode,
    fill,
    huge,
    make,
    noise,
    plain,
    snapshot,
    write,
)

from gansmith.core.image_size import Size
from gansmith.data.builtin.source import drawn_pairs
from gansmith.data.inspect import inspect as inspecting
from gansmith.data.inspect.findings import Goal
from gansmith.data.inspect.inspect import SampleSource, inspect, write_sheet
from gansmith.data.metadata.facts import Facts
from gansmith.data.prepare import finish
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.pairs import PairSource
from gansmith.errors import DataError, SettingError, StorageError


@pytest.mark.parametrize(
    ("most", "rows"), [(4, [0, 12, 25, 37]), (1, [0]), (50, range(50)), (2000, range(50))]
)
def test_a_sample_is_evenly_spread_and_read_once(tmp_path, most, rows):
    source = counted(fill(tmp_path / "source", 50))
    before = snapshot(tmp_path)
    found = inspect(source, max_pictures=most)
    assert source.reader.reads == Counter(source.names[row] for row in rows)
    assert (found.report.count, found.report.looked_at) == (50, len(rows))
    assert found.report.sampled == (most < 50)
    assert found.report.sizes.frequent == ((12, 10, len(rows)),)
    assert found.report.split == (48, 2, 0)  # Of all, not of the sample.
    assert snapshot(tmp_path) == before


def test_facts_are_of_all_pictures(tmp_path):
    source = counted(fill(tmp_path, 40))
    source.facts = Facts(labels=np.arange(40) // 30, label_names=("a", "b"), held_out=np.arange(40) < 5)
    report = inspect(source, max_pictures=5).report
    assert report.labels == (("a", 30), ("b", 10))
    assert report.split == (35, 5, -1)


def test_refused_files_are_told_with_those_found_while_listing(tmp_path):
    files = {"a.png": noise(0), "b.png": b"bad", "c.heic": b"x", "d.png": huge(), "e.png": b""}
    found = inspect(FolderSource(write(tmp_path, files)))
    assert {entry.name for entry in found.report.refused} == {"b.png", "c.heic", "d.png", "e.png"}
    assert (found.report.count, found.report.looked_at) == (5, 1)
    assert not found.report.sampled
    assert len(found.pictures) == 1


def test_the_same_is_said_whatever_the_number_of_workers(tmp_path, monkeypatch):
    root = write(fill(tmp_path, 80), {"040.png": b"bad"})
    source = FolderSource(root)
    alone = inspect(source, workers=1)
    assert inspect(source, workers=2).report == alone.report
    asked = []
    blocks = inspecting.blocks
    monkeypatch.setattr(inspecting, "blocks", lambda *args: (asked.append(args[3]), blocks(*args[:3], 1))[1])
    monkeypatch.setattr(inspecting, "cores", lambda: 9)
    for pool in (300, 50):
        monkeypatch.setattr(inspecting, "_POOL", pool)
        assert inspect(source).report == alone.report
    assert asked == [1, 9]


def test_the_goal_reaches_the_report(tmp_path):
    source = FolderSource(fill(tmp_path, 3))
    assert inspect(source, Goal(None, 16, 16, 0, 3)).report.sizes.enlarged == 1.0
    assert inspect(source, Goal(None, 8, 8, 0, 3)).report.sizes.enlarged == 0.0


def test_no_picture_and_no_good_picture(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="it is empty"):
        inspect(FolderSource(tmp_path / "empty"))
    report = inspect(FolderSource(write(tmp_path / "bad", {"a.png": b"bad", "b.png": b""}))).report
    assert (report.count, report.looked_at, report.usable, report.sizes) == (2, 0, 0, None)
    assert len(report.refused) == 2


def test_a_prepared_set_is_reported_on_without_decoding(tmp_path, monkeypatch):
    root = write(fill(tmp_path / "source", 30), {"007.png": b"bad", "labels.csv": labels(30)})
    make(root, tmp_path / "dest")
    wanted = inspect(FolderSource(root)).report
    before = snapshot(tmp_path / "dest")

    def forbidden(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image, "open", forbidden)
    monkeypatch.setattr(inspecting, "blocks", forbidden)
    found = inspect(PreparedFolder(tmp_path / "dest"), max_pictures=3)
    for name in ("count", "looked_at", "sizes", "formats", "modes", "bytes", "refused"):
        assert getattr(found.report, name) == getattr(wanted, name), name
    assert found.report.name == str(tmp_path / "dest")
    assert found.report.labels == (("0", 15), ("1", 14))  # Of the 29 that are in the set.
    assert found.report.split == (28, 1, 0)
    assert [picture.shape for picture in found.pictures] == [(3, 48, 48)] * 29
    pixels = np.load(tmp_path / "dest" / "images.npy")
    assert np.array_equal(found.pictures[5][:, ::6, ::6], pixels[5].transpose(2, 0, 1))  # Shown larger.
    assert snapshot(tmp_path / "dest") == before


def labels(count):
    return "\n".join(["file,label", *(f"{number:03}.png,{number % 2}" for number in range(count))]).encode()


def test_pairs_are_reported_on(tmp_path):
    source = PairSource(FolderSource(fill(tmp_path, 3)), "beside")
    found = inspect(source)
    assert (found.report.looked_at, found.report.sizes.largest) == (3, (6, 10))
    make(source, tmp_path.parent / "dest", EIGHT)
    assert inspect(PreparedFolder(tmp_path.parent / "dest")).report.looked_at == 3


def test_drawn_pairs_are_told_as_built_in():
    """Parts in flat colours differ by less than three bits in one of six, and no two of the faces are one."""
    found = inspect(drawn_pairs("demo-faces:8", Size(32, 32), "segments"), workers=1).report
    assert found.formats == (("built-in", 8),) and found.pairs


def test_a_sample_is_a_source_of_some_rows(tmp_path):
    source = FolderSource(write(tmp_path, {"a.png": plain(1), "b.png": plain(2), "c.png": plain(3)}))
    sample = SampleSource(source, [2, 0])
    assert sample.names == ["c.png", "a.png"]
    assert (sample.key(0), sample.read(1)) == ("c.png", plain(1))


# ---- the sheet ----------------------------------------------------------------------------------------


def test_the_sheet_shows_what_was_looked_at(tmp_path):
    root = write(
        tmp_path / "source", {"a.png": plain((255, 0, 0), 64, 64), "b.png": plain((0, 0, 255), 64, 64)}
    )
    write_sheet(inspect(FolderSource(root)), tmp_path / "new" / "sheet.PNG")
    sheet = Image.open(tmp_path / "new" / "sheet.PNG")
    assert sheet.size == (64 + 2 + 64, 64)
    assert [sheet.getpixel((x, 30)) for x in (0, 63, 65, 66, 129)] == [
        (255, 0, 0), (255, 0, 0), (255, 255, 255), (0, 0, 255), (0, 0, 255)]  # fmt: skip
    assert list(contents(tmp_path / "new")) == ["sheet.PNG"]


def test_a_sheet_has_64_pictures_at_most_and_small_ones(tmp_path):
    fill(tmp_path / "source", 100)
    found = inspect(FolderSource(tmp_path / "source"))
    assert len(found.pictures) == 64
    pictures = [np.zeros((200, 100, 3), np.uint8), np.zeros((20, 10, 1), np.uint8)]
    assert [finish.small(picture).shape for picture in pictures] == [(3, 96, 48), (1, 40, 20)]


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "sheet.png.txt"])
def test_a_sheet_of_another_kind_is_told(tmp_path, name):
    found = inspect(FolderSource(fill(tmp_path / "source", 1)))
    with pytest.raises(SettingError, match=rf"is a .png file.* Received: .*{name}, of another kind"):
        write_sheet(found, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_sheet_of_nothing_and_a_sheet_nowhere(tmp_path):
    nothing = inspect(FolderSource(write(tmp_path / "source", {"a.png": b"bad"})))
    with pytest.raises(SettingError, match="no picture to show"):
        write_sheet(nothing, tmp_path / "sheet.png")
    found = inspect(FolderSource(write(tmp_path / "good", {"a.png": noise(0)})))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"Cannot write .*sheet.png"):
        write_sheet(found, tmp_path / "file" / "sheet.png")


def test_a_large_jpeg_is_measured_as_it_is(tmp_path):
    raw = encode(Image.new("RGB", (900, 600), "teal"), "JPEG")
    report = inspect(FolderSource(write(tmp_path, {"a.jpg": raw}))).report
    assert (report.sizes.largest, report.formats, report.modes) == ((900, 600), (("JPEG", 1),), (("RGB", 1),))
