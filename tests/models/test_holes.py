"""Holes filled by translate: told by a mask, a box or transparency; all else as it was, to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from promises import RECIPES
from shelves import store

from gansmith.core.spec import DataSpec
from gansmith.data.sources.made_pairs import FILL, fixed_hole
from gansmith.errors import DataError, SettingError
from gansmith.images.provenance import read_provenance
from gansmith.methods.context_encoder import ContextEncoder
from gansmith.methods.srresnet import SuperResolution
from gansmith.models.generator import Generator, from_method
from gansmith.models.holes import HoleAsked, fill
from gansmith.models.translate import Translation, translate


def filler(method: Any, **spec: Any) -> Generator:
    form = DataSpec(height=32, width=32, **spec)
    return from_method(method, method.build(form), form, name="filler", recipe_name="toy", images_seen=7)


@pytest.fixture(scope="module")
def anywhere() -> Generator:
    return filler(ContextEncoder(region="whole", bottleneck="channelwise").tiny())


def pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def save(path: Path, values: np.ndarray) -> str:
    Image.fromarray(values).save(path)
    return str(path)


def shown(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("told", ["mask", "box", "transparent"])
@pytest.mark.parametrize("centre", [False, True])
def test_only_the_hole_changes(anywhere: Generator, tmp_path: Path, told: str, centre: bool) -> None:
    generator = filler(ContextEncoder().tiny()) if centre else anywhere
    source, hole = pixels(50, 70), np.zeros((50, 70), bool)
    hole[3:43, 20:31] = True  # Longer than half of the model's side: it is seen smaller.
    how: dict[str, Any] = {"box": {"hole": (20, 3, 11, 40)}}.get(told, {})
    if told == "mask":
        how = {"mask": save(tmp_path / "mask.png", np.where(hole, 255, 0).astype(np.uint8))}
    if told == "transparent":
        alpha = np.where(hole, 0, 255).astype(np.uint8)
        save(tmp_path / "a.png", np.dstack([source, alpha]))
    else:
        save(tmp_path / "a.png", source)
    translate(generator, tmp_path / "a.png", tmp_path / "out.png", Translation(**how))
    result = shown(tmp_path / "out.png")
    assert result.shape == source.shape, "no transparency is left"
    assert np.array_equal(result[~hole], source[~hole]), "to the bit"
    assert (result != source).any(axis=2)[hole].mean() > 0.9
    assert read_provenance(tmp_path / "out.png") is not None
    again = translate(generator, tmp_path / "a.png", tmp_path / "out.png", Translation(**how))
    assert (again.made, again.kept) == (0, 1)


REACH = {"anywhere": (0, 0, 32, 32), "middle": (8, 8, 16, 16)}


@pytest.mark.parametrize("reach", REACH.values(), ids=REACH.keys())
@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(32, 32, (8, 8, 16, 16)), (32, 32, (0, 0, 5, 9)), (90, 40, (30, 80, 10, 10)), (100, 61, (2, 20, 50, 70)),
     (11, 7, (0, 0, 6, 11)), (16, 200, (150, 3, 50, 4))],
)  # fmt: skip
def test_the_window_shows_the_hole_where_the_model_can_fill_it(
    height: int, width: int, box: tuple[int, int, int, int], reach: tuple[int, int, int, int]
) -> None:
    picture = pixels(height, width).transpose(2, 0, 1)
    hole = HoleAsked(box=box).of(picture, None)
    seen: list[np.ndarray] = []

    def make(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        seen.append(mask[0] > 0)
        assert image.shape == (3, 32, 32) and mask.shape == (1, 32, 32)
        assert (image[:, mask[0] > 0] == np.array(FILL, np.uint8)[:, None]).all(), "what was there is hidden"
        made = np.full((3, 32, 32), -999.0, np.float32)
        top, left, high, wide = reach
        made[:, top : top + high, left : left + wide] = 77.0
        return made

    result = fill(picture, hole, reach, (32, 32), make)
    assert len(seen) == 1 and seen[0].any() and not seen[0].all()
    assert np.array_equal(result[:, ~hole], picture[:, ~hole])
    x, y, wide, high = box
    # Reduced and enlarged again, its rim mixes with what is outside.
    down, across = (min(8, (side - 1) // 2) if max(wide, high) > 16 else 0 for side in (high, wide))
    inner = result[:, y + down : y + high - down, x + across : x + wide - across]
    assert inner.size and (inner == 77).all()


FIXED = {"inner": (9, 9, 14, 14), "centre": (8, 8, 16, 16)}


@pytest.mark.parametrize("kind", FIXED)
@pytest.mark.parametrize(
    ("box", "inside"),
    [((28, 37, 16, 16), True), ((29, 36, 14, 14), True), ((30, 40, 5, 9), True), ((31, 30, 9, 26), True),
     ((20, 30, 20, 30), True), ((66, 0, 4, 4), False), ((0, 50, 30, 40), False)],
)  # fmt: skip
def test_a_model_of_one_hole_is_shown_that_one_and_all_that_was_asked_is_filled(
    kind: str, box: tuple[int, int, int, int], inside: bool
) -> None:
    picture, fixed = pixels(90, 70).transpose(2, 0, 1), fixed_hole(f"hole:{kind}", 32, 32)
    hole, reach = HoleAsked(box=box).of(picture, None), FIXED[kind]
    assert fixed is not None and fixed_hole("hole:random", 32, 32) is None
    top, left, high, wide = reach

    def make(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        assert not inside or np.array_equal(mask, fixed), "as in training, to the pixel"
        assert (mask[fixed > 0] == 255).all()  # At a border the hole itself is mirrored, too.
        assert (image[:, mask[0] > 0] == np.array(FILL, np.uint8)[:, None]).all()
        made = np.full((3, 32, 32), -999.0, np.float32)
        made[:, top : top + high, left : left + wide] = 77.0
        return made

    result = fill(picture, hole, (8, 8, 16, 16), (32, 32), make, fixed)
    assert np.array_equal(result[:, ~hole], picture[:, ~hole])
    assert (np.abs(result[:, hole].astype(int) - 77) < 3).all()


def test_the_hole_a_model_has_seen_comes_from_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    recipe = RECIPES["context-encoder64-small"]
    store(tmp_path / "run", recipe)
    side = recipe.data.size.width
    monkeypatch.setattr(
        ContextEncoder,
        "generate",
        lambda self, networks, prompt, noise: seen.append(prompt.mask.numpy()) or prompt.source,
    )
    picture = save(tmp_path / "a.png", pixels(side, side))
    hole = (side // 2 - 2, side // 2 - 2, 5, 5)
    translate(str(tmp_path / "run"), picture, tmp_path / "b.png", Translation(hole=hole))
    assert np.array_equal(seen[0][0] > 0, fixed_hole("hole:inner", side, side) > 0)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another size": ({"mask": "other.png"}, "a mask of 9x8 for a picture of 40x30"),
    "nothing": ({"mask": "black.png"}, "no white pixel"),
    "no hole": ({}, "no transparent pixels"),
    "everything": ({"hole": (0, 0, 40, 30)}, "covers the whole picture"),
    "outside": ({"hole": (35, 0, 10, 10)}, "lies inside its picture"),
    "no file": ({"mask": "none.png"}, "A mask is a picture"),
    "no picture": ({"mask": "text.png"}, "A mask is a picture"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_mistake_is_one_message_and_nothing_is_written(
    anywhere: Generator, tmp_path: Path, wrong: str
) -> None:
    save(tmp_path / "a.png", pixels(30, 40))
    save(tmp_path / "other.png", np.full((8, 9), 255, np.uint8))
    save(tmp_path / "black.png", np.zeros((30, 40), np.uint8))
    (tmp_path / "text.png").write_text("no picture")
    how, message = WRONG[wrong]
    how = {name: str(tmp_path / value) if name == "mask" else value for name, value in how.items()}
    with pytest.raises(DataError, match=message) as told:
        translate(anywhere, tmp_path / "a.png", tmp_path / "out.png", Translation(**how))
    assert ".." not in str(told.value) and "open in a viewer" not in str(told.value)  # The picture is fine.
    if wrong in ("no file", "no picture"):
        assert "None of the pictures" not in str(told.value)
    assert not (tmp_path / "out.png").exists()


def test_options_that_do_not_go_together_are_refused(anywhere: Generator, tmp_path: Path) -> None:
    picture, out = save(tmp_path / "a.png", pixels(30, 40)), tmp_path / "out.png"
    with pytest.raises(SettingError, match=r"Received: both"):
        translate(anywhere, picture, out, Translation(mask="m.png", hole=(0, 0, 1, 1)))
    with pytest.raises(SettingError, match=r"Received: 0,0,0,4"):
        translate(anywhere, picture, out, Translation(hole=(0, 0, 0, 4)))
    with pytest.raises(SettingError, match="in the picture as it is"):
        translate(anywhere, picture, out, Translation(hole=(0, 0, 4, 4), fit="crop"))
    enlarger = filler(SuperResolution().tiny(), source_shrink=4)
    with pytest.raises(SettingError, match="--hole is for models that fill holes"):
        translate(enlarger, picture, out, Translation(hole=(0, 0, 4, 4)))


def test_the_verb_takes_four_numbers() -> None:
    from click.testing import CliRunner

    from gansmith.cli.main import cli

    said = CliRunner().invoke(cli, ["translate", "run", "a.png", "-o", "b.png", "--hole", "1,2,3"])
    assert isinstance(said.exception, SettingError)
    assert "such as 40,25,30,30. Received: 1,2,3" in str(said.exception)
