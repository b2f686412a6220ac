"""A kill, a dead worker or a full disk costs little: the same command goes on, to the same bytes."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from preparing import (
    BAD,
    COUNT,
    EDGES,
    GOOD,
    DyingReader,
    RaisingReader,
    StopError,
    contents,
    counted,
    fill,
    make,
    stop_after,
)

from gansmith.core.image_size import Size
from gansmith.data.prepare import columns, writer
from gansmith.data.prepare.columns import ArrayWriter, Journal
from gansmith.data.prepare.format import is_prepared
from gansmith.data.prepare.prepare import Options
from gansmith.data.sources.folder import FolderSource
from gansmith.errors import DataError, StorageError

# ---- interruptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pictures", [1, 33, 97])
def test_an_interrupted_command_goes_on_and_does_nothing_twice(source, whole, tmp_path, pictures):
    reads = Counter()
    with pytest.raises(StopError):
        make(counted(source, reads), tmp_path / "dest", progress=stop_after(pictures))
    assert not is_prepared(tmp_path / "dest")
    done = make(counted(source, reads), tmp_path / "dest")
    assert contents(tmp_path / "dest") == whole
    assert done.before == next(edge for edge in EDGES if edge >= pictures)
    assert set(reads.values()) == {1}


@pytest.mark.parametrize("at", [0, 31, 47, 99])
def test_a_stop_within_a_run_of_pictures_costs_that_run(source, whole, tmp_path, at):
    found = counted(source, stop_at=f"{at:03}.png")
    with pytest.raises(StopError):
        make(found, tmp_path / "dest")
    reads = found.reader.reads
    done = make(counted(source, reads), tmp_path / "dest")
    assert contents(tmp_path / "dest") == whole
    assert done.before == at // 32 * 32
    assert reads == Counter([*found.names, *found.names[at // 32 * 32 : at + 1]])


def test_many_interruptions_in_a_row(source, whole, tmp_path):
    for pictures in EDGES[:3]:
        with pytest.raises(StopError):
            make(source, tmp_path / "dest", progress=stop_after(pictures))
    assert make(source, tmp_path / "dest").before == 96
    assert contents(tmp_path / "dest") == whole


@pytest.mark.parametrize("notes", [0, 2])
def test_a_crash_between_columns_and_journal(source, whole, tmp_path, monkeypatch, notes):
    add, left = Journal.add, [None] * notes

    def crash(journal, line):
        if not left:
            raise StopError
        left.pop()
        add(journal, line)

    monkeypatch.setattr(Journal, "add", crash)
    with pytest.raises(StopError):
        make(source, tmp_path / "dest")
    rows = len(np.load(tmp_path / "dest" / "rows.npy"))
    monkeypatch.undo()
    done = make(source, tmp_path / "dest")
    assert rows > done.before - len(BAD)  # The columns were longer than the journal said.
    assert done.before == 32 * notes
    assert contents(tmp_path / "dest") == whole


def test_columns_with_rubbish_behind_them(source, whole, tmp_path):
    with pytest.raises(StopError):
        make(source, tmp_path / "dest", progress=stop_after(64))
    for name in ("images.npy", "names.utf8", "names.npy", "rows.npy", "seen.npy"):
        with open(tmp_path / "dest" / name, "ab") as file:
            file.write(b"rubbish" * 100)
    make(source, tmp_path / "dest")
    assert contents(tmp_path / "dest") == whole


@pytest.mark.parametrize(("cut", "before"), [(1, 32), (30, 32), (None, 0)])
def test_a_torn_journal(source, whole, tmp_path, cut, before):
    with pytest.raises(StopError):
        make(source, tmp_path / "dest", progress=stop_after(64))
    journal = tmp_path / "dest" / "unfinished.jsonl"
    raw = journal.read_bytes()
    journal.write_bytes(raw[:-cut] if cut else raw[: raw.index(b"\n") + 5])
    assert make(source, tmp_path / "dest").before == before
    assert contents(tmp_path / "dest") == whole


@pytest.mark.parametrize("name", ["images.npy", "names.utf8", "names.npy", "rows.npy", "seen.npy"])
def test_columns_shorter_than_the_journal_says(source, tmp_path, name):
    with pytest.raises(StopError):
        make(source, tmp_path / "dest", progress=stop_after(64))
    path = tmp_path / "dest" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{name} is shorter than its journal says. Delete its folder"):
        make(source, tmp_path / "dest")


def test_a_kill_before_the_first_picture(source, whole, tmp_path, monkeypatch):
    def crash(*_):
        raise StopError

    for name in ("_open", "release"):
        monkeypatch.setattr(writer.SetWriter, name, crash)
    with pytest.raises(StopError):
        make(source, tmp_path / "dest")
    monkeypatch.undo()
    for name in ("images.npy", "names.npy", ".report.json.0123abcd.part", ".lock"):
        (tmp_path / "dest" / name).touch()
    assert make(source, tmp_path / "dest").before == 0
    assert contents(tmp_path / "dest") == whole


def test_a_stop_in_the_last_step(source, whole, tmp_path, monkeypatch):
    def crash(*_, **__):
        raise StopError

    monkeypatch.setattr("gansmith.data.prepare.finish.write_description", crash)
    with pytest.raises(StopError):
        make(source, tmp_path / "dest")
    monkeypatch.undo()
    reads = Counter()
    (tmp_path / "dest" / ".report.json.0123abcd.part").write_text("half a rep")
    done = make(counted(source, reads), tmp_path / "dest")
    assert (done.before, done.pictures, reads) == (COUNT, GOOD, Counter())
    assert contents(tmp_path / "dest") == whole


SCRIPT = """
import sys
from pathlib import Path
from preparing import DyingReader, EIGHT, make
from gansmith.data.sources.folder import FolderSource
if __name__ == "__main__":
    root, dest, flag = map(Path, sys.argv[1:])
    source = FolderSource(root)
    source.reader = DyingReader(root, "079.png", flag, kill=True)
    make(source, dest, EIGHT)
