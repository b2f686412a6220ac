"""The verb translate: names kept, any size, resumable, and every mistake one message that loses nothing."""

import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from translating import SPEC, negative, pixels, save, shown

from gansmith.cli.main import cli
from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.errors import DataError, SettingError
from gansmith.faces.detect import FoundFace
from gansmith.images.provenance import read_provenance
from gansmith.methods.batches import SourcePrompt
from gansmith.methods.cyclegan import CycleGAN
from gansmith.methods.pix2pix import Pix2Pix
from gansmith.methods.srresnet import SuperResolution
from gansmith.methods.stargan import StarGAN
from gansmith.models.attribute_sheet import attribute_sheet
from gansmith.models.edit import open_photos
from gansmith.models.generator import from_method
from gansmith.models.tiles import blend, ramp, starts
from gansmith.models.translate import Translation, translate, translate_pixels

# ---- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(16, 16), (5, 9), (16, 40), (100, 17), (61, 83)])
def test_any_size_is_kept_and_tiles_give_what_the_whole_would(
    tmp_path: Path, height: int, width: int
) -> None:
    source = pixels(height, width)
    save(tmp_path / "in" / "a.png", source)
    done = translate(negative(), tmp_path / "in", tmp_path / "out")
    assert (done.made, done.kept, done.refused) == (1, 0, ())
    assert np.array_equal(shown(tmp_path / "out" / "a.png"), 255 - source), "no seam to the last level"


def test_tiles_overlap_and_their_weights_fall_towards_edges() -> None:
    assert starts(16, 16) == [0] and starts(9, 16) == [0] and starts(40, 16) == [0, 12, 24]
    for length in range(17, 200):
        places = starts(length, 16)
        assert places[0] == 0 and places[-1] == length - 16
        assert all(0 < b - a <= 12 for a, b in pairwise(places)), "a quarter at least"
    weights = ramp(16)
    assert np.array_equal(weights, weights[::-1]) and (np.diff(weights[:4]) > 0).all() and weights.min() > 0


def test_where_tiles_differ_there_is_a_slope_and_no_step() -> None:
    """Two tiles, one black and one white: neighbouring columns differ by far less than the whole range."""
    tiles = [np.zeros((1, 16, 16), np.float32), np.full((1, 16, 16), 255.0, np.float32)]
    whole = blend((16, 24), (16, 16), [0], [0, 8], lambda row: tiles)
    steps = np.diff(whole[0, 0].astype(int))
    assert whole[0, 0, 0] == 0 and whole[0, 0, -1] == 255 and steps.min() >= 0 and steps.max() < 100


def test_a_panorama_of_20000_px(tmp_path: Path) -> None:
    source = np.tile(pixels(20, 100), (1, 200, 1))
    save(tmp_path / "in" / "wide.png", source)
    translate(negative(), tmp_path / "in", tmp_path / "out")
    assert np.array_equal(shown(tmp_path / "out" / "wide.png"), 255 - source)


