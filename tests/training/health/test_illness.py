"""Illnesses planted in real training and seen in log, stats.jsonl and report; healthy runs have none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import random_bytes, small_named
from torch import Tensor, nn
from toys import Lazy, Pair, recipe_for

from gansmith.config.optimizers import Adam
from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.console import Silent
from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.open import open_data
from gansmith.errors import TrainingError
from gansmith.methods.base import Loss
from gansmith.recipes import named
from gansmith.reporting.page import build
from gansmith.reporting.run_files import read
from gansmith.runs.run import Run
from gansmith.training.session import train

INTERVALS: Mapping[str, int] = {
    "images": 640,
    "batch": 8,
    "log_every": 32,
    "picture_every": 64,
    "checkpoint_every": 320,
}


class Ear(Silent):
    """A console that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def pictures(count: int = 64) -> MemoryDataSet:
    """Noise, with a level of its own in each picture so that they have a spread at any size."""
    levels = torch.linspace(0, 1, count)[:, None, None, None]
    images = (random_bytes(count).float() * 0.5 + 127 * levels).to(torch.uint8)
    return MemoryDataSet("planted", {"images": images}, fingerprint=str(count))


def alarms_of(recipe: Recipe, path: Path, data: MemoryDataSet | None = None) -> dict[str, str]:
    """Name -> message that ``stats.jsonl`` holds after training; log and report must say it, too."""
    ear = Ear()
    try:
        train(recipe, data or pictures(), path / "run", device="cpu", console=ear)
    finally:
        found = Run.open(path / "run").alarms()
        page = build(read(path / "run"))
        assert all("\n" not in alarm["message"] for alarm in found)
        for alarm in found:
            assert any(alarm["message"] in line for line in ear.said)
            assert alarm["message"].split("(")[0][:60].replace("'", "&#x27;") in page
    return {alarm["alarm"]: alarm["message"] for alarm in found}


def ill(method: Any, **numbers: Any) -> Recipe:
    return recipe_for(method, ("generator",), **(dict(INTERVALS) | numbers))


@dataclass(frozen=True, kw_only=True)
class Deaf(Lazy):
    """A generator that does not hear its noise."""

    def decode(self, networks: Any, latents: Tensor) -> Tensor:
        return super().decode(networks, latents * 0)


@dataclass(frozen=True, kw_only=True)
class Struck(Lazy):
    """A loss that is no number from some image on."""

    def fool(self, networks: Any, batch: Any, noise: Any, progress: Any) -> Loss:
        loss = super().fool(networks, batch, noise, progress)
        return Loss(loss.total * (float("nan") if progress.images >= 320 else 1.0))


@dataclass(frozen=True, kw_only=True)
class Numb(Lazy):
    """A generator whose loss says nothing from some image on: times 0, or far out on a sigmoid."""

    start: int = 0
    shift: float | None = None

    def fool(self, networks: Any, batch: Any, noise: Any, progress: Any) -> Loss:
        scores = networks.discriminator(self.decode(networks, self.latents(noise)))
        if progress.images < self.start:
            return Loss(-scores.mean())
        if self.shift is None:
            return Loss(0.0 * scores.mean())
        return Loss(-(scores - self.shift).sigmoid().mean())


