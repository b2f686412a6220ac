"""Finding faces: what is around the model with a fake one, and the model itself where it is installed."""

import importlib
import importlib.util
import io
import json
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from preparing import boxes_of_faces

from gansmith.errors import DataError, MissingPackageError, SettingError
from gansmith.faces.detect import Detector, FoundFace, ScaledDetector, open_detector

LONDON = Path(__file__).parents[3] / "shared" / "data" / "london_faces_256"
INSTALLED = all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))
needs_dlib = pytest.mark.skipif(
    not INSTALLED, reason="needs gansmith[faces]: dlib-bin, face_recognition_models"
)
needs_photograph = pytest.mark.skipif(not LONDON.is_dir(), reason="needs ../shared/data/london_faces_256")


def red_squares(picture):
    """A fake model: faces are red squares of 20 pixels or more; the green channel is the score in percent."""
    faces = []
    for number in range(3):  # The blue channel tells squares apart: 0, 60 or 120.
        here = (picture[..., 0] > 128) & ((picture[..., 2].astype(int) + 30) // 60 == number)
        if here.any():
            down, across = np.nonzero(here)
            left, right = float(across.min()), across.max() + 1.0
            top, bottom = float(down.min()), down.max() + 1.0
            score = float(picture[int(np.median(down)), int(np.median(across)), 1]) / 100
            if min(right - left, bottom - top) >= 20:
                points = np.array([(left, top), (right, top)], dtype=np.float32)
                faces.append(FoundFace((left, top, right, bottom), score, points))
    return faces


def detector(look=red_squares, min_score=0.0, min_face=40, every_face=True):
    return ScaledDetector(("left", "right"), look, 20, min_score, min_face, every_face)


def scene(width, height, *squares):
    picture = np.zeros((height, width, 3), np.uint8)
    for left, top, side, score, blue in squares:
        picture[top : top + side, left : left + side] = (255, score, blue)
    return picture


def test_a_square_is_found_where_it_is():
    (face,) = detector().find(scene(400, 300, (100, 60, 80, 50, 0)))
    assert face.box == pytest.approx((100, 60, 180, 140), abs=2)
    assert face.landmarks == pytest.approx(np.array([(100, 60), (180, 60)]), abs=2)
    assert face.side == pytest.approx(80, abs=4)
    assert face.score == pytest.approx(0.5, abs=0.05)


def test_a_picture_shown_as_it_is_is_mapped_to_itself():
    (face,) = detector(min_face=20).find(scene(90, 70, (10, 20, 31, 50, 0)))
    assert face.box == (10, 20, 41, 51)
    assert face.landmarks.tolist() == [[10, 20], [41, 20]]


def test_sides_are_whole_pixels_and_places_are_exact():
    found = FoundFace((10.0, 20.0, 33.0, 41.0), 1.0, np.array([(33.0, 20.0)], np.float32))
    sizes = []

    def look(copy):
        sizes.append(copy.shape)
        return [found]

    (face,) = detector(look, min_face=30).find(np.zeros((101, 201, 3), np.uint8))
    assert sizes == [(67, 134, 3)]
    assert face.landmarks[0] == pytest.approx((33 * 201 / 134, 20 * 101 / 67))


def test_largest_first_and_floors_hold():
    picture = scene(400, 300, (10, 10, 50, 90, 0), (100, 10, 120, 60, 60), (240, 10, 80, 20, 120))
    sides = [round(face.side, -1) for face in detector(min_face=20).find(picture)]
    assert sides == [120, 80, 50]
    assert [round(f.side, -1) for f in detector(min_face=20, min_score=0.4).find(picture)] == [120, 50]
    assert [round(f.side, -1) for f in detector(min_face=70).find(picture)] == [120, 80]
    assert detector(min_face=20, min_score=0.95).find(picture) == []


def sizes_looked_at(every_face, *squares, width=4000, height=3000, min_face=40):
    sizes = []

    def look(copy):
        sizes.append(copy.shape[:2])
        return red_squares(copy)

    faces = detector(look, min_face=min_face, every_face=every_face).find(scene(width, height, *squares))
    return sizes, faces


def test_for_one_face_a_small_copy_is_enough():
    sizes, faces = sizes_looked_at(False, (1000, 800, 750, 50, 0))
    assert sizes == [(480, 640)]
    assert faces[0].box == pytest.approx((1000, 800, 1750, 1550), abs=8)


def test_a_small_face_in_a_large_picture_is_found_at_the_second_look():
    sizes, faces = sizes_looked_at(False, (3100, 2200, 46, 50, 0))
    assert sizes == [(480, 640), (1500, 2000)]
    assert faces[0].box == pytest.approx((3100, 2200, 3146, 2246), abs=3)


def test_looks_grow_threefold(monkeypatch):
    monkeypatch.setattr("gansmith.faces.detect._QUICK_SIDE", 80)
    sizes, _ = sizes_looked_at(False, width=1000, height=800, min_face=20)
    assert sizes == [(80, 100), (240, 300), (800, 1000)]
    sizes, _ = sizes_looked_at(False, (300, 300, 90, 50, 0), width=1000, height=800, min_face=20)
    assert sizes == [(80, 100), (240, 300)]


def test_every_face_takes_one_look_that_shows_the_smallest():
    sizes, faces = sizes_looked_at(True, (1000, 800, 750, 50, 0), (3100, 2200, 46, 50, 60))
    assert sizes == [(1500, 2000)]
    assert len(faces) == 2


def test_small_pictures_are_enlarged_and_get_one_look():
    sizes, faces = sizes_looked_at(False, (5, 5, 12, 50, 0), width=30, height=24, min_face=10)
    assert sizes == [(48, 60)]
    assert len(faces) == 1


def test_the_copy_has_a_bound(monkeypatch):
    monkeypatch.setattr("gansmith.faces.detect._MOST_PIXELS", 10_000)
    sizes, _ = sizes_looked_at(True, width=800, height=400, min_face=20)
    assert sizes == [(71, 141)]


@pytest.mark.parametrize(
    "picture",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((0, 9, 3), np.uint8)],
)
def test_other_things_than_rgb_pictures_are_refused(picture):
    with pytest.raises(DataError, match="uint8"):
        detector().find(picture)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (300, 2, 3)])
