"""Grids of what makes images of images: source, result, target, or there and back, side by side."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from promises import RECIPES, everything, trainer_of

from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.data.dataset import MemoryDataSet
from gansmith.images.grid import to_bytes
from gansmith.images.origin import read_origin
from gansmith.training.samples import samples
from gansmith.training.session import train


@pytest.mark.parametrize(
    ("recipe", "headings"),
    [
        ("pix2pix64", ["source", "result", "target"]),
        ("cyclegan64-small", ["source", "result", "there and back"]),
        ("srresnet-x4", ["source", "result", "target"]),
        ("dcgan28", []),
    ],
)
def test_a_row_shows_what_belongs_together(recipe: str, headings: list[str]) -> None:
    trainer = trainer_of(RECIPES[recipe])
    made = samples(trainer, trainer._loader, 9)
    assert made is not None and list(made.panels) == headings
    if not headings:
        assert made.grid.shape[-2:] == (3 * 16 + 4, 3 * 16 + 4)
        return
    panels, rows, method = made.panels, 9 // 3, trainer.method
    held_out = next(trainer._loader.held_out_batches(rows, rows))
    prompt, networks = method.prompt(held_out), trainer.networks_for_pictures()
    there = method.generate(networks, prompt, Noise.of(*range(rows)))
    assert made.held_out  # Not what it may know by heart.
    assert torch.equal(panels["result"], to_bytes(trainer.spec.to_pictures(there)))
    if "target" in panels:
        real = method.real_images(held_out)
        assert torch.equal(panels["target"], to_bytes(trainer.spec.to_pictures(real)))
    given = prompt[0]
    times = 16 // given.shape[-1]
    source = to_bytes(trainer.spec.to_pictures(given))
    assert torch.equal(panels["source"], source.repeat_interleave(times, 2).repeat_interleave(times, 3))
    if "there and back" in panels:
        back = replace(method, direction="b_to_a")
        wanted = to_bytes(back.generate(networks, method.prompt_type(there), Noise.of(*range(rows))))
        assert torch.equal(panels["there and back"], wanted)
    # One strip across, three down, each 48 px wide, white between; below them the headings.
    assert made.grid.shape[2] == 48 and made.grid.shape[1] > 3 * 16 + 2 * 6
    for row in range(rows):
        strip = made.grid[:, row * 22 : row * 22 + 16]
        assert torch.equal(strip, torch.cat([images[row] for images in panels.values()], dim=2))


def test_where_nothing_is_held_out_a_grid_shows_what_was_trained_on() -> None:
    trainer = trainer_of(override(RECIPES["pix2pix64"], "data.validation=0"))
    made = samples(trainer, trainer._loader, 9)
    assert made is not None and not made.held_out
    assert torch.equal(made.panels["result"], made.fake[:3])
    assert torch.equal(made.panels["target"], made.real[:3])


def test_grey_sources_stand_beside_colours_and_the_mark_says_that_there_is_more(tmp_path: Path) -> None:
    whole = everything(20)
    columns = whole.fetch(torch.arange(20), ["source", "target"])
    data = MemoryDataSet("grey", {**columns, "source": columns["source"][:, :1].contiguous()}, "grey")
    train(
        override(override(RECIPES["pix2pix64"], "train.images=8"), "data.source_channels=1"),
        data,
        tmp_path / "run",
        device="cpu",
    )
    grid = max((tmp_path / "run" / "pictures").glob("*.png"))
    with Image.open(grid) as image:
        assert image.mode == "RGB"
        left, right = image.getpixel((5, 5)), image.getpixel((37, 5))
    assert len(set(left)) == 1 < len(set(right))
    assert read_origin(grid).source_type == "compositeWithTrainedAlgorithmicMedia"