"""


def run(script, *arguments):
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3] / "src")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_killed_process_loses_at_most_one_run(source, whole, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    killed = run(SCRIPT, source, tmp_path / "dest", flag)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    done = make(source, tmp_path / "dest")
    assert done.before == 64
    assert contents(tmp_path / "dest") == whole


# ---- workers that fail --------------------------------------------------------------------------------


def broken(source, reader):
    found = FolderSource(source)
    found.reader = reader
    return found


def test_a_worker_that_dies_is_told_and_the_same_command_goes_on(source, whole, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    found = broken(source, DyingReader(source, "050.png", flag))
    with pytest.raises(DataError, match=r"worker process was ended.*the same command goes on"):
        make(found, tmp_path / "dest", workers=2)
    flag.unlink()
    assert make(found, tmp_path / "dest").before in (0, 32)
    assert contents(tmp_path / "dest") == whole


def test_a_worker_that_dies_while_much_is_still_to_be_handed_out(tmp_path):
    root, flag = fill(tmp_path / "source", 1), tmp_path / "flag"
    flag.touch()
    for number in range(1, 700):  # More runs than are under way at a time.
        os.link(root / "000.png", root / f"{number:03}.png")
    found = broken(root, DyingReader(root, "000.png", flag))
    with pytest.raises(DataError, match="worker process was ended"):
        make(found, tmp_path / "dest", workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reader_that_raises_what_it_should_not_ends_the_command_and_not_the_set(
    source, whole, tmp_path, workers
):
    flag = tmp_path / "flag"
    flag.touch()
    found = broken(source, RaisingReader(source, "050.png", flag))
    with pytest.raises(LookupError, match="unexpected"):
        make(found, tmp_path / "dest", workers=workers)
    flag.unlink()
    assert make(found, tmp_path / "dest").before == 32
    assert contents(tmp_path / "dest") == whole


def test_an_exception_that_does_not_survive_pickling_ends_the_command(source, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    found = broken(source, RaisingReader(source, "050.png", flag, odd=True))
    with pytest.raises(DataError, match="the same command goes on"):
        make(found, tmp_path / "dest", workers=2)
    assert not is_prepared(tmp_path / "dest")


ORPHANS = """
import multiprocessing, sys
from pathlib import Path
from preparing import EIGHT, SlowReader, make
from gansmith.data.sources.folder import FolderSource
if __name__ == "__main__":
    root, dest = map(Path, sys.argv[1:])
    source = FolderSource(root)
    source.reader = SlowReader(root, 0.02)
    def progress(done, total):
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    make(source, dest, EIGHT, workers=2, progress=progress)
"""


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_when_their_parent_is_killed(source, whole, tmp_path):
    script = tmp_path / "orphans.py"  # Spawned processes import the main module, so it must be a file.
    script.write_text(ORPHANS)
    parent = run("import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')",
                 script, source, tmp_path / "dest")  # fmt: skip
    children = [int(part) for part in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate(timeout=60)
    assert len(children) == 2
    end = time.monotonic() + 60
    while any(map(alive, children)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(alive, children))
    done = make(source, tmp_path / "dest")
    assert done.before >= 32
    assert contents(tmp_path / "dest") == whole


# ---- disks --------------------------------------------------------------------------------------------


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("name", "rows", "before"),
    [("images.npy", 0, 0), ("images.npy", 40, 32), ("seen.npy", 30, 32), ("names.npy", 60, 64)],
)
def test_a_full_disk_is_told_and_the_same_command_goes_on(
    source, whole, tmp_path, monkeypatch, name, rows, before
):
    append = ArrayWriter.append

    def sometimes(column, values):
        if column.path.name == name and column.rows >= rows:
            full()
        append(column, values)

    monkeypatch.setattr(ArrayWriter, "append", sometimes)
    with pytest.raises(StorageError, match=r"the disk is full.*What is prepared so far is kept"):
        make(source, tmp_path / "dest")
    monkeypatch.undo()
    assert make(source, tmp_path / "dest").before == before
    assert contents(tmp_path / "dest") == whole


def test_a_disk_that_is_still_full_costs_nothing_of_what_is_prepared(source, whole, tmp_path, monkeypatch):
    with pytest.raises(StopError):
        make(source, tmp_path / "dest", progress=stop_after(64))
    for module, name in ((columns.os, "fsync"), (columns.os, "replace"), (ArrayWriter, "_header")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, full)
            with pytest.raises(StorageError, match="the disk is full"):
                make(source, tmp_path / "dest")
    assert make(source, tmp_path / "dest").before == 64
    assert contents(tmp_path / "dest") == whole


@pytest.mark.parametrize("step", ["_write_facts", "write_report", "sheets", "write_text"])
def test_a_disk_that_is_full_in_the_last_step(source, whole, tmp_path, monkeypatch, step):
    monkeypatch.setattr(f"gansmith.data.prepare.finish.{step}", full)
    with pytest.raises(StorageError, match="the disk is full"):
        make(source, tmp_path / "dest")
    monkeypatch.undo()
    reads = Counter()
    assert make(counted(source, reads), tmp_path / "dest").before == COUNT
    assert not reads
    assert contents(tmp_path / "dest") == whole


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 120 kB, and how to make it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk, lambda: subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_really_is_full(source, tmp_path, small_disk):
    disk, enlarge = small_disk
    options = Options(size=Size(24, 24), channels=3)
    make(source, tmp_path / "whole", options)
    with pytest.raises(StorageError, match=r"the disk is full"):
        make(source, disk / "dest", options)
    with pytest.raises(StorageError, match=r"the disk is full"):
        make(source, disk / "dest", options)
    enlarge()
    assert make(source, disk / "dest", options).before in (32, 64)
    assert contents(disk / "dest") == contents(tmp_path / "whole")
