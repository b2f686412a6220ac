"""DEST is new, or the unfinished set of the same pictures and options; what else it holds is left alone."""

import json
import os
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from filelock import FileLock
from preparing import (
    COUNT,
    EIGHT,
    GOOD,
    StopError,
    contents,
    counted,
    fill,
    make,
    noise,
    snapshot,
    stop_after,
    write,
)

from gansmith.core.image_size import Size
from gansmith.data.inspect.report import as_json
from gansmith.errors import DataError, StorageError


def test_a_folder_with_other_things_in_it_is_left_alone(source, tmp_path):
    dest = write(tmp_path / "dest", {"b.txt": b"mine", "a/c.txt": b"mine"})
    before = snapshot(dest).keys()
    with pytest.raises(DataError, match=r"DEST must be new or empty. Received: .*dest, which holds a, b.txt"):
        make(source, dest)
    assert snapshot(dest).keys() == before
    assert (dest / "b.txt").read_bytes() == b"mine"


def test_an_empty_folder_is_as_good_as_none(source, whole, tmp_path):
    make(source, tmp_path)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_destination_inside_the_source_is_refused(source, tmp_path, below):
    before = snapshot(source)
    os.symlink(source, tmp_path / "link")
    for start in (source, tmp_path / "link"):
        with pytest.raises(DataError, match=r"SRC is never written to. Received: DEST .*, inside"):
            make(source, start / below)
    assert snapshot(source) == before


def test_a_source_inside_the_destination_is_refused(tmp_path):
    fill(tmp_path / "dest" / "source", 3)
    before = snapshot(tmp_path / "dest" / "source")
    with pytest.raises(DataError, match="which holds source"):
        make(tmp_path / "dest" / "source", tmp_path / "dest")
    assert snapshot(tmp_path / "dest" / "source") == before


def test_a_file_is_no_destination(source, tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"DEST is a folder, new or empty. Received: .*file, a file"):
        make(source, tmp_path / "file")
    with pytest.raises(StorageError):
        make(source, tmp_path / "file" / "below")
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_finished_set_is_done_without_work(source, whole, tmp_path):
    write(tmp_path, whole)
    before, reads = snapshot(tmp_path), Counter()
    done = make(counted(source, reads), tmp_path)
    assert (done.before, done.pictures, reads) == (COUNT, GOOD, Counter())
    after = snapshot(tmp_path)
    assert {name: what[1] for name, what in after.items() if name != "."} == {
        name: what[1] for name, what in before.items() if name != "."
    }
    report = as_json(done.report)
    report["refused_files"] = [list(entry.values()) for entry in report.pop("refused")]
    assert json.loads(json.dumps(report)) == json.loads(whole["report.json"])


def test_a_finished_set_that_is_damaged_is_told_and_not_mended(source, whole, tmp_path):
    write(tmp_path, {**whole, "images.npy": whole["images.npy"][:-1]})
    before = contents(tmp_path)
    with pytest.raises(
        DataError, match=r"images.npy cannot be read .* Prepare the set again. Delete .* first"
    ):
        make(source, tmp_path)
    assert contents(tmp_path) == before


def test_a_finished_set_whose_journal_is_still_there(source, whole, tmp_path):
    write(tmp_path, {**whole, "unfinished.jsonl": b'{"any": 1}\n', ".set.json.0123abcd.part": b"{"})
    make(source, tmp_path)
    assert contents(tmp_path) == whole


def test_what_was_found_while_listing_is_told_once(tmp_path):
    root = fill(tmp_path / "source", 3)
    os.symlink("nowhere.png", root / "lost.png")
    first = make(root, tmp_path / "dest").report
    again = make(root, tmp_path / "dest").report
    assert as_json(again) == as_json(first)
    assert [entry.name for entry in again.refused] == ["lost.png"]
    assert (first.count, first.looked_at, first.usable) == (4, 3, 3)


OTHER = {
    "size": replace(EIGHT, size=Size(16, 16)),
    "channels": replace(EIGHT, channels=1),
    "fit": replace(EIGHT, fit="pad"),
    "box": replace(EIGHT, box=(0, 0, 8, 8)),
}


@pytest.mark.parametrize("changed", OTHER)
@pytest.mark.parametrize("finished", [True, False])
def test_other_options_are_told_and_nothing_is_touched(source, whole, tmp_path, changed, finished):
    if finished:
        write(tmp_path / "dest", whole)
    else:
        with pytest.raises(StopError):
            make(source, tmp_path / "dest", progress=stop_after(32))
    before = contents(tmp_path / "dest")
    with pytest.raises(DataError, match=rf"begun with other options \({changed}: .*Repeat the old command"):
        make(source, tmp_path / "dest", OTHER[changed])
    assert contents(tmp_path / "dest") == before
    if not finished:
        assert make(source, tmp_path / "dest").before == 32
        assert contents(tmp_path / "dest") == whole


CHANGES = {
    "added": lambda root: write(root, {"zzz.png": noise(1)}),
    "removed": lambda root: (root / "099.png").unlink(),
    "renamed": lambda root: (root / "099.png").rename(root / "098b.png"),
    "size": lambda root: write(root, {"000.png": noise(0) + b"x"}),
    "labels": lambda root: (root / "labels.csv").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("finished", [True, False])
def test_a_source_that_changed_is_told(source, whole, tmp_path, change, finished):
    root = shutil.copytree(source, tmp_path / "source")
    if finished:
        make(root, tmp_path / "dest")
    else:
        with pytest.raises(StopError):
            make(root, tmp_path / "dest", progress=stop_after(32))
    before = contents(tmp_path / "dest")
    CHANGES[change](root)
    count = COUNT + {"added": 1, "removed": -1}.get(change, 0)
    with pytest.raises(
        DataError, match=rf"SRC is not what .*dest was begun from \(100 pictures then, {count}"
    ):
        make(root, tmp_path / "dest")
    assert contents(tmp_path / "dest") == before


def test_a_source_that_moved_is_the_same_source(source, whole, tmp_path):
    root = shutil.copytree(source, tmp_path / "source")
    with pytest.raises(StopError):
        make(source, tmp_path / "dest", progress=stop_after(64))
    assert make(root, tmp_path / "dest").before == 64
    made = contents(tmp_path / "dest")
    named = ("report.json", "report.txt")  # They have the name of SRC.
    assert {name: made[name] for name in made if name not in named} == {
        name: whole[name] for name in whole if name not in named
    }


def test_only_one_command_at_a_time(source, tmp_path):
    (tmp_path / "dest").mkdir()
    with (
        FileLock(tmp_path / "dest" / ".lock"),
        pytest.raises(DataError, match=r"Another process is preparing .*dest. Wait for it"),
    ):
        make(source, tmp_path / "dest")
    assert make(source, tmp_path / "dest").before == 0


def test_less_than_one_worker_is_told(source, tmp_path):
    with pytest.raises(DataError, match=r"At least one worker is needed. Received: 0"):
        make(source, tmp_path / "dest", workers=0)
    assert not (tmp_path / "dest").exists()
