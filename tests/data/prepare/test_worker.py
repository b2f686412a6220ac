"""What workers make: pixels, landmarks where the pixels went, faces in line; and why some are left out."""

import math
import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from preparing import (
    CountingReader,
    StopError,
    encode,
    fill,
    huge,
    make,
    noise,
    plain,
    snapshot,
    stop_after,
    write,
)

from gansmith.core.image_size import Form, Size
from gansmith.data.inspect.measure import SEEN
from gansmith.data.prepare import worker as making
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import Options
from gansmith.data.prepare.worker import Block, Faces, Job, Maker, Task, start_worker, work
from gansmith.data.sources.folder import FolderReader, FolderSource
from gansmith.errors import DataError, GansmithError, MissingPackageError
from gansmith.faces.align import Template
from gansmith.faces.detect import FoundFace

FORM = Form(size=Size(8, 8), channels=3)


def made(root, files, form=FORM, landmarks=None, faces=None):
    write(root, files)
    tasks = [
        Task(index, name, name, None if landmarks is None else landmarks[index])
        for index, name in enumerate(sorted(files))
    ]
    return Maker(Job(reader=FolderReader(root), form=form, faces=faces)).block(tasks)


def reasons(block):
    return {entry.name: entry.reason for entry in block.refused}


def check_rows(block, points=None):
    """Row by row everything is there."""
    rows = len(block.index)
    assert [len(block.names), len(block.pixels), len(block.seen)] == [rows] * 3
    assert len(block.landmarks) == (rows if points else 0)
    assert block.measured().shape == (rows,)


# ---- pictures -----------------------------------------------------------------------------------------


def test_pixels_are_channels_last_and_measured(tmp_path):
    raw = noise(0, 8, 8)
    block = made(tmp_path, {"a.png": raw, "b.png": plain(90, mode="L")})
    check_rows(block)
    assert np.array_equal(block.pixels[0][0], np.asarray(Image.open(tmp_path / "a.png")))
    assert block.pixels[1][0].tolist() == np.full((8, 8, 3), 90).tolist()
    assert (block.index, block.names, block.refused) == ([0, 1], ["a.png", "b.png"], [])
    seen = block.measured()
    assert seen.dtype == SEEN
    assert (seen["width"][0], seen["height"][0], seen["bytes"][0]) == (8, 8, len(raw))
    assert np.isnan(seen["face"]).all()


def test_what_cannot_be_used_is_refused_with_its_reason_and_the_others_are_unharmed(tmp_path):
    files = {
        "0.png": noise(0),
        "1.png": noise(1)[:100],
        "2.png": b"no picture",
        "3.png": b"",
        "4.png": huge(),
        "5.png": plain(0, 3, 9),
        "6.jpg": encode(Image.new("RGB", (40, 40)), "JPEG")[:300],
        "7.png": noise(7),
    }
    block = made(tmp_path, files)
    check_rows(block)
    assert block.names == ["0.png", "7.png"]
    assert block.index == [0, 7]
    assert np.array_equal(block.pixels[1][0], made(tmp_path / "one", {"7.png": noise(7)}).pixels[0][0])
    told = reasons(block)
    for name, part in {"1.png": "truncated", "2.png": "not a picture", "3.png": "the file is empty",
                       "4.png": "pixels", "5.png": "at least 4", "6.jpg": "truncated"}.items():  # fmt: skip
        assert part in told[name], told
        assert "\n" not in told[name]


class Failing:
    def __init__(self, error):
        self.error = error

    def read(self, key):
        if key == "bad":
            raise self.error
        return noise(0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DataError("damaged inside the zip: x"), "damaged inside the zip: x"),
        (PermissionError(13, "Permission denied"), "it cannot be read: Permission denied"),
        (OSError("odd"), "it cannot be read: odd"),
        (MemoryError(), "there is not enough memory to read it"),
    ],
)
def test_what_a_reader_may_raise_is_a_reason(error, reason):
    maker = Maker(Job(reader=Failing(error), form=FORM))
    block = maker.block([Task(0, "a", "good"), Task(1, "b", "bad"), Task(2, "c", "good")])
    assert block.names == ["a", "c"]
    assert reasons(block) == {"b": reason}


def test_a_picture_that_fails_late_leaves_no_half_row(tmp_path, monkeypatch):
    seen, calls = making.seen, []

    def sometimes(*args, **kwargs):
        calls.append(None)
        if len(calls) == 2:
            raise MemoryError
        return seen(*args, **kwargs)

    monkeypatch.setattr(making, "seen", sometimes)
    points = np.arange(6, dtype=np.float32).reshape(3, 1, 2)
    block = made(tmp_path, {f"{n}.png": noise(n, 8, 8) for n in range(3)}, landmarks=points)
    check_rows(block, points=True)
    assert block.index == [0, 2]
    assert np.array_equal(np.stack(block.landmarks), points[[0, 2]])


