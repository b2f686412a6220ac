"""Augmentation against closed forms: where points go, what colours become, and what chance decides."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers import random_images
from torch import Tensor

from gansmith.config.overrides import override
from gansmith.config.serialization import from_json, to_json
from gansmith.core.noise import Noise
from gansmith.data.loading.augment import (
    Augment,
    Colour,
    Geometry,
    affine,
    augment,
    draw,
    move,
    relight,
    resample,
    tint,
)
from gansmith.errors import SettingError

GEOMETRY = Augment(flip=True, crop=0.8, rotate=20.0)
EVERYTHING = Augment(flip=True, crop=0.8, rotate=20.0, brightness=0.1, contrast=0.2, saturation=0.3, hue=20.0)
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def noise(count: int, first: int = 0) -> Noise:
    return Noise(torch.arange(first, first + count))


def geometry(
    mirror: bool = False,
    flip: bool = False,
    angle: float = 0.0,
    side: float = 1.0,
    at: tuple[float, float] = (0.5, 0.5),
) -> Geometry:
    numbers = [torch.tensor([number]) for number in (angle, side, *at)]
    return Geometry(torch.tensor([mirror]), torch.tensor([flip]), *numbers)


def colour(
    brightness: float = 0.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0
) -> Colour:
    return Colour(*(torch.tensor([number]) for number in (brightness, contrast, saturation, hue)))


def moved(images: Tensor, change: Geometry) -> Tensor:
    height, width = images.shape[2:]
    return resample(images, affine(change, width, height))


def grid(width: int, height: int) -> tuple[Tensor, Tensor]:
    """x and y of the middles of pixels."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return x, y


def dots(points: Tensor, width: int, height: int) -> Tensor:
    """[batch, 1, height, width]: a soft bright dot on black at each point of [batch, 2]."""
    x, y = grid(width, height)
    away = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    return (2.0 * torch.exp(-away / 4.0) - 1.0)[:, None]


def found(images: Tensor) -> Tensor:
    """Where the dots are: the centre of brightness, [batch, 2]."""
    weight = (images[:, 0] - images[:, 0].amin(dim=(1, 2), keepdim=True) - 0.3).relu()
    x, y = grid(images.shape[3], images.shape[2])
    total = weight.sum(dim=(1, 2))
    return torch.stack([(weight * x).sum(dim=(1, 2)) / total, (weight * y).sum(dim=(1, 2)) / total], dim=1)


# ---- nothing, and flips alone ---------------------------------------------------------------------


def test_with_everything_off_the_same_tensors_come_back() -> None:
    images, points, stream = random_images(3), torch.rand(3, 5, 2), noise(3)
    changed, landmarks = augment(Augment(), False, {"images": images}, points, stream)
    assert changed["images"] is images
    assert landmarks is points
    assert torch.equal(stream.uniform(1), noise(3).uniform(1))  # Not even a number was drawn.


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_flips_alone_are_exact_and_each_meets_half_of_the_pictures(mirror: bool, flip: bool) -> None:
    count = 2000
    images = random_images(count, size=2, channels=1)
    changed, _ = augment(Augment(flip=flip), mirror, {"images": images}, None, noise(count))
    kinds = [images, images.flip(3), images.flip(2), images.flip((2, 3))]
    shares = [
        (changed["images"] == kind).all(dim=3).all(dim=2).all(dim=1).float().mean().item() for kind in kinds
    ]
    expected = [(0.5 if mirror else 1.0) * (0.5 if flip else 1.0)]
    expected += [0.5 * (0.5 if flip else 1.0) if mirror else 0.0]
    expected += [0.5 * (0.5 if mirror else 1.0) if flip else 0.0, 0.25 if mirror and flip else 0.0]
    assert sum(shares) == pytest.approx(1.0)
    assert shares == pytest.approx(expected, abs=5 * 0.5 / count**0.5)


def test_the_mirror_is_the_first_number_of_the_stream_whatever_else_is_asked() -> None:
    expected = noise(50).uniform(1)[:, 0] < 0.5
    for config in (Augment(), EVERYTHING):
        assert torch.equal(draw(config, True, noise(50))[0].mirror, expected)


# ---- geometry -------------------------------------------------------------------------------------


def test_no_change_resampled_is_no_change() -> None:
    images = random_images(1, size=9)
    assert torch.allclose(moved(images, geometry()), images, atol=1e-5)