def test_slivers_hold_no_face(shape):
    assert detector().find(np.zeros(shape, np.uint8)) == []


# --- opening --------------------------------------------------------------------


def test_an_unknown_detector_gets_a_suggestion():
    with pytest.raises(SettingError, match="Did you mean 'dlib'"):
        open_detector("dlip")


@pytest.mark.parametrize(
    "setting",
    [{"min_score": float("nan")}, {"min_score": float("inf")}, {"min_face": 19}, {"min_face": -1}],
)
def test_floors_that_make_no_sense_are_refused(setting):
    with pytest.raises(SettingError, match="Received"):
        open_detector(**setting)


class FakeBoxes:
    """As dlib's detector: boxes are inclusive, and the threshold is the third argument."""

    def run(self, picture, enlarge, threshold):
        self.called_with = (picture.shape, enlarge, threshold)
        box = SimpleNamespace(left=lambda: -4, top=lambda: 10, right=lambda: 95, bottom=lambda: 109)
        return [box], [0.7], [2]


@pytest.fixture
def fake_dlib(monkeypatch, tmp_path):
    """A dlib and its models that need no installing."""
    corners = [
        (70, 40),
        (60, 42),
        (20, 40),
        (30, 42),
        (45, 60),
    ]  # Right outer, inner, left outer, inner, nose.
    dlib = ModuleType("dlib")
    dlib.boxes = FakeBoxes()
    dlib.get_frontal_face_detector = lambda: dlib.boxes
    parts = [SimpleNamespace(x=x, y=y) for x, y in corners]

    def shape_predictor(path):
        dlib.path = path
        return lambda picture, box: SimpleNamespace(parts=lambda: parts)

    dlib.shape_predictor = shape_predictor
    package = tmp_path / "face_recognition_models"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('pkg_resources')")
    (package / "models" / "shape_predictor_5_face_landmarks.dat").write_bytes(b"model")
    monkeypatch.setitem(sys.modules, "dlib", dlib)
    monkeypatch.delitem(sys.modules, "face_recognition_models", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    dlib.package = package
    return dlib


def test_what_dlib_says_is_put_into_our_words(fake_dlib):
    found = open_detector(min_score=-0.25, min_face=80)
    assert isinstance(found, Detector)
    assert found.points == ("left_eye", "right_eye", "nose_base")
    (face,) = found.find(np.zeros((200, 300, 3), np.uint8))
    assert fake_dlib.boxes.called_with == ((200, 300, 3), 0, -0.25)
    assert fake_dlib.path == str(fake_dlib.package / "models" / "shape_predictor_5_face_landmarks.dat")
    assert face.box == (-4.0, 10.0, 96.0, 110.0)
    assert face.landmarks.tolist() == [[25.5, 41.5], [65.5, 41.5], [45.5, 60.5]]
    assert face.landmarks.dtype == np.float32
    assert face.score == 0.7


def test_all_points_of_the_larger_model_are_passed_on(fake_dlib):
    (fake_dlib.package / "models" / "shape_predictor_68_face_landmarks.dat").write_bytes(b"model")
    found = open_detector("dlib68", min_face=80)
    assert found.points == tuple(str(i) for i in range(68))
    (face,) = found.find(np.zeros((200, 300, 3), np.uint8))
    assert fake_dlib.path.endswith("shape_predictor_68_face_landmarks.dat")
    assert face.landmarks[:2].tolist() == [[70.5, 40.5], [60.5, 42.5]]


def test_without_dlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingPackageError, match=r"dlib-bin.*gansmith\[faces\]"):
        open_detector()