# ---- landmarks ----------------------------------------------------------------------------------------

DOT = (30.5, 20.5)  # The middle of the dot in a picture of 64 x 48.


def dotted():
    """Black, with a white dot of 5 x 5 pixels around DOT."""
    values = np.zeros((48, 64), np.uint8)
    values[18:23, 28:33] = 255
    return encode(Image.fromarray(values))


FORMS = {
    "crop": Form(size=Size(32, 32), channels=1),
    "crop high": Form(size=Size(24, 32), channels=1),
    "crop wide": Form(size=Size(64, 20), channels=1),
    "pad": Form(size=Size(32, 32), channels=1, fit="pad"),
    "pad high": Form(size=Size(20, 40), channels=1, fit="pad"),
    "pad wide": Form(size=Size(80, 30), channels=1, fit="pad"),
    "stretch": Form(size=Size(32, 48), channels=1, fit="stretch"),
    "enlarged": Form(size=Size(96, 96), channels=1),
    "box": Form(size=Size(32, 32), channels=1, box=(16, 8, 48, 40)),
    "box, crop": Form(size=Size(24, 16), channels=1, box=(16, 8, 48, 40)),
    "box, pad": Form(size=Size(24, 16), channels=1, fit="pad", box=(16, 8, 48, 40)),
    "box, stretch": Form(size=Size(24, 16), channels=1, fit="stretch", box=(16, 8, 48, 40)),
}


@pytest.mark.parametrize("name", FORMS)
def test_landmarks_go_where_the_pixels_go(tmp_path, name):
    landmarks = np.array([[DOT, (math.nan, math.nan)]], np.float32)
    block = made(tmp_path, {"a.png": dotted()}, FORMS[name], landmarks)
    check_rows(block, points=True)
    light = block.pixels[0][0][:, :, 0].astype(float)
    y, x = np.indices(light.shape) + 0.5
    middle = [(light * x).sum() / light.sum(), (light * y).sum() / light.sum()]
    assert block.landmarks[0][0].tolist() == pytest.approx(middle, abs=0.1)  # Lanczos rings a little.
    assert np.isnan(block.landmarks[0][1]).all()
    assert block.landmarks[0].dtype == np.float32


def test_landmarks_of_a_reduced_jpeg_are_in_its_full_pixels(tmp_path):
    values = np.zeros((480, 640), np.uint8)
    values[160:240, 280:360] = 255
    form = Form(size=Size(32, 32), channels=1)
    block = made(
        tmp_path,
        {"a.jpg": encode(Image.fromarray(values), "JPEG")},
        form,
        np.array([[(320.0, 200.0)]], np.float32),
    )
    light = np.where(block.pixels[0][0][:, :, 0] > 60, block.pixels[0][0][:, :, 0], 0).astype(float)
    y, x = np.indices(light.shape) + 0.5
    middle = [(light * x).sum() / light.sum(), (light * y).sum() / light.sum()]
    assert block.landmarks[0][0].tolist() == pytest.approx(middle, abs=0.1)


# ---- faces --------------------------------------------------------------------------------------------

TEMPLATE = Template(points=(("left", 0.25, 0.5), ("right", 0.75, 0.5)))
LEFT, RIGHT = (10.5, 14.5), (30.5, 14.5)


class FakeDetector:
    """Finds no face in what is black, else two; the second is the first, smaller and lower."""

    points = ("left", "right", "chin")

    def __init__(self, bad=None):
        self.bad, self.looks = bad, 0

    def find(self, picture):
        self.looks += 1
        if not picture.any():
            return []
        faces = [
            FoundFace((0.0, 0.0, 40.0, 36.0), 2.0, np.array([LEFT, RIGHT, (20.5, 34.5)], np.float32)),
            FoundFace((0.0, 30.0, 20.0, 50.0), 1.0, np.array([(10, 40), (20, 40), (15, 50)], np.float32)),
        ]
        if self.bad is not None:  # All points in one place cannot be aligned.
            face = faces[self.bad]
            faces[self.bad] = FoundFace(face.box, face.score, np.ones((3, 2), np.float32))
        return faces


