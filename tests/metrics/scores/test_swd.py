"""Sliced Wasserstein distance and MS-SSIM against what they must be."""

import importlib.util
import math

import pytest
import torch

from gansmith.errors import DataError, SettingError
from gansmith.metrics.scores.ms_ssim import ms_ssim
from gansmith.metrics.scores.swd import PatchCollector, enlarge, pyramid, swd

needs_torchmetrics = pytest.mark.skipif(
    importlib.util.find_spec("torchmetrics") is None or importlib.util.find_spec("torchvision") is None,
    reason="torchmetrics is not installed",
)


def noise(count, channels=3, height=16, width=16, seed=0, top=256):
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, top, (count, channels, height, width), generator=draws, dtype=torch.uint8)


def smooth(count, side=32, seed=0):
    """Blobs: neighbours are alike."""
    small = noise(count, 3, 6, 6, seed).float()
    return torch.nn.functional.interpolate(small, (side, side), mode="bilinear").round().to(torch.uint8)


def patches(pictures, **options):
    collector = PatchCollector(len(pictures), **options)
    collector.add(pictures)
    return collector.patches()


# --- the pyramid ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (67, 33), (16, 16), (31, 40), (8, 9)])
def test_the_levels_of_a_pyramid_make_the_picture_again(size):
    picture = noise(2, 3, *size).float()
    levels = pyramid(picture)
    sides = [min(level.shape[2:]) for level in levels]
    assert sides[-1] >= 16 or len(levels) == 1
    assert sides[-1] < 32
    made = levels[-1]
    for level in reversed(levels[:-1]):
        made = level + enlarge(made, *level.shape[2:])
    assert torch.allclose(made, picture, atol=1e-3)


def test_a_constant_picture_has_no_detail():
    levels = pyramid(torch.full((1, 1, 64, 64), 80.0))
    assert [float(level.abs().max()) for level in levels] == pytest.approx([0.0, 0.0, 80.0], abs=1e-4)


# --- patches ----------------------------------------------------------------------------------------------


def test_patches_do_not_depend_on_the_batches():
    pictures = noise(20, height=33, width=40)
    whole = patches(pictures, seed=4)
    collector = PatchCollector(20, seed=4)
    for part in torch.split(pictures, 3):
        collector.add(part)
    parts = collector.patches()
    assert list(whole.levels) == list(parts.levels) == [33, 17]
    assert all(torch.equal(whole.levels[side], parts.levels[side]) for side in whole.levels)
    assert whole.levels[33].shape == (20 * 128, 3 * 49)
    assert not torch.equal(patches(pictures, seed=5).levels[33], whole.levels[33])


def test_a_patch_is_cut_from_its_picture_and_lies_anywhere_in_it():
    # Each pixel says where it is and whose it is; one level, so that it stays a pixel.
    rows, columns = torch.meshgrid(torch.arange(15), torch.arange(20), indexing="ij")
    pictures = torch.stack([torch.stack([rows, columns, torch.full_like(rows, one)]) for one in range(4)])
    found = patches(pictures.to(torch.uint8), budget=4000).levels[15].view(4, 128, 3, 7, 7)
    assert torch.equal(found[:, :, 2, 0, 0], torch.arange(4.0)[:, None].expand(4, 128))
    offsets = found - found[..., :1, :1]
    assert torch.equal(offsets[0, 0, 0], torch.arange(7.0)[:, None].expand(7, 7))
    assert torch.equal(offsets[3, 9, 1], torch.arange(7.0)[None].expand(7, 7))
    assert set(found[:, :, 0, 0, 0].unique().tolist()) == set(range(9))
    assert set(found[:, :, 1, 0, 0].unique().tolist()) == set(range(14))


@pytest.mark.parametrize(
    ("count", "budget", "per_picture", "kept"), [(10, 4000, 128, 10), (50, 400, 8, 50), (90, 30, 1, 30)]
)
def test_memory_does_not_grow_with_the_pictures(count, budget, per_picture, kept):
    collector = PatchCollector(count, budget=budget)
    for part in torch.split(noise(count), 7):
        collector.add(part)
    found = collector.patches()
    assert (found.per_picture, found.pictures) == (per_picture, kept)
    assert len(found.levels[16]) == per_picture * kept <= budget


def test_fewer_pictures_than_announced_will_do():
    collector = PatchCollector(10)
    collector.add(noise(4))
    assert len(collector.patches().levels[16]) == 4 * 128


def test_pictures_that_cannot_be_cut_are_refused():
    with pytest.raises(DataError, match="Received: none"):
        PatchCollector(0)
    collector = PatchCollector(5)
    with pytest.raises(DataError, match="Received: none"):
        collector.patches()
    with pytest.raises(DataError, match=r"7x7 pixels. Received: pictures of 9x6 RGB"):
        collector.add(noise(1, height=6, width=9))
    collector.add(noise(1))
    with pytest.raises(DataError, match=r"16x16 RGB. Received: 16x16 grey"):
        collector.add(noise(1, channels=1))
    with pytest.raises(DataError, match="5 pictures that were announced"):
        collector.add(noise(5))
    with pytest.raises(DataError, match="nothing to measure"):
        collector.add(noise(0))


