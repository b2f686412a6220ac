"""Whatever lies in a source is used, or listed with a reason, or counted among other files."""

import io
import json
import random
import tarfile
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith.cli.train import run_name
from gansmith.core.image_size import Size
from gansmith.data.inspect.inspect import inspect
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.data.sources import leavings
from gansmith.data.sources.open import open_source
from gansmith.errors import DataError
from gansmith.recipes import named
from gansmith.runs.run import Run

TOOLS = {
    "@eaDir/a.png/SYNOPHOTO_THUMB_XL.jpg": "Synology",
    "x/@eaDir/b.png": "Synology",
    ".@__thumb/a.png": "QNAP",
    "#recycle/old.png": "waste bin",
    "$RECYCLE.BIN/S-1/old.png": "waste bin",
    ".Trash-1000/files/old.png": "waste bin",
    "__MACOSX/._a.png": "Mac's notes",
    "._a.png": "Mac's notes",
    ".thumbnails/a.png": "thumbnails",
    "All Previews.lrdata/0/a.jpg": "previews",
    "Mine.photoslibrary/resources/derivatives/a.jpg": "previews",
    ".picasaoriginals/a.png": "photo or copying tool",
    "node_modules/icon.png": "programming",
    ".hidden.png": "hidden",
    ".secret/a.png": "hidden",
}
RUN = {
    "recipe.json": b"{}",
    "data.json": b"{}",
    "run.lock": b"",
    "samples/000.png": None,
    "grids/a.png": None,
}
PREPARED = {"set.json": b"{}", "names.npy": b"", "contact.png": None, "duplicates.png": None}
UNFINISHED = {"unfinished.jsonl": b"{}\n", "seen.npy": b"", "contact.png": None}
CACHE = {"CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55", "deep/a.png": None}
MADE = {"one": RUN, "runs/two": RUN, "faces64": PREPARED, "half": UNFINISHED, "cache": CACHE}


