"""Hashes and sharpness have closed forms for flat pictures, waves and enlarged copies."""

import hashlib
import io
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gansmith.data.inspect.measure import FORMATS, MODES, SEEN, phash, seen, sharpness


def smooth(seed=0, side=64, channels=3):
    """A picture with detail at every scale, as photographs have it."""
    rng = np.random.default_rng(seed)
    planes = np.zeros((channels, side, side))
    for cells in (2, 4, 8, 16):
        for plane in planes:
            coarse = Image.fromarray(rng.normal(0, 160 / cells, (cells, cells)).astype(np.float32))
            plane += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return np.clip(planes + 128, 0, 255).astype(np.uint8)


def resized(picture, side, kernel=Image.Resampling.BICUBIC):
    planes = [Image.fromarray(plane).resize((side, side), kernel) for plane in picture]
    return np.stack([np.asarray(plane) for plane in planes])


def recompressed(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0).copy()).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def apart(one, other):
    return (phash(one) ^ phash(other)).bit_count()


def wave(turns, side=48):
    """A wave from left to right with so many radians a pixel, its amplitude 100."""
    row = 128 + 100 * np.cos(turns * np.arange(side))
    return np.broadcast_to(np.rint(row), (1, side, side)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_of_twice_the_size_has_nearly_the_same_hash(seed):
    picture = smooth(seed)
    assert apart(picture, resized(picture, 128, Image.Resampling.NEAREST)) <= 2
    assert apart(picture, resized(picture, 128)) <= 3
    assert apart(picture, resized(picture, 40)) <= 3


@pytest.mark.parametrize("seed", range(5))
def test_recompression_brightness_and_contrast_change_few_bits(seed):
    picture = smooth(seed)
    levels = picture.astype(np.float32)
    assert apart(picture, recompressed(picture, 50)) <= 3
    assert apart(picture, np.clip(levels + 12, 0, 255).astype(np.uint8)) <= 3
    assert apart(picture, (levels * 0.8).astype(np.uint8)) <= 3


def test_the_hash_sees_luma_only():
    colour = smooth(channels=3)
    grey = np.array([0.299, 0.587, 0.114]) @ colour.reshape(3, -1)
    grey = np.rint(grey).reshape(1, 64, 64).astype(np.uint8)
    assert apart(colour, grey) <= 1
    assert phash(grey) == phash(np.repeat(grey, 3, axis=0))


def test_hashes_of_other_pictures_are_far_away():
    hashes = [phash(smooth(seed)) for seed in range(40)]
    distances = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 8
    assert 28 < np.mean(distances) < 36  # Half of the bits, as of coins.


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (3, 200, 100), (1, 4, 4)])
def test_a_flat_picture_has_hash_and_sharpness_0(shape, level):
    flat = np.full(shape, level, dtype=np.uint8)
    assert phash(flat) == 0
    assert sharpness(flat) == 0.0


def test_turned_stripes_have_other_hashes():
    stripes = wave(2 * math.pi * 3 / 48)
    assert apart(stripes, stripes.transpose(0, 2, 1)) > 0
    assert phash(stripes) != 0


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 4, 300), (3, 300, 4), (1, 28, 28), (3, 65, 64)])
def test_any_shape_is_measured(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert 0 <= phash(picture) < 2**64
    assert 0 <= sharpness(picture) <= 8


@pytest.mark.parametrize("shape", [(64, 64), (4, 8, 8), (2, 8, 8), (3, 0, 8), (3, 8, 0), (1, 3, 8, 8)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(ValueError, match="Received"):
        phash(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("turns", [math.pi / 3, math.pi / 2, 2 * math.pi / 3])
def test_the_sharpness_of_a_wave_follows_from_its_length(turns):
    assert sharpness(wave(turns)) == pytest.approx(2 - 2 * math.cos(turns), rel=0.03)


def test_a_checkerboard_is_sharpest():
    board = (np.indices((1, 32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert sharpness(board) == pytest.approx(8.0, rel=1e-3)


def test_sharpness_does_not_depend_on_contrast_or_brightness():
    picture = np.random.default_rng(0).integers(0, 200, (3, 64, 64), dtype=np.uint8)
    assert sharpness(picture + np.uint8(55)) == pytest.approx(sharpness(picture), rel=1e-4)
    assert sharpness(picture // 4 + 100) == pytest.approx(sharpness(picture), rel=0.02)


@pytest.mark.parametrize("side", [128, 256])
def test_sharpness_is_the_same_at_every_size(side):
    picture = smooth()
    enlarged = np.repeat(np.repeat(picture, side // 64, axis=1), side // 64, axis=2)
    assert sharpness(enlarged) == pytest.approx(sharpness(picture), rel=0.02)


def test_blur_lowers_sharpness():
    picture = np.random.default_rng(0).integers(0, 256, (1, 64, 64), dtype=np.uint8)
    values = [sharpness(resized(resized(picture, side), 64)) for side in (64, 32, 16, 8)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 4 > 0.5 > values[-1]


def test_a_row_holds_everything():
    raw = b"the bytes of a file"
    row = seen(raw, smooth(), width=640, height=480, format="JPEG", mode="L", face=99.5)
    assert row.dtype == SEEN
    assert (row["width"], row["height"], row["bytes"]) == (640, 480, len(raw))
    assert (FORMATS[row["format"]], MODES[row["mode"]]) == ("JPEG", "L")
    assert int(row["digest"]).to_bytes(8, "little") == hashlib.blake2b(raw, digest_size=8).digest()
    assert row["phash"] == phash(smooth())
    assert row["sharpness"] == np.float32(sharpness(smooth()))
    assert row["face"] == np.float32(99.5)


def test_what_is_not_known_is_other_and_nan():
    row = seen(b"", smooth(), width=1, height=1, format="FAX", mode="?")
    assert (FORMATS[row["format"]], MODES[row["mode"]]) == ("other", "other")
    assert math.isnan(row["face"])


def test_names_are_unique_and_fit_a_byte():
    for names in (FORMATS, MODES):
        assert names[0] == "other"
        assert len(set(names)) == len(names) < 256


def test_no_torch_is_imported():
    code = (
        "import sys, gansmith.data.inspect.measure, gansmith.data.inspect.report; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
