"""Marks: what a generator made says so, and the mark survives."""

import errno
import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gansmith.errors import DataError, StorageError
from gansmith.images import provenance
from gansmith.images.provenance import Provenance
from gansmith.models import write

PROVENANCE = Provenance(
    model="faces <Zoë & co>", recipe="dcgan", seed=2**63 - 1, images_seen=200_000, version="1.0"
)
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def picture(level: int = 7, channels: int = 3) -> torch.Tensor:
    return torch.full((channels, 8, 6), level, dtype=torch.uint8)


@pytest.mark.parametrize("mark", [PROVENANCE, Provenance("m", "r", None, None, "unknown", "label: 3")])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_provenance_survives_the_round_trip(tmp_path: Path, mark: Provenance, channels: int) -> None:
    path = tmp_path / "deep" / "a.png"
    provenance.write_png(picture(channels=channels), path, mark)
    assert provenance.read_provenance(path) == mark
    with Image.open(path) as read:
        assert read.size == (6, 8)
        assert read.getpixel((3, 3)) in (7, (7, 7, 7))


def test_the_mark_is_in_every_place_readers_look(tmp_path: Path) -> None:
    provenance.write_png(picture(), tmp_path / "a.png", PROVENANCE)
    with Image.open(tmp_path / "a.png") as read:
        text = read.info
    assert text["Software"] == "gansmith 1.0"
    assert "generative model" in text["Comment"]
    assert "faces <Zoë & co>" in text["Comment"]
    assert '"generated_by": "generative model"' in text["gansmith"]
    packet = ElementTree.fromstring(text["XML:com.adobe.xmp"])
    assert [found.text for found in packet.iter(IPTC)] == [
        "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    ]
    assert any("faces <Zoë & co>" in (found.text or "") for found in packet.iter())


def test_equal_pictures_are_equal_bytes(tmp_path: Path) -> None:
    file = io.BytesIO()
    provenance.write_png(picture(), file, PROVENANCE)
    provenance.write_png(picture(), tmp_path / "a.png", PROVENANCE)
    assert file.getvalue() == (tmp_path / "a.png").read_bytes() == provenance.png_bytes(picture(), PROVENANCE)
    assert file.getvalue() != provenance.png_bytes(picture(8), PROVENANCE)


@pytest.mark.parametrize("text", [None, "no json", "[1]", '{"model": "m"}', '"words"'])
def test_a_picture_without_our_mark_has_no_provenance(tmp_path: Path, text: str | None) -> None:
    info = PngInfo()
    if text is not None:
        info.add_text("gansmith", text)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    assert provenance.read_provenance(tmp_path / "a.png") is None


def test_what_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("words")
    with pytest.raises(DataError, match="only be read from a picture"):
        provenance.read_provenance(tmp_path / "a.png")
    with pytest.raises(StorageError, match="No such file"):
        provenance.read_provenance(tmp_path / "none.png")


def test_an_archive_is_marked_dated_1980_and_repeatable(tmp_path: Path) -> None:
    done: list[int] = []
    for name in ("one.zip", "two.zip"):
        named = ((f"seed{n}.png", picture(n), Provenance("m", "r", n, 1, "1.0")) for n in range(50))
        write.write_zip(write.encoded(named), tmp_path / name, done.append)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert sum(done) == 100
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == [f"seed{n}.png" for n in range(50)]
        assert archive.testzip() is None
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)
        (tmp_path / "x.png").write_bytes(archive.read("seed49.png"))
    assert provenance.read_provenance(tmp_path / "x.png") == Provenance("m", "r", 49, 1, "1.0")


def test_few_pictures_are_in_memory_while_many_are_written(tmp_path: Path) -> None:
    asked = 0

    def endless() -> object:
        nonlocal asked
        while True:
            asked += 1
            yield f"seed{asked}.png", picture(), PROVENANCE

    written = write.write_pngs(endless(), tmp_path)
    for _ in range(5):
        next(written)
    written.close()
    assert asked < 30


def test_a_full_disk_leaves_no_half_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(StorageError, match="disk is full"):
        write.write_zip([("a.png", b"any")], tmp_path / "a.zip", lambda count: None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_ours_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", forbidden)
    with pytest.raises(StorageError, match="not permitted"):
        provenance.write_png(picture(), tmp_path / "a.png", PROVENANCE)


def test_a_file_where_a_folder_should_be_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Cannot write"):
        provenance.write_png(picture(), tmp_path / "file" / "a.png", PROVENANCE)