@pytest.mark.parametrize("turns", [-1, 1, 2])
def test_quarter_turns_of_a_square_are_counterclockwise_and_exact(turns: int) -> None:
    images = random_images(1, size=8)
    turned = moved(images, geometry(angle=90.0 * turns))
    assert torch.allclose(turned, torch.rot90(images, turns, (2, 3)), atol=1e-5)


def test_beyond_the_edge_lies_the_mirrored_inside() -> None:
    images = random_images(1, size=8)[:, :, :4]  # 8 wide, 4 high.
    padded = torch.from_numpy(np.pad(images.numpy(), ((0, 0), (0, 0), (2, 2), (0, 0)), mode="symmetric"))
    expected = torch.rot90(padded, 1, (2, 3))[:, :, 2:6]
    assert torch.allclose(moved(images, geometry(angle=90.0)), expected, atol=1e-5)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_composed_flips_are_those_without_resampling(mirror: bool, flip: bool) -> None:
    images = random_images(1, size=6)[:, :, :5]
    sides = [side for side, asked in ((3, mirror), (2, flip)) if asked]
    assert torch.allclose(moved(images, geometry(mirror, flip)), images.flip(sides), atol=1e-5)


def test_half_a_turn_is_both_flips_for_pictures_points_and_their_names() -> None:
    images, points = random_images(1, size=6)[:, :, :5], torch.rand(1, 5, 2) * 5
    turned, flipped = geometry(angle=180.0), geometry(mirror=True, flip=True)
    assert torch.allclose(moved(images, turned), moved(images, flipped), atol=1e-5)
    assert torch.allclose(move(points, turned, 6, 5), move(points, flipped, 6, 5), atol=1e-5)


def test_a_turned_and_cut_slope_is_the_slope_there() -> None:
    """Every pixel away from the edge has a closed form, up to a twentieth of the slope: torch's kernel
    (a = -0.75) is off by (1 - 2t) t (1 - t) / 2 between two pixels, at most 0.0481.
    """
    width, height, angle, side = 40, 24, 25.0, 0.6
    x, y = grid(width, height)
    slope = (0.03 * x - 0.02 * y - 0.3)[None, None]
    result = moved(slope, geometry(angle=angle, side=side, at=(0.25, 1.0)))
    # Content turns counterclockwise, so places are looked up clockwise (y points down).
    offset = torch.complex(x - width / 2, y - height / 2) * side
    middle = complex(width / 2 - 0.4 * 0.25 * width, height / 2 + 0.4 * 0.5 * height)
    place = offset * complex(math.cos(math.radians(angle)), math.sin(math.radians(angle))) + middle
    inside = (place.real > 3) & (place.real < width - 3) & (place.imag > 3) & (place.imag < height - 3)
    expected = 0.03 * place.real - 0.02 * place.imag - 0.3
    assert inside.float().mean() > 0.5
    assert (result[0, 0][inside] - expected[inside]).abs().max() < 0.0482 * (0.03 + 0.02)


@pytest.mark.parametrize(
    ("at", "left", "top"), [((0.0, 0.0), 0, 0), ((1.0, 0.0), 5, 0), ((0.5, 1.0), 2.5, 3)]
)
def test_a_cut_lies_inside_the_picture_and_fills_the_new_one(at, left: float, top: float) -> None:
    corners = torch.tensor([[0.0, 0.0, 1.0], [10.0, 6.0, 1.0]])
    places = affine(geometry(side=0.5, at=at), 10, 6)[0] @ corners.T
    assert places.T.flatten().tolist() == pytest.approx([left, top, left + 5, top + 3], abs=1e-5)


def test_every_map_turns_and_scales_and_never_shears() -> None:
    change, _ = draw(GEOMETRY, True, noise(64))
    linear = affine(change, 70, 30)[:, :, :2]
    square = torch.eye(2) * change.side.square()[:, None, None]
    assert torch.allclose(linear.transpose(1, 2) @ linear, square, atol=1e-6)
    assert torch.equal(torch.det(linear) < 0, change.mirror ^ change.flip)


def test_an_even_picture_stays_even_under_any_geometry() -> None:
    images = torch.full((20, 3, 12, 7), 0.37)
    changed, _ = augment(
        Augment(flip=True, crop=0.3, rotate=180.0), True, {"images": images}, None, noise(20)
    )
    assert torch.allclose(changed["images"], images, atol=1e-5)


# ---- several columns and landmarks ----------------------------------------------------------------


