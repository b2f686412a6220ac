"""The demo faces: the same picture for the same numbers, and a ground truth that fits the picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gansmith.core.image_size import Size
from gansmith.data.builtin.demo_faces.draw import SEGMENTS, draw, draw_segments, landmarks
from gansmith.data.builtin.demo_faces.sample import ATTRIBUTES, LABELS, attributes, caption, face, label
from gansmith.data.builtin.demo_faces.traits import (
    BACKDROPS,
    BACKGROUND_COLOURS,
    BEARDS,
    CLOTHES,
    CLOTHES_COLOURS,
    GLASSES,
    HAIR_STYLES,
    HATS,
    NOSES,
    Face,
)
from gansmith.data.builtin.sets import DemoFaces, DemoPairs
from gansmith.data.config import DataConfig

MANY = [face(0, index) for index in range(300)]
PLAIN = replace(
    face(0, 0),
    skin="fair",
    hair_style="cropped",
    hat="none",
    glasses="none",
    beard="none",
    nose="button",
    gaze=(0.0, 0.0),
    smile=0.0,
    tilt=0.0,
    offset_x=0.0,
    offset_y=0.0,
    eye_colour="brown",
    backdrop="plain",
)


def changed(first: Face, second: Face, size: int = 128) -> NDArray[np.bool_]:
    difference: NDArray[np.bool_] = (draw(first, size, size) != draw(second, size, size)).any(axis=2)
    return difference


def at(picture: NDArray[np.uint8], point: NDArray[np.float32]) -> NDArray[np.int64]:
    colour: NDArray[np.int64] = picture[int(point[1]), int(point[0])].astype(np.int64)
    return colour


# What the numbers decide


def test_same_numbers_give_the_same_face_in_any_order() -> None:
    forwards = [face(7, index) for index in range(5)]
    backwards = [face(7, index) for index in reversed(range(5))][::-1]
    assert forwards == backwards
    assert np.array_equal(draw(forwards[3], 64, 64), draw(face(7, 3), 64, 64))


def test_known_face_never_changes() -> None:
    known = face(0, 0)
    assert (known.skin, known.hair_style, known.background) == ("fair", "cropped", "lavender")
    assert known.head_width == pytest.approx(0.452977146, abs=1e-8)


def test_other_index_or_seed_gives_another_picture() -> None:
    pictures = {draw(face(seed, index), 32, 32).tobytes() for seed in range(6) for index in range(10)}
    assert len(pictures) == 60
    assert face(1, 2) != face(2, 1)


def test_extreme_numbers_work() -> None:
    assert face(2**64 - 1, 2**64 - 1) != face(0, 2**64 - 1)
    assert face(3, int(np.int64(4))) == face(3, 4)


@pytest.mark.parametrize(("seed", "index", "name"), [(-1, 0, "seed"), (0, -1, "index"), (2**64, 0, "seed")])
def test_unusable_numbers_are_refused(seed: int, index: int, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be .* received .* Pass a {name}"):
        face(seed, index)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"hat": "fez"}, "Face.hat must be one of none, cap, .* received 'fez'"),
        ({"smile": 1.5}, "Face.smile must lie between -1 and 1; received 1.5"),
        ({"gaze": (0.0, float("nan"))}, "Face.gaze"),
        ({"tilt": 90.0}, "Face.tilt must lie between -7 and 7; received 90"),
    ],
)
def test_impossible_faces_are_refused(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(PLAIN, **changes)  # type: ignore[arg-type]


# The picture


@pytest.mark.parametrize(
    ("width", "height"), [(28, 28), (64, 64), (96, 64), (64, 96), (17, 17), (8, 8), (300, 260)]
)
def test_size_and_type(width: int, height: int) -> None:
    picture = draw(face(1, 1), width, height)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 20
    assert picture.flags.writeable


@pytest.mark.parametrize(("width", "height"), [(7, 64), (64, 0)])
def test_tiny_pictures_are_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"at least 8 x 8 pixels; received {width} x {height}"):
        draw(PLAIN, width, height)
    with pytest.raises(ValueError, match="at least 8 x 8"):
        landmarks(PLAIN, width, height)


def test_a_face_looks_the_same_at_every_size() -> None:
    for one in MANY[:12]:
        small = draw(one, 64, 64).astype(float)
        for large in (128, 512):
            pooled = (
                draw(one, large, large)
                .astype(float)
                .reshape(64, large // 64, 64, large // 64, 3)
                .mean((1, 3))
            )
            assert np.abs(small - pooled).mean() < 2.5
    assert np.abs(small - draw(MANY[0], 64, 64)).mean() > 10  # the measure does tell faces apart


def test_oblong_pictures_hold_the_square_one_in_their_middle() -> None:
    one = replace(PLAIN, shoulders=1.0)
    square = draw(one, 64, 64).astype(int)
    wide, tall = draw(one, 96, 64).astype(int), draw(one, 64, 96).astype(int)
    assert np.abs(wide[:, 16:80] - square).max() == 0
    assert np.abs(tall[16:80] - square).mean() < 0.5
    assert (wide[0, 0] == BACKGROUND_COLOURS[one.background]).all()
    assert (tall[-1, 32] == CLOTHES_COLOURS[one.clothes_colour]).all()


def test_edges_are_soft() -> None:
    plain = replace(PLAIN, hair_style="bald", backdrop="plain", background="navy")
    row = draw(plain, 64, 64).reshape(-1, 3)
    assert (
        len(np.unique(row, axis=0)) > 150
    )  # some 20 flat colours are used; the others are mixtures at edges


def test_every_choice_can_be_drawn_and_seen() -> None:
    choices = {
        "hair_style": HAIR_STYLES,
        "hat": HATS,
        "glasses": GLASSES,
        "beard": BEARDS,
        "nose": NOSES,
        "clothes": CLOTHES,
        "backdrop": BACKDROPS,
    }
    for field, names in choices.items():
        pictures = {draw(replace(PLAIN, **{field: name}), 48, 48).tobytes() for name in names}  # type: ignore[arg-type]
        assert len(pictures) == len(names), field


def test_hair_hat_and_glasses_leave_the_eyes_free() -> None:
    for one in MANY[:100]:
        if one.glasses == "sunglasses":
            continue
        moved = changed(replace(one, gaze=(-1.0, 0.0)), replace(one, gaze=(1.0, 0.0)))
        for x, y in landmarks(one, 128, 128)[:2].astype(int):
            assert moved[y - 4 : y + 5, x - 7 : x + 8].sum() > 30, one
            moved[y - 7 : y + 8, x - 9 : x + 10] = False
        assert not moved.any(), one


def test_sunglasses_hide_the_gaze() -> None:
    dark = replace(PLAIN, glasses="sunglasses")
    assert not changed(dark, replace(dark, gaze=(1.0, -1.0))).any()


def test_smile_moves_only_mouth_and_cheeks() -> None:
    for one in MANY[:10]:
        rows, columns = np.nonzero(changed(replace(one, smile=-0.5), replace(one, smile=1.0)))
        points = landmarks(one, 128, 128)
        assert len(rows) > 20
        assert rows.min() > points[2, 1] - 4
        assert rows.max() < points[3:, 1].max() + 20
        assert columns.min() > points[3, 0] - 12
        assert columns.max() < points[4, 0] + 12


# The landmarks


def test_landmarks_lie_on_what_they_name() -> None:
    picture = draw(PLAIN, 256, 256)
    left, right, nose, mouth_left, mouth_right = landmarks(PLAIN, 256, 256)
    skin = at(picture, nose + np.array([0, 22]) + np.array([40, 0]))
    assert left[0] < nose[0] < right[0]
    assert left[1] < nose[1] < mouth_left[1]
    for eye in (left, right):
        assert at(picture, eye).max() < 110
        assert at(picture, eye + np.array([0, 8])).min() > 60
    assert np.abs(at(picture, nose - np.array([0, 2])) - skin).sum() > 30
    for corner, inwards in ((mouth_left, 2), (mouth_right, -2)):
        red, green, _ = at(picture, corner + np.array([inwards, 0]))
        assert red - green > 60
        assert np.abs(at(picture, corner - np.array([4 * inwards, 0])) - skin).sum() < 40


def test_gaze_moves_the_pupils_and_not_the_landmarks() -> None:
    left, right = replace(PLAIN, gaze=(-1.0, 0.0)), replace(PLAIN, gaze=(1.0, 0.0))
    assert np.array_equal(landmarks(left, 64, 64), landmarks(right, 64, 64))
    eye = landmarks(PLAIN, 256, 256)[0]
    for one, way in ((left, -1), (right, 1)):
        picture = draw(one, 256, 256)
        assert at(picture, eye + np.array([6 * way, 0])).max() < 130
        assert at(picture, eye - np.array([6 * way, 0])).min() > 200


def test_landmarks_grow_with_the_picture() -> None:
    for one in MANY[:20]:
        assert landmarks(one, 192, 192) == pytest.approx(3 * landmarks(one, 64, 64), abs=1e-3)
        moved = landmarks(one, 96, 64) - landmarks(one, 64, 64)
        assert moved == pytest.approx(np.tile([16.0, 0.0], (5, 1)), abs=1e-4)
    assert landmarks(PLAIN, 64, 64).dtype == np.float32


def test_tilt_offset_and_smile_move_landmarks() -> None:
    upright = landmarks(PLAIN, 100, 100)
    tilted = landmarks(replace(PLAIN, tilt=7.0), 100, 100)
    between = tilted[1] - tilted[0]
    assert upright[0, 1] == upright[1, 1]
    assert np.degrees(np.arctan2(between[1], between[0])) == pytest.approx(7.0, abs=1e-3)
    shifted = landmarks(replace(PLAIN, offset_x=0.02), 100, 100) - upright
    assert (shifted[:, 0] > 1.9).all()
    smiling = landmarks(replace(PLAIN, smile=1.0), 100, 100) - upright
    assert (smiling[3:, 1] < -1).all()
    assert np.array_equal(smiling[:3], np.zeros((3, 2)))


# Attributes, label, caption


def test_every_attribute_is_both_present_and_absent() -> None:
    rates = np.mean([attributes(one) for one in MANY], axis=0)
    assert rates.shape == (len(ATTRIBUTES),)
    for name, rate in zip(ATTRIBUTES, rates, strict=True):
        assert 0.02 < rate < 0.98, name
    assert attributes(MANY[0]).dtype == np.uint8


def test_attributes_tell_what_can_be_seen() -> None:
    def has(one: Face, name: str) -> bool:
        return bool(attributes(one)[ATTRIBUTES.index(name)])

    bald = replace(PLAIN, hair_style="bald")
    assert has(bald, "bald")
    assert not has(replace(bald, hat="cap"), "bald")
    looking = replace(PLAIN, gaze=(-0.9, 0.0))
    assert has(looking, "looking left")
    assert not has(looking, "looking right")
    assert not has(replace(looking, glasses="sunglasses"), "looking left")
    assert has(replace(PLAIN, smile=0.9), "smiling")
    assert not has(replace(PLAIN, smile=-0.9), "smiling")


def test_labels_are_all_used() -> None:
    labels = [label(one) for one in MANY]
    assert set(labels) == set(range(len(LABELS)))
    assert max(np.bincount(labels)) < 60
    assert LABELS[label(replace(PLAIN, hat="top hat"))] == "top hat"
    assert LABELS[label(replace(PLAIN, hair_style="bun"))] == "bun"


def test_captions_say_what_is_drawn() -> None:
    for one in MANY:
        text = caption(one)
        assert text.startswith("A ")
        assert text.endswith(f" on a {one.background} background.")
        assert ("glasses" in text) == (one.glasses != "none")
        assert (one.hat in text) == (one.hat != "none")
        assert ("beard" in text) == (one.beard == "full")
        assert ("smiling" in text) == bool(attributes(one)[0])
        assert ("older" in text) == one.age_lines


def test_a_whole_caption() -> None:
    one = replace(
        PLAIN,
        skin="dark",
        smile=0.8,
        hair_style="curly",
        hair_colour="red",
        glasses="round",
        hat="beanie",
        hat_colour="navy",
        background="teal",
        age_lines=False,
    )
    expected = "with dark skin, curly red hair, round glasses and a navy beanie on a teal background."
    assert caption(one) == f"A smiling person {expected}"


def test_hidden_hair_is_not_told_apart_under_a_hat() -> None:
    assert caption(replace(PLAIN, hat="cap", hair_style="bun")) == caption(replace(PLAIN, hat="cap"))
    assert "hair" not in caption(replace(PLAIN, hat="cap", hair_style="bald"))


def test_segments_are_what_is_drawn_where() -> None:
    """Each part where the drawing has it, in its colour alone, at every size and aspect."""
    of = {colour: part for part, colour in SEGMENTS.items()}
    for face_ in MANY[:40]:
        drawn = draw_segments(face_, 96, 64)
        parts = {of[tuple(colour)] for colour in drawn.reshape(-1, 3).tolist()}
        assert ("hat" in parts) == (face_.hat != "none")
        assert ("glasses" in parts) == (face_.glasses != "none")
        assert {"background", "clothes", "skin", "mouth", "nose"} <= parts
        if face_.beard == "none":
            assert "beard" not in parts
        if face_.glasses == "none" and face_.hat == "none":
            assert {"eyes", "brows"} <= parts
        if face_.backdrop == "plain":
            ground = (drawn == SEGMENTS["background"]).all(2)
            flat = (draw(face_, 96, 64) == BACKGROUND_COLOURS[face_.background]).all(2)
            inside = ground.copy()
            for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
                inside &= np.roll(ground, shift, axis)
            assert flat[inside].mean() > 0.99
    for points, size in ((landmarks(PLAIN, 64, 64), 64), (landmarks(PLAIN, 32, 32), 32)):
        plain = draw_segments(PLAIN, size, size)
        named = [of[tuple(plain[int(y), int(x)].tolist())] for x, y in points[:3].tolist()]
        assert named == ["eyes", "eyes", "nose"]


def test_segments_and_faces_are_pairs() -> None:
    pairs = DemoPairs("segments", 3, DataConfig(size=Size(32, 32)))
    found = pairs.fetch(torch.arange(3))
    faces = DemoFaces(3, Size(32, 32)).fetch(torch.arange(3), ("images",))["images"]
    assert torch.equal(found["target"], faces)
    assert found["source"][1].permute(1, 2, 0).equal(torch.from_numpy(draw_segments(face(0, 1), 32, 32)))
