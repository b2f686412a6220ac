"""A sheet of several wishes: each image is the one of its seed and wish, and what was asked stands beside."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gansmith.cli.main import cli
from gansmith.cli.options import to_wish, to_wishes
from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.images.grid import enlarged, grid, to_bytes, with_texts
from gansmith.images.provenance import read_provenance
from gansmith.methods.cdcgan import AttributeDCGAN, ConditionalDCGAN
from gansmith.models.generator import Generator, from_method
from gansmith.models.prompts import Wish
from gansmith.models.wish_sheet import wish_sheet


def model(channels: int = 3) -> Generator:
    """Untrained, of three classes."""
    torch.manual_seed(0)
    method = ConditionalDCGAN().tiny()
    spec = DataSpec(16, 16, channels, class_names=("cat", "dog", "owl"))
    made = from_method(method, method.build(spec), spec, name="pets", recipe_name="cdcgan")
    made.table["labels"] = torch.tensor([0, 1, 2])  # type: ignore[index]
    return made


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_for_each_wish_and_a_column_for_each_seed(tmp_path: Path, channels: int) -> None:
    maker, wishes = model(channels), [Wish(label="owl"), Wish(label="0"), Wish()]
    told: list[int] = []
    done = wish_sheet(maker, range(4), wishes, tmp_path / "a.png", progress=told.append)
    assert (done.count, told) == (12, [4, 4, 4])
    page = pixels(tmp_path / "a.png")
    page = page[:, :, None] if channels == 1 else page
    assert page.shape[0] == 3 * 64 + 2 * 2, "images of 16 px are enlarged"
    left = page.shape[1] - (4 * 64 + 3 * 2)
    for row, wish in enumerate(wishes):
        images = to_bytes(maker.make(Noise.of(0, 1, 2, 3), maker.prompts([0, 1, 2, 3], wish)))
        strip = grid(enlarged(images), columns=4).permute(1, 2, 0).numpy()
        assert np.array_equal(page[row * 66 : row * 66 + 64, left:], strip)
        assert (page[row * 66 : row * 66 + 64, :left] < 128).any(), "what was asked stands there"
    mark = read_provenance(tmp_path / "a.png")
    assert mark is not None and mark.note == "a row each: owl | cat | as the seeds draw"


def test_what_cannot_be_a_sheet_is_refused(tmp_path: Path) -> None:
    wishes = [Wish(label="cat"), Wish(label="dog")]
    for name in ("folder", "a.zip"):
        with pytest.raises(SettingError, match=r"a row for each: a \.png.*2 wishes and .*folder of its own"):
            wish_sheet(model(), range(2), wishes, tmp_path / name)
    with pytest.raises(SettingError, match=r"Ask for fewer seeds"):
        wish_sheet(model(), range(9000), wishes, tmp_path / "a.png")
    with pytest.raises(SettingError, match="Did you mean 'owl'"):
        wish_sheet(model(), range(2), [*wishes, Wish(label="oul")], tmp_path / "a.png")
    with pytest.raises(SettingError, match="--caption is for models"):
        wish_sheet(model(), range(2), [*wishes, Wish(caption="a cat")], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_texts_are_wrapped_and_long_ones_cut() -> None:
    row = torch.zeros(3, 64, 200, dtype=torch.uint8)
    short, long = with_texts([row], ["a red cap"]), with_texts([row], ["words " * 2000])
    assert short.shape[1] == 64 and 64 < long.shape[1] < 200
    assert long.shape[2] < 200 + 180, "the column is not as wide as the text"
    assert bool((short[:, :, -200:] == 0).all())


def asked(**given: Any) -> dict[str, Any]:
    return {"label": (), "attributes": (), "caption": ()} | given


def test_options_said_several_times() -> None:
    assert to_wishes(asked()) == () and to_wish(asked(attributes=(",",))) is None
    assert to_wish(asked(label=("cat",), caption=("a",))) == Wish("cat", {}, "a")
    assert to_wishes(asked(label=("cat", "dog"), attributes=("hat",))) == (
        Wish("cat", {"hat": 1}),
        Wish("dog", {"hat": 1}),
    )
    with pytest.raises(SettingError, match="several of --label and --caption"):
        to_wishes(asked(label=("cat", "dog"), caption=("a", "b")))
    with pytest.raises(SettingError, match=r"takes one wish. Received: 2.*parted by commas"):
        to_wish(asked(attributes=("hat", "smiling")))


def test_attributes_beside_their_rows(tmp_path: Path) -> None:
    method, spec = AttributeDCGAN().tiny(), DataSpec(16, 16, attribute_names=("smiling", "fair hair"))
    maker = from_method(method, method.build(spec), spec, name="faces", recipe_name="cdcgan")
    maker.table["attributes"] = torch.tensor([[0, 0], [1, 1]], dtype=torch.uint8)  # type: ignore[index]
    wish_sheet(maker, [5], [Wish(attributes={"hair=fair": 1}), Wish()], tmp_path / "a.png")
    mark = read_provenance(tmp_path / "a.png")
    assert mark is not None and mark.seed == 5
    assert mark.note == "a row each: fair hair=1 | as the seeds draw"


def test_one_wish_for_the_verbs_that_take_one(tmp_path: Path) -> None:
    words = [
        "generate",
        "none",
        "-o",
        str(tmp_path / "a.png"),
        "--label",
        "1",
        "--label",
        "2",
        "--prefer",
        "4",
    ]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code != 0 and "--prefer chooses the seeds of one wish" in str(
        result.output or result.exception
    )
