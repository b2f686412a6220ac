"""PSNR, SSIM and LPIPS of pairs, the bootstrap of a mean, and what pairs must be like."""

import hashlib
import importlib.util
import math
import sys

import pytest
import torch

from gansmith.errors import DataError, MissingPackageError, SettingError
from gansmith.metrics.features.base import start
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.math.intervals import mean_value
from gansmith.metrics.scores import lpips as perceptual
from gansmith.metrics.scores.lpips import FeatureDistance, PictureDistance, open_lpips
from gansmith.metrics.scores.paired import (
    bright,
    each_l1,
    each_psnr,
    each_ssim,
    lpips,
    psnr,
    psnr_value,
    ssim,
)


def needs(package):
    there = (
        importlib.util.find_spec(package) is not None and importlib.util.find_spec("torchvision") is not None
    )
    return pytest.mark.skipif(not there, reason=f"{package} is not installed")


def noise(count, channels=3, height=16, width=16, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 200, (count, channels, height, width), generator=draws, dtype=torch.uint8)


# --- the mean ---------------------------------------------------------------------------------------------


def test_a_bootstrap_of_normal_numbers_has_the_width_it_must_have():
    scores = torch.randn(400, generator=torch.Generator().manual_seed(0)) * 3.0 + 5.0
    found = mean_value(scores)
    assert found.value == pytest.approx(float(scores.mean()), rel=1e-6)
    wanted = 2 * 1.96 * float(scores.std()) / 20
    assert found.high - found.low == pytest.approx(wanted, rel=0.1)
    assert mean_value(scores) == found != mean_value(scores, 1)


def test_equal_numbers_have_an_interval_without_width():
    found = mean_value(torch.full((30,), 0.1))
    assert found.low == pytest.approx(found.value) == pytest.approx(found.high)
    assert found.low <= found.value <= found.high


def test_a_few_numbers_have_a_mean_and_no_interval():
    found = mean_value(torch.tensor([1.0, 2.0]), note="And more.")
    assert (found.value, found.low, found.high) == (1.5, None, None)
    assert found.note == "Only 2 to average: too few for an interval. And more."


# --- L1, and brightness -----------------------------------------------------------------------------------


def test_l1_is_the_mean_difference_of_each_pair_from_0_to_1():
    real = noise(2)
    fake = real.clone()
    fake[1] += 51
    assert each_l1(fake, real).tolist() == pytest.approx([0.0, 0.2])
    assert each_l1(fake / 127.5 - 1.0, real / 127.5 - 1.0).tolist() == pytest.approx([0.0, 0.2], abs=1e-6)


def test_brightness_is_matlabs_and_the_border_does_not_count():
    """MATLAB: rgb2ycbcr of white, black, red, green and blue has Y 235, 16, 81.481, 144.553 and 40.966."""
    colours = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)]
    pictures = torch.tensor(colours, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 20, 20)
    found = (bright(pictures) + 1.0) * 127.5
    assert found.shape == (5, 1, 12, 12)
    assert found[:, 0, 0, 0].tolist() == pytest.approx([235.0, 16.0, 81.481, 144.553, 40.966], abs=1e-3)
    real = noise(1, height=24, width=24)
    fake = real.clone()
    fake[:, :, :4] = 0
    assert torch.equal(bright(fake), bright(real)) and not torch.equal(bright(fake, 3), bright(real, 3))
    with pytest.raises(DataError, match="border of 4 pixels"):
        bright(noise(1, height=8))


# --- PSNR -------------------------------------------------------------------------------------------------


@needs("torchmetrics")
@pytest.mark.parametrize("step", [1, 5, 55])
def test_psnr_of_pictures_that_differ_by_a_constant(step):
    real = noise(40)
    found = psnr(real + step, real)
    assert found.value == pytest.approx(20 * math.log10(255 / step), rel=1e-5)
    assert found.low == pytest.approx(found.high, rel=1e-5)
    assert found.note == ""


@needs("torchmetrics")
def test_psnr_of_each_pair_is_its_own():
    real = noise(35)
    made = real.clone()
    made[3] += 10
    made[34] += 20
    scores = each_psnr(made, real)
    assert scores[[3, 34]].tolist() == pytest.approx([20 * math.log10(255 / s) for s in (10, 20)], rel=1e-5)
    assert int(scores.isinf().sum()) == 33
    found = psnr(made, real)
    assert found.value == pytest.approx(float(scores[[3, 34]].mean()))
    assert "33 of 35 pairs are equal" in found.note


@needs("torchmetrics")
def test_psnr_of_equal_sets_is_infinite_and_says_why():
    found = psnr(noise(3), noise(3))
    assert math.isinf(found.value) and found.note == "All pairs are equal."
    assert psnr_value(torch.tensor([20.0, 30.0])).value == 25.0


@needs("torchmetrics")
def test_floats_and_bytes_are_the_same_pictures():
    made, real = noise(12), noise(12, seed=1)
    floats = [pictures.float() / 127.5 - 1.0 for pictures in (made, real)]
    for metric in (psnr, ssim):
        wanted = metric(made, real).value
        assert metric(*floats).value == pytest.approx(wanted, rel=1e-4)
        assert metric(floats[0], real).value == pytest.approx(wanted, rel=1e-4)


# --- SSIM -------------------------------------------------------------------------------------------------


