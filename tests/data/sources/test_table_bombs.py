"""Tables that are small where they lie and huge when they are read: refused, and little memory is held."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from gansmith.data.metadata import cells, records, tables
from gansmith.data.metadata.tables import read_table
from gansmith.errors import DataError

LIMIT = 2**22  # For the child, instead of 256 MiB.
ROWS = 12 * LIMIT // 16  # Of each kind of table: ten times as much or more.

CHILD = """
import json, resource, sys
from gansmith.data.sources import base
from gansmith.data.sources.open import open_source
base.MOST_BYTES, base._MOST_TOLD = %d, %d
open_source(sys.argv[1])  # What is imported and unpacked once is not counted.
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    source = open_source(path)
    print(json.dumps([path, len(source.names), [f"{entry.name}: {entry.reason}" for entry in source.refused],
        source.facts.labels is None]))
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def picture():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


TABLES = {
    "labels.csv": b"file,label\n" + b"a.png,1       \n" * ROWS,
    "labels.jsonl": b'{"file":"a","l":1}\n' * ROWS,
    "labels.json": b'{"a.png": 1' + b' , "a.png": 1' * ROWS + b"}",
    "a.txt": b"a red square   \n" * ROWS,
    "line/metadata.csv": b"file,label\n" + b"a" * 16 * ROWS,
}


def packed_ways(folder: Path, name: str, table: bytes) -> list[Path]:
    """The table beside one image, in a folder, a zip, a tar and a packed tar."""
    files = {"a.png": picture(), name: table}
    stem = name.replace("/", "_")
    for file, raw in files.items():
        place = folder / stem / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(raw)
    with zipfile.ZipFile(folder / f"{stem}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file, raw in files.items():
            archive.writestr(file, raw)
    for ending, mode in ((".tar", "w"), (".tar.gz", "w:gz")):
        with tarfile.open(
            folder / f"{stem}{ending}", mode, **({"compresslevel": 1} if "gz" in mode else {})
        ) as tar:
            for file, raw in files.items():
                info = tarfile.TarInfo(file)
                info.size = len(raw)
                tar.addfile(info, io.BytesIO(raw))
    return [folder / f"{stem}{ending}" for ending in ("", ".zip", ".tar", ".tar.gz")]


def test_no_table_is_unpacked_beyond_its_limit(tmp_path):
    good = packed_ways(tmp_path / "good", "labels.csv", b"file,label\na.png,1\n")
    bombs = [path for name, table in TABLES.items() for path in packed_ways(tmp_path, name, table)]
    many = tmp_path / "many.zip"  # Each is small enough; together they are not.
    with zipfile.ZipFile(many, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a.png", picture())
        for number in range(12):
            archive.writestr(f"{number}.csv", b"file,label\n" + b"a.png,1       \n" * (LIMIT // 20))
    lying = tmp_path / "lying.zip"  # It says that the table has 100 bytes.
    raw = (tmp_path / "labels.csv.zip").read_bytes()
    size = len(TABLES["labels.csv"]).to_bytes(4, "little")
    assert raw.count(size) >= 2
    lying.write_bytes(raw.replace(size, (100).to_bytes(4, "little")))
    paths = (good[1], good[0], *bombs, many, lying)
    done = subprocess.run(
        [sys.executable, "-c", CHILD % (LIMIT, 4 * LIMIT), *map(str, paths)],
        capture_output=True, text=True, env=os.environ, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    *found, more = map(json.loads, done.stdout.splitlines())
    assert found[0][2:] == [[], False]  # An ordinary table is used.
    for path, names, refused, without_labels in found[1:]:
        assert names == 1, path  # The image is there, whatever lies beside it.
        assert refused, path
        assert without_labels or "many" in path, path
        if "lying" not in path:
            assert "bytes" in " ".join(refused), (path, refused)
    assert more < 64 * 1024, f"{more // 1024} MB held"  # In KiB; the tables have 48 MB each and more.


@pytest.mark.parametrize(
    ("name", "raw", "what"),
    [
        ("labels.csv", b"file," + b"c," * 200 + b"\na.png\n", "columns"),
        ("labels.csv", b"file,label\n" + b"a.png," + b"x" * 5000 + b"\n", "letters in line 2"),
        ("labels.csv", b"file,label\n" + b"".join(b"%d,1\n" % row for row in range(900)), "different texts"),
        ("labels.csv", b"file,label\n" + b"a.png,1\n" * 900, "rows"),
        ("labels.jsonl", b'{"file": "a.png", "label": 1}\n' * 900, "cells"),
        ("labels.json", json.dumps([{"file": "a.png"}] * 900).encode(), "cells"),
    ],
)
def test_what_tables_are_made_of_has_limits_too(monkeypatch, name, raw, what):
    for module in (cells, tables, records):
        for limit, value in (
            ("MOST_COLUMNS", 100),
            ("MOST_CELLS", 500),
            ("MOST_ROWS", 500),
            ("LONGEST_LINE", 4000),
        ):
            monkeypatch.setattr(module, limit, value, raising=False)
    with pytest.raises(DataError, match=f"more than [0-9,]+ {what}"):
        read_table(name, raw)
