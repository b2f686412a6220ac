"""Perceptual path length of generators whose paths are known in closed form."""

import re
from dataclasses import dataclass, field, replace

import pytest
import torch
from helpers import generator_of
from toys import Cycle

from gansmith.core.spec import DataSpec
from gansmith.errors import DataError, SettingError
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.features.user import open_own
from gansmith.metrics.scores.lpips import FeatureDistance, PictureDistance
from gansmith.metrics.scores.ppl import ppl

SIDE = 16
LENGTH = SIDE * SIDE


@dataclass
class Sphere:
    """Latents of one length; the picture is the latent, times ``scale``."""

    radius: float = 2.0
    scale: float = 0.25
    seen: list = field(default_factory=list)

    def latents(self, noise):
        rows = noise.normal(LENGTH)
        rows = self.radius * rows / rows.norm(dim=1, keepdim=True)
        self.seen.append(rows)
        return rows

    def generator(self):
        return generator_of(
            self.latents, lambda rows: self.scale * rows.view(-1, 1, SIDE, SIDE), DataSpec(SIDE, SIDE, 1)
        )

    def pairs(self):
        rows = torch.cat(self.seen).double()
        return rows[::2], rows[1::2]

    def angles(self):
        a, b = self.pairs()
        return torch.acos((a * b).sum(1) / self.radius**2)


@dataclass(frozen=True)
class Euclid:
    """The squared distance of pixels."""

    name: str = "euclid"
    fingerprint: str = "0"

    def __call__(self, first, second):
        return (first - second).double().square().sum((1, 2, 3)).float()


def test_along_a_great_circle_the_speed_is_the_angle():
    toy = Sphere()
    assert isinstance(Euclid(), PictureDistance)
    found = ppl(toy.generator(), Euclid(), samples=48)
    wanted = (toy.scale * toy.radius * toy.angles()).square().mean()
    assert len(toy.angles()) == 48
    assert found.value == pytest.approx(float(wanted), rel=1e-3)
    assert found.low < found.value < found.high


def test_along_a_line_the_speed_is_the_distance():
    toy = Sphere()
    found = ppl(toy.generator(), Euclid(), samples=40, mode="linear", epsilon=1e-3)
    a, b = toy.pairs()
    assert found.value == pytest.approx(float((toy.scale * (b - a)).square().sum(1).mean()), rel=1e-3)


def test_the_extreme_hundredths_are_left_out():
    toy = Sphere()
    found = ppl(toy.generator(), Euclid(), samples=200)
    lengths = (toy.scale * toy.radius * toy.angles()).square().sort().values
    assert found.value == pytest.approx(float(lengths[2:-2].mean()), rel=1e-3)


def test_paths_follow_from_the_seed():
    values = [ppl(Sphere().generator(), Euclid(), samples=20, seed=seed).value for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_a_feature_network_stands_in_for_lpips_and_is_named():
    toy = Sphere()
    found = ppl(toy.generator(), FeatureDistance(open_features("pixels")), samples=16)
    # Three channels, and [-1, 1] becomes [0, 1]: the length of the pixels times 3 / 4.
    wanted = 0.75 * (toy.scale * toy.radius * toy.angles()).square().mean()
    assert found.value == pytest.approx(float(wanted), rel=0.02)
    assert "features pixels, not LPIPS" in found.note
    assert "Few paths: 16" in found.note


@pytest.mark.parametrize(
    ("name", "words"),
    [("lpips-vgg", r"^Few paths.*are LPIPS \(vgg\)\.$"), ("lpips-alex", "published numbers")],
)
def test_the_note_says_which_distance_it_was(name, words):
    note = ppl(Sphere().generator(), Euclid(name), samples=20).note
    assert re.search(words, note)


def test_large_pictures_are_averaged_down():
    toy = Sphere(scale=1.0)
    large = generator_of(
        toy.latents,
        lambda rows: rows.view(-1, 1, SIDE, SIDE).repeat_interleave(32, 2).repeat_interleave(32, 3),
        DataSpec(32 * SIDE, 32 * SIDE, 1),
    )
    seen = []

    class Watching(Euclid):
        def __call__(self, first, second):
            seen.append(tuple(first.shape[1:]))
            return super().__call__(first, second)

    found = ppl(large, Watching(), samples=16)
    assert seen == [(1, 256, 256)]
    # Each number of the latent is 32 x 32 pixels, and 16 x 16 of the average.
    assert found.value == pytest.approx(256 * float((toy.radius * toy.angles()).square().mean()), rel=1e-3)


def test_a_network_that_sees_whole_levels_only_is_refused(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("def features(pictures):\n    return pictures.float().mean((2, 3))\n")
    with pytest.raises(SettingError, match=r"unrounded pictures.*Received: own:features"):
        FeatureDistance(open_own(str(own), torch.device("cpu")))


@pytest.mark.parametrize(
    "options", [{"samples": 1}, {"epsilon": 0.0}, {"epsilon": 1.0}, {"epsilon": float("nan")}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(SettingError, match="2 samples or more"):
        ppl(Sphere().generator(), Euclid(), **options)


def test_a_generator_without_a_latent_has_no_paths():
    with pytest.raises(SettingError, match=r"toy \(toys\) makes them from something else"):
        ppl(replace(Sphere().generator(), method=Cycle()), Euclid())


def test_pictures_that_are_not_numbers_are_refused():
    broken = generator_of(
        Sphere().latents,
        lambda rows: torch.full((len(rows), 1, SIDE, SIDE), torch.nan),
        DataSpec(SIDE, SIDE, 1),
    )
    with pytest.raises(DataError, match="nan or inf from toy"):
        ppl(broken, Euclid(), samples=4)