@pytest.fixture
def detector(monkeypatch):
    """A detector that is found in place of dlib's."""
    fake, asked = FakeDetector(), []

    def fake_open(name, **options):
        asked.append((name, options))
        return fake

    monkeypatch.setattr(making, "open_detector", fake_open)
    fake.asked = asked
    return fake


def person(shade=200):
    """Grey, with a light left eye and a dark right eye."""
    picture = Image.new("RGB", (60, 60), (shade, shade, shade))
    for (x, y), colour in ((LEFT, (255, 0, 0)), (RIGHT, (0, 0, 255))):
        picture.paste(colour, (int(x) - 3, int(y) - 3, int(x) + 4, int(y) + 4))
    return encode(picture)


def test_the_largest_face_is_brought_to_the_template(tmp_path, detector):
    faces = Faces(template=TEMPLATE, detector="fake", min_score=0.5, min_face=30)
    block = made(tmp_path, {"a.png": person(), "b.png": plain(0), "c.png": b"bad"}, FORM, faces=faces)
    check_rows(block, points=True)
    assert block.names == ["a.png"]
    assert reasons(block)["b.png"] == "no face was found"
    assert "not a picture" in reasons(block)["c.png"]
    assert detector.asked == [("fake", {"min_score": 0.5, "min_face": 30, "every_face": False})]
    # Eyes 20 apart become eyes 4 apart: x -> 2 + (x - 10.5) / 5, y -> 4 + (y - 14.5) / 5.
    wanted = [[2.0, 4.0], [6.0, 4.0], [4.0, 8.0]]
    assert block.landmarks[0].tolist() == [pytest.approx(point, abs=1e-4) for point in wanted]
    pixels = block.pixels[0][0].astype(int)
    assert pixels.shape == (8, 8, 3)
    assert pixels[3:5, 1:3, 0].min() > 200 > 100 > pixels[3:5, 1:3, 2].max()
    assert pixels[3:5, 5:7, 2].min() > 200 > 100 > pixels[3:5, 5:7, 0].max()
    assert block.measured()["face"].tolist() == [36.0]


def test_every_face_is_a_row_of_its_own(tmp_path, detector):
    faces = Faces(template=TEMPLATE, every=True)
    block = made(tmp_path, {"a.png": person(), "b.png": plain(0), "c.png": person(180)}, FORM, faces=faces)
    check_rows(block, points=True)
    assert detector.asked[0][1]["every_face"]
    assert len(detector.asked) == 1  # Opened once for all pictures.
    assert block.names == ["a.png", "a.png#face2", "c.png", "c.png#face2"]
    assert block.index == [0, 0, 2, 2]
    seen = block.measured()
    assert seen["face"].tolist() == [36.0, 20.0] * 2
    assert len(set(seen["digest"].tolist())) == 4  # Faces of one file are no copies of each other.
    assert seen["bytes"].sum() == len(person()) + len(person(180))


@pytest.mark.parametrize(("bad", "kept", "lost"), [(0, "a.png#face2", "a.png"), (1, "a.png", "a.png#face2")])
def test_a_face_that_cannot_be_aligned_does_not_harm_the_other(tmp_path, detector, bad, kept, lost):
    detector.bad = bad
    block = made(tmp_path, {"a.png": person()}, FORM, faces=Faces(template=TEMPLATE, every=True))
    check_rows(block, points=True)
    assert block.names == [kept]
    assert list(reasons(block)) == [lost]


def test_faces_may_be_grey(tmp_path, detector):
    form = Form(size=Size(8, 8), channels=1)
    block = made(tmp_path, {"a.png": plain((255, 0, 0), 60, 60)}, form, faces=Faces(template=TEMPLATE))
    assert block.pixels[0][0].shape == (8, 8, 1)
    assert set(block.pixels[0][0].ravel().tolist()) == {76}


def test_a_set_of_faces(tmp_path, detector):
    write(tmp_path / "source", {"a.png": person(), "b.png": plain(0), "c.png": person(180)})
    options = Options(size=Size(8, 8), channels=3, faces=Faces(template=TEMPLATE, every=True))
    done = make(tmp_path / "source", tmp_path / "dest", options)
    folder = PreparedFolder(tmp_path / "dest")
    assert tuple(folder.names) == ("a.png", "a.png#face2", "c.png", "c.png#face2")
    facts = folder.facts
    assert facts.landmark_names == ("left", "right", "chin")
    assert (
        facts.landmarks[:, :2].tolist()
        == [[pytest.approx((2, 4), abs=1e-4), pytest.approx((6, 4), abs=1e-4)]] * 4
    )
    assert done.report.faces.looked_for == 4
    assert done.report.exact == ()
    assert folder.refused[0].reason == "no face was found"
    again = make(tmp_path / "source", tmp_path / "dest", options)  # What was asked is compared as JSON.
    assert again.before == 3
    other = Options(size=Size(8, 8), channels=3, faces=Faces(template=TEMPLATE))
    with pytest.raises(DataError, match="begun with other options"):
        make(tmp_path / "source", tmp_path / "dest", other)


