"""The licence of pictures: said, found beside them, known of built-in sets, and never lost on the way."""

import io
import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from preparing import EIGHT, fill, make, noise, write

from gansmith.core.image_size import Size
from gansmith.data.builtin.names import BUILTIN_NAMES
from gansmith.data.builtin.sets import open_builtin
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet, DatasetInfo
from gansmith.data.inspect.inspect import inspect
from gansmith.data.inspect.report import as_text
from gansmith.data.metadata.facts import Facts
from gansmith.data.metadata.licences import BUILTIN, LONGEST, UNKNOWN, found_in, given, of_builtin
from gansmith.data.open import open_data
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import Options
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.open import open_source
from gansmith.errors import DataError, SettingError

CONFIG = DataConfig(size=Size(8, 8), channels=3)


def told(files: dict[str, bytes]) -> str | None:
    return found_in(files, files.__getitem__)


def opened(path: Path, size: int = 8) -> DataSet:
    return open_data(str(path), replace(CONFIG, size=Size(size, size)))


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({"LICENSE": b"MIT License\n\nCopyright (c) 2020\n"}, "MIT License (LICENSE)"),
        ({"license.txt": b"\n\n   Apache   License\n Version 2.0"}, "Apache License (license.txt)"),
        ({"LICENCE.md": b"\xef\xbb\xbf# CC BY 4.0 #\n"}, "CC BY 4.0 (LICENCE.md)"),
        ({"COPYING": b"CC0\r\n"}, "CC0 (COPYING)"),
        ({"SOURCE.txt": b"faces\nFrom: a page\n licence : none stated\n"}, "none stated (SOURCE.txt)"),
        ({"SOURCE": b"==\nAda's photographs\n==\n", "LICENSE": b"CC BY\n"}, "CC BY (LICENSE)"),
        ({"LICENSE": b"\n \n", "SOURCE": b"Ada's photographs\n"}, "Ada's photographs (SOURCE)"),
        ({"LICENSE": b"\xff\xfe\x00", "COPYING": b"CC0"}, "CC0 (COPYING)"),
        ({"LICENSE": b"bell \x07 bell"}, None),
        ({"LICENSE": b"long " * LONGEST}, None),
        ({"LICENSE": b""}, None),
        ({"deep/LICENSE": b"MIT", "LICENSE.png": b"MIT", "sources": b"MIT", "license.json": b"{}"}, None),
        ({}, None),
    ],
)
def test_the_telling_line_of_a_file_at_the_top(files: dict[str, bytes], licence: str | None) -> None:
    assert told(files) == licence


def test_a_long_sentence_about_the_licence_is_cut() -> None:
    found = told({"SOURCE": b"Licence: " + b"no " * LONGEST})
    assert found is not None and found.startswith("no no") and found.endswith(" ... (SOURCE)")
    assert len(found) <= LONGEST


@pytest.mark.parametrize("error", [DataError("damaged"), PermissionError("no")])
def test_a_file_that_cannot_be_read_says_nothing(error: Exception) -> None:
    def read(_: str) -> bytes:
        raise error

    assert found_in(["LICENSE"], read) is None


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "bell\x07", "x" * (LONGEST + 1)])
def test_what_is_no_line_of_text_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=f"up to {LONGEST} characters"):
        given(text)


def test_what_is_said_is_kept_without_blanks() -> None:
    assert given(" CC BY 4.0, Zoë ") == "CC BY 4.0, Zoë"
    assert given(None) is None


def test_every_builtin_set_has_words_about_its_licence() -> None:
    assert set(BUILTIN) == set(BUILTIN_NAMES)
    assert all(given(words) == words for words in BUILTIN.values())
    assert of_builtin("demo-faces:7") == BUILTIN["demo-faces"] != of_builtin("elsewhere")
    assert open_builtin("demo-faces:2", CONFIG).info.licence == BUILTIN["demo-faces"]


