"""Alignment: closed forms for places and pixels, no moire, no blur, and plain words for bad input."""

import pickle

import numpy as np
import pytest
from PIL import Image

from gansmith.errors import DataError, SettingError
from gansmith.faces.align import TEMPLATES, Template, align, named_template, similarity

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 40, 3)).astype(np.uint8)
EYES = ("left_eye", "right_eye")
FIVE = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def template(left, right, size):
    """Eyes at these places of a result of this size."""
    points = tuple((name, x / size[0], y / size[1]) for name, (x, y) in zip(EYES, (left, right), strict=True))
    return Template(points=points, shape=size)


def moved(picture, source, target, size):
    """``picture`` with its eyes brought from ``source`` to ``target``."""
    return align(picture, np.array(source, dtype=np.float64), EYES, size, template(*target, size))


def turned(points, angle, scale, shift):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift, np.column_stack((turn, shift))


# --- the fit --------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, np.pi, -2.5])
@pytest.mark.parametrize("scale", [0.05, 1.0, 7.0])
def test_a_similarity_is_found_again(angle, scale):
    source = RNG.normal(0, 50, (5, 2))
    target, matrix = turned(source, angle, scale, np.array([300.0, -20.0]))
    np.testing.assert_allclose(similarity(source, target), matrix, atol=1e-10)


def test_no_other_similarity_fits_better():
    source, target = RNG.normal(0, 1, (2, 6, 2))
    best = similarity(source, target)

    def loss(matrix):
        return np.square(source @ matrix[:, :2].T + matrix[:, 2] - target).sum()

    for part in (
        [[1, 0, 0], [0, 1, 0]],
        [[0, -1, 0], [1, 0, 0]],
        [[0, 0, 1], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 1]],
    ):
        for step in (-0.01, 0.01):
            assert loss(best + step * np.array(part)) > loss(best)


def test_a_mirrored_face_is_not_mirrored_back():
    source = np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 3.0]])
    matrix = similarity(source, source * [-1.0, 1.0])
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize(
    "source",
    [
        [[1.0, 1.0]],
        [[5.0, 5.0], [5.0, 5.0]],
        [[1.0, np.nan], [2.0, 2.0]],
        [[1.0, np.inf], [2.0, 2.0]],
        [[1.0, 1e30], [2.0, 2.0]],
        [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]],
        [[1.0, 1.0], [2.0, 2.0], [3.0, 4.0]],
    ],
)
def test_points_that_say_nothing_are_refused(source):
    with pytest.raises(DataError, match="Received"):
        similarity(np.array(source), np.array([[0.0, 0.0], [9.0, 0.0]]))


def test_a_target_in_one_place_is_refused():
    with pytest.raises(DataError, match="all lie in one place"):
        similarity(np.array([[0.0, 0.0], [9.0, 0.0]]), np.ones((2, 2)))


def test_points_with_no_likeness_are_refused():
    square = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    with pytest.raises(DataError, match="do not resemble"):
        similarity(square, square * [1.0, -1.0])  # Mirrored, every turn is equally bad.


# --- pixels ---------------------------------------------------------------------