@needs("torchmetrics")
def test_ssim_of_equal_pictures_is_one_and_of_constant_ones_is_known():
    assert ssim(noise(12), noise(12)).value == pytest.approx(1.0, abs=1e-6)
    a, b, c = 50.0, 100.0, (0.01 * 255) ** 2
    made, real = (torch.full((3, 1, 16, 16), int(level), dtype=torch.uint8) for level in (a, b))
    assert each_ssim(made, real).tolist() == pytest.approx(
        [(2 * a * b + c) / (a * a + b * b + c)] * 3, rel=1e-4
    )


@needs("torchmetrics")
def test_ssim_needs_its_window():
    with pytest.raises(DataError, match=r"11 pixels or more a side. Received: 16x10"):
        ssim(noise(2, height=10), noise(2, height=10))


# --- LPIPS ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alex():
    if importlib.util.find_spec("lpips") is None or importlib.util.find_spec("torchvision") is None:
        pytest.skip("lpips is not installed")
    return open_lpips(weights="random:0")


def test_lpips_is_nothing_for_equal_pictures_and_symmetric(alex):
    assert isinstance(alex, PictureDistance) and alex.name == "lpips-alex"
    made, real = noise(3, height=32, width=40), noise(3, height=32, width=40, seed=1)
    assert lpips(real, real, alex).value == 0.0
    forth, back = lpips(made, real, alex), lpips(real, made, alex)
    assert 0.0 < forth.value == pytest.approx(back.value, rel=1e-5)
    assert "64 pixels and more; these have 32" in forth.note
    assert "64" not in lpips(*(noise(1, 1, 64, 64, seed) for seed in (0, 1)), alex).note


def test_lpips_needs_pictures_of_a_size(alex):
    with pytest.raises(DataError, match=r"32 pixels or more a side. Received: 40x31"):
        lpips(noise(1, height=31, width=40), noise(1, height=31, width=40), alex)


def test_the_published_backbone_goes_where_it_belongs(alex, monkeypatch, tmp_path):
    models = start("torchvision.models", "torchvision", "A test")
    features = models.AlexNet().features
    file = tmp_path / "alexnet.pth"
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, file)
    known = perceptual._BACKBONES["alex"]
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    changed = type(known)(known.name, known.url, found, 1, known.purpose, known.instead)
    monkeypatch.setitem(perceptual._BACKBONES, "alex", changed)
    ours = open_lpips(weights=file)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        layers = ours.network.net(images)
        assert torch.allclose(layers[0], features[:2](images)) and torch.allclose(
            layers[4], features[:12](images)
        )
    assert ours.fingerprint != alex.fingerprint
    torch.save({"features.0.weight": torch.ones(1)}, file)
    changed = type(known)(
        known.name, known.url, hashlib.sha256(file.read_bytes()).hexdigest(), 1, known.purpose, known.instead
    )
    monkeypatch.setitem(perceptual._BACKBONES, "alex", changed)
    with pytest.raises(DataError, match="belong to another network"):
        open_lpips(weights=file)


def test_the_linear_layers_are_the_published_ones(alex):
    # Zhang (2018) keeps them non-negative, which random ones would not be.
    weights = torch.cat([layer.model[-1].weight.flatten() for layer in alex.network.lins])
    assert float(weights.min()) >= 0.0 and float(weights.max()) > 0.0


@needs("torchvision")
def test_lpips_tells_what_it_lacks(monkeypatch):
    with pytest.raises(SettingError, match=r"alex or vgg. Received: 'squeeze'"):
        open_lpips("squeeze")
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(MissingPackageError, match=r"lpips.*gansmith\[metrics\]"):
        open_lpips()


def test_features_are_a_distance_too():
    distance = FeatureDistance(open_features("pixels"))
    images = torch.zeros(2, 3, 16, 16), torch.full((2, 3, 16, 16), 0.5)
    assert distance(*images).tolist() == pytest.approx([768 * 0.25**2] * 2, rel=1e-5)
    assert isinstance(distance, PictureDistance)
    assert (distance.name, distance.fingerprint) == ("pixels", distance.network.fingerprint)


# --- pairs ------------------------------------------------------------------------------------------------

GOOD = torch.zeros(2, 3, 16, 16)


@needs("torchmetrics")
@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize(
    ("made", "real", "words"),
    [
        (GOOD[:0], GOOD[:0], "nothing to measure"),
        (GOOD[:1], GOOD, "as many generated as real"),
        (GOOD[:, :1], GOOD, "as many generated as real"),
        (GOOD[..., :12], GOOD, "as many generated as real"),
        (GOOD[:, :2], GOOD[:, :2], "grey or RGB"),
        (GOOD, GOOD + torch.nan, "nan or inf in the real"),
        (GOOD - torch.inf, GOOD, "nan or inf in the generated"),
        (GOOD + 2, GOOD, "from 2 to 2 in the generated"),
        (GOOD, GOOD - 1.01, "from -1.01 to -1.01 in the real"),
    ],
)
def test_pictures_that_are_no_pairs_are_refused(metric, made, real, words):
    with pytest.raises(DataError, match=words):
        metric(made, real)


@needs("torchvision")
@pytest.mark.parametrize("metric", [psnr, ssim])
def test_the_missing_package_is_named(metric, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(MissingPackageError, match=r"torchmetrics.*gansmith\[metrics\]"):
        metric(GOOD, GOOD)
