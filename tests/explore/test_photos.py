"""explore project, mix, between and nearest, as functions and as commands, with what goes wrong told."""

import dataclasses
import functools
import json
import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import random_bytes, small_named
from PIL import Image

from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures
from gansmith.data.open import open_data
from gansmith.errors import CheckpointError, DataError, SettingError
from gansmith.explore import latent_encoder
from gansmith.explore.interpolation import Held, Interpolation, Traversal, film
from gansmith.explore.mixing import layers_of, mix, mixing_table, parse_layers
from gansmith.explore.nearest import Training, nearest_training
from gansmith.explore.places import joined, places_of_photos, places_of_seeds, read_places, widened
from gansmith.explore.projection import Search, project
from gansmith.images.grid import to_bytes, to_pil
from gansmith.images.provenance import read_provenance
from gansmith.metrics.features.registry import open_features
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator
from gansmith.runs.run import Run
from gansmith.training.session import facts_of

QUICK = ("--steps", 3, "--starts", 1)


def a_run(place: Path, name: str, facts: dict[str, Any], **data: Any) -> Path:
    """A run of the catalogue as it is before training."""
    recipe = small_named(name, average=None)
    config = dataclasses.replace(recipe.data, mirror=True, validation=0.25, **data)
    recipe = dataclasses.replace(recipe, data=config)
    torch.manual_seed(0)
    networks = recipe.method.build(recipe.spec())
    run = Run.create(place, recipe, facts)
    run.save({f"networks.{key}": value for key, value in networks.state_dict().items()}, 64)
    return place


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with training images, photos, and three runs."""
    top = tmp_path_factory.mktemp("explore")
    for folder, count in (("data", 12), ("photos", 2)):
        (top / folder).mkdir()
        for row, picture in enumerate(random_bytes(count, seed=len(folder))):
            to_pil(picture).save(top / folder / f"{row:02}.png")
    known = open_data(str(top / "data"), small_named("dcgan64").data)
    facts = {"name": str(top / "data"), "fingerprint": known.fingerprint, "pictures": len(known)}
    a_run(top / "plain", "dcgan64", facts)
    a_run(top / "styles", "stylegan2-32", facts)
    a_run(top / "pairs", "pix2pix64", facts)
    return top


@pytest.fixture(scope="module")
def plain(there: Path) -> Generator:
    return open_generator(str(there / "plain"), "cpu")


@pytest.fixture(scope="module")
def styles(there: Path) -> Generator:
    return open_generator(str(there / "styles"), "cpu")


def pictures_of(folder: Path) -> BytePictures:
    arrays = [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]
    return torch.stack([torch.from_numpy(each.copy()).permute(2, 0, 1) for each in arrays])


# ---- places


def test_places_are_read_back_as_they_were_and_become_the_same_images(
    styles: Generator, plain: Generator, tmp_path: Path
) -> None:
    found = project(styles, random_bytes(2), Search(steps=2, starts=1, seed=5))
    places = places_of_photos(found, ["a\nb.png", "ü.png"])
    again = read_places(places.save(tmp_path / "latents.safetensors", styles), styles)
    assert again.names == ("a b.png", "ü.png") and again.space == "w+" and again.seed == 5
    assert torch.equal(again.images(styles), found.images)
    with pytest.raises(SettingError, match="weights that they were found for"):
        read_places(tmp_path / "latents.safetensors", plain)
    with pytest.raises(SettingError, match=r"\.safetensors"):
        places.save(tmp_path / "latents.pt", styles)
    (tmp_path / "torn.safetensors").write_bytes((tmp_path / "latents.safetensors").read_bytes()[:-9])
    for name in ("torn.safetensors", "none.safetensors"):
        with pytest.raises(CheckpointError, match="explore MODEL project"):
            read_places(tmp_path / name, styles)


def test_seeds_are_the_images_that_generate_makes(plain: Generator) -> None:
    places = places_of_seeds(plain, [3, 14])
    assert torch.equal(places.images(plain), to_bytes(plain.make(Noise.of(3, 14))))


def test_places_of_w_go_with_those_of_w_plus_and_z_with_neither(styles: Generator) -> None:
    z, w, wide = (places_of_seeds(styles, [3], space) for space in ("z", "w", "w+"))
    both = joined([w, wide], styles)
    assert both.space == "w+" and torch.equal(both.latents[0], both.latents[1])
    assert torch.equal(widened(w, styles).latents, wide.latents)
    for other in (w, wide):
        with pytest.raises(SettingError, match=r"one space.*seed 3 in z.*--space"):
            joined([z, other], styles)
    with pytest.raises(SettingError, match="a place at least"):
        joined([], styles)


def test_films_go_through_w_plus_on_any_way(styles: Generator, tmp_path: Path) -> None:
    places = places_of_seeds(styles, [1, 2], "w+")
    held = Held(space="w+", seed=1)
    tour, sweep = (
        Interpolation(frames_per_leg=2, mode="spherical", loop=False),
        Traversal(coordinate=7, frames=4),
    )
    for way, frames in ((tour, 3), (sweep, 4)):
        path = film(styles, places.latents, tmp_path / "film.webp", way, held=held)
        with Image.open(path) as made:
            assert made.n_frames == frames


# ---- mixing


def test_mixing_takes_the_named_layers_and_no_other(styles: Generator) -> None:
    count = layers_of(styles)
    base, other = (places_of_seeds(styles, seeds, "w+", first=0) for seeds in ([1, 2], [3, 4, 5]))
    mixed = mix(base.latents[:1], other.latents[:1], range(1, 3))[0]
    for layer in range(count):
        source = other if layer in (1, 2) else base
        assert torch.equal(mixed[layer], source.latents[0, layer])
    table = mixing_table(styles, base, other, range(0, count)).view(3, 4, 3, 16, 16)
    assert (table[0, 0] == 255).all()
    # All layers of the column: its image, in every row.
    assert torch.equal(table[1, 1:], table[0, 1:]) and torch.equal(table[2, 1:], table[0, 1:])
    some = mixing_table(styles, base, other, range(1, 2)).view(3, 4, 3, 16, 16)
    assert torch.equal(some[1:, 0], base.images(styles))
    assert not torch.equal(some[1, 1], some[0, 1]) and not torch.equal(some[1, 1], some[1, 0])


@pytest.mark.parametrize(
    ("text", "layers"),
    [("0-3", range(0, 4)), (" 7 ", range(7, 8)), ("coarse", range(0, 2)), ("fine", range(5, 8))],
)
def test_layers_are_numbers_ranges_or_thirds(text: str, layers: range) -> None:
    assert parse_layers(text, 8) == layers


@pytest.mark.parametrize("text", ["8", "3-8", "5-3", "-1", "some", "", "1,2"])
def test_layers_that_are_not_there_are_refused(text: str) -> None:
    with pytest.raises(SettingError, match="from 0 to 7"):
        parse_layers(text, 8)


def test_a_model_of_z_alone_has_no_styles(plain: Generator, styles: Generator) -> None:
    with pytest.raises(SettingError, match=r"has z alone.*stylegan2-32-small.*between"):
        layers_of(plain)
    flat = places_of_seeds(styles, [1], "w")
    with pytest.raises(SettingError, match="mixed in w"):
        mixing_table(styles, flat, flat, range(1))
    with pytest.raises(SettingError, match="at most 4096"):
        many = places_of_seeds(styles, range(70), "w+")
        mixing_table(styles, many, many, range(1))


# ---- nearest


def test_the_nearest_training_image_is_found_mirrored_too(there: Path) -> None:
    known = Training.of(there / "plain")
    rows = known.training.rows
    assert len(rows) == 9 and len(known.held_out) == 3
    assert not set(rows.tolist()) & set(known.held_out.rows.tolist())
    everything = pictures_of(there / "data")
    same, flipped = everything[rows[4]], everything[rows[7]].flip(2)
    results = torch.stack([same, flipped, everything[known.held_out.rows[0]]])
    found = nearest_training(results, ("same", "flipped", "new"), known, open_features("pixels"))
    assert found.rows[:2].tolist() == [rows[4], rows[7]]
    assert found.mirrored[:2].tolist() == [False, True]
    assert found.distance[:2].tolist() == pytest.approx([0, 0], abs=1e-3)
    assert torch.equal(found.images[:2], results[:2])
    assert found.close.tolist() == [True, True, False]
    assert found.usual is not None and found.distance[2] > 0.5 * found.usual
    with pytest.raises(DataError, match="3, 16, 16"):
        nearest_training(results[:, :, :8], "abc", known, open_features("pixels"))


def test_training_images_must_be_the_ones_of_the_run(there: Path) -> None:
    with pytest.raises(DataError, match="which holds others"):
        Training.of(there / "plain", str(there / "photos"))
    with pytest.raises(DataError, match="none"):
        Training.of(there / "plain", str(there / "none"))


@pytest.mark.parametrize(
    ("recipe", "config", "held_out"),
    [
        ("dcgan64", {}, 3),
        ("pix2pix64", {"pairs": "segments"}, 3),
        ("pix2pix64", {"pairs": "grey"}, 3),
        ("cyclegan64-small", {"second": "demo-faces:8"}, 2),
        ("cyclegan64-small", {"second": "these and those/"}, 3),
    ],
)
def test_training_images_are_opened_as_training_did(
    there: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe: str,
    config: dict[str, Any],
    held_out: int,
) -> None:
    shutil.copytree(there / "data", tmp_path / "these and those")
    monkeypatch.chdir(tmp_path)
    taken = dataclasses.replace(small_named(recipe).data, **config)
    data = open_data("demo-faces:12", taken, fields=small_named(recipe).method.batch_type._fields)
    known = Training.of(a_run(tmp_path / "run", recipe, facts_of(data), **config))
    assert known.place == "demo-faces:12" and len(known.held_out) == held_out
    assert known.training.some(0, 1).shape[1:] == (3, taken.size.height, taken.size.width)


# ---- commands


def test_project_writes_a_sheet_latents_and_a_report(there: Path, run_cli: Any, tmp_path: Path) -> None:
    code, out, err = run_cli("explore", there / "plain", "project", there / "photos", "-o", tmp_path, *QUICK)
    assert code == 0, err
    assert "2 photos" in out and out.count(" dB, distance") == 2
    assert "--encoder train" in err
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert [photo["name"] for photo in report["photos"]] == ["00.png", "01.png"]
    assert report["space"] == "z" and report["threshold"] > 0 and not report["encoder"]
    assert [photo["failed"] for photo in report["photos"]] == [
        photo["distance"] > report["threshold"] for photo in report["photos"]
    ]
    mark = read_provenance(tmp_path / "sheet.png")
    assert mark is not None and "projected" in str(mark.note)
    # What was found is a place that films go by, with seeds.
    code, out, err = run_cli(
        *("explore", there / "plain", "between", tmp_path / "latents.safetensors", "7"),
        *("-o", tmp_path / "b.gif", "--frames", 3, "--no-loop"),
    )
    assert code == 0 and "by 3 places" in out, err
    with Image.open(tmp_path / "b.gif") as film:
        assert film.n_frames == 2 * 3 + 1


def test_an_encoder_is_trained_kept_and_used(
    there: Path, run_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = functools.partial(latent_encoder.train_encoder, images=64)
    monkeypatch.setattr(latent_encoder, "train_encoder", few)
    words = ("explore", there / "styles", "project", there / "photos" / "00.png", *QUICK)
    code, out, err = run_cli(*words, "--encoder", "train", "-o", tmp_path / "one")
    assert code == 0 and "1 photo in" in out and "--encoder train" not in err, err
    with Image.open(tmp_path / "one" / "sheet.png") as sheet:
        assert sheet.size == (3 * 16 + 2 * 2, 16)  # Photo, guess, found.
    code, out, err = run_cli(*words, "-o", tmp_path / "two")  # It is there now.
    assert code == 0, err
    one, two = ((tmp_path / name / "sheet.png").read_bytes() for name in ("one", "two"))
    assert one == two
    assert json.loads((tmp_path / "two" / "report.json").read_text("utf-8"))["space"] == "w+"
    code, out, _ = run_cli("explore", there / "styles", "--json")
    assert json.loads(out)["encoders"] == ["w"]


def test_a_film_goes_between_photos(there: Path, run_cli: Any, tmp_path: Path) -> None:
    film = tmp_path / "film.webp"
    photos = there / "photos" / "00.png", there / "photos" / "01.png"
    code, out, err = run_cli(
        *("explore", there / "plain", "between", *photos, "-o", film, "--frames", 2, *QUICK)
    )
    assert code == 0 and "From 00.png to 01.png" in out, err
    assert film.stat().st_size > 500


def test_mix_writes_a_table(there: Path, run_cli: Any, tmp_path: Path) -> None:
    table = tmp_path / "mix.png"
    words = ("explore", there / "styles", "mix", "0-1", there / "photos" / "00.png", "--with", "5")
    code, out, err = run_cli(*words, "--layers", "coarse", "-o", table, *QUICK)
    assert code == 0 and "3 by 1" in out, err
    with Image.open(table) as image:
        assert image.size == (2 * 18 - 2, 4 * 18 - 2)


def test_nearest_tells_rows_and_distances(there: Path, run_cli: Any, tmp_path: Path) -> None:
    sheet = tmp_path / "nearest.png"
    copy = there / "data" / "03.png"
    code, out, err = run_cli("explore", there / "plain", "nearest", "0-2", copy, "-o", sheet, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert [each["name"] for each in told["results"]] == ["seed 0", "seed 1", "seed 2", "03.png"]
    assert told == json.loads(sheet.with_suffix(".json").read_text("utf-8"))
    code, out, err = run_cli("explore", there / "plain", "nearest", "0-2", "-o", sheet)
    assert code == 0 and "of what is usual" in out and "as near as copies" in out, err


# ---- what goes wrong


@pytest.fixture(scope="module")
def bad(there: Path) -> Path:
    folder = there / "bad"
    folder.mkdir()
    (folder / "words.png").write_text("no picture")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "huge.png").write_bytes(header_alone(30_000, 10_000))
    Image.new("RGB", (64, 64), "white").save(folder / "wall.png")
    Image.new("1", (10_000, 10_000), 1).save(folder / "large.png")
    with zipfile.ZipFile(folder / "texts.zip", "w") as archive:
        archive.writestr("a.txt", "words")
    return folder


def header_alone(width: int, height: int) -> bytes:
    """A PNG that claims a size and has hardly a pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    told = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + told + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("pairs project photos", "which makes them from something else"),
        ("pairs between 1 2", "which makes them from something else"),
        ("pairs mix 1", "which makes them from something else"),
        ("plain project bad/words.png", "words.png"),
        ("plain project bad/empty.jpg", "empty"),
        ("plain project bad/huge.png", "pixels"),
        ("plain project bad/texts.zip", "a.txt"),
        ("plain project none.png", "none.png"),
        ("plain project photos -o photos", "Data are never written to"),
        ("plain project photos -o photos/found", "Data are never written to"),
        ("plain project photos --space w", "latent spaces z"),
        ("plain project photos --steps -1", "steps"),
        ("plain project photos --label 3", "not conditional|no prompt|makes images of noise|label"),
        ("plain between 3", "between 2 to"),
        ("plain between 3 4 -o out.avi", r"\.mp4"),
        ("plain between 3 bad/words.png", "words.png"),
        ("plain between 0-9999999 -o a.gif", "At most 4096"),
        ("plain between 3 none.safetensors", "Latents cannot be read"),
        ("plain mix 1 2", "has z alone"),
        ("styles mix 1 2 --layers 99", "from 0 to"),
        ("styles mix 1 2 -o mix.gif", r"\.png"),
        ("styles mix 1 2 --space z", "mixed in w"),
        ("styles between styles.safetensors 3 --space w", "one space"),
        ("styles project photos/00.png -o photos/00.png", "Data are never written to"),
        ("plain nearest styles.safetensors", "weights that they were found for"),
        ("plain nearest 0-3 --data photos", "which holds others"),
        ("plain nearest 0-3 -o a.jpg", r"\.png"),
        ("plain nearest 0-3 -o data/a.png", "Data are never written to"),
        ("plain nearest 0-3 --features nose", "feature network"),
        ("plain nearest bad/words.png", "words.png"),
        ("plain projekt photos", "project"),
    ],
)
def test_mistakes_are_told_in_one_message(
    there: Path, bad: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch, words: str, told: str
) -> None:
    monkeypatch.chdir(there)
    if "styles.safetensors" in words and not Path("styles.safetensors").exists():
        generator = open_generator("styles", "cpu")
        places_of_seeds(generator, [1], "z").save(Path("styles.safetensors"), generator)
    more = []
    if "-o" not in words and " nearest " not in words and " project " not in words:
        more = ["-o", "out.png" if " mix " in words else "out.gif"]
    if not re.search(" nearest |--steps", words):
        more += map(str, QUICK)
    before = sorted(path.name for path in there.rglob("*"))
    code, out, err = run_cli("explore", *words.split(), *more)
    assert code == 2, out
    assert re.search(told, err), err
    assert "Traceback" not in err and len(err) < 900
    assert sorted(path.name for path in there.rglob("*")) == before


def test_a_photo_of_100_megapixels_is_brought_to_size(
    there: Path, bad: Path, run_cli: Any, tmp_path: Path
) -> None:
    words = ("explore", there / "plain", "project", bad / "large.png", "-o", tmp_path, *QUICK)
    code, out, err = run_cli(*words)
    assert code == 0 and "large.png" in out, err


def test_a_photo_without_a_face_is_refused_where_faces_are_aligned(
    there: Path, bad: Path, run_cli: Any, tmp_path: Path
) -> None:
    pytest.importorskip("dlib")
    words = ("explore", there / "plain", "project", bad / "wall.png", "-o", tmp_path / "o", *QUICK)
    code, _, err = run_cli(*words, "--align", "close")
    assert code == 2 and "wall.png: no face was found" in err and not (tmp_path / "o").exists()
    code, _, err = run_cli(*words, "--align", "closed")
    assert code == 2 and "close" in err