class Echo(nn.Module):
    """Pictures that are the latent itself, times one number that can be learnt."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.shape, self.gain = (spec.channels, spec.height, spec.width), nn.Parameter(torch.ones(()))

    def forward(self, latents: Tensor) -> Tensor:
        return (self.gain * latents).view(-1, *self.shape)


class BigCritic(Pair):
    def __init__(self, spec: DataSpec) -> None:
        pixels = spec.channels * spec.height * spec.width
        critic = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, 512), nn.LeakyReLU(0.2), nn.Linear(512, 1), nn.Flatten(0)
        )
        super().__init__(Echo(spec), critic)


@dataclass(frozen=True, kw_only=True)
class Rote(Lazy):
    """Noise against noise: only who knows each real picture can tell them apart."""

    pixels: int = 3 * 16 * 16

    def build(self, spec: DataSpec) -> Any:
        return BigCritic(spec)

    def turns(self) -> Any:
        return [turn for turn in super().turns() if turn.name != "r1"]

    def latents(self, noise: Noise) -> Tensor:
        return noise.uniform(self.pixels) * 2 - 1

    def critic_scores(self, networks: Any, images: Tensor, prompt: None) -> Tensor:
        found: Tensor = networks.discriminator(images)
        return found


def test_a_generator_that_ignores_its_noise_has_collapsed(tmp_path: Path) -> None:
    found = alarms_of(ill(Deaf()), tmp_path)
    assert list(found) == ["collapse"]
    assert "their spread is 0 of that of real pictures" in found["collapse"]
    assert "--set optimizers.discriminator.lr=0.0005" in found["collapse"]


def test_a_loss_that_is_no_number_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        alarms_of(ill(Struck()), tmp_path)
    names = [alarm["alarm"] for alarm in Run.open(tmp_path / "run").alarms()]
    assert names and set(names) == {"not_a_number"}


def test_a_loss_times_0_has_no_gradient(tmp_path: Path) -> None:
    found = alarms_of(ill(Numb()), tmp_path)
    assert "vanished" in found
    assert "The gradient of the generator has vanished: its norm is 0" in found["vanished"]


def test_a_loss_far_out_on_a_sigmoid_has_hardly_a_gradient(tmp_path: Path) -> None:
    found = alarms_of(ill(Numb(start=320, shift=30.0)), tmp_path)
    assert "The gradient of the generator has vanished" in found["vanished"]
    assert "is usual" in found["vanished"]


def test_a_discriminator_that_learns_absurdly_fast_has_won(tmp_path: Path) -> None:
    recipe = small_named("dcgan28", **INTERVALS)
    fast = Adam(lr=0.02, betas=(0.5, 0.999))
    slow = replace(fast, lr=1e-5)
    found = alarms_of(replace(recipe, optimizers={"discriminator": fast, "generator": slow}), tmp_path)
    assert "saturated" in found
    assert "The discriminator has won" in found["saturated"]
    assert "--set optimizers.discriminator.lr=0.01 (half)" in found["saturated"]


def test_a_big_critic_learns_eight_pictures_by_heart(tmp_path: Path) -> None:
    recipe = ill(Rote())
    recipe = replace(recipe, data=replace(recipe.data, validation=0.5, mirror=False))
    noise = MemoryDataSet("noise", {"images": random_bytes(16)}, fingerprint="noise")
    found = alarms_of(recipe, tmp_path, noise)
    assert "overfitting" in found
    assert "knows its training pictures by heart" in found["overfitting"]
    assert "--set data.mirror=true" in found["overfitting"]


_SMALL: Mapping[str, tuple[str, ...]] = {
    "rpgan28": ("train.images=6400", "method.generator_width=16", "method.discriminator_width=16"),
    "dcgan28": ("train.images=6400", "method.generator_width=32", "method.discriminator_width=8"),
    "wgan28": (
        "train.images=4800",
        "method.generator_width=8",
        "method.critic_width=8",
        "method.critic_moves=3",
    ),
    "wgan-gp28": ("train.images=1600", "method.width=4", "method.max_channels=16", "method.critic_moves=2"),
}
_OFTEN = ("train.batch=16", "train.log_every=320", "train.picture_every=640", "data.validation=0.1")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", _SMALL)
def test_healthy_training_gives_no_alarm(name: str, seed: int, tmp_path: Path) -> None:
    """Thin networks of the catalogue's recipes on two sets of pictures, for a few hundred steps."""
    recipe = named(name)
    for setting in (*_SMALL[name], *_OFTEN, f"train.seed={seed}"):
        recipe = override(recipe, setting)
    data = open_data("digits" if seed % 2 else "demo-faces:500", recipe.data)
    train(recipe, data, tmp_path / "run", device="cpu")
    run = Run.open(tmp_path / "run")
    assert run.alarms() == []
    looks = [row for row in run.rows() if "health/spread" in row]
    assert len(looks) >= 2 and "health/overfitting" in looks[-1]
    assert all(row[f"{turn.name}/gradient"] > 0 for row in run.rows() for turn in recipe.method.turns())
