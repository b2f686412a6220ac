"""Tars are read where they lie: in order, by many threads, without links, and as far as they are whole."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from gansmith.data.sources.base import Source
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.tar import TarSource, contents
from gansmith.data.sources.webdataset import open_tar
from gansmith.errors import DataError

CIFAR = Path(__file__).parents[3].parent / "shared" / "data" / "cifar10" / "cifar10_jpeg.tar.xz"


def png(shade=0):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), shade).save(buffer, "PNG")
    return buffer.getvalue()


def member(name, kind=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def pack(path, names, *others, style=tarfile.PAX_FORMAT, texts=None):
    """A tar of pictures of shades 0, 1, ..., then entries of other kinds, then texts."""
    files = {name: png(number) for number, name in enumerate(names)} if not isinstance(names, dict) else names
    with tarfile.open(path, "w", format=style) as archive:
        for name, raw in [*files.items(), *(texts or {}).items()]:
            archive.addfile(member(name, size=len(raw)), io.BytesIO(raw))
        for info in others:
            archive.addfile(info)
    return path


def reasons(source):
    return {entry.name: entry.reason for entry in source.refused}


STYLES = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


@pytest.mark.parametrize("style", STYLES)
def test_names_are_sorted_and_pictures_come_whole(tmp_path, style):
    names = ["b.png", "z/y/x/c.png", "a/" + 60 * "k" + "/" + 60 * "l" + ".webp", "B.jpeg"]
    source = TarSource(pack(tmp_path / "a.tar", names, style=STYLES[style]))
    assert isinstance(source, Source)
    assert list(source.names) == sorted(names)
    assert [source.read(index) for index in range(4)] == [png(names.index(name)) for name in source.names]
    assert (source.refused, source.others) == ((), ())
    offset, size = source.key(0)
    assert (tmp_path / "a.tar").read_bytes()[offset : offset + size] == source.read(0)


@pytest.mark.parametrize("packed", [lzma.compress, gzip.compress, bz2.compress])
def test_packed_tars_are_the_same(tmp_path, packed):
    plain = TarSource(pack(tmp_path / "a.tar", ["cat/1.png", "dog/2.png"]))
    (tmp_path / "a.tar.x").write_bytes(packed((tmp_path / "a.tar").read_bytes()))
    source = TarSource(tmp_path / "a.tar.x")
    assert (source.names, source.fingerprint) == (plain.names, plain.fingerprint)
    assert source.facts.label_names == ("cat", "dog")
    assert source.facts.labels.tolist() == [0, 1]
    assert source.read(1) == png(1)
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "a.tar.x"]


def test_a_tar_of_a_folder_is_that_folder(tmp_path):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    (tmp_path / "set" / "dog").mkdir()
    for number, name in enumerate(["cat/1.png", "dog/2.png", ".hidden.png"]):
        (tmp_path / "set" / name).write_bytes(png(number))
    (tmp_path / "set" / "labels.csv").write_text("file,label\ncat/1.png,5\ndog/2.png,0\n")
    folder = FolderSource(tmp_path / "set")
    for start in ("set", "."):
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            archive.add(tmp_path / "set", arcname=start)
        source = TarSource(tmp_path / "a.tar")
        assert (source.names, source.fingerprint, source.others) == (
            folder.names,
            folder.fingerprint,
            folder.others,
        )
        assert source.facts.labels.tolist() == folder.facts.labels.tolist() == [5, 0]


def test_readers_are_pickled_small_and_read_in_threads_and_processes(tmp_path):
    names = [f"{number:03}.png" for number in range(100)]
    (tmp_path / "a.tar").write_bytes(b"")
    source = TarSource(pack(tmp_path / "a.tar", names))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, range(100))) == [png(number) for number in range(100)]
    sent = pickle.dumps((source.reader, [source.key(7)]))
    assert len(sent) < 1000
    script = (
        "import pickle, sys; reader, (key,) = pickle.load(sys.stdin.buffer); "
        "sys.stdout.buffer.write(reader.read(key))"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, input=sent, capture_output=True, check=True, env=environment)
    assert done.stdout == png(7)


LINKS = {
    "soft.png": (tarfile.SYMTYPE, {"linkname": "/etc/passwd"}, "a link to /etc/passwd"),
    "hard.png": (tarfile.LNKTYPE, {"linkname": "a.png"}, "a hard link to a.png"),
    "pipe.png": (tarfile.FIFOTYPE, {}, "a pipe"),
    "disk.png": (tarfile.BLKTYPE, {}, "a device"),
    "terminal.png": (tarfile.CHRTYPE, {}, "a device"),
    "strange.png": (b"Q", {}, "not known"),
}


@pytest.mark.parametrize("style", STYLES)
def test_links_devices_and_pipes_are_refused_by_name(tmp_path, style):
    others = [member(name, kind, **fields) for name, (kind, fields, _) in LINKS.items()]
    source = TarSource(pack(tmp_path / "a.tar", ["a.png", "b.png"], *others, style=STYLES[style]))
    assert source.names == ("a.png", "b.png")
    assert set(reasons(source)) == set(LINKS)
    for name, (_, _, told) in LINKS.items():
        assert told in reasons(source)[name]


def test_a_long_target_of_a_link_is_told(tmp_path):
    target = "x/" * 80 + "y.png"
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        link = member("l.png", tarfile.SYMTYPE, linkname=target)
        assert target in reasons(TarSource(pack(tmp_path / "a.tar", ["a.png"], link, style=style)))["l.png"]


def test_sparse_files_are_refused_and_what_follows_is_found(tmp_path):
    raw = bytearray(pack(tmp_path / "a.tar", ["a.png", "b.png"]).read_bytes())
    header = bytearray(raw[:512])
    header[156:157], header[482] = b"S", 1
    header[124:136] = b"%011o\0" % 0
    more = bytearray(512)
    more[504] = 1
    raw = seal(header) + more + bytes(512) + raw[1024:]
    (tmp_path / "a.tar").write_bytes(raw)
    source = TarSource(tmp_path / "a.tar")
    assert source.names == ("b.png",)
    assert "sparse" in reasons(source)["a.png"]
    pax = member("GNUSparseFile.0/c.png", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.name": "c.png"})
    source = TarSource(pack(tmp_path / "b.tar", ["a.png"], pax))
    assert "sparse" in reasons(source)["c.png"]


def seal(header):
    """A header with its checksum put right."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


