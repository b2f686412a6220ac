"""One name in two spellings is one name: in folders, archives, tables, shards, and on the command line."""

import csv
import io
import itertools
import json
import random
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from gansmith.core.text import classes_of, find_name, folded, in_order
from gansmith.data.sources.open import open_source
from gansmith.models.prompts import label_number

NAMES = ("Café", "Zoë/Ångström", "한국", "ПРИВЕТ", "日本", "plain", "ﬁne", "İstanbul")
FORMS = ("NFC", "NFD")


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), shade).save(buffer, "PNG")
    return buffer.getvalue()


def spelled(name: str, form: str) -> str:
    return unicodedata.normalize(form, name)


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, raw in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(raw)
    return path


class _Unflagged(zipfile.ZipInfo):
    """A name in UTF-8 that does not say so, as Archive Utility of macOS writes it."""

    def _encodeFilenameFlags(self):  # noqa: N802 - zipfile's own name.
        return self.filename.encode("utf-8"), self.flag_bits & ~0x800


def as_mac_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(f"{path}.zip", "w") as archive:
        for name, raw in files.items():
            archive.writestr(_Unflagged(name), raw)
    return Path(f"{path}.zip")


def as_windows_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(f"{path}.zip", "w") as archive:
        for name, raw in files.items():
            info = zipfile.ZipInfo()
            info.filename = name.replace("/", "\\")
            archive.writestr(info, raw)
    return Path(f"{path}.zip")


def as_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(f"{path}.tar", "w") as archive:
        for name, raw in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return Path(f"{path}.tar")


PACKS = (as_folder, as_mac_zip, as_windows_zip, as_tar)


def table(rows: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("file", "label"), *rows])
    return text.getvalue().encode()


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize(("here", "there"), [*itertools.product(FORMS, FORMS)])
def test_a_table_finds_its_pictures_in_any_spelling(tmp_path, pack, here, there):
    chance = random.Random(0)
    files = {f"{spelled(name, here)}.png": picture(number) for number, name in enumerate(NAMES)}
    rows = []
    for number, name in enumerate(NAMES):
        wanted = spelled(name, there)
        if name != "İstanbul":  # Whose small letters differ from any file's name by more than their case.
            wanted = chance.choice([str, str.upper, str.lower])(wanted) if name != "ﬁne" else wanted
        rows.append((chance.choice(["", "./"]) + wanted.replace("/", chance.choice("/\\")), f"{number}.0"))
    source = open_source(str(pack(tmp_path / "data", {**files, "labels.csv": table(rows)})))
    assert source.refused == ()
    assert source.facts.labels is not None
    said = {folded(name): int(label) for name, label in zip(source.names, source.facts.labels, strict=True)}
    assert said == {folded(f"{name}.png"): number for number, name in enumerate(NAMES)}


@pytest.mark.parametrize("pack", PACKS)
def test_folders_of_one_name_are_one_class(tmp_path, pack):
    files = {
        f"{part}/{spelled('Café', form)}/a.png": picture(1)
        for part, form in zip(("train", "val"), FORMS, strict=True)
    }
    files |= {f"{part}/cat/b.png": picture(2) for part in ("train", "val")}
    source = open_source(str(pack(tmp_path / "data", files)))
    assert source.facts.label_names == ("Café", "cat")
    assert source.facts.labels.tolist() == [int("cat" in name) for name in source.names]


@pytest.mark.parametrize("form", FORMS)
def test_the_texts_beside_pictures_are_found(tmp_path, form):
    files = {spelled("Café.JPG", form): picture(1), "B.png": picture(2)}
    files |= {unicodedata.normalize("NFC", "café.txt"): b"one", "b.txt": b"two"}
    source = open_source(str(as_folder(tmp_path, files)))
    assert dict(zip(source.names, source.facts.captions, strict=True)) == {
        spelled("Café.JPG", form): "one",
        "B.png": "two",
    }
    assert source.refused == ()


SPELT = {
    "whole": [str(number) for number in range(12)],
    "floats": [f"{number}.0" for number in range(12)],
    "zeros": [f"{number:03d}" for number in range(12)],
    "mixed": [f"{number}.0" if number % 2 else f"{number:02d}" for number in range(12)],
}


@pytest.mark.parametrize("kind", SPELT)
def test_numbers_are_in_the_order_of_their_values(tmp_path, kind):
    texts = SPELT[kind]
    classes = {f"{text}/a.png": picture(number) for number, text in enumerate(texts)}
    flat = {f"{number:02d}.png": picture(number) for number in range(12)}
    rows = [(f"{number:02d}.png", text) for number, text in enumerate(texts)]
    lines = "\n".join(json.dumps({"file": name, "label": text}) for name, text in rows).encode()
    sets = [classes, {**flat, "labels.csv": table(rows)}, {**flat, "labels.jsonl": lines}]
    shard = {f"{name[:2]}.json": json.dumps({"label": text}).encode() for name, text in rows}
    places = [as_folder(tmp_path / str(number), files) for number, files in enumerate(sets)]
    for place in [*places, as_tar(tmp_path / "shard", {**flat, **shard})]:
        source = open_source(str(place))
        for name, label in zip(source.names, source.facts.labels, strict=True):
            text = name.rpartition("/")[0] if name in classes else texts[int(Path(name).stem)]
            assert float(text) == int(label), (place, name)


def test_parquet_labels_are_in_the_order_of_their_values(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    pictures = [picture(number) for number in range(12)]
    for number, texts in enumerate([*SPELT.values(), [float(number) for number in range(12)]]):
        path = tmp_path / f"{number}.parquet"
        parquet.write_table(arrow.table({"image": pictures, "LABEL": texts}), path)
        assert open_source(str(path), label="label").facts.labels.tolist() == list(range(12))


def test_letters_are_classes_of_their_own():
    assert classes_of(["a", "A", "b"])[1] == ("A", "a", "b")
    assert classes_of(["10", "9", "nan"])[1] == ("10", "9", "nan")
    assert in_order(["1e3", "-2", "10", ".5"]) == ["-2", ".5", "10", "1e3"]


def test_a_class_is_asked_for_in_any_spelling():
    names = ("Café", "A", "a", "10.0")
    assert [label_number(text, names) for text in ("cafe\u0301", "CAFÉ", "a", "A", "2")] == [0, 0, 2, 1, 2]
    assert find_name("b", names) is None


def test_a_terminal_that_lacks_letters_gets_escapes(tmp_path):
    place = as_folder(
        tmp_path / "日本", {f"猫/{n}.png": picture(n) for n in range(3)} | {"犬/a.png": b"broken"}
    )
    command = [sys.executable, "-m", "gansmith", "inspect", str(place), "--recipe", "dcgan28"]
    for encoding in ("cp1252", "cp437", "utf-8"):
        done = subprocess.run(
            command, env={"PYTHONIOENCODING": encoding, "PYTHONPATH": ":".join(sys.path)}, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        assert ("猫".encode() if encoding == "utf-8" else b"\\u732b") in done.stdout
