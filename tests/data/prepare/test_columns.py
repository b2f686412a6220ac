"""Columns on disk give back what was put in, go on where they are told to, and know when they are damaged."""

import os
import pickle

import numpy as np
import pytest

from gansmith.data.inspect.measure import SEEN
from gansmith.data.prepare.columns import ArrayWriter, Journal, Texts, TextWriter, mapped
from gansmith.errors import DataError

ODD = ("plain", "", "two\nlines", "\U0001f600", "byte \udcff\udc80", "nul\0inside", "ä", "A", "a")


def rows(start, stop, shape=(2, 3)):
    count = int(np.prod(shape, dtype=int))
    return np.arange(start * count, stop * count, dtype=np.int32).reshape(-1, *shape)


def array(path, *parts, keep=0, shape=(2, 3)):
    writer = ArrayWriter(path, np.int32, shape, keep)
    for part in parts:
        writer.append(part)
    writer.close()


def texts(folder, *parts, keep=0):
    writer = TextWriter(folder, "names", keep)
    for part in parts:
        writer.append(part)
    writer.close()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (4, 5, 3)])
def test_rows_come_back_as_they_were_appended(tmp_path, shape):
    array(tmp_path / "x.npy", rows(0, 4, shape), rows(4, 5, shape), rows(5, 1200, shape), shape=shape)
    assert np.array_equal(mapped(tmp_path / "x.npy"), rows(0, 1200, shape))
    assert np.array_equal(np.load(tmp_path / "x.npy"), rows(0, 1200, shape))


def test_a_column_may_have_fields_or_no_rows(tmp_path):
    seen = np.zeros(3, SEEN)
    seen["phash"] = [1, 2**63, 3]
    writer = ArrayWriter(tmp_path / "seen.npy", SEEN, ())
    writer.append(seen)
    writer.close()
    assert mapped(tmp_path / "seen.npy").dtype == SEEN
    assert mapped(tmp_path / "seen.npy")["phash"].tolist() == [1, 2**63, 3]
    array(tmp_path / "none.npy")
    assert mapped(tmp_path / "none.npy").shape == (0, 2, 3)


@pytest.mark.parametrize("keep", [0, 1, 3, 4])
def test_a_column_goes_on_after_the_rows_it_keeps(tmp_path, keep):
    array(tmp_path / "x.npy", rows(0, 4))
    array(tmp_path / "x.npy", rows(keep, 9), keep=keep)
    array(tmp_path / "whole.npy", rows(0, 9))
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_column_that_was_never_closed_can_go_on(tmp_path):
    writer = ArrayWriter(tmp_path / "x.npy", np.int32, (2, 3))
    writer.append(rows(0, 4))
    writer.flush()
    array(tmp_path / "x.npy", rows(3, 5), keep=3)
    assert np.array_equal(mapped(tmp_path / "x.npy"), rows(0, 5))
    writer.close()


@pytest.mark.parametrize("cut", [1, 24, None])
def test_a_column_with_too_few_rows_is_told(tmp_path, cut):
    array(tmp_path / "x.npy", rows(0, 4))
    raw = (tmp_path / "x.npy").read_bytes()
    if cut is None:
        (tmp_path / "x.npy").unlink()
    else:
        (tmp_path / "x.npy").write_bytes(raw[:-cut])
    with pytest.raises(DataError, match=r"x.npy is shorter than its journal says. Delete its folder"):
        ArrayWriter(tmp_path / "x.npy", np.int32, (2, 3), 4)


def test_texts_come_back_to_the_byte(tmp_path):
    texts(tmp_path, ODD[:4], (), ODD[4:])
    column = Texts(tmp_path, "names")
    assert tuple(column) == ODD
    assert len(column) == len(ODD)
    assert (column[0], column[-1], column[-len(ODD)]) == (ODD[0], ODD[-1], ODD[0])
    assert column[2:5] == ODD[2:5]
    assert column[::-2] == ODD[::-2]
    assert column[100:] == ()
    for index in (len(ODD), -len(ODD) - 1):
        with pytest.raises(IndexError):
            column[index]


def test_no_texts_and_empty_texts(tmp_path):
    texts(tmp_path)
    assert tuple(Texts(tmp_path, "names")) == ()
    texts(tmp_path, ("", ""))
    assert tuple(Texts(tmp_path, "names")) == ("", "")


def test_half_a_letter_becomes_a_question_mark(tmp_path):
    texts(tmp_path, ("\ud83d!", "ok"))  # As JSON may have it; no file is called so.
    assert tuple(Texts(tmp_path, "names")) == ("?!", "ok")