CLIMBING = {
    "../../evil.png": "evil.png",
    "/etc/evil.png": "etc/evil.png",
    "a/../../b/evil.png": "b/evil.png",
    "..\\evil.png": "evil.png",
    "C:\\Windows\\evil.png": "Windows/evil.png",
    "./x//./evil.png": "x/evil.png",
}


@pytest.mark.parametrize("name", CLIMBING)
def test_names_never_lead_out(tmp_path, name):
    source = TarSource(pack(tmp_path / "a.tar", [name, "a/a.png", "z/z.png"]))
    assert CLIMBING[name] in source.names
    assert source.read(source.names.index(CLIMBING[name])) == png(0)
    assert os.listdir(tmp_path) == ["a.tar"]


def test_entries_without_a_name_are_refused(tmp_path):
    source = TarSource(pack(tmp_path / "a.tar", ["..", "a.png"]))
    assert source.names == ("a.png",)
    assert "it has no name" in reasons(source).values()


@pytest.mark.parametrize("style", ["pax", "gnu"])
def test_odd_names_are_kept(tmp_path, style):
    names = ["a\nb.png", "😀.png", "caf\udce9.png", "A.png", "a.png", " .png"]
    source = TarSource(pack(tmp_path / "a.tar", names, style=STYLES[style]))
    assert sorted(source.names) == sorted(names)
    assert {source.read(index) for index in range(6)} == {png(number) for number in range(6)}
    assert source.fingerprint


