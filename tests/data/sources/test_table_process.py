"""Tables that lie: the process that reads them may die, their user gets one message and goes on."""

import io
import json
import os
import random
import signal
import subprocess
import sys

import pytest
from PIL import Image

from gansmith.data.sources import table_process
from gansmith.data.sources.parquet import TableSource
from gansmith.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def png(shade):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), shade).save(buffer, "PNG")
    return buffer.getvalue()


def table(shades, **columns):
    return pa.table({"image": [{"bytes": png(shade), "path": ""} for shade in shades], **columns})


def write(path, made, **options):
    pq.write_table(made, path, **options)
    return path


def write_arrow(path, made, opener):
    with pa.OSFile(str(path), "wb") as file, opener(file, made.schema) as out:
        out.write_table(made, max_chunksize=10)


def test_a_reader_that_dies_is_one_message_for_one_group(tmp_path):
    source = TableSource(write(tmp_path / "a.parquet", table(range(20)), row_group_size=10))
    assert source.read(3) == png(3)
    os.kill(source.reader._process._child.pid, signal.SIGSEGV)
    with pytest.raises(DataError, match=r"ended the process that did so \(SIGSEGV\)"):
        source.read(4)
    with pytest.raises(DataError, match="SIGSEGV"):  # It is not tried again and again.
        source.read(5)
    assert source.reader._process._child is None
    assert [source.read(index) for index in range(10, 20)] == [png(index) for index in range(10, 20)]


def test_the_reader_ends_with_its_user(tmp_path):
    source = TableSource(write(tmp_path / "a.parquet", table(range(3))))
    child = source.reader._process._child
    assert child.poll() is None
    del source
    assert child.poll() == 0


def test_a_reader_that_does_not_answer_is_ended(tmp_path, monkeypatch):
    source = TableSource(write(tmp_path / "a.parquet", table(range(3))))
    monkeypatch.setattr(table_process, "_PATIENCE", 0.1)
    os.kill(source.reader._process._child.pid, signal.SIGSTOP)
    with pytest.raises(DataError, match="SIGKILL"):
        source.read(0)


@pytest.mark.parametrize("kind", ["parquet", "stream", "file"])
def test_mutated_tables_are_used_or_refused(tmp_path, kind):
    made = table(range(20), label=[0, 1] * 10, text=list("ab") * 10)
    path = tmp_path / ("a.parquet" if kind == "parquet" else "a.arrow")
    if kind == "parquet":
        write(path, made, row_group_size=10)
    else:
        write_arrow(path, made, pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file)
    whole, chance, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(6):
        raw = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20))):
            raw[chance.randrange(len(raw))] = chance.choice((0, 255, chance.randrange(256)))
        path.write_bytes(raw)
        try:
            source = TableSource(path)
        except DataError as error:
            refused += 1
            assert "\n" not in str(error)
            continue
        for index in range(len(source.names)):
            try:
                source.read(index)
            except DataError as error:
                assert "damaged" in str(error) or "stored" in str(error)
    assert refused


BOMB = """
import json, resource, sys
from gansmith.data.sources.parquet import TableSource
from gansmith.errors import DataError
source = TableSource(sys.argv[1])
lengths = []
for index in (0, 1, 59):
    try:
        lengths.append(len(source.read(index)))
    except DataError as error:
        lengths.append(str(error))
facts = [source.facts.captions is None, [entry.reason for entry in source.refused]]
del source
print(json.dumps([lengths, facts, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


def test_a_value_that_is_named_often_is_held_once(tmp_path):
    large, often = bytes(24 * 2**20), 60
    once = pa.array([0] * often, pa.int32())
    columns = {"image": pa.array([large]), "text": pa.array(["x" * 2**22])}
    made = pa.table({name: pa.DictionaryArray.from_arrays(once, value) for name, value in columns.items()})
    path = write(tmp_path / "a.parquet", made, compression="zstd", store_schema=False)
    assert path.stat().st_size < 200_000
    done = subprocess.run([sys.executable, "-c", BOMB, str(path)], capture_output=True, text=True, timeout=60)
    lengths, (_, refused), most = json.loads(done.stdout)
    assert lengths == [len(large)] * 3
    assert refused == []  # Captions are cut to what is used of them.
    assert most < 700 * 1024, f"{most // 1024} MB"  # In KiB; the images have 1,440 MB, the captions 240.


def test_what_asks_for_too_much_memory_is_refused_in_words(tmp_path, monkeypatch):
    source = TableSource(write(tmp_path / "a.parquet", table(range(3))))
    source.reader._process._stop()
    greedy = "import gansmith.data.sources.table_files as t; t._described = lambda *_, **__: bytearray(2**30)"
    start = f"{table_process._START.removesuffix('serve()')}{greedy}; serve(2**28)"
    monkeypatch.setattr(table_process, "_START", start)
    with pytest.raises(DataError, match="MemoryError"):
        source.reader._process.ask("describe", path="a")


def test_tables_that_say_they_have_endless_rows_are_refused(tmp_path):
    made = pa.table({"image": pa.nulls(2**25, pa.binary())})
    with pytest.raises(DataError, match="33,554,432 rows"):
        TableSource(write(tmp_path / "a.parquet", made))