def test_without_models_the_message_says_what_to_install(fake_dlib, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"face_recognition_models.*gansmith\[faces\]"):
        open_detector()


def test_a_package_that_lost_its_model_is_named(fake_dlib):
    (fake_dlib.package / "models" / "shape_predictor_5_face_landmarks.dat").unlink()
    with pytest.raises(DataError, match="Install it anew"):
        open_detector()


# --- the model ------------------------------------------------------------------


@pytest.fixture(scope="module")
def sitters():
    """Three photographs and the middles of their pupils."""
    places = json.loads((LONDON / "landmarks_189.json").read_text())
    names = [name for name in places if name.startswith("neutral/")][:3]
    with zipfile.ZipFile(LONDON / "london_faces_256.zip") as archive:
        pictures = [np.array(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    return [(picture, np.array(places[name][:2])) for picture, name in zip(pictures, names, strict=True)]


@needs_dlib
@needs_photograph
def test_the_larger_model_has_lips_below_the_nose_and_the_nose_below_the_eyes(sitters):
    for picture, pupils in sitters:
        points = open_detector("dlib68", every_face=False).find(picture)[0].landmarks
        eyes, nose, lips = points[36:48], points[30:36], points[48:]
        assert np.abs(eyes.mean(0) - pupils.mean(0)).max() < 6
        assert eyes[:, 1].max() < nose[:, 1].min() and nose[:, 1].mean() < lips[:, 1].mean()


@needs_dlib
@needs_photograph
def test_eyes_of_photographs_are_found(sitters):
    found = open_detector()
    for picture, pupils in sitters:
        (face,) = found.find(picture)
        distance = np.hypot(*(pupils[1] - pupils[0]))
        assert np.hypot(*(face.landmarks[:2] - pupils).T).max() < 0.12 * distance
        assert face.score > 0.5


@needs_dlib
@needs_photograph
@pytest.mark.parametrize("every_face", [True, False])
def test_a_small_face_in_a_large_photograph_is_found(sitters, every_face):
    picture, pupils = sitters[0]
    small = np.array(Image.fromarray(picture).resize((80, 80), Image.Resampling.LANCZOS))
    large = np.full((600, 900, 3), 128, np.uint8)
    large[500:580, 800:880] = small
    (face,) = open_detector(every_face=every_face).find(large)
    assert np.abs(face.landmarks[:2] - (pupils * 80 / 256 + (800, 500))).max() < 3
    assert open_detector(every_face=every_face, min_face=80).find(large) == []


@needs_dlib
@needs_photograph
def test_two_faces_come_largest_first(sitters):
    small = np.array(Image.fromarray(sitters[1][0]).resize((128, 128), Image.Resampling.LANCZOS))
    scene = np.full((300, 500, 3), 200, np.uint8)
    scene[20:148, 10:138], scene[30:286, 200:456] = small, sitters[0][0]
    first, second = open_detector().find(scene)
    assert first.box[0] > 190 > second.box[2] - 50
    assert first.side > 1.5 * second.side


@needs_dlib
def test_nothing_is_found_where_nothing_is():
    noise = np.random.default_rng(0).integers(0, 256, (200, 240, 3)).astype(np.uint8)
    assert open_detector().find(noise) == []
    assert open_detector().find(np.zeros((5, 5, 3), np.uint8)) == []


@needs_dlib
@needs_photograph
def test_a_worker_process_finds_the_same(sitters):
    picture = sitters[0][0]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(boxes_of_faces, picture).result() == boxes_of_faces(picture)
