"""Files that are wholly there or not at all."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from gansmith.core.files import whole_file, write_text
from gansmith.errors import StorageError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    with whole_file(path, durable=True) as part:
        write(part)


def fail_half_way(path: Path) -> None:
    path.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_new_file_and_a_replaced_one_hold_the_text(tmp_path: Path) -> None:
    for text in ("one\n", "zwei ü\n", ""):
        write_text(tmp_path / "file.txt", text)
        assert (tmp_path / "file.txt").read_text(encoding="utf-8") == text
        assert names(tmp_path) == ["file.txt"]


def test_while_it_is_written_readers_find_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.png"
    path.write_text("old")
    seen = []

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        seen.append((path.read_text(), temporary.parent == tmp_path))

    write_whole(path, write)
    assert seen == [("old", True)]
    assert path.read_text() == "new"


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_what_was_there_and_no_more(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "file.txt"
    if there:
        path.write_text("old")
    with pytest.raises(StorageError, match=r"Cannot write .*file.txt: the disk is full"):
        write_whole(path, fail_half_way)
    assert names(tmp_path) == (["file.txt"] if there else [])
    assert not there or path.read_text() == "old"


def test_another_error_goes_through_and_leaves_nothing(tmp_path: Path) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file.txt", write)
    assert names(tmp_path) == []


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "file.txt", "text")
    assert names(tmp_path / "new") == ["file.txt"]


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("x")
    with pytest.raises(StorageError, match="Cannot write"):
        write_text(tmp_path / "a file" / "file.txt", "text")
    assert names(tmp_path) == ["a file"]


def test_a_name_that_is_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match="Cannot write"):
        write_text(tmp_path / "taken", "text")
    assert names(tmp_path) == ["taken"]


def test_a_write_that_forgets_the_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        write_whole(tmp_path / "file.txt", lambda temporary: None)


def test_who_has_the_old_file_open_goes_on_reading_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with open(path, encoding="utf-8") as reader:
        write_text(path, "new and longer")
        assert reader.read() == "old"
    assert path.read_text() == "new and longer"