def test_faces_have_no_use_for_the_landmarks_and_the_size_of_the_picture(tmp_path, detector):
    source = FolderSource(write(tmp_path / "source", {"a.png": person(), "b.png": person(180)}))
    make(source, tmp_path / "dest", Options(faces=Faces(template=TEMPLATE)))
    assert PreparedFolder(tmp_path / "dest").size == Size(28, 28)  # Half of 60 is 30.


def test_no_face_at_all_is_told(tmp_path, detector):
    write(tmp_path / "source", {"a.png": plain(0)})
    options = Options(size=Size(8, 8), channels=3, faces=Faces(template=TEMPLATE))
    with pytest.raises(DataError, match=r"None of the pictures .* a.png: no face was found"):
        make(tmp_path / "source", tmp_path / "dest", options)


def missing(*_, **__):
    raise MissingPackageError("dlib", "Finding faces", "faces")


def test_a_missing_package_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(making, "open_detector", missing)
    source = FolderSource(write(tmp_path / "source", {"a.png": person()}))
    source.reader = CountingReader(tmp_path / "source", Counter())
    options = Options(size=Size(8, 8), channels=3, faces=Faces(template=TEMPLATE))
    with pytest.raises(MissingPackageError, match="pip install 'gansmith"):
        make(source, tmp_path / "dest", options)
    assert not source.reader.reads
    assert not (tmp_path / "dest").exists()


# ---- in a worker process ------------------------------------------------------------------------------


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Makes this process a worker with some job, and no worker again in the end."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(making, "_maker", None)

    def start(faces=None):
        start_worker(Job(reader=FolderReader(write(tmp_path, {"a.png": noise(0)})), form=FORM, faces=faces))

    yield start
    signal.signal(signal.SIGINT, handler)


def test_a_worker_ignores_ctrl_c_and_returns_blocks(worker):
    worker()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    block = work([Task(0, "a.png", "a.png"), Task(1, "b.png", "b.png")])
    assert isinstance(block, Block)
    assert block.names == ["a.png"]
    assert "gone when it was to be read" in reasons(block)["b.png"]


def test_what_is_wrong_for_all_pictures_comes_back_as_a_value(worker, monkeypatch):
    monkeypatch.setattr(making, "open_detector", missing)
    worker(Faces(template=TEMPLATE))
    error = work([Task(0, "a.png", "a.png")])
    assert type(error) is GansmithError
    assert "pip install 'gansmith[faces]'" in str(error)
    future = Future()
    future.set_result(error)
    with pytest.raises(GansmithError, match="pip install"):
        making._result(future)


def test_workers_need_no_torch():
    script = "import sys, gansmith.data.prepare.worker; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    assert subprocess.run([sys.executable, "-c", script], env=environment).returncode == 0


def test_blocks_come_in_the_order_of_the_source(tmp_path):
    root = fill(tmp_path / "source", 70)
    before = snapshot(root)
    source = FolderSource(root)
    for count in (1, 2):
        found = list(making.blocks(source, Job(reader=source.reader, form=FORM), 3, count))
        assert [done for done, _ in found] == [35, 67, 70]
        assert [name for _, block in found for name in block.names] == list(source.names[3:])
        assert [index for _, block in found for index in block.index] == list(range(3, 70))
    assert list(making.blocks(source, Job(reader=source.reader, form=FORM), 70, 2)) == []
    assert snapshot(root) == before


def test_cores_are_at_least_one(monkeypatch):
    assert making.cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert making.cores() == 1


def test_landmarks_of_a_source_are_moved_once_over_an_interruption(tmp_path):
    root = fill(tmp_path / "source", 40)
    source = FolderSource(root)
    at = np.random.default_rng(0).uniform(0, 12, (40, 2, 2)).astype(np.float32)
    source.facts = type(source.facts)(landmarks=at)
    options = Options(size=Size(6, 5), channels=3)  # Half of 12 x 10.
    with pytest.raises(StopError):
        make(source, tmp_path / "dest", options, progress=stop_after(32))
    make(source, tmp_path / "dest", options)
    np.testing.assert_allclose(np.load(tmp_path / "dest" / "landmarks.npy"), at / 2, rtol=1e-6)