def test_small_sources_give_results_so_many_times_larger(tmp_path: Path) -> None:
    source = pixels(10, 7)
    save(tmp_path / "in" / "a.png", source)
    translate(negative(source_shrink=4), tmp_path / "in", tmp_path / "out")
    made = shown(tmp_path / "out" / "a.png")
    assert made.shape == (40, 28, 3) and np.array_equal(made, (255 - source).repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_fit_brings_pictures_to_the_models_size(tmp_path: Path, fit: Any) -> None:
    save(tmp_path / "in" / "a.png", np.full((64, 96, 3), 55, np.uint8))
    translate(negative(), tmp_path / "in", tmp_path / "out", Translation(fit=fit))
    made = shown(tmp_path / "out" / "a.png")
    assert made.shape == (16, 16, 3) and np.abs(made.astype(int) - 200).max() <= 1


def test_a_real_network_on_tiles_is_what_it_is_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    method = Pix2Pix(generator_width=2, discriminator_width=2)
    generator = from_method(method, method.build(SPEC), SPEC, name="tiny", recipe_name="toy")
    for name, seed in (("a", 1), ("b", 2)):
        save(tmp_path / "in" / f"{name}.png", pixels(16, 16, seed))
    translate(generator, tmp_path / "in", tmp_path / "both")
    translate(generator, tmp_path / "in" / "b.png", tmp_path / "b.png")
    assert np.array_equal(shown(tmp_path / "both" / "b.png"), shown(tmp_path / "b.png"))
    prompt = SourcePrompt(torch.from_numpy(pixels(16, 16, 2)).permute(2, 0, 1)[None] / 127.5 - 1.0)
    alone = (generator.make(Noise.of(0), prompt)[0] + 1.0) * 127.5
    wanted = alone.round().permute(1, 2, 0).numpy()
    assert np.abs(shown(tmp_path / "b.png") - wanted).max() <= 1


def test_tiles_of_a_network_that_sees_around_a_pixel_show_no_seam() -> None:
    """A small SRResNet sees about nine pixels each way, fewer than the sixteen that tiles of 64 px share."""
    torch.manual_seed(0)
    spec = DataSpec(height=256, width=256, source_shrink=4)
    method = SuperResolution(width=4, blocks=1)
    generator = from_method(method, method.build(spec), spec, name="tiny", recipe_name="toy")
    network: Any = generator.networks.get_submodule("generator")
    with torch.no_grad():
        network.last.weight.mul_(6)  # Results of more than a few levels.
    coarse = Image.fromarray(pixels(14, 13)).resize((101, 110), Image.Resampling.BICUBIC)
    source = np.ascontiguousarray(np.asarray(coarse).transpose(2, 0, 1))
    with torch.inference_mode():
        whole = network(torch.from_numpy(source)[None] / 127.5 - 1.0)[0]
    wanted = ((whole + 1.0) * 127.5).numpy()
    assert wanted.std() > 30
    tiled = next(translate_pixels(generator, [source]))
    assert np.abs(tiled - wanted).max() < 8
    touching = np.zeros_like(wanted)  # What a seam would be: tiles side by side.
    for top, left in ((0, 0), (0, 37), (46, 0), (46, 37)):
        tile = next(translate_pixels(generator, [source[:, top : top + 64, left : left + 64].copy()]))
        touching[:, 4 * top : 4 * top + 256, 4 * left : 4 * left + 256] = tile
    assert np.abs(touching - wanted).max() > 50
    assert next(translate_pixels(generator, [source[:, :20, :30].copy()])).shape == (3, 80, 120)


# ---- kinds of pictures ----------------------------------------------------------------------------------


def test_names_are_kept_in_any_nesting_and_from_a_zip(tmp_path: Path) -> None:
    values = pixels(16, 16)
    save(tmp_path / "in" / "x" / "deep" / "one.png", values)
    save(tmp_path / "in" / "two.PNG", values)
    save(tmp_path / "in" / "two.bmp", values)
    translate(negative(), tmp_path / "in", tmp_path / "out")
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert {"x/deep/one.png", "two.png"} < found and len(found) == 3
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "in" / "two.bmp", "photos/a.bmp")
    translate(negative(), tmp_path / "in.zip", tmp_path / "unpacked")
    made = list((tmp_path / "unpacked").rglob("*.png"))
    assert [path.name for path in made] == ["a.png"] and np.array_equal(shown(made[0]), 255 - values)