def test_points_already_in_place_leave_the_picture_alone():
    eyes = [(10.0, 12.0), (30.0, 12.0)]
    result = moved(NOISE, eyes, eyes, (40, 30))
    np.testing.assert_array_equal(result.pixels, NOISE)
    np.testing.assert_allclose(result.matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    assert result.covered == 1.0


@pytest.mark.parametrize("shift", [(3, 2), (-5, 7), (12, -9)])
def test_whole_pixel_shifts_copy_pixels(shift):
    eyes = np.array([(10.0, 12.0), (30.0, 12.0)])
    result = moved(NOISE, eyes, eyes + shift, (40, 30))
    right, down = shift
    padded = np.pad(NOISE, ((20, 20), (20, 20), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(result.pixels, padded[20 - down : 50 - down, 20 - right : 60 - right])
    assert result.covered == (40 - abs(right)) * (30 - abs(down)) / 1200


def test_a_quarter_turn_turns_the_pixels():
    # Clockwise on the screen: (x, y) lands at (30 - y, x).
    result = moved(NOISE, [(10.0, 12.0), (30.0, 12.0)], [(18.0, 10.0), (18.0, 30.0)], (30, 40))
    np.testing.assert_array_equal(result.pixels, np.rot90(NOISE, -1))
    assert result.covered == 1.0


def test_enlarging_keeps_a_slope_in_its_place():
    slope = np.broadcast_to(np.arange(40, dtype=np.uint8)[None, :, None] * 6, (30, 40, 3)).copy()
    result = moved(slope, [(10.0, 12.0), (30.0, 12.0)], [(20.0, 24.0), (60.0, 24.0)], (80, 60))
    expected = 6 * ((np.arange(80) + 0.5) / 2 - 0.5)
    error = result.pixels[30, 4:-4, 0] - expected[4:-4]  # At the border the slope meets its mirror image.
    assert np.abs(error).max() <= 0.51


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.7, 8.0])
def test_shrinking_keeps_a_slope_in_its_place(scale):
    side = 320
    ramp = np.arange(side) * 0.75
    slope = np.broadcast_to(np.round(ramp).astype(np.uint8)[None, :, None], (side, side, 3)).copy()
    size = int(side / scale)
    target = [(0.2 * side / scale, 30 / scale), (0.8 * side / scale, 30 / scale)]
    result = moved(slope, [(0.2 * side, 30.0), (0.8 * side, 30.0)], target, (size, size))
    expected = 0.75 * ((np.arange(size) + 0.5) * scale - 0.5)
    assert np.abs(result.pixels[size // 2, 4:-4, 0] - expected[4:-4]).max() <= 1.1


def blob(side, places, sigma):
    """Soft dots; their middles can be measured to a hundredth of a pixel."""
    down, across = np.mgrid[:side, :side] + 0.5
    light = sum(np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * sigma**2)) for x, y in places)
    return np.repeat(np.round(255 * light).astype(np.uint8)[..., None], 3, axis=2)


def middle(pixels, near, reach):
    weight = pixels[..., 0].astype(float)
    down, across = np.mgrid[: len(weight), : weight.shape[1]] + 0.5
    weight[np.hypot(across - near[0], down - near[1]) > reach] = 0
    return np.array([(across * weight).sum(), (down * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("angle", [0.0, 0.5, -1.2])
@pytest.mark.parametrize("shrinks", [0.4, 1.0, 1.3, 2.5, 6.0])
def test_what_is_seen_at_a_landmark_lands_where_the_landmark_lands(angle, shrinks):
    eyes, _ = turned(np.array([(-16.0, 0.0), (16.0, 0.0)]) * shrinks, angle, 1.0, np.array([207.3, 190.8]))
    picture = blob(400, eyes, 2.5 * shrinks)
    target = ((16.25, 30.5), (48.25, 30.5))
    result = moved(picture, eyes, target, (64, 64))
    for place in target:
        assert np.hypot(*(middle(result.pixels, place, 9) - place)) < 0.05


@pytest.mark.parametrize("period", [2.0, 2.6, 3.5])
def test_stripes_too_fine_for_the_result_become_even(period):
    side = 400
    stripes = 127.5 + 127.5 * np.sin(np.arange(side) * 2 * np.pi / period)
    picture = np.broadcast_to(stripes.astype(np.uint8)[None, :, None], (side, side, 3)).copy()
    result = moved(picture, [(100.0, 200.0), (300.0, 210.0)], [(24.0, 48.0), (72.0, 48.0)], (96, 96))
    assert result.pixels[8:-8, 8:-8].std() < 2.5  # Without anti-aliasing: about 90.


def test_stripes_the_result_can_show_stay_sharp():
    side, shrinks = 400, 200 / 48
    stripes = 127.5 + 100 * np.sin(np.arange(side) * 2 * np.pi / (4 * shrinks))  # Four pixels of the result.
    picture = np.broadcast_to(stripes.astype(np.uint8)[None, :, None], (side, side, 3)).copy()
    result = moved(picture, [(100.0, 200.0), (300.0, 200.0)], [(24.0, 48.0), (72.0, 48.0)], (96, 96))
    kept = result.pixels[8:-8, 8:-8].std() / (100 / np.sqrt(2))
    assert 0.9 < kept < 1.1


def test_beyond_the_border_is_the_mirror_image_again_and_again():
    small = NOISE[:3, :4]
    result = moved(small, [(1.0, 1.0), (3.0, 1.0)], [(21.0, 16.0), (23.0, 16.0)], (44, 33))
    expected = np.pad(small, ((15, 15), (20, 20), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(result.pixels, expected)
    assert result.covered == 12 / (44 * 33)


def test_one_pixel_fills_everything():
    result = moved(NOISE[:1, :1], [(0.0, 0.5), (1.0, 0.5)], [(2.0, 5.0), (9.0, 6.0)], (12, 10))
    assert (result.pixels == NOISE[0, 0]).all()


def test_a_face_far_too_large_is_shrunk_to_even_colour():
    result = moved(NOISE[:2, :2], [(-15.0, 0.0), (15.0, 0.0)], [(3.0, 4.0), (3.1, 4.0)], (8, 8))
    assert result.pixels.std(axis=(0, 1)).max() < 1
    assert result.covered < 0.1


@pytest.mark.parametrize(
    "middle_at", [(150.0, 140.0), (6.0, 140.0), (294.0, 5.0), (150.0, -40.0), (330.0, 320.0)]
)
@pytest.mark.parametrize("eyes_apart", [40.0, 110.0])
def test_shrinking_part_of_a_picture_is_shrinking_all_of_it(middle_at, eyes_apart):
    waves = np.sin(np.arange(300) / 30)
    picture = (127 + 60 * (waves[:, None] + waves[::-1][None]))[..., None].repeat(3, 2).astype(np.uint8)
    around = np.pad(picture, ((600, 600), (600, 600), (0, 0)), mode="symmetric")
    eyes = np.array([(-eyes_apart / 2, 4.0), (eyes_apart / 2, -4.0)]) + middle_at
    target = [(12.0, 12.0), (20.0, 12.0)]
    result, whole = moved(picture, eyes, target, (32, 28)), moved(around, eyes + 600, target, (32, 28))
    assert np.abs(result.pixels.astype(int) - whole.pixels).max() <= 4
    assert whole.covered == 1.0


# --- templates ------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TEMPLATES))
@pytest.mark.parametrize("size", [(128, 128), (64, 96), (178, 218), (200, 80)])
@pytest.mark.parametrize("margin", [0.0, 0.2, -0.1])
def test_every_landmark_of_the_mean_face_lands_on_its_place(name, size, margin):
    wanted = named_template(name, margin)
    places = wanted.places(size)
    target = np.array([places[point] for point in FIVE])
    source, _ = turned(target, 0.3, 1.7, np.array([40.0, -25.0]))
    result = align(NOISE, source, FIVE, size, wanted)
    assert result.pixels.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(result.landmarks, target, atol=1e-4)


def test_celeba_is_celeba():
    places = TEMPLATES["celeba"].places((178, 218))
    assert places["left_eye"] == pytest.approx((69.5, 111.5))
    assert places["right_eye"] == pytest.approx((108.5, 111.5))
    assert np.hypot(*np.subtract(places["nose"], (88.5, 136.5))) < 0.6
    assert np.hypot(*np.subtract(places["left_mouth"], (72.5, 152.5))) < 0.5


def test_ffhq_follows_the_rule_of_its_paper():
    places = {name: np.array(place) for name, place in TEMPLATES["ffhq"].places((1024, 1024)).items()}
    eyes = (places["left_eye"] + places["right_eye"]) / 2
    mouth = (places["left_mouth"] + places["right_mouth"]) / 2
    half = max(2 * (places["right_eye"] - places["left_eye"])[0], 1.8 * (mouth - eyes)[1])
    assert half == pytest.approx(512)
    np.testing.assert_allclose(eyes + 0.1 * (mouth - eyes), (512, 512))


def test_a_margin_zooms_out_about_the_middle():
    near, far = (named_template("ffhq", margin).places((100, 100))["left_eye"] for margin in (0.0, 0.25))
    assert np.array(far) - 50 == pytest.approx((np.array(near) - 50) / 1.5)


def test_another_shape_keeps_the_face_and_shows_more_beside_it():
    square = named_template("ffhq").places((100, 100))["left_eye"]
    wide = named_template("ffhq").places((160, 100))["left_eye"]
    assert wide == pytest.approx((square[0] + 30, square[1]))


def test_templates_are_values():
    first = named_template("close", 0.1)
    assert pickle.loads(pickle.dumps(first)) == first
    assert len({first, named_template("close", 0.1), named_template("close")}) == 2


def test_an_unknown_template_gets_a_suggestion():
    with pytest.raises(SettingError, match="Did you mean 'celeba'"):
        named_template("celebra")


@pytest.mark.parametrize(
    "bad",
    [
        {"points": ()},
        {"points": (("left_eye", 0.3, 0.4),)},
        {"points": (("left_eye", 0.3, 0.4), ("left_eye", 0.6, 0.4))},
        {"points": (("left_eye", 0.3, 0.4), ("right_eye", float("nan"), 0.4))},
        {"shape": (0.0, 1.0)},
        {"shape": (1.0, float("inf"))},
        {"margin": -0.4},
        {"margin": 4.0},
        {"margin": float("nan")},
    ],
)
def test_templates_that_make_no_sense_are_refused(bad):
    with pytest.raises(SettingError, match="Received"):
        Template(**({"points": TEMPLATES["ffhq"].points} | bad))


# --- bad input ------------------------------------------------------------------


def test_landmarks_the_template_does_not_name_are_carried_along():
    landmarks = np.array([(10.0, 12.0), (30.0, 12.0), (20.0, 25.0)], dtype=np.float32)
    result = align(
        NOISE, landmarks, (*EYES, "chin"), (40, 30), template((20.0, 24.0), (60.0, 24.0), (40, 30))
    )
    np.testing.assert_allclose(result.landmarks, [(20, 24), (60, 24), (40, 50)], atol=1e-4)


@pytest.mark.parametrize(
    "landmarks",
    [
        [(np.nan, np.nan), (30.0, 12.0)],
        [(10.0, 12.0), (10.0, 12.0)],
        [(10.0, 12.0), (3e4, 12.0)],
        [(10.0, 12.0)],
        [],
    ],
)
def test_bad_landmarks_are_refused(landmarks):
    names = EYES[: len(landmarks)]
    with pytest.raises(DataError, match="Received"):
        align(NOISE, np.array(landmarks).reshape(-1, 2), names, (40, 30), TEMPLATES["ffhq"])


@pytest.mark.parametrize("names", [("nose",), ("nose", "left_ear"), ("left_eye", "left_eye"), ()])
def test_names_that_do_not_fit_are_refused(names):
    with pytest.raises(DataError, match="Received"):
        align(NOISE, np.array([(10.0, 12.0), (30.0, 12.0)]), names, (40, 30), TEMPLATES["ffhq"])


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (30, 40, 4), (0, 40, 3)])
def test_other_things_than_rgb_pictures_are_refused(shape):
    with pytest.raises(DataError, match="uint8"):
        align(np.zeros(shape, np.uint8), np.array([(1.0, 1.0), (3.0, 1.0)]), EYES, (8, 8), TEMPLATES["ffhq"])


def test_an_empty_result_is_refused():
    with pytest.raises(SettingError, match="0x8"):
        align(NOISE, np.array([(1.0, 1.0), (3.0, 1.0)]), EYES, (0, 8), TEMPLATES["ffhq"])


def test_a_read_only_picture_will_do():
    picture = np.asarray(Image.fromarray(NOISE))
    assert not picture.flags.writeable
    eyes = [(10.0, 12.0), (30.0, 12.0)]
    result = moved(picture, eyes, eyes, (40, 30)).pixels
    assert result.flags.writeable and np.array_equal(result, NOISE)