def picture(shade: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), (shade % 256, shade // 256, 7)).save(buffer, kind)
    return buffer.getvalue()


def litter() -> dict[str, bytes]:
    """A file for every kind of leaving."""
    files = {name: picture(200) for name in TOOLS}
    for place, parts in MADE.items():
        files |= {f"{place}/{name}": picture(201) if raw is None else raw for name, raw in parts.items()}
    return files


def mixture(seed: int, count: int = 30) -> list[tuple[str, bytes]]:
    """Files of all kinds in a random order, some names twice, some pictures broken."""
    chance = random.Random(seed)
    files: list[tuple[str, bytes]] = []
    for number in range(count):
        name = f"{chance.choice(['', 'cats/', 'dogs/', 'dogs/old/'])}{number:03d}"
        kind = chance.choice(["picture"] * 4 + ["broken", "heic", "text", "archive", "twice", "empty"])
        if kind == "picture":
            files.append((f"{name}{chance.choice(['.png', '.PNG'])}", picture(number)))
        elif kind == "twice":
            files += [(f"{name}.png", picture(number)), (f"{name}.png", picture(number + 1))]
        else:
            ending = {"broken": "png", "heic": "heic", "text": "txt", "archive": "zip", "empty": "jpg"}[kind]
            files.append((f"{name}.{ending}", b"" if kind == "empty" else b"what"))
    files += list(litter().items())
    chance.shuffle(files)
    return files


def as_folder(path: Path, files: list[tuple[str, bytes]]) -> Path:
    for name, raw in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(raw)
    return path


def as_zip(path: Path, files: list[tuple[str, bytes]]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        warnings.simplefilter("ignore")  # Of names that come again.
        for name, raw in files:
            archive.writestr(name, raw)
    return path.with_suffix(".zip")


def as_tar(path: Path, files: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(f"{path}.tar.gz", "w:gz") as archive:
        for name, raw in files:
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return Path(f"{path}.tar.gz")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pack", [as_folder, as_zip, as_tar])
def test_entries_in_are_used_or_listed(tmp_path, pack, seed):
    files = mixture(seed)
    if pack is as_folder:
        files = list(dict(files).items())
    source = open_source(str(pack(tmp_path / "data", files)))
    told = Counter(item.name for item in source.refused)
    passed_over = leavings.sift(dict(files))
    unheard = {name for name, _ in files} - set(source.names) - set(source.others) - set(told)
    assert unheard <= set(passed_over)
    assert not (set(source.names) | set(source.others)) & set(passed_over)
    for name, count in Counter(name for name, _ in files).items():
        if name not in passed_over and name not in source.others:
            assert (name in source.names) + sum(
                item.picture for item in source.refused if item.name == name
            ) == count
    for kind in {why for _, why in passed_over.values()}:
        assert sum(item.reason.startswith((f"{kind}:", f"{kind}, ")) for item in source.refused) == 1, kind
    assert (
        all(told[name] for name in source.others if name.endswith(".zip"))
        or sum("not looked into" in item.reason for item in source.refused) == 1
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pack", [as_folder, as_zip, as_tar])
def test_numbers_of_the_report_add_up(tmp_path, pack, seed):
    files = list(dict(mixture(seed)).items())
    broken_tables = [("labels.csv", b"\xff\xfe\xff"), ("captions.json", b"{")]
    data = str(pack(tmp_path / "data", files + broken_tables))
    passed_over = leavings.sift(dict(files))
    pictures = [name for name, _ in files if name not in passed_over and not name.endswith((".txt", ".zip"))]
    made = prepare(data, tmp_path / "set", Options(size=Size(8, 8)), workers=1)
    report = json.loads((tmp_path / "set" / "report.json").read_text())
    assert report["count"] == len(pictures) == made.pictures + len(report["refused_files"])
    assert {"labels.csv", "captions.json"} <= {note["name"] for note in report["notes"]}
    assert sum(count for _, count in made.report.others) == len(files) + 2 - len(pictures) - len(passed_over)
    again = prepare(data, tmp_path / "set", Options(size=Size(8, 8)), workers=1).report
    seen = inspect(data, workers=1).report
    assert again.count == seen.count == len(pictures)
    assert len(again.refused) == len(seen.refused) == len(report["refused_files"])
    assert again.usable == seen.usable == made.pictures


@pytest.mark.parametrize("name", TOOLS)
def test_a_tools_leavings_are_no_class(tmp_path, name):
    files = [("cats/a.png", picture(1)), ("dogs/b.png", picture(2)), (name, picture(3))]
    for pack in (as_folder, as_zip, as_tar):
        source = open_source(str(pack(tmp_path / "data", files)))
        assert source.names == ("cats/a.png", "dogs/b.png")
        assert source.facts.label_names == ("cats", "dogs")
        assert [item.reason for item in source.refused if TOOLS[name] in item.reason]


def test_a_run_inside_its_data_changes_nothing(tmp_path, monkeypatch):
    as_folder(tmp_path, [(f"{number}.png", picture(number)) for number in range(3)])
    before = open_source(str(tmp_path))
    run = Run.create(tmp_path / "runs" / "one", named("rpgan8"), {"name": "."})
    as_folder(run.path, [("samples/000001.png", picture(1)), ("grid.png", picture(2))])
    after = open_source(str(tmp_path))
    assert (before.names, before.fingerprint) == (after.names, after.fingerprint)
    assert "a run" in after.refused[0].reason
    monkeypatch.chdir(tmp_path)
    assert [run_name(data) for data in (".", "./", "..", "a/b.zip", "digits", "mnist:10")] == [
        *(tmp_path.name, tmp_path.name, tmp_path.parent.name),
        *("b", "digits", "mnist"),
    ]


def test_what_the_user_names_is_data_whatever_it_is_called(tmp_path):
    for name in ("@eaDir", ".hidden", "cache"):
        as_folder(tmp_path / name, [("a.png", picture(1)), ("CACHEDIR.TAG", b"")])
        assert open_source(str(tmp_path / name)).names == ("a.png",)
    packed = as_zip(tmp_path / "z", [(".hidden/a.png", picture(1)), (".hidden/b.png", picture(2))])
    assert open_source(str(packed)).names == ("a.png", "b.png")


def test_a_zip_in_a_zip_is_no_path(tmp_path):
    inner = as_zip(tmp_path / "inner", [("a.png", picture(1))])
    lone = as_zip(tmp_path / "lone", [("inner.zip", inner.read_bytes())])
    with pytest.raises(DataError, match=r"unpack it and give inner.zip"):
        prepare(str(lone), tmp_path / "set")
    folder = as_folder(tmp_path / "folder", [("inner.zip", inner.read_bytes())])
    assert open_source(str(folder)).names == ("a.png",)
    two = as_folder(tmp_path / "two", [(f"{name}.zip", inner.read_bytes()) for name in "ab"])
    with pytest.raises(DataError, match=r"Give the archive itself: .*two/a.zip") as caught:
        prepare(str(two), tmp_path / "set")
    given = str(caught.value).split("itself: ")[1].rstrip(".")
    assert open_source(given).names == ("a.png",)


@pytest.mark.parametrize("pack", [as_zip, as_tar])
def test_tables_beside_a_lone_archive_count_where_the_folder_is_given(tmp_path, pack):
    """The layout of most downloads: pictures.zip, and captions.csv beside it."""
    (tmp_path / "data").mkdir()
    archive = pack(tmp_path / "data" / "pictures", [("a.png", picture(1)), ("b.png", picture(2))])
    (tmp_path / "data" / "captions.csv").write_text("file,caption\na.png,one\nb.png,two\n")
    (tmp_path / "data" / "SOURCE.txt").write_text("Licence: CC BY 4.0\n")
    (tmp_path / "data" / "more.7z").write_bytes(b"x")
    alone, whole = open_source(str(archive)), open_source(str(tmp_path / "data"))
    assert alone.facts.captions is None and whole.facts.captions == ("one", "two")
    assert "CC BY 4.0" in (whole.facts.licence or "")
    assert alone.fingerprint == whole.fingerprint and whole.name == str(tmp_path / "data")
    assert [whole.read(row) for row in range(2)] == [picture(1), picture(2)]
    assert [entry.name for entry in whole.refused] == ["more.7z"]
    assert not alone.refused  # What lies in a folder of several archives may be of any of them.
    (tmp_path / "data" / "more.7z").unlink()
    (hint,) = open_source(str(archive)).refused
    assert hint.name == "captions.csv" and "give the folder" in hint.reason
    (tmp_path / "data" / "loose.png").write_bytes(picture(3))
    assert not open_source(str(archive)).refused  # With the folder the loose picture would be meant.


@pytest.mark.parametrize("pack", [as_zip, as_tar])
def test_tables_in_an_archive_come_before_those_beside_it(tmp_path, pack):
    (tmp_path / "data").mkdir()
    inner = b"file,caption\na.png,inside\n"
    pack(tmp_path / "data" / "pictures", [("a.png", picture(1)), ("captions.csv", inner)])
    (tmp_path / "data" / "captions.csv").write_text("file,caption\na.png,outside\n")
    assert open_source(str(tmp_path / "data")).facts.captions == ("inside",)


def test_samples_of_shards_are_used_or_listed(tmp_path):
    files = [(f"{number}.{ending}", picture(number)) for number in range(4) for ending in ("png", "mask.png")]
    files += [(f"{number}.cls", b"1") for number in range(6)] + [("notes.md", b"x"), ("@eaDir/0.png", b"x")]
    (tmp_path / "data").mkdir()
    for shard in ("a", "b"):
        as_tar(tmp_path / "data" / shard, files)
    (tmp_path / "data" / "readme.txt").write_text("x")
    source = open_source(str(tmp_path / "data"))
    told = {item.name for item in source.refused if item.picture}
    assert len(source.names) == 8 and told == {f"{s}/{n}.mask.png" for s in "ab" for n in range(4)}
    notes = {item.name for item in source.refused if not item.picture}
    assert {"a/4.cls", "a/5.cls", "b/4.cls", "b/5.cls"} <= notes
    assert set(source.others) == {"a/notes.md", "b/notes.md", "readme.txt"}


def test_tables_in_a_folder_are_used_or_listed(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("a", "sub/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        parquet.write_table(arrow.table({"image": [picture(1), picture(2)]}), tmp_path / f"{name}.parquet")
    parquet.write_table(arrow.table({"other": [1]}), tmp_path / "c.parquet")
    as_folder(tmp_path, [("d.parquet", b"junk"), ("readme.md", b"x"), ("e.zip", b""), ("cache-1.arrow", b"")])
    as_folder(tmp_path, list(litter().items()))
    source = open_source(str(tmp_path))
    assert len(source.names) == 4
    assert {item.name for item in source.refused} >= {"c.parquet", "d.parquet", "cache-1.arrow", "e.zip"}
    assert not any(item.picture for item in source.refused)
    assert set(source.others) == {"readme.md", "e.zip"}


def test_bare_pixels_are_used_or_listed(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(np.zeros(3 * 3073 + 5, np.uint8).tobytes())
    (tmp_path / "data_batch_2.bin").write_bytes(b"x")
    source = open_source(str(tmp_path))
    assert len(source.names) == 3
    assert {item.name: item.picture for item in source.refused} == {
        "data_batch_1.bin": False,
        "data_batch_2.bin": False,
    }