@pytest.mark.parametrize("keep", range(len(ODD) + 1))
def test_texts_go_on_after_the_rows_they_keep(tmp_path, keep):
    texts(tmp_path, ODD)
    texts(tmp_path, ODD[keep:], ("more",), keep=keep)
    assert tuple(Texts(tmp_path, "names")) == (*ODD, "more")
    assert (tmp_path / "names.utf8").read_bytes().endswith(b"Aamore")


@pytest.mark.parametrize("file", ["names.utf8", "names.npy"])
def test_texts_that_are_too_short_are_told_and_not_filled_with_nothing(tmp_path, file):
    texts(tmp_path, ODD)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{file} is shorter than its journal says"):
        TextWriter(tmp_path, "names", len(ODD))
    with pytest.raises(DataError, match=file):
        Texts(tmp_path, "names")


def test_texts_with_a_file_missing_or_of_another_kind_are_told(tmp_path):
    texts(tmp_path, ODD)
    (tmp_path / "names.utf8").rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"names.utf8 cannot be read"):
        Texts(tmp_path, "names")
    (tmp_path / "away").rename(tmp_path / "names.utf8")
    for wrong in (np.zeros(3), np.zeros((3, 2), np.int64)):
        np.save(tmp_path / "names.npy", wrong)
        with pytest.raises(DataError, match="does not say where texts end"):
            Texts(tmp_path, "names")
    (tmp_path / "names.npy").unlink()
    with pytest.raises(DataError, match=r"names.npy cannot be read"):
        Texts(tmp_path, "names")


class Trap:
    """Unpickling it leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["objects", "pickle", "fields"])
def test_python_objects_are_never_unpickled(tmp_path, kind):
    trap, path = Trap(tmp_path / "sprung"), tmp_path / "x.npy"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(trap))
    else:
        values = np.array([trap], dtype=object if kind == "objects" else [("a", object)])
        np.save(path, values, allow_pickle=True)
    with pytest.raises(DataError, match=r"x.npy cannot be read"):
        mapped(path)
    assert not (tmp_path / "sprung").exists()


def test_a_file_that_is_no_array_is_told(tmp_path):
    path = tmp_path / "x.npy"
    array(path, rows(0, 4))
    whole = path.read_bytes()
    for raw in (b"", b"text", whole[:50], whole[:-1], whole.replace(b"(4,", b"(9,", 1)):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=r"x.npy cannot be read \(.+\). Prepare the set again"):
            mapped(path)
    with open(path, "wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(DataError, match="not one array"):
        mapped(path)


def test_any_damage_to_a_header_gives_an_array_or_a_data_error(tmp_path):
    path = tmp_path / "x.npy"
    array(path, rows(0, 4))
    clean, told = path.read_bytes(), 0
    generator = np.random.default_rng(0)
    headers = ["(" * 5000, "'''", "-" * 9000 + "1", "["]
    for shape in ("(10**40,)", "(99999999999999999999,)", "(True,)", "(-4, 2)"):
        headers.append(f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}}}")
    damaged = [b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text.encode() for text in headers]
    for _ in range(300):
        raw = bytearray(clean)
        raw[generator.integers(0, 128)] = generator.integers(0, 256)
        damaged.append(bytes(raw))
    for raw in damaged:
        path.write_bytes(raw)
        try:
            assert isinstance(mapped(path), np.ndarray)
        except DataError:
            told += 1
    assert told > 200


def test_a_journal_is_read_up_to_its_first_torn_line(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    assert journal.read() == []
    journal.start({"plan": 1}, {"done": 0})
    journal.add({"name": "two\nlines \udcff"})
    journal.add({"done": 2})
    lines = [{"plan": 1}, {"done": 0}, {"name": "two\nlines \udcff"}, {"done": 2}]
    assert journal.read() == lines
    whole = (tmp_path / "j.jsonl").read_bytes()
    for cut in range(1, len(b'{"done": 2}\n') + 1):
        (tmp_path / "j.jsonl").write_bytes(whole[:-cut])
        assert journal.read() == lines[:3]
    for torn in (b"\0\0\0\0\n", b"\xff\xfe\n", b"[1]\n", b'{"do'):
        (tmp_path / "j.jsonl").write_bytes(whole + torn)
        assert journal.read() == lines
    (tmp_path / "j.jsonl").write_bytes(b"")
    assert journal.read() == []


def test_a_journal_that_cannot_be_begun_anew_stays_as_it_was(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "j.jsonl")
    journal.start({"plan": 1}, {"done": 5})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        journal.start({"plan": 2})
    assert journal.read() == [{"plan": 1}, {"done": 5}]