@pytest.mark.parametrize("config", [GEOMETRY, Augment(flip=True)])
def test_columns_move_alike_whatever_their_channels(config: Augment) -> None:
    images = random_images(8)
    columns = {"source": images[:, :1].contiguous(), "target": images}
    changed, _ = augment(config, True, columns, None, noise(8))
    assert list(changed) == ["source", "target"]
    assert torch.equal(changed["source"], changed["target"][:, :1])
    assert not torch.equal(changed["target"], images)


def test_a_smaller_column_sees_the_same_part_of_the_scene() -> None:
    x, y = grid(64, 32)
    large = (0.01 * x - 0.02 * y)[None, None].expand(12, 1, 32, 64).contiguous()
    columns = {"large": large, "small": torch.nn.functional.avg_pool2d(large, 2)}
    changed, _ = augment(Augment(flip=True, crop=0.5), True, columns, None, noise(12))
    pooled = torch.nn.functional.avg_pool2d(changed["large"], 2)
    off = (pooled - changed["small"])[..., 4:-4, 4:-4].abs().max()
    assert off < 2 * 0.0482 * (0.02 + 0.04)  # As far as interpolation is from exact; see above.


def test_colours_of_a_grey_column_follow_those_of_a_coloured_one() -> None:
    images = random_images(8) * 0.3  # So that nothing is clamped.
    columns = {"grey": (images * LUMA).sum(dim=1, keepdim=True), "colour": images}
    changed, _ = augment(EVERYTHING, True, columns, None, noise(8))
    assert torch.allclose((changed["colour"] * LUMA).sum(dim=1, keepdim=True), changed["grey"], atol=1e-5)
    assert not torch.allclose(changed["grey"], columns["grey"], atol=0.1)


@pytest.mark.parametrize("config", [Augment(), Augment(flip=True), GEOMETRY, EVERYTHING])
def test_dots_are_found_at_their_landmarks_under_their_names(config: Augment) -> None:
    count, width, height = 40, 72, 60
    points = torch.rand(count, 5, 2, generator=torch.Generator().manual_seed(1)) * 24 + 18
    columns = {f"dot{i}": dots(points[:, i], width, height) for i in range(5)}
    changed, landmarks = augment(config, True, columns, points, noise(count))
    places = torch.stack([found(changed[f"dot{i}"]) for i in range(5)], dim=1)
    change, _ = draw(config, True, noise(count))
    trades = change.mirror ^ change.flip
    assert landmarks is not None
    assert 0 < int(trades.sum()) < count
    # The old right eye is the left eye of a mirrored face, the nose stays the nose.
    expected = torch.where(trades[:, None, None], places[:, [1, 0, 2, 4, 3]], places)
    assert (landmarks - expected).abs().max() < 0.1  # In pixels.
    assert (places - points).abs().max() > 5


def test_mirrored_landmarks_are_exact() -> None:
    points = torch.tensor([[[0.5, 0.5], [9.25, 3.0], [5.0, 2.0], [1.0, 5.5], [7.0, 5.0]]])
    columns = {"images": torch.zeros(1, 3, 6, 10)}
    seeds = torch.arange(20)
    seed = int(seeds[draw(Augment(), True, Noise(seeds))[0].mirror][0])
    _, landmarks = augment(Augment(), True, columns, points, Noise.of(seed))
    assert landmarks is not None
    assert landmarks[0].tolist() == [[0.75, 3.0], [9.5, 0.5], [5.0, 2.0], [3.0, 5.0], [9.0, 5.5]]


def test_other_numbers_of_landmarks_keep_their_order_unless_told() -> None:
    points = torch.rand(1, 3, 2) * 4
    mirrored = geometry(mirror=True)
    plain = torch.stack([8 - points[..., 0], points[..., 1]], dim=2)
    assert torch.allclose(move(points, mirrored, 8, 4), plain)
    assert torch.allclose(move(points, mirrored, 8, 4, (2, 1, 0)), plain.flip(1))
    assert torch.allclose(move(points, geometry(), 8, 4, (2, 1, 0)), points)
    assert move(torch.zeros(1, 0, 2), mirrored, 8, 4).shape == (1, 0, 2)


def test_landmarks_are_those_of_the_column_named_images() -> None:
    columns = {"small": torch.zeros(40, 1, 4, 4), "images": torch.zeros(40, 1, 16, 16)}
    _, landmarks = augment(Augment(), True, columns, torch.zeros(40, 1, 2), noise(40))
    assert landmarks is not None
    assert landmarks[:, 0, 0].unique().tolist() == [0.0, 16.0]


