"""Pictures that somebody removes while they are prepared: told in the report and last, or waited for."""

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from preparing import EIGHT, noise

from gansmith.cli.main import cli
from gansmith.core import console
from gansmith.data.metadata.facts import VANISHED
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import prepare
from gansmith.data.sources.named import How, named_source
from gansmith.errors import DataError

COUNT = 70  # More than two of the chunks that are read at a time.


def loose(folder: Path) -> Path:
    for number in range(COUNT):
        place = folder / "ab"[number // (COUNT // 2)] / f"{number:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(noise(number, 8, 8))
    return folder


def tarred(path: Path, numbers: range) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number in numbers:
            for name, raw in ((f"{number:02d}.png", noise(number, 8, 8)), (f"{number:02d}.cls", b"1")):
                info = tarfile.TarInfo(name)
                info.size = len(raw)
                tar.addfile(info, io.BytesIO(raw))
    return path


def shards(folder: Path) -> Path:
    for part in range(2):
        tarred(folder / f"{part}.tar", range(part * COUNT // 2, (part + 1) * COUNT // 2))
    return folder


def tables(folder: Path) -> Path:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder.mkdir()
    for part in range(2):
        numbers = range(part * COUNT // 2, (part + 1) * COUNT // 2)
        parquet.write_table(
            arrow.table({"image": [noise(number, 8, 8) for number in numbers]}), folder / f"{part}.parquet"
        )
    return folder


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(COUNT):
            archive.writestr(f"{number:02d}.png", noise(number, 8, 8))
    return path


def remove_last(folder: Path) -> None:
    """The last file, or the last folder, of a source of several."""
    last = sorted(folder.iterdir())[-1]
    if last.is_dir():
        shutil.rmtree(last)
    else:
        last.unlink()


@pytest.mark.parametrize("make", [loose, shards])
def test_pictures_that_vanish_are_told_in_the_report_and_at_the_end(tmp_path, monkeypatch, make):
    src, dest = make(tmp_path / "src"), tmp_path / "set"

    def counter(_what):
        return lambda done, _total: remove_last(src) if done == 32 else None

    monkeypatch.setattr(console, "counter", counter)
    done = CliRunner().invoke(cli, ["prepare", str(src), str(dest), "--size", "8", "--workers", "1"])
    assert done.exit_code == 0, done.stderr  # A set without them is whole in itself, as without damaged ones.
    made = PreparedFolder(dest)
    gone = [item for item in made.refused if item.reason == VANISHED]
    assert len(gone) == COUNT // 2
    assert len(made) == COUNT - len(gone)
    assert f"{len(gone)} x {VANISHED}" in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"gansmith: {len(gone)} pictures vanished from SRC")
    report = json.loads((dest / "report.json").read_text())
    assert report["count"] == COUNT
    assert [reason for _, reason in report["refused_files"]].count(VANISHED) == len(gone)


def test_tables_that_are_open_are_read_to_their_end_and_others_are_missed(tmp_path):
    src = tables(tmp_path / "src")
    source = named_source(str(src), How())
    assert source.read(COUNT - 1) == noise(COUNT - 1, 8, 8)
    remove_last(src)
    assert source.read(COUNT - 2) == noise(COUNT - 2, 8, 8)
    source.reader.__setstate__(source.reader.__getstate__())  # As it comes to a worker.
    assert source.read(0) == noise(0, 8, 8)
    with pytest.raises(FileNotFoundError):
        source.read(COUNT - 1)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_where_all_of_the_source_is_gone_the_same_command_goes_on(tmp_path, kind):
    made = {"folder": loose, "zip": zipped, "tar": lambda path: tarred(path, range(COUNT))}
    src = made[kind](tmp_path / ("src" if kind == "folder" else f"src.{kind}"))
    kept, dest = tmp_path / "kept", tmp_path / "set"
    opened = named_source(str(src), How())
    if kind == "zip":  # Whoever has it open reads on; a worker that starts later does not.
        opened.reader.__setstate__(src)

    def leave(done, _total):
        if done == 32 and kind != "zip":
            src.rename(kept)

    if kind == "zip":
        src.rename(kept)
    with pytest.raises(DataError, match=r"which is gone.*the same command goes on"):
        prepare(opened, dest, EIGHT, workers=1, progress=leave)
    kept.rename(src)
    done = prepare(str(src), dest, EIGHT, workers=1)
    assert done.before == (0 if kind == "zip" else 32)
    assert done.pictures == COUNT
    assert not [item for item in done.report.refused if item.reason == VANISHED]


def test_another_zip_in_the_place_of_the_first(tmp_path):
    src = zipped(tmp_path / "src.zip")
    source = named_source(str(src), How())
    source.reader.__setstate__(src)
    with zipfile.ZipFile(src, "w") as archive:
        archive.writestr("00.png", noise(0, 8, 8))
    assert source.read(0) == noise(0, 8, 8)
    with pytest.raises(FileNotFoundError):
        source.read(1)
