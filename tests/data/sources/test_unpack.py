"""Packed files are unpacked once, elsewhere, within bounds, and their copies go with the process."""

import bz2
import errno
import gzip
import lzma
import os
import subprocess
import sys

import pytest

from gansmith.data.sources import unpack
from gansmith.data.sources.unpack import plain, temporary
from gansmith.errors import DataError, StorageError

TEXT = b"".join(b"%d\n" % number for number in range(50_000))
PACKERS = {"gz": gzip.compress, "bz2": lambda raw: bz2.compress(raw, 1), "xz": lzma.compress}


def test_a_plain_file_is_itself(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(TEXT)  # Its name does not matter.
    assert plain(tmp_path / "a.tar.gz").path == tmp_path / "a.tar.gz"


@pytest.mark.parametrize("kind", PACKERS)
def test_a_packed_file_is_unpacked_once_and_not_beside_it(tmp_path, kind):
    path = tmp_path / "packed"
    path.write_bytes(PACKERS[kind](TEXT))
    first = plain(path)
    assert (first.path.read_bytes(), first.damage) == (TEXT, "")
    assert plain(path).path == first.path
    assert os.listdir(tmp_path) == ["packed"]


def test_a_changed_file_or_a_lost_copy_is_unpacked_again(tmp_path):
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(b"one"))
    first = plain(path)
    path.write_bytes(gzip.compress(b"the second"))
    second = plain(path)
    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"one", b"the second")
    second.path.unlink()
    assert plain(path).path.read_bytes() == b"the second"


@pytest.mark.parametrize("kind", PACKERS)
def test_of_a_cut_file_the_part_before_the_cut_is_used(tmp_path, kind):
    whole = PACKERS[kind](os.urandom(200_000) + TEXT)
    path = tmp_path / "packed"
    path.write_bytes(whole[: len(whole) - 20_000])
    cut = plain(path)
    assert "cut short" in cut.damage
    assert cut.path.stat().st_size > 100_000


def test_a_flipped_byte_is_noticed(tmp_path):
    raw = bytearray(gzip.compress(TEXT))
    raw[len(raw) // 2] ^= 0xFF
    (tmp_path / "packed").write_bytes(raw)
    assert "damaged" in plain(tmp_path / "packed").damage


def test_zstandard_is_said(tmp_path):
    (tmp_path / "a.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    with pytest.raises(DataError, match=r"packed with zstandard.*zstd -d a\.tar\.zst"):
        plain(tmp_path / "a.tar.zst")


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        plain(tmp_path / "nothing")


def test_a_bomb_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "_ALWAYS", 10_000)
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(bytes(30_000_000)))
    with pytest.raises(DataError, match="pictures do not shrink so much"):
        plain(path)
    assert not [file for file in temporary("probe").parent.iterdir() if file.name.startswith("bomb")]


def test_at_most_half_of_the_free_disk_is_taken(tmp_path, monkeypatch):
    class Usage:
        free = 10_000

    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda _: Usage)
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(TEXT))
    with pytest.raises(DataError, match=r"more than 5,000 bytes, half of what is free.*TMPDIR"):
        plain(path)


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpack, "_copied", full)
    (tmp_path / "packed").write_bytes(gzip.compress(TEXT))
    with pytest.raises(StorageError, match="disk is full"):
        plain(tmp_path / "packed")


SCRIPT = """
import gzip, os, pathlib, sys
from gansmith.data.sources.unpack import plain
path = pathlib.Path(sys.argv[1])
path.write_bytes(gzip.compress(b"x"))
copy = plain(path).path
if os.fork() == 0:
    sys.exit(0)  # A child that ends in the ordinary way takes nothing with it.
os.wait()
assert copy.read_bytes() == b"x"
print(copy)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_copies_go_when_the_process_that_made_them_ends(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "packed")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    copy = done.stdout.strip()
    assert copy and not os.path.exists(os.path.dirname(copy))