def test_colours_alone_leave_landmarks_alone() -> None:
    points = torch.rand(2, 5, 2)
    _, landmarks = augment(Augment(contrast=0.5), False, {"images": random_images(2)}, points, noise(2))
    assert landmarks is points


def test_a_swap_for_another_number_of_landmarks_is_refused() -> None:
    with pytest.raises(SettingError, match=r"these pictures have 4\. Received: swap=\(1, 0\)"):
        move(torch.rand(1, 4, 2), geometry(), 8, 8, (1, 0))


# ---- colour ---------------------------------------------------------------------------------------


def test_brightness_is_a_share_of_the_way_from_black_to_white() -> None:
    images = random_images(1) * 0.5
    assert torch.allclose(relight(images, colour(brightness=0.1)), images + 0.2, atol=1e-6)
    black = torch.full((1, 3, 2, 2), -1.0)
    assert torch.allclose(relight(black, colour(brightness=1.0)), -black)


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_spreads_about_the_mean_luma_and_keeps_it(channels: int) -> None:
    images = random_images(1, channels=channels)
    luma = (images * LUMA).sum(dim=1) if channels == 3 else images
    expected = luma.mean() + 0.3 * (images - luma.mean())
    assert torch.allclose(relight(images, colour(contrast=0.3)), expected, atol=1e-6)
    assert torch.allclose(relight(images, colour(contrast=0.0)), luma.mean(), atol=1e-6)


def test_without_saturation_a_picture_is_its_luma() -> None:
    images = random_images(1)
    expected = (images * LUMA).sum(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    assert torch.allclose(tint(images, colour(saturation=0.0)), expected, atol=1e-6)


@pytest.mark.parametrize("hue", [-120.0, 10.0, 90.0, 180.0])
def test_hue_turns_chroma_in_the_plane_of_yiq(hue: float) -> None:
    """Against the NTSC matrix, which is known to three digits (Poynton, Digital Video, ch. 24)."""
    to_yiq = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    cos, sin = math.cos(math.radians(hue)), math.sin(math.radians(hue))
    # Q points the way of U, I the way of V: towards larger angles is from Q to I.
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, sin], [0.0, -sin, cos]])
    images = random_images(1)
    matrix = torch.linalg.inv(to_yiq) @ turn @ to_yiq
    expected = torch.einsum("ij,njhw->nihw", matrix, images)
    assert torch.allclose(tint(images, colour(hue=hue)), expected, atol=0.01)