def test_orientation_transparency_grey_and_16_bit(tmp_path: Path) -> None:
    root = tmp_path / "in"
    turned = Image.fromarray(np.full((16, 24, 3), 10, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    root.mkdir()
    turned.save(root / "turned.png", exif=exif)
    see_through = np.concatenate([pixels(16, 16), np.full((16, 16, 1), 128, np.uint8)], axis=2)
    see_through[:8, :, 3] = 255
    save(root / "alpha.png", see_through)
    save(root / "grey.png", np.full((16, 16), 60, np.uint8))
    save(root / "deep.png", np.full((16, 16), 60 * 257, np.uint16))
    translate(negative(), root, tmp_path / "out")
    assert shown(tmp_path / "out" / "turned.png").shape == (24, 16, 3), "upright"
    kept = shown(tmp_path / "out" / "alpha.png")
    assert np.array_equal(kept[:, :, 3], see_through[:, :, 3])
    assert np.array_equal(kept[:8, :, :3], 255 - see_through[:8, :, :3])
    for name in ("grey.png", "deep.png"):
        assert np.array_equal(np.unique(shown(tmp_path / "out" / name)), [195]), name


def test_colour_given_to_a_model_of_grey_becomes_grey(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png", np.full((16, 16, 3), (30, 30, 30), np.uint8))
    translate(negative(channels=1), tmp_path / "in", tmp_path / "out")
    assert shown(tmp_path / "out" / "a.png").shape == (16, 16)


def test_strips_show_source_and_result(tmp_path: Path) -> None:
    values = pixels(20, 30)
    save(tmp_path / "in" / "a.png", values)
    translate(negative(), tmp_path / "in", tmp_path / "out", Translation(compare=True))
    strip = shown(tmp_path / "out" / "a.png")
    assert strip.shape == (20, 62, 3)
    assert np.array_equal(strip[:, :30], values) and np.array_equal(strip[:, 32:], 255 - values)


# ---- marks and going on ---------------------------------------------------------------------------------


def test_results_are_marked_and_made_once(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "in" / f"{number}.png", pixels(16, 16, number))
    place = tmp_path / "out"
    assert translate(negative(), tmp_path / "in", place).made == 3
    mark = read_provenance(place / "1.png")
    assert (
        mark is not None and mark.model == "negative" and str(mark.note).startswith("translated from 1.png")
    )
    before = {path: path.stat().st_mtime_ns for path in place.iterdir()}
    (place / "0.png").unlink()
    save(tmp_path / "in" / "2.png", pixels(16, 16, 99))  # Another picture of the same name.
    calls: list[tuple[int, int]] = []
    again = translate(negative(), tmp_path / "in", place, progress=lambda *told: calls.append(told))
    assert (again.made, again.kept) == (2, 1) and calls[-1] == (3, 3)
    assert (place / "1.png").stat().st_mtime_ns == before[place / "1.png"]
    assert np.array_equal(shown(place / "2.png"), 255 - pixels(16, 16, 99))
    assert translate(negative(), tmp_path / "in", place, Translation(seed=1)).made == 3, "another way"


# ---- mistakes -------------------------------------------------------------------------------------------


def test_nothing_but_own_results_is_written_over(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png", pixels(16, 16))
    theirs = save(tmp_path / "out" / "a.png", pixels(16, 16, 5)).read_bytes()
    with pytest.raises(SettingError, match="writes over nothing but its own results"):
        translate(negative(), tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / "a.png").read_bytes() == theirs
    for out in (tmp_path / "in", tmp_path / "in" / "made", tmp_path / "in" / "a.png"):
        with pytest.raises(SettingError, match=r"never written to|folder"):
            translate(negative(), tmp_path / "in", out)
    with pytest.raises(SettingError, match="never written to"):
        translate(negative(), tmp_path / "in" / "a.png", tmp_path / "in" / "a.png")


@pytest.mark.parametrize("name", ["made.mp4", "made.jpg", "one.png"])
def test_results_of_a_folder_go_into_a_folder(tmp_path: Path, name: str) -> None:
    for number in range(2):
        save(tmp_path / "in" / f"{number}.png", pixels(16, 16))
    with pytest.raises(SettingError, match="Results go into a folder"):
        translate(negative(), tmp_path / "in", tmp_path / name)


def test_bad_pictures_are_left_out_and_listed_and_none_at_all_is_said(tmp_path: Path) -> None:
    save(tmp_path / "in" / "good.png", pixels(16, 16))
    (tmp_path / "in" / "bad.png").write_bytes(b"not a picture")
    done = translate(negative(), tmp_path / "in", tmp_path / "out")
    assert done.made == 1 and [refused.name for refused in done.refused] == ["bad.png"]
    (tmp_path / "in" / "good.png").unlink()
    with pytest.raises(DataError, match="None of the pictures"):
        translate(negative(), tmp_path / "in", tmp_path / "none")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("words")
    with pytest.raises(DataError, match="No pictures in"):
        translate(negative(), tmp_path / "texts", tmp_path / "none")
    with pytest.raises(DataError, match="does not exist"):
        translate(negative(), tmp_path / "nowhere", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_picture_that_is_missing_is_told_as_one_and_the_nearest_is_named(tmp_path: Path) -> None:
    save(tmp_path / "portrait.jpg", pixels(16, 16))
    for asked, told in (
        ("potrait.jpg", "portrait.jpg'"),
        ("demo-face", "not exist.$"),
        ("zzz.jpg", "not exist.$"),
    ):
        with pytest.raises(DataError, match=rf"^SRC is a picture, .*{told}") as error:
            translate(negative(), tmp_path / asked, tmp_path / "out")
        assert "DATA" not in str(error.value) and "demo-faces" not in str(error.value)
    with pytest.raises(DataError, match=r"^PHOTO is a picture, .*potrait.*Did you mean '.*portrait.jpg'"):
        open_photos(str(tmp_path / "potrait.jpg"), negative())
    assert open_photos(str(tmp_path / "portrait.jpg"), negative())[0] == ["portrait.jpg"]


class OneFace:
    """Finds a face in what is not black, its eyes 16 px apart."""

    points = ("left_eye", "right_eye", "nose_base")

    def find(self, rgb: np.ndarray) -> list[FoundFace]:
        landmarks = np.array([(24.0, 30.0), (40.0, 30.0), (32.0, 40.0)], np.float32)
        return [FoundFace((16.0, 16.0, 48.0, 48.0), 1.0, landmarks)] if rgb.any() else []


def test_a_face_is_aligned_and_a_picture_without_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gansmith.faces.detect.open_detector", lambda **how: OneFace())
    face, asked = np.full((64, 64, 3), 200, np.uint8), Translation(align="ffhq")
    save(tmp_path / "in" / "face.png", face)
    wall = save(tmp_path / "in" / "wall.png", np.zeros((64, 64, 3), np.uint8))
    done = translate(negative(), tmp_path / "in", tmp_path / "out", asked)
    assert done.made == 1 and done.tiled == 0, "a face is one picture of the model's size"
    assert [(refused.name, refused.reason[:17]) for refused in done.refused] == [
        ("wall.png", "no face was found")
    ]
    assert shown(tmp_path / "out" / "face.png").shape == (16, 16, 3)
    assert np.abs(shown(tmp_path / "out" / "face.png").astype(int) - 55).max() <= 1
    mark = read_provenance(tmp_path / "out" / "face.png")
    assert mark is not None and "face aligned to ffhq" in str(mark.note)
    assert translate(negative(), tmp_path / "in", tmp_path / "out", asked).kept == 1
    with pytest.raises(DataError, match="no face was found, and --align needs one"):
        translate(negative(), wall, tmp_path / "no.png", asked)
    for wrong, message in (({"align": "ffqh"}, "ffhq"), ({"align": "ffhq", "fit": "crop"}, "Leave one of")):
        with pytest.raises(SettingError, match=message):
            translate(negative(), wall, tmp_path / "no.png", Translation(**wrong))  # type: ignore[arg-type]
    assert not (tmp_path / "no.png").exists()


def test_align_at_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    wall = save(tmp_path / "wall.png", np.full((120, 120, 3), 90, np.uint8))
    method = StarGAN().tiny()
    spec = DataSpec(height=16, width=16, attribute_names=("smiling",))
    made = from_method(method, method.build(spec), spec, name="star", recipe_name="stargan")
    with pytest.raises(DataError, match="no face was found"):
        attribute_sheet(made, wall, tmp_path / "sheet.png", "ffhq")
    words = [
        "translate",
        "none",
        str(wall),
        "-o",
        str(tmp_path / "a.png"),
        "--align",
        "ffhq",
        "--fit",
        "crop",
    ]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code != 0 and "Leave one of them out" in f"{result.output}{result.exception}"


def test_models_that_do_not_translate_and_directions_they_do_not_know(tmp_path: Path) -> None:
    from helpers import generator_of

    save(tmp_path / "a.png", pixels(16, 16))
    noise_alone = generator_of(lambda noise: noise.normal(4), lambda z: z, SPEC)
    with pytest.raises(SettingError, match="makes them of noise alone"):
        translate(noise_alone, tmp_path / "a.png", tmp_path / "out")
    with pytest.raises(SettingError, match="goes one way only"):
        translate(negative(), tmp_path / "a.png", tmp_path / "out", Translation(direction="b_to_a"))
    method = CycleGAN(generator_width=2, discriminator_width=2, blocks=1, pool=2)
    both = from_method(method, method.build(SPEC), SPEC, name="cycle", recipe_name="toy")
    with pytest.raises(SettingError, match="Did you mean 'b_to_a'"):
        translate(both, tmp_path / "a.png", tmp_path / "out", Translation(direction="b_to_b"))
    for direction in ("a_to_b", "b_to_a"):
        translate(both, tmp_path / "a.png", tmp_path / direction, Translation(direction=direction))
    forth, back = (shown(tmp_path / way / "a.png") for way in ("a_to_b", "b_to_a"))
    assert not np.array_equal(forth, back)


def test_the_command_translates_a_run(tmp_path: Path) -> None:
    from promises import RECIPES, everything

    from gansmith.config.overrides import override
    from gansmith.training.session import train

    recipe = override(RECIPES["pix2pix64"], "train.images=8")
    train(recipe, everything(20), tmp_path / "run", device="cpu")
    save(tmp_path / "in" / "a.png", pixels(40, 30))
    (tmp_path / "in" / "bad.png").write_bytes(b"no")
    words = ["translate", str(tmp_path / "run"), str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    said = CliRunner().invoke(cli, words)
    assert said.exit_code == 0 and "1 picture in" in said.output and "Left out: bad.png" in said.output
    assert "made in tiles, each as if it were whole: 1 of them" in " ".join(said.output.split())
    assert shown(tmp_path / "out" / "a.png").shape == (40, 30, 3)
    again = CliRunner().invoke(cli, words)
    assert "1 of them there already" in again.output
    paths = [save(tmp_path / "list" / name, pixels(16, 16)) for name in ("a.png", "b c.png")]
    words = ["translate", str(tmp_path / "run"), "-", "-o", str(tmp_path / "listed")]
    missing = str(tmp_path / "list" / "no.png")
    for listed in ("\n".join([*map(str, paths), "", missing]), "\0".join(map(str, paths))):
        said = CliRunner().invoke(cli, words, input=listed)
        assert said.exit_code == 0 and "2 pictures in" in said.output, said.output
        assert "tiles" not in said.output
    assert "2 of them there already" in said.output
    for listed in ("", " \n\n"):
        error = CliRunner().invoke(cli, words, input=listed).exception
        assert isinstance(error, SettingError) and "names at least one" in str(error)