def test_of_several_with_one_name_the_last_counts(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, shade in [("a.png", 1), ("b.png", 2), ("./a.png", 3)]:
            archive.addfile(member(name, size=len(png(shade))), io.BytesIO(png(shade)))
        archive.addfile(member("b.png", tarfile.SYMTYPE, linkname="a.png"))
    source = TarSource(tmp_path / "a.tar")
    assert (source.names, source.read(0)) == (("a.png",), png(3))
    assert "a link" in reasons(source)["b.png"]


def test_other_files_and_foreign_pictures_are_sorted_out(tmp_path):
    source = TarSource(pack(tmp_path / "a.tar", ["a.png", "b.heic", "__MACOSX/a.png"], texts={"x.doc": b"x"}))
    assert (source.names, source.others) == (("a.png",), ("x.doc",))
    assert "convert" in reasons(source)["b.heic"]


def test_what_is_no_tar_is_said(tmp_path):
    for name, raw in {"junk.tar": os.urandom(2000), "empty.tar": b"", "zip.tar": b"PK" * 600}.items():
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(DataError, match=f"A tar of pictures was expected.*{name}"):
            TarSource(tmp_path / name)
    (tmp_path / "junk.tgz").write_bytes(gzip.compress(os.urandom(2000)))
    for path in (tmp_path / "junk.tgz", tmp_path / "missing.tar"):
        with pytest.raises(DataError, match="was expected"):
            TarSource(path)


def test_an_empty_tar_holds_nothing(tmp_path):
    assert TarSource(pack(tmp_path / "a.tar", [])).names == ()


def test_everything_before_a_cut_is_used(tmp_path):
    whole = pack(tmp_path / "a.tar", ["a.png", "b.png", "c.png"]).read_bytes()
    used = {}
    for end in range(1024, 6 * 512 + 1, 128):
        (tmp_path / "cut.tar").write_bytes(whole[:end])
        source = TarSource(tmp_path / "cut.tar")
        used[end] = len(source.names)
        assert "Fetch or pack it again" in reasons(source)["cut.tar"]
        for index in range(len(source.names)):
            assert source.read(index) == png(index)
    assert used[1024] == used[1024 + 256] == 1
    assert used[2048] == 2
    assert used[3072] == 3
    (tmp_path / "cut.tar").write_bytes(whole[: 1024 + 530])
    assert "cut short inside it" in reasons(TarSource(tmp_path / "cut.tar"))["b.png"]


@pytest.mark.parametrize("packed", [lzma.compress, gzip.compress])
def test_everything_before_a_cut_of_a_packed_tar_is_used(tmp_path, packed):
    files = {f"{number:03}.jpg": os.urandom(2000) for number in range(300)}
    raw = packed(pack(tmp_path / "a.tar", files).read_bytes())
    (tmp_path / "cut.tgz").write_bytes(raw[: len(raw) * 2 // 3])
    source = TarSource(tmp_path / "cut.tgz")
    assert 150 < len(source.names) < 220
    assert source.read(100) == files["100.jpg"]
    assert "damaged or cut short" in reasons(source)["cut.tgz"]


def test_everything_before_a_damaged_header_is_used(tmp_path):
    whole = pack(tmp_path / "a.tar", ["a.png", "b.png", "c.png"]).read_bytes()
    for place in (0, 100, 130, 150, 156, 300):  # Name, mode, size, checksum, kind, user.
        raw = bytearray(whole)
        raw[1024 + place] ^= 0x41
        (tmp_path / "b.tar").write_bytes(raw)
        source = TarSource(tmp_path / "b.tar")
        assert source.names == ("a.png",)
        assert "damaged at byte 1,024" in reasons(source)["b.tar"]


SIZES = {
    "beyond the end": b"77777777777\0",
    "beyond the end, in binary": b"\x80" + struct.pack(">3xq", 2**62),
    "negative": b"\xff" * 12,
    "with a sign": b"-0000000001\0",
    "with an underscore": b"0000000_100\0",
    "not octal": b"00000000098\0",
}


@pytest.mark.parametrize("size", SIZES)
def test_absurd_sizes_are_told_and_never_read(tmp_path, size):
    whole = pack(tmp_path / "a.tar", ["a.png", "b.png"]).read_bytes()
    header = bytearray(whole[1024:1536])
    header[124:136] = SIZES[size]
    (tmp_path / "a.tar").write_bytes(whole[:1024] + seal(header) + whole[1536:])
    source = TarSource(tmp_path / "a.tar")
    assert source.names == ("a.png",)
    assert "a.tar" in reasons(source)


def test_files_larger_than_any_picture_are_refused(tmp_path):
    path = pack(tmp_path / "a.tar", ["a.png"])
    header = bytearray(path.read_bytes()[:512])
    header[124:136] = b"\x80" + struct.pack(">3xq", 2**31)
    path.write_bytes(seal(header))
    with path.open("r+b") as file:  # A file with a hole; it takes no room.
        file.truncate(512 + 2**31 + 1024)
    source = TarSource(path)
    assert source.names == ()
    assert "2,147,483,648 bytes" in reasons(source)["a.png"]


def pax(*records):
    """A pax header with these bytes, then a picture."""
    raw = b"".join(records)
    header = member("x", b"x", size=len(raw)).tobuf(tarfile.USTAR_FORMAT)
    picture = member("a.png", size=len(png())).tobuf(tarfile.USTAR_FORMAT)
    return header + raw + bytes(-len(raw) % 512) + picture + png() + bytes(-len(png()) % 512 + 1024)


def test_sizes_and_names_of_pax_headers_count(tmp_path):
    size = b"size=%d\n" % len(png())
    (tmp_path / "a.tar").write_bytes(pax(b"14 path=b.png\n", b"%d " % (len(size) + 3) + size))
    source = TarSource(tmp_path / "a.tar")
    assert (source.names, source.read(0), source.refused) == (("b.png",), png(), ())


BROKEN = [
    b"99 path=b.png\n",
    b"x path=b.png\n",
    b"14 path=b.pngX",
    b"0 path=b.png\n",
    b"12 path_b.png\n",
    b"7",
]
BROKEN += [b"12 size=-10\n", b"32 size=9999999999999999999999999\n"[:33]]


@pytest.mark.parametrize("record", BROKEN)
def test_broken_pax_headers_are_damage(tmp_path, record):
    whole = pack(tmp_path / "a.tar", ["0.png"]).read_bytes()[:1024]
    (tmp_path / "a.tar").write_bytes(whole + pax(record))
    source = TarSource(tmp_path / "a.tar")
    assert source.names == ("0.png",)
    assert "damaged at byte" in reasons(source)["a.tar"]


def test_names_of_absurd_length_are_damage(tmp_path):
    whole = pack(tmp_path / "a.tar", ["0.png"]).read_bytes()[:1024]
    name = member("././@LongLink", b"L", size=2**21).tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(whole + name + b"a" * 2**21)
    assert "a name of 2,097,152 bytes" in reasons(TarSource(tmp_path / "a.tar"))["a.tar"]


def test_headers_for_all_entries_change_nothing(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", pax_headers={"comment": "x", "path": "evil.png"}) as archive:
        archive.addfile(member("a.png", size=len(png())), io.BytesIO(png()))
    assert TarSource(tmp_path / "a.tar").names == ("a.png",)


def test_no_byte_of_an_archive_can_make_listing_fail(tmp_path):
    link = member("l.png", tarfile.SYMTYPE, linkname="x" * 150)
    whole = pack(tmp_path / "a.tar", ["é" * 60 + ".png", "b.png"], link).read_bytes()
    listed = 0
    for place in range(0, len(whole) - 1024, 29):
        raw = bytearray(whole)
        raw[place] = (raw[place] * 3 + 101) % 256
        (tmp_path / "b.tar").write_bytes(raw)
        try:
            listed += len(contents(tmp_path / "b.tar").entries) > 0
        except DataError:
            pass
    assert listed > 50


def test_reading_goes_on_after_the_archive_has_changed(tmp_path):
    source = TarSource(pack(tmp_path / "a.tar", ["a.png"]))
    (tmp_path / "a.tar").write_bytes(b"short")
    with pytest.raises(DataError, match="cut short after it was listed"):
        source.read(0)


def test_python_and_we_agree_about_every_archive(tmp_path):
    names = [f"{'d' * (number * 7 % 150)}/{number}.png" for number in range(1, 120)]
    for style in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = pack(tmp_path / "a.tar", names, style=style)
        with tarfile.open(path) as archive:
            theirs = {info.name.lstrip("/"): (info.offset_data, info.size) for info in archive}
        assert {name: entry[1:3] for name, entry in contents(path).entries.items()} == theirs


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR.is_file(), reason=f"{CIFAR} is not here")
def test_cifar10_as_jpegs():
    source = open_tar(CIFAR)
    assert isinstance(source, TarSource)
    assert (len(source.names), source.refused) == (60_000, ())
    assert source.facts.label_names[:3] == ("airplane", "automobile", "bird")
    assert source.facts.held_out.sum() == 10_000
    assert Image.open(io.BytesIO(source.read(31_415))).size == (32, 32)