def test_luma_stays_while_saturation_and_hue_change_and_red_turns_yellow() -> None:
    images = random_images(1)
    changed = tint(images, colour(saturation=0.7, hue=33.0))
    assert torch.allclose((changed * LUMA).sum(dim=1), (images * LUMA).sum(dim=1), atol=1e-5)
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
    turned = tint(red, colour(hue=40.0))
    assert turned[0, 1] > -0.8 and turned[0, 0] < 1.0 and turned[0, 2] < turned[0, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_pictures_have_no_saturation_and_no_hue(channels: int) -> None:
    images = random_images(1, channels=1).expand(-1, channels, -1, -1)
    changed = tint(images, colour(saturation=1.7, hue=77.0))
    assert torch.allclose(changed, images, atol=1e-6)
    assert (changed is images) == (channels == 1)


# ---- chance ---------------------------------------------------------------------------------------


def test_every_number_is_drawn_evenly_from_its_range() -> None:
    count = 4000
    config = Augment(crop=0.6, rotate=30.0, brightness=0.1, contrast=0.2, saturation=0.3, hue=40.0)
    change, light = draw(config, False, noise(count))
    ranges = [(-30, 30), (0.6, 1.0), (0, 1), (0, 1), (-0.1, 0.1), (0.8, 1.2), (0.7, 1.3), (-40, 40)]
    drawn = [*change[2:], *light]
    for values, (low, high) in zip(drawn, ranges, strict=True):
        share = (values - low) / (high - low)
        assert -1e-5 <= share.min() < 0.01 and 0.99 < share.max() <= 1 + 1e-5
        assert share.mean().item() == pytest.approx(0.5, abs=5 / (12 * count) ** 0.5)
        assert share.var().item() == pytest.approx(1 / 12, abs=0.01)
    correlations = torch.corrcoef(torch.stack(drawn)) - torch.eye(len(drawn))
    assert correlations.abs().max() < 5 / count**0.5


@pytest.mark.parametrize("config", [EVERYTHING, GEOMETRY, Augment(contrast=0.3), Augment(hue=90.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_depends_on_its_own_stream_and_not_on_the_batch(config: Augment, channels: int) -> None:
    images = random_images(6, size=10, channels=channels)[:, :, :7]
    images = images.contiguous(memory_format=torch.channels_last)
    whole, _ = augment(config, True, {"images": images}, None, noise(6))
    again, _ = augment(config, True, {"images": images}, None, noise(6))
    assert torch.equal(whole["images"], again["images"])
    for i in range(6):
        alone, _ = augment(config, True, {"images": images[i : i + 1]}, None, noise(1, first=i))
        assert torch.equal(alone["images"], whole["images"][i : i + 1])
    other, _ = augment(config, True, {"images": images}, None, noise(6, first=100))
    assert not torch.equal(other["images"], whole["images"])


def test_one_more_change_leaves_the_others_as_they_were() -> None:
    few, _ = draw(Augment(rotate=9.0), False, noise(30))
    many, light = draw(EVERYTHING, True, noise(30))
    assert torch.allclose(few.angle / 9.0, many.angle / 20.0)
    assert torch.equal(few.side, torch.ones(30)) and not few.mirror.any() and not few.flip.any()
    _, only = draw(Augment(hue=20.0), False, noise(30))
    assert torch.equal(only.hue, light.hue)


# ---- form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [EVERYTHING, GEOMETRY, Augment(brightness=1.0), Augment(saturation=1.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_in_range(config: Augment, channels: int) -> None:
    images = random_images(16, channels=channels).sign()  # As far from smooth as a picture can be.
    changed, _ = augment(config, True, {"images": images}, None, noise(16))
    assert changed["images"].dtype == torch.float32
    assert changed["images"].shape == images.shape
    assert -1.0 <= changed["images"].min() <= changed["images"].max() <= 1.0


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("config", [Augment(), Augment(flip=True), EVERYTHING, Augment(hue=9.0)])
def test_memory_formats_are_kept(config: Augment, layout: torch.memory_format) -> None:
    images = random_images(4).contiguous(memory_format=layout)
    before = images.clone()
    changed, _ = augment(config, True, {"images": images}, None, noise(4))
    assert changed["images"].stride() == images.stride()
    assert torch.equal(images, before)  # The data set may own it.


def test_nothing_asks_the_device_for_a_value() -> None:
    """Meta tensors have no values: reading one, or counting what a mask selects, is an error there."""
    images = torch.empty(4, 3, 8, 6, device="meta")
    seeds = torch.empty(4, dtype=torch.int64, device="meta")
    points = torch.empty(4, 5, 2, device="meta")
    changed, landmarks = augment(EVERYTHING, True, {"images": images}, points, Noise(seeds))
    assert changed["images"].shape == images.shape
    assert landmarks is not None and landmarks.shape == points.shape


# ---- settings -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Holder:
    augment: Augment = Augment()


def test_settings_are_set_by_name_and_survive_json() -> None:
    holder = override(Holder(), "augment.crop=0.9")
    holder = override(holder, "augment.flip=true")
    holder = override(holder, "augment.swap=1,0,2")
    assert holder.augment == Augment(crop=0.9, flip=True, swap=(1, 0, 2))
    assert from_json(to_json(holder.augment), Augment) == holder.augment
    with pytest.raises(SettingError, match="rotate"):
        override(Holder(), "augment.rotation=5")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("crop", 0.0, "from 0.1 to 1: the least share"),
        ("crop", 1.1, "from 0.1 to 1"),
        ("crop", math.nan, "Received: crop=nan"),
        ("rotate", -1.0, "from 0 to 180: degrees"),
        ("rotate", 181.0, "from 0 to 180"),
        ("brightness", 1.5, "from 0 to 1: a share of the way from black to white"),
        ("contrast", -0.1, "a share of the contrast"),
        ("saturation", math.inf, "Received: saturation=inf"),
        ("hue", 200.0, "degrees around the colour circle"),
        ("swap", (0, 2), "Received: swap="),
        ("swap", (1, 2, 0), "trades places"),
        ("swap", (0, 0), "Received: swap="),
        ("swap", (-1, 0), "Received: swap="),
    ],
)
def test_what_is_out_of_range_is_refused_with_the_rule(name: str, value: object, rule: str) -> None:
    with pytest.raises(SettingError, match=rule) as caught:
        Augment(**{name: value})
    assert f"data.augment.{name}" in str(caught.value)
