"""Marks in every kind of file: read by others, read by ours, damaged, and without an effect on pixels."""

import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gansmith.cli.main import cli
from gansmith.errors import DataError, SettingError
from gansmith.images import marks
from gansmith.images.animation import animate
from gansmith.images.grid import to_pil
from gansmith.images.origin import read_origin
from gansmith.images.provenance import (
    COMPOSITE_TYPE,
    SOURCE_TYPE,
    Provenance,
    marked,
    write_picture,
    xmp_packet,
)

MARK = Provenance(
    model="faces <Zoë & co>\x1b[2J\udcff",
    recipe="dcgan64",
    seed=2**63 - 1,
    images_seen=200_000,
    version="1.0",
    note="label: 猫 ]]> " + "long " * 300,
    fingerprint="0123456789ab",
)
SHORT = Provenance("one", "dcgan64", 7, 51_200, "1.0", "label: 3", "0123456789ab")
IPTC, XAP = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}", "{http://ns.adobe.com/xap/1.0/}"
STILL, MOVING = (".png", ".jpg", ".webp"), (".gif", ".webp", ".mp4")


def picture(seed: int = 0) -> torch.Tensor:
    """Smooth colours, which even a JPEG keeps nearly as they are."""
    y, x = np.mgrid[0:32, 0:48]
    return torch.from_numpy(np.stack([y * 5, x * 4, (x + y + 10 * seed) % 200]).astype(np.uint8))


def raw_packet(path: Path) -> bytes:
    """The packet by its markers alone, as scanners of any file find it."""
    raw = path.read_bytes()
    return raw[raw.index(b"<?xpacket begin") : raw.index(b'<?xpacket end="r"?>')]


def properties(packet: bytes) -> dict[str, str]:
    root = ElementTree.fromstring(packet.split(b"?>", 1)[1].strip())
    return {element.tag: element.text or "" for element in root.iter()}


def write(path: Path, mark: Provenance) -> Path:
    if path.suffix in STILL and path.stem == "still":
        write_picture(picture(), path, mark)
    else:
        frames = (to_pil(picture(seed)) for seed in range(3))
        animate(frames, path, xmp=xmp_packet(mark), comment="words")
    return path


FILES = [f"still{suffix}" for suffix in STILL] + [f"film{suffix}" for suffix in MOVING]


# ---- what is written ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mark", [SHORT, MARK], ids=["short", "awkward"])
def test_others_find_the_fields_of_iptc_and_ours_all_of_it(
    tmp_path: Path, name: str, mark: Provenance
) -> None:
    if name.endswith("mp4"):
        pytest.importorskip("av")
    path = write(tmp_path / name, mark)
    found = properties(raw_packet(path))
    assert found[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE
    assert found[f"{IPTC}AISystemUsed"].startswith("gansmith, model ")
    assert "recipe dcgan64" in found[f"{IPTC}AISystemUsed"]
    images = f"trained on {mark.images_seen} images"
    assert found[f"{IPTC}AISystemVersionUsed"] == f"gansmith 1.0, weights 0123456789ab, {images}"
    assert found[f"{IPTC}AIPromptInformation"].startswith(f"seed {mark.seed}, label: ")
    assert f"{IPTC}AIPromptWriterName" not in found, "nobody knows who asked"
    assert found[f"{XAP}CreatorTool"] == "gansmith 1.0"
    ours = read_origin(path)
    assert ours.made_by_model and ours.source_type == "trainedAlgorithmicMedia" and ours.problem is None
    assert ours.provenance is not None and ours.provenance.seed == mark.seed
    if mark is SHORT or name == "still.png":
        assert ours.provenance == mark
    assert not set(ours.as_text()) & {"\x1b", "\udcff", "\n"}


@pytest.mark.parametrize("name", ["still.jpg", "still.webp", "film.webp", "still.png"])
def test_pillow_finds_the_packet(tmp_path: Path, name: str) -> None:
    with Image.open(write(tmp_path / name, SHORT)) as image:
        assert image.info["xmp"] == xmp_packet(SHORT)


def test_a_mark_changes_no_pixel(tmp_path: Path) -> None:
    for suffix in STILL:
        with Image.open(io.BytesIO(marked(to_pil(picture()), MARK, suffix))) as image:
            pixels, exact = np.asarray(image).astype(int), np.asarray(to_pil(picture())).astype(int)
        assert np.abs(pixels - exact).max() <= (4 if suffix == ".jpg" else 0), suffix
    for suffix in (".gif", ".mp4"):
        if suffix == ".mp4":
            pytest.importorskip("av")
        frames = [to_pil(picture(seed)) for seed in range(3)]
        bare, before = animate(iter(frames), tmp_path / f"bare{suffix}"), None
        before, raw = decoded(bare), bare.read_bytes()
        with_mark = bare.with_stem("marked")
        with_mark.write_bytes(raw)
        {".gif": marks.append_to_gif, ".mp4": marks.append_to_mp4}[suffix](with_mark, xmp_packet(MARK))
        assert with_mark.read_bytes().startswith(raw.removesuffix(b";"))
        assert decoded(with_mark) == before and len(before) >= 3
        assert read_origin(bare).as_text() == "no mark"


def decoded(path: Path) -> list[bytes]:
    if path.suffix == ".mp4":
        import av

        with av.open(str(path)) as film:
            return [frame.to_ndarray(format="rgb24").tobytes() for frame in film.decode(video=0)]
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append(image.convert("RGB").tobytes())
        return found


def test_what_a_model_made_a_part_of_says_so_and_a_grid_too_large_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    write_picture(picture(), tmp_path / "strip.webp", replace(SHORT, composite=True))
    assert properties(raw_packet(tmp_path / "strip.webp"))[f"{IPTC}DigitalSourceType"] == COMPOSITE_TYPE
    assert (
        read_origin(tmp_path / "strip.webp").as_text().startswith("made in part by gansmith 1.0, model one")
    )
    with pytest.raises(SettingError, match=r"at most 16,383 pixels a side.*20000x2.*Write a .png"):
        write_picture(torch.zeros(1, 2, 20_000, dtype=torch.uint8), tmp_path / "wide.webp", SHORT)
    assert not (tmp_path / "wide.webp").exists()


# ---- what others write, and what is damaged -------------------------------------------------------------


def packet(inside: str, before: str = "") -> bytes:
    space = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    words = f'<r:RDF xmlns:r="{rdf}" xmlns:i="{space}"><r:Description {inside}</r:Description></r:RDF>'
    return (before + words).encode()


CAMERA = packet('i:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture">')
OTHER = packet("><i:AISystemUsed><r:Alt><r:li> Painter &amp; Co </r:li></r:Alt></i:AISystemUsed>")
BOMB = packet(
    "><i:AISystemUsed>&c;</i:AISystemUsed>",
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "' + "&a;" * 99 + '"><!ENTITY c "' + "&b;" * 99 + '">]>',
)


@pytest.mark.parametrize(
    ("xmp", "line", "by_model"),
    [
        (CAMERA, "marked digitalCapture", False),
        (OTHER, "made by a model, system Painter & Co", True),
        (BOMB, "a mark that cannot be read: it has a document type, which no XMP packet needs", False),
        (BOMB.decode().encode("utf-16"), "a mark that cannot be read: it has a document type", False),
        (b"<not xml", "a mark that cannot be read: it is no XML", False),
        (b"\xff\xfe\x00", "a mark that cannot be read", False),
        (b"", "no mark", False),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "WEBP", "TIFF"])
def test_marks_of_others(tmp_path: Path, xmp: bytes, line: str, by_model: bool, form: str) -> None:
    path = tmp_path / "a"
    how: dict[str, Any] = {"tiffinfo": {700: xmp}} if form == "TIFF" else {"xmp": xmp}
    Image.new("RGB", (8, 8)).save(path, format=form, **({} if not xmp else how))
    found = read_origin(path)
    assert found.as_text().startswith(line) and found.made_by_model == by_model


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


XMP_KEY = b"XML:com.adobe.xmp\0"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (png(struct.pack(">I", 2**32 - 1) + b"iTXt" + XMP_KEY + b"\0\0\0\0" + b"x" * 2**21), "longer than"),
        (png(chunk(b"iTXt", XMP_KEY + b"\1\0\0\0" + zlib.compress(b"a" * 2**26))), "longer than"),
        (png(chunk(b"iTXt", XMP_KEY + b"\1\0\0\0junk")), "compressed and damaged"),
        (png(chunk(b"iTXt", XMP_KEY)), "cannot be read"),
        (png(chunk(b"tEXt", b"gansmith\0" + b"[" * 100_000)), "no mark"),
        (png(chunk(b"tEXt", b'gansmith\0{"model": ["x"], "recipe": 1}')), "no mark"),
        (png(chunk(b"tEXt", b"gansmith\0" + b"x" * 2**21)), "longer than"),
        (png(), "no mark"),
        (b"\xff\xd8\xff\xe1\x00\x00" * 5, "no mark"),
        (b"\xff\xd8\xff" + b"\xff" * 3000, "no mark"),
        (b"RIFF\xff\xff\xff\xffWEBPXMP \xff\xff\xff\xff" + b"x" * 2**21, "longer than"),
        (b"GIF89a" + b"\0" * 7 + b"\x21\xff\x0bXMP DataXMP" + b"\xffx" * 2**20, "longer than"),
        (b"GIF89a" + b"\0" * 7 + b"\x21\xff", "no mark"),
        (b"GIF89a", "no mark"),
        (b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x01uuid" + b"\0" * 8, "no mark"),
        (b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\0uuid" + marks._UUID + b"x" * 2**21, "longer than"),
    ],
)
def test_damaged_and_hostile_files_are_a_line_and_little_is_read(
    tmp_path: Path, raw: bytes, line: str
) -> None:
    (tmp_path / "a").write_bytes(raw)
    assert line in read_origin(tmp_path / "a").as_text()


def test_any_cut_and_any_changed_byte_is_no_crash(tmp_path: Path) -> None:
    """Seeded mutations of every kind of file: an origin, or one message."""
    chance = np.random.default_rng(0)
    path = tmp_path / "mutant"
    for name in FILES:
        if name.endswith("mp4"):
            pytest.importorskip("av")
        raw = write(tmp_path / name, SHORT).read_bytes()
        for _ in range(25):
            mutant = bytearray(raw[: int(chance.integers(len(raw)))] if chance.random() < 0.3 else raw)
            for place in chance.integers(0, max(len(mutant), 1), 6):
                mutant[place : place + 1] = bytes([int(chance.integers(256))])
            path.write_bytes(mutant)
            try:
                assert "\n" not in read_origin(path).as_text()
            except DataError as error:
                assert "only be read from a picture" in str(error)


# ---- the verb -------------------------------------------------------------------------------------------


def ask(*words: object) -> tuple[int, list[str], str]:
    said = CliRunner().invoke(cli, ["origin", *map(str, words)])
    return (
        said.exit_code,
        said.stdout.splitlines(),
        said.stderr + (str(said.exception) if said.exception else ""),
    )


def test_the_verb_asks_files_and_folders(tmp_path: Path) -> None:
    root = tmp_path / "in"
    write_picture(picture(), root / "b" / "made.jpg", SHORT)
    code, lines, said = ask(root)
    made = "made by gansmith 1.0, model one (recipe dcgan64, 51200 images, weights 0123456789ab), seed 7"
    assert (code, lines) == (
        0,
        [f"{root}/b/made.jpg: {made}, label: 3"],
    ) and "1 of 1 say that a model made them." in said
    Image.new("L", (8, 8)).save(root / "a.bmp")
    (root / "notes.txt").write_text("words")
    (root / "round").symlink_to(root)
    os.mkfifo(root / "pipe")
    code, lines, said = ask(root)
    assert code == 1 and lines[0] == f"{root}/a.bmp: no mark" and len(lines) == 2
    assert "1 of 2" in said and "A missing mark proves nothing" in said
    code, lines, _ = ask(root, "--json")
    facts = [json.loads(line) for line in lines]
    assert [fact["made_by_model"] for fact in facts] == [False, True]
    assert facts[1]["gansmith"]["fingerprint"] == "0123456789ab" and facts[1]["kind"] == "jpeg"


def test_what_cannot_be_asked_is_said_and_the_rest_is_asked(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("words")
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    (tmp_path / "empty").mkdir()
    write_picture(picture(), tmp_path / "made.png", SHORT)
    code, lines, said = ask(
        tmp_path / "words.txt", tmp_path / "x", tmp_path / "nowhere", tmp_path / "made.png"
    )
    assert code == 2 and len(lines) == 1 and "3 could not be read" in said
    for why in ("which is neither", "a link that leads nowhere", "which does not exist"):
        assert why in said
    assert ask(tmp_path)[0] == 2, "a loop of links in a folder is told, once"
    code, lines, said = ask(tmp_path / "empty")
    assert code != 0 and not lines and "No pictures in" in said


def test_old_marks_are_read(tmp_path: Path) -> None:
    """Those of a version before fingerprints and XMP facts: the chunk of a PNG alone."""
    info = PngInfo()
    facts = {"generated_by": "generative model", "software": "gansmith 0.0.1", "model": "m", "recipe": "r"}
    info.add_text("gansmith", json.dumps({**facts, "seed": 3, "images_seen": None, "version": "0.0.1"}))
    Image.new("L", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    assert read_origin(tmp_path / "a.png").as_text() == "made by gansmith 0.0.1, model m (recipe r), seed 3"