def test_folders_zips_and_tars_are_asked(tmp_path: Path) -> None:
    fill(tmp_path / "folder", 2)
    assert opened(tmp_path / "folder").info.licence is None
    write(tmp_path / "folder", {"LICENSE": b"CC0\n"})
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed, tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("000.png", "001.png", "LICENSE"):
            packed.write(tmp_path / "folder" / name, f"inside/{name}")
            tar.add(tmp_path / "folder" / name, f"inside/{name}")
    for place in ("folder", "a.zip", "a.tar"):
        assert opened(tmp_path / place).info.licence == "CC0 (LICENSE)"
    (tmp_path / "folder" / "LICENSE").unlink()
    (tmp_path / "folder" / "LICENSE").mkdir()
    assert opened(tmp_path / "folder").info.licence is None


def test_a_folder_of_shards_is_asked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name, raw in (("a.png", noise(0)), ("a.cls", b"1"), ("b.png", noise(1)), ("b.cls", b"0")):
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    (tmp_path / "1.tar").write_bytes((tmp_path / "0.tar").read_bytes())
    write(tmp_path, {"LICENSE.txt": b"CC BY 4.0\n"})
    assert open_source(str(tmp_path)).facts.licence == "CC BY 4.0 (LICENSE.txt)"


@pytest.mark.parametrize("shards", [None, 4])
def test_it_survives_preparing_and_every_way_of_opening(tmp_path: Path, shards: int | None) -> None:
    write(fill(tmp_path / "from", 6), {"LICENSE": b"CC0\n"})
    options = replace(EIGHT, shards=shards)
    make(tmp_path / "from", tmp_path / "set", options)
    assert PreparedFolder(tmp_path / "set").licence == "CC0 (LICENSE)"
    for size in (8, 4):  # Mapped, and in memory.
        data = opened(tmp_path / "set", size)
        assert data.info.licence == "CC0 (LICENSE)"
        assert data.fetch(torch.arange(2))["images"].shape == (2, 3, size, size)
    make(PreparedFolder(tmp_path / "set"), tmp_path / "again", Options(size=Size(4, 4)))
    assert PreparedFolder(tmp_path / "again").licence == "CC0 (LICENSE)"


def test_what_is_said_counts_more_than_what_is_found_and_stays(tmp_path: Path) -> None:
    source = write(fill(tmp_path / "from", 6), {"LICENSE": b"CC0\n"})
    done = make(source, tmp_path / "set", replace(EIGHT, licence="mine"))
    assert "licence      mine" in as_text(done.report)
    before = PreparedFolder(tmp_path / "set").fingerprint
    for said, kept in ((None, "mine"), ("theirs", "theirs"), (None, "theirs")):
        done = make(source, tmp_path / "set", replace(EIGHT, licence=said))
        folder = PreparedFolder(tmp_path / "set")
        assert (folder.licence, done.report.licence, folder.report()["licence"]) == (kept, kept, kept)
        assert f"licence      {kept}" in (tmp_path / "set" / "report.txt").read_text()
        assert folder.fingerprint == before
        assert len(folder) == 6


def test_a_set_without_one_or_with_a_damaged_one_says_so(tmp_path: Path) -> None:
    make(fill(tmp_path / "from", 3), tmp_path / "set")
    file = tmp_path / "set" / "set.json"
    for value in (None, 3, "", "two\nlines"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "licence": value}))
        assert opened(tmp_path / "set").info.licence is None
    assert UNKNOWN in as_text(inspect(PreparedFolder(tmp_path / "set")).report)


def test_inspecting_shows_it(tmp_path: Path) -> None:
    source = FolderSource(write(fill(tmp_path, 3), {"LICENSE": b"CC0\n"}))
    assert "licence      CC0 (LICENSE)" in as_text(inspect(source).report)


def test_words_about_the_licence_are_no_part_of_what_is_compared() -> None:
    assert Facts().digest() == Facts(licence="CC0").digest()
    assert DatasetInfo.of(Facts(licence="CC0").take([])).licence == "CC0"