# --- sliced Wasserstein distance --------------------------------------------------------------------------


def test_a_set_is_no_distance_from_itself_and_from_a_brighter_self():
    pictures = noise(40, height=32, width=32, top=100)
    same = swd(patches(pictures), patches(pictures))
    assert list(same) == ["swd", "swd_32", "swd_16"]
    assert all((value.value, value.low, value.high) == (0.0, 0.0, 0.0) for value in same.values())
    brighter = swd(patches(pictures), patches(pictures * 2 + 20))
    assert brighter["swd"].value == pytest.approx(0.0, abs=1e-2)


def test_noise_against_nothing_is_the_mean_size_of_a_normal_number():
    flat = torch.full((64, 3, 16, 16), 7, dtype=torch.uint8)
    found = swd(patches(noise(64)), patches(flat))
    assert found["swd_16"].value == pytest.approx(1000 * math.sqrt(2 / math.pi), rel=0.01)
    assert "does not vary at all at the levels 16" in found["swd"].note


def test_the_mean_is_of_all_levels_and_follows_from_the_seed():
    made, real = patches(noise(20, height=64, width=64)), patches(smooth(20, 64))
    found = swd(made, real, directions=64)
    levels = [found[f"swd_{side}"].value for side in (64, 32, 16)]
    assert found["swd"].value == pytest.approx(sum(levels) / 3)
    assert swd(made, real, directions=64) == found
    assert swd(made, real, directions=64, seed=1)["swd"].value != found["swd"].value


def test_nearer_pictures_are_nearer():
    real = smooth(60)
    other = patches(smooth(60, seed=1))
    spoiled = (real.float() + 60 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0))).clamp(
        0, 255
    )
    near, far = (
        swd(patches(set_), other, directions=64)["swd_32"] for set_ in (real, spoiled.to(torch.uint8))
    )
    assert near.value < 0.3 * far.value
    assert near.high < far.low


def test_sets_of_different_sizes_compare_and_order_does_not_matter():
    many, few = patches(noise(48, seed=1), budget=48 * 40), patches(noise(17, seed=2))
    forth = swd(many, few, directions=64)["swd"]
    back = swd(few, many, directions=64)["swd"]
    assert forth.low <= forth.value <= forth.high
    assert back.value == pytest.approx(forth.value, rel=0.5)
    assert "48 generated and 17 real" in forth.note


def test_few_pictures_have_no_interval():
    found = swd(patches(noise(5)), patches(noise(40, seed=1)), directions=8)["swd"]
    assert found.low is None and found.high is None
    assert "Too few pictures for an interval" in found.note


def test_sets_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="16 and 32 pixels, 3 and 3 channels"):
        swd(patches(noise(2)), patches(noise(2, height=32, width=40)))
    with pytest.raises(DataError, match="1 and 3 channels"):
        swd(patches(noise(2, channels=1)), patches(noise(2)))
    with pytest.raises(SettingError, match="directions=7"):
        swd(patches(noise(2)), patches(noise(2)), directions=7)


# --- MS-SSIM ----------------------------------------------------------------------------------------------


@needs_torchmetrics
def test_equal_pictures_are_wholly_alike_and_noise_is_not():
    equal = noise(1, height=48, width=48).expand(24, -1, -1, -1)
    found = ms_ssim(equal, pairs=12)
    assert found.value == pytest.approx(1.0, abs=1e-5)
    assert found.low <= found.value <= found.high
    assert ms_ssim(noise(24, height=48, width=48), pairs=12).value < 0.1


@needs_torchmetrics
@pytest.mark.parametrize(
    ("side", "words"), [(176, ""), (175, "4 of 5"), (98, "3 of 5"), (43, "2 of 5"), (11, "1 of 5")]
)
def test_small_pictures_get_fewer_scales(side, words):
    picture = noise(1, channels=1, height=side, width=side + 3)
    found = ms_ssim(torch.cat([picture, picture]), pairs=1)
    assert found.value == pytest.approx(1.0, abs=1e-4)
    assert (words in found.note) if words else ("scales" not in found.note)


@needs_torchmetrics
def test_no_picture_is_in_two_pairs():
    found = ms_ssim(noise(21, height=16, width=16), pairs=50)
    assert "From 10 pairs instead of 50" in found.note
    # One picture among equal ones is in one pair at most, with whatever seed.
    pictures = noise(1).repeat(21, 1, 1, 1)
    pictures[4] = 255 - pictures[4]
    for seed in range(4):
        low = ms_ssim(pictures, pairs=10, seed=seed).value
        assert low == pytest.approx(1.0, abs=1e-4) or 0.88 < low < 0.97


def test_too_few_or_too_small_pictures_have_no_diversity():
    with pytest.raises(DataError, match="Received: 1 picture"):
        ms_ssim(noise(1))
    with pytest.raises(DataError, match=r"11 pixels or more a side. Received: 10"):
        ms_ssim(noise(2, height=10))
    with pytest.raises(DataError, match="nothing to measure"):
        ms_ssim(noise(0))
    with pytest.raises(SettingError, match="pairs=0"):
        ms_ssim(noise(4), pairs=0)
