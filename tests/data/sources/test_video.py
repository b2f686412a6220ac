"""Frames out of videos: the right one at its time, upright and in true colours, and nothing is fatal."""

import io
import os
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gansmith.data.decode.reading import read
from gansmith.data.sources import video_frames, video_pixels
from gansmith.data.sources.base import Reader, Source
from gansmith.data.sources.video import VIDEO_SUFFIXES, Sampling, VideoSource, scan
from gansmith.data.sources.video_frames import Decoder, VideoReader
from gansmith.errors import DataError, MissingPackageError, SettingError

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'gansmith[video]'")

FPS = 25


def grey(index, size=(32, 32)):
    """A frame whose brightness says which it is; neighbours differ by 4."""
    return np.full((size[1], size[0], 3), 20 + 4 * (index % 50), np.uint8)


def film(path, pictures, codec="mpeg4", pixels="yuv420p", pts=None, prepare=None, **options):
    """A video of RGB or RGBA pictures, 25 a second unless ``pts`` says when each is shown, in 1/25 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.pix_fmt = pixels
        stream.height, stream.width = pictures[0].shape[:2]
        stream.codec_context.gop_size = 12
        if codec in ("mpeg4", "mpeg2video"):
            stream.codec_context.qmax = 2
        if prepare:
            prepare(stream)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
            frame = frame.reformat(format=pixels)
            frame.pts = number if pts is None else pts[number]
            frame.time_base = Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pixels(raw):
    return np.asarray(Image.open(io.BytesIO(raw)))


def shade(raw):
    return float(pixels(raw).mean())


def seconds(source):
    return [float(name.partition("#t=")[2]) for name in source.names]


def reasons(source):
    return {entry.name: entry.reason for entry in source.refused}


def noise(index):
    return np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def has(codec):
    try:
        av.codec.Codec(codec, "w")
    except Exception:
        return False
    return True


def test_a_video_is_a_source_of_pictures(tmp_path):
    film(tmp_path / "clip.mp4", [grey(i) for i in range(50)])
    source = VideoSource(tmp_path / "clip.mp4", Sampling(every=0.4, scenes=False))
    assert isinstance(source, Source)
    assert isinstance(source.reader, Reader)
    assert source.names == tuple(f"clip.mp4#t={time:.3f}" for time in (0, 0.4, 0.8, 1.2, 1.6))
    assert source.groups == (0,) * 5
    assert source.videos == ("clip.mp4",)
    assert source.facts.labels is None
    photo = read(source.read(0))
    assert (photo.format, photo.width, photo.height) == ("PPM", 32, 32)
    for index in range(5):
        assert shade(source.read(index)) == pytest.approx(20 + 40 * index, abs=2)
        assert source.reader.read(source.key(index)) == source.read(index)


CODECS = [
    ("a.avi", "mpeg4"), ("a.mp4", "mpeg4"), ("a.mkv", "mpeg4"), ("a.mkv", "ffv1"), ("a.mov", "mjpeg"),
    ("a.ts", "mpeg2video"), ("a.mpg", "mpeg2video"), ("a.mp4", "libx264"), ("a.avi", "libx264"),
    ("a.webm", "libvpx"), ("a.webm", "libvpx-vp9"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec"), CODECS)
def test_any_order_of_reading_gives_the_frame_of_that_time(tmp_path, name, codec):
    if not has(codec):
        pytest.skip(f"this PyAV cannot write {codec}")

    def three_between(stream):
        if codec in ("mpeg4", "mpeg2video", "libx264"):
            stream.codec_context.max_b_frames = 3

    pictures = [grey(i) for i in range(50)]
    kind = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    film(tmp_path / name, pictures, codec, pixels=kind, prepare=three_between)
    frames = scan(tmp_path / name).frames
    assert len(frames) == 50
    np.testing.assert_allclose(np.diff(frames), 1 / FPS, atol=2e-3)
    reader = VideoReader(tmp_path)
    forward = [reader.read((name, float(time))) for time in frames]
    for index, raw in enumerate(forward):
        assert shade(raw) == pytest.approx(20 + 4 * index, abs=2)
    order = list(range(0, 50, 3))
    random.Random(0).shuffle(order)
    assert all(reader.read((name, float(frames[index]))) == forward[index] for index in order)
    reader.close()
    assert reader.read((name, float(frames[49]))) == forward[49]


def test_forward_reading_seeks_once_at_most(tmp_path, monkeypatch):
    film(tmp_path / "a.mp4", [grey(i) for i in range(50)])
    seeks = []
    seek = Decoder._seek
    monkeypatch.setattr(Decoder, "_seek", lambda self, time: (seeks.append(time), seek(self, time))[1])
    decoder = Decoder(tmp_path / "a.mp4")
    for step in range(10):
        decoder.frame(step * 0.2)
    assert seeks == []
    assert decoder.frame(1.8) is decoder.frame(1.8)
    assert decoder.frame(0.2).time == pytest.approx(0.2)
    assert seeks == [0.2]
    decoder.close()


def test_a_long_way_ahead_is_jumped(tmp_path):
    film(tmp_path / "a.mp4", [grey(i) for i in range(500)])
    reader = VideoReader(tmp_path)
    assert shade(reader.read(("a.mp4", 0.0))) == pytest.approx(20, abs=2)
    assert shade(reader.read(("a.mp4", 19.0))) == pytest.approx(20 + 4 * (475 % 50), abs=2)


def test_the_packets_held_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(video_frames, "_PACKETS", 3)
    film(tmp_path / "a.mp4", [grey(i) for i in range(30)])
    decoder = Decoder(tmp_path / "a.mp4")
    assert decoder.frame(1.0).time == pytest.approx(1.0)
    assert len(decoder._waiting) <= 3


def test_readers_are_pickled_small_and_shared_by_threads(tmp_path):
    film(tmp_path / "a.mp4", [grey(i) for i in range(50)])
    film(tmp_path / "b.avi", [grey(49 - i) for i in range(50)])
    source = VideoSource(tmp_path, Sampling(every=0.16))
    alone = [source.read(index) for index in range(len(source.names))]
    copy = pickle.loads(pickle.dumps(source.reader))
    assert len(pickle.dumps(source.reader)) < 1000
    keys = [source.key(index) for index in range(len(source.names))] * 2
    random.Random(1).shuffle(keys)
    expected = {source.key(index): raw for index, raw in enumerate(alone)}
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(copy.read, keys)) == [expected[key] for key in keys]
    assert len(copy._idle) <= video_frames._IDLE


def test_few_videos_stay_open_and_closing_closes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(video_frames, "_IDLE", 2)
    closed = []
    monkeypatch.setattr(Decoder, "close", lambda self: (closed.append(self), self.container.close())[1])
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        film(tmp_path / name, [grey(0)])
    source = VideoSource(tmp_path)
    for index in range(3):
        source.read(index)
    assert len(closed) == 1
    source.reader.close()
    assert len(closed) == 3


def test_a_forked_process_opens_its_own_files(tmp_path, monkeypatch):
    film(tmp_path / "a.mp4", [grey(i) for i in range(10)])
    reader = VideoReader(tmp_path)
    reader.read(("a.mp4", 0.0))
    ((_, parents),) = reader._idle
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    assert shade(reader.read(("a.mp4", 0.2))) == pytest.approx(40, abs=2)
    assert [decoder for _, decoder in reader._idle] != [parents]
    assert parents.position == 0.0


def test_frames_go_by_video_then_by_time_and_stay_in_groups(tmp_path):
    film(tmp_path / "b.mp4", [grey(0)] * 30)
    film(tmp_path / "a" / "z.mp4", [grey(0)] * 5)
    film(tmp_path / ".hidden.mp4", [grey(0)])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    os.symlink(tmp_path, tmp_path / "a" / "loop")
    source = VideoSource(tmp_path, Sampling(every=0.5))
    assert source.names == ("a/z.mp4#t=0.000", "b.mp4#t=0.000", "b.mp4#t=0.480", "b.mp4#t=1.000")
    assert source.groups == (0, 1, 1, 1)
    assert source.others == ("a.gif", "notes.txt")
    assert source.refused == ()
    assert not VIDEO_SUFFIXES & {".gif", ".webp"}


def test_the_fingerprint_is_of_files_and_sampling_wherever_they_lie(tmp_path):
    for place in ("one", "two"):
        film(tmp_path / place / "a.mp4", [grey(0)] * 30)
    film(tmp_path / "three" / "b.mp4", [grey(0)] * 30)
    prints = [VideoSource(tmp_path / place).fingerprint for place in ("one", "two", "three")]
    assert prints[0] == prints[1] != prints[2]
    assert VideoSource(tmp_path / "one", Sampling(every=0.5)).fingerprint != prints[0]


# ---- which frames


def test_the_grid_is_of_frames_that_are_there():
    even = np.arange(100) / 25
    assert Sampling(every=1).choose(even, []).tolist() == [0, 1, 2, 3]
    assert Sampling(every=1).choose(even + 7.5, []).tolist() == [7.5, 8.5, 9.5, 10.5]
    assert Sampling(every=0.01).choose(even, []).tolist() == even.tolist()
    assert Sampling(every=60).choose(even, []).tolist() == [0]
    assert Sampling(every=1).choose(np.array([0.0, 0.4, 1e12]), []).tolist() == [0, 0.4, 1e12]
    slides = np.array([0.0, 0.5, 5.0])
    assert Sampling(every=1).choose(slides, []).tolist() == [0, 0.5, 5.0]


def test_a_cut_adds_one_settled_frame_in_place_of_its_neighbours():
    even = np.arange(100) / 25
    assert Sampling(every=1).choose(even, [1.6]).tolist() == pytest.approx([0, 1, 1.8, 3])
    assert Sampling(every=1).choose(even, [1.96]).tolist() == pytest.approx([0, 1, 2.16, 3])
    assert Sampling(every=1).choose(even, [1.04]).tolist() == pytest.approx([0, 1, 1.24, 2, 3])
    assert Sampling(every=1, scenes=False).choose(even, [1.6]).tolist() == [0, 1, 2, 3]
    assert Sampling(every=1).choose(even, [3.9]).tolist() == pytest.approx([0, 1, 2, 3, 3.96])


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_a_cap_is_spread_over_the_whole_length(most):
    even = np.arange(1000) / 25
    taken = Sampling(every=0.2, max_frames=most).choose(even, [])
    assert len(taken) == most
    middles = (np.arange(most) + 0.5) * 40 / most
    np.testing.assert_allclose(taken, middles, atol=0.2)


@pytest.mark.parametrize(
    "given",
    [{"every": 0.0}, {"every": -1.0}, {"every": float("nan")}, {"every": float("inf")}, {"max_frames": 0}],
)
def test_sampling_is_checked(given):
    with pytest.raises(SettingError, match=f"Received: {next(iter(given))}="):
        Sampling(**given)


@pytest.mark.parametrize("codec", ["mpeg4", "ffv1"])
def test_cuts_are_found_at_keyframes(tmp_path, codec):
    pictures = [noise(0) // 4] * 24 + [255 - noise(1) // 4] * 24 + [noise(2) // 4] * 24
    film(tmp_path / "a.mkv", pictures, codec)
    assert scan(tmp_path / "a.mkv").cuts == pytest.approx((0.96, 1.92), abs=0.25)
    assert scan(tmp_path / "a.mkv", scenes=False).cuts == ()
    taken = VideoSource(tmp_path / "a.mkv", Sampling(every=60))
    assert [shade(taken.read(index)) for index in range(3)] == pytest.approx([32, 223, 32], abs=12)


def test_one_scene_has_no_cuts(tmp_path):
    slow = [np.full((32, 32, 3), 100 + i, np.uint8) for i in range(50)]
    assert scan(film(tmp_path / "a.mp4", slow)).cuts == ()


# ---- pictures


def corner(width=32, height=24):
    """Red at the top left, green at the top right, blue at the bottom left, white at the bottom right."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    picture[height // 2 :, width // 2 :] = (255, 255, 255)
    return picture


def test_lossless_rgb_comes_out_as_it_went_in(tmp_path):
    film(tmp_path / "a.mkv", [corner(), noise(3)[:24]], "ffv1", "bgr0")
    source = VideoSource(tmp_path / "a.mkv", Sampling(every=0.04, scenes=False))
    np.testing.assert_array_equal(pixels(source.read(0)), corner())
    np.testing.assert_array_equal(pixels(source.read(1)), noise(3)[:24])


TURNS = {
    (0, False, False): lambda a: a,
    (90, False, False): lambda a: np.rot90(a, 1),
    (180, False, False): lambda a: np.rot90(a, 2),
    (-90, False, False): lambda a: np.rot90(a, -1),
    (0, True, False): np.fliplr,
    (0, False, True): np.flipud,
}


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_rotation_and_mirroring_are_applied(tmp_path, turn):
    def set_matrix(stream):
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write a display matrix")
        stream.set_display_rotation(*turn)

    film(tmp_path / "a.mp4", [corner()], prepare=set_matrix)
    made = pixels(VideoSource(tmp_path / "a.mp4").read(0)).astype(int)
    expected = TURNS[turn](corner()).astype(int)
    assert made.shape == expected.shape
    assert np.abs(made - expected).mean() < 12


def test_a_display_matrix_moves_points_as_the_standard_says():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (2, 3, 3), dtype=np.uint8)
    for a, b, c, d in [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
                       (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0), (0, -1, -1, 0)]:  # fmt: skip
        matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], np.int32)
        expected = {}
        for y in range(2):
            for x in range(3):
                expected[a * x + c * y, b * x + d * y] = picture[y, x].tolist()
        left, top = min(x for x, _ in expected), min(y for _, y in expected)
        made = video_pixels.upright(picture, matrix)
        assert {(x + left, y + top): made[y, x].tolist() for y, x in np.ndindex(made.shape[:2])} == expected


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(2), (64, 24)), (Fraction(3, 4), (32, 32)), (Fraction(1), (32, 24)), (Fraction(100), (32, 24))],
)
def test_pixels_are_made_square(tmp_path, aspect, size):
    def squeeze(stream):
        stream.codec_context.sample_aspect_ratio = aspect

    film(tmp_path / "a.mkv", [corner()], prepare=squeeze)
    photo = read(VideoSource(tmp_path / "a.mkv").read(0))
    assert (photo.width, photo.height) == size


MATRICES = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}


def by_formula(y, u, v, matrix, full=False):
    """ITU-R BT.601, BT.709 and BT.2020: Y'CbCr as numbers of 8 bits -> R'G'B' as numbers of 8 bits."""
    red, blue = MATRICES[matrix]
    luma, one, two = (y / 255, (u - 128) / 255, (v - 128) / 255) if full else (
        (y - 16) / 219, (u - 128) / 224, (v - 128) / 224)  # fmt: skip
    r, b = luma + 2 * (1 - red) * two, luma + 2 * (1 - blue) * one
    return [255 * r, 255 * (luma - red * r - blue * b) / (1 - red - blue), 255 * b]


@pytest.mark.parametrize(
    ("size", "space", "full", "matrix"),
    [
        ((32, 24), 2, False, "601"),
        ((32, 24), 5, False, "601"),
        ((32, 24), 6, False, "601"),
        ((32, 24), 1, False, "709"),
        ((32, 24), 9, False, "2020"),
        ((32, 24), 1, True, "709"),
        ((1280, 8), 2, False, "709"),
        ((8, 720), 2, False, "709"),
        ((8, 576), 2, False, "601"),
        ((1280, 8), 6, False, "601"),
    ],
)
def test_colours_go_by_the_matrix_and_range_the_video_names(size, space, full, matrix):
    frame = av.VideoFrame(*size, "yuv444p")
    for plane, value in zip(frame.planes, (120, 90, 170), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = space, 2 if full else 1
    made = video_pixels.Converter(av).pixels(frame)
    assert made.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(made.reshape(-1, 3).mean(0), by_formula(120, 90, 170, matrix, full), atol=1)


def test_a_matrix_named_in_the_file_arrives(tmp_path):
    def name(space):
        def prepare(stream):
            stream.codec_context.colorspace = space

        return prepare

    made = []
    for space in (1, 5):
        film(tmp_path / f"{space}.mkv", [corner() // 2 + 40], "ffv1", "yuv444p", prepare=name(space))
        made.append(pixels(VideoSource(tmp_path / f"{space}.mkv").read(0)).astype(int))
    assert np.abs(made[0] - made[1]).max() > 8


def test_transparency_is_laid_on_white(tmp_path):
    picture = np.zeros((24, 32, 4), np.uint8)
    picture[:, 8:16] = (255, 0, 0, 255)
    picture[:, 16:24] = (0, 0, 0, 128)
    film(tmp_path / "a.mkv", [picture], "ffv1", "bgra")
    made = pixels(VideoSource(tmp_path / "a.mkv").read(0))
    assert made[5, 4].tolist() == [255, 255, 255]
    assert made[5, 12].tolist() == [255, 0, 0]
    assert made[5, 20].tolist() == [127, 127, 127]


@pytest.mark.skipif(not has("libvpx-vp9"), reason="this PyAV cannot write VP9")
def test_webm_with_alpha_is_read(tmp_path):
    picture = np.full((32, 32, 4), (0, 0, 0, 255), np.uint8)
    film(tmp_path / "a.webm", [picture] * 3, "libvpx-vp9", "yuva420p")
    assert shade(VideoSource(tmp_path / "a.webm").read(0)) < 5


@pytest.mark.parametrize("kind", ["yuv420p10le", "yuv444p12le", "gray", "gray16le", "yuv422p"])
def test_depths_and_layouts_of_pixels(tmp_path, kind):
    film(tmp_path / "a.mkv", [grey(i) for i in range(3)], "ffv1", kind)
    source = VideoSource(tmp_path / "a.mkv", Sampling(every=0.04))
    assert [shade(source.read(index)) for index in range(3)] == pytest.approx([20, 24, 28], abs=1.5)


def test_odd_sizes(tmp_path):
    film(tmp_path / "a.mkv", [np.full((31, 33, 3), 90, np.uint8)], "ffv1")
    photo = read(VideoSource(tmp_path / "a.mkv").read(0))
    assert (photo.width, photo.height) == (33, 31)


def test_one_field_is_taken_of_interlaced_frames():
    combs = np.zeros((16, 8, 3), np.uint8)
    combs[::2] = 200

    class Interlaced:
        interlaced_frame, side_data, colorspace, width, height = True, {}, 0, 8, 16
        format = av.VideoFormat("rgb24")

    converter = video_pixels.Converter(av)
    converter._as = lambda frame, kind: combs
    made = converter.pixels(Interlaced())
    assert made.shape == combs.shape
    assert (made == 200).all()


# ---- what is broken


def test_variable_frame_rate_is_sampled_by_time(tmp_path):
    shown = [0, 1, 2, 30, 31, 80, 90]
    film(tmp_path / "a.mkv", [grey(i) for i in range(7)], "ffv1", pts=shown)
    source = VideoSource(tmp_path / "a.mkv", Sampling(every=1.3, scenes=False))
    assert seconds(source) == pytest.approx([0, 1.24], abs=1e-3)
    assert [shade(source.read(index)) for index in range(2)] == pytest.approx([20, 36], abs=1)
    source = VideoSource(tmp_path / "a.mkv", Sampling(every=0.2, scenes=False))
    assert seconds(source) == pytest.approx([0, 0.08, 1.2, 1.24, 3.2, 3.6], abs=1e-3)
    assert shade(source.read(4)) == pytest.approx(40, abs=1)


def test_times_of_names_count_from_the_first_frame(tmp_path):
    film(tmp_path / "a.mkv", [grey(i) for i in range(30)], pts=range(250, 280))
    source = VideoSource(tmp_path / "a.mkv", Sampling(every=1, scenes=False))
    assert source.names == ("a.mkv#t=0.000", "a.mkv#t=1.000")
    assert source.key(1)[1] == pytest.approx(11)
    assert shade(source.read(1)) == pytest.approx(120, abs=2)


def test_a_video_of_one_frame(tmp_path):
    film(tmp_path / "a.mp4", [grey(10)])
    source = VideoSource(tmp_path / "a.mp4")
    assert source.names == ("a.mp4#t=0.000",)
    assert shade(source.read(0)) == pytest.approx(60, abs=2)


def cut_short(path, share, **options):
    film(path, [noise(i) for i in range(100)], **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def test_what_cannot_be_used_is_said_and_the_rest_is_used(tmp_path):
    film(tmp_path / "good.mp4", [grey(0)])
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video\n" * 20)
    (tmp_path / "subtitles.mp4").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n\n")
    sound(tmp_path / "sound.mp4")
    cut_short(tmp_path / "no_index.mp4", 0.5)
    os.symlink(tmp_path / "nowhere", tmp_path / "link.mp4")
    headed = film(tmp_path / "nothing.mp4", [grey(0)], movflags="faststart")
    headed.write_bytes(headed.read_bytes().partition(b"mdat")[0] + b"mdat")
    source = VideoSource(tmp_path)
    assert source.names == ("good.mp4#t=0.000",)
    assert source.groups == (source.videos.index("good.mp4"),)
    given = reasons(source)
    assert sorted(given) == ["empty.mp4", "link.mp4", "no_index.mp4", "nothing.mp4", "sound.mp4",
                             "subtitles.mp4", "text.mp4"]  # fmt: skip
    assert given["empty.mp4"] == "the file is empty"
    assert "only sound" in given["sound.mp4"]
    assert "index" in given["no_index.mp4"]
    assert "not a video" in given["text.mp4"]
    assert "no frames" in given["nothing.mp4"]
    assert all("\n" not in reason for reason in given.values())


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "mpeg4"), ("a.webm", "libvpx"), ("a.avi", "mpeg4")])
def test_of_a_video_whose_header_is_all_there_is_it_is_said_that_it_has_no_frames(tmp_path, name, codec):
    if not has(codec):
        pytest.skip(f"this PyAV cannot write {codec}")
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    with pytest.raises(DataError, match="there are no frames in it"):
        scan(tmp_path / name)


LISTS = ["ffconcat version 1.0\nfile secret.mkv\n", "#EXTM3U\n#EXTINF:1,\nsecret.mkv\n#EXT-X-ENDLIST\n"]


@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_files_called_video_opens_none_of_them(tmp_path, text):
    film(tmp_path / "secret.mkv", [grey(0)])
    (tmp_path / "clip.mp4").write_text(text)
    with pytest.raises(DataError, match="not a video"):
        scan(tmp_path / "clip.mp4")


def test_titles_that_are_not_unicode_do_no_harm(tmp_path):
    def title(stream):
        stream.metadata["title"] = "caf-here"

    path = film(tmp_path / "a.mkv", [grey(5)], prepare=title)
    whole = path.read_bytes()
    assert b"caf-here" in whole
    path.write_bytes(whole.replace(b"caf-here", b"caf\xe9here"))
    assert shade(VideoSource(path).read(0)) == pytest.approx(40, abs=2)


def test_names_are_paths_whatever_they_look_like(tmp_path):
    for name in ("concat:a.mkv", "http:b.mkv", "50%02d.mkv", "ä b#t=1.mkv"):
        film(tmp_path / "x.mkv", [grey(5)]).rename(tmp_path / name)
    source = VideoSource(tmp_path)
    assert source.refused == ()
    assert [shade(source.read(index)) for index in range(4)] == pytest.approx([40] * 4, abs=2)


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {})])
def test_of_a_truncated_video_what_is_there_is_used(tmp_path, name, options):
    path = cut_short(tmp_path / name, 0.5, **options)
    source = VideoSource(path, Sampling(every=0.2, scenes=False))
    times = seconds(source)
    assert 1.2 < times[-1] < 2.6
    assert all(len(source.read(index)) > 32 * 32 * 3 for index in range(len(times)))
    assert "its header says 4.0 s" in reasons(source)[name]
    with pytest.raises(DataError, match=r"the video ends or is damaged before 3\.6 s"):
        source.reader.read((name, 3.6))
    assert len(source.read(0)) > 32 * 32 * 3


def test_a_hole_in_a_video_costs_the_frames_in_it(tmp_path):
    path = film(tmp_path / "a.mkv", [noise(i) for i in range(100)])
    whole = bytearray(path.read_bytes())
    start = len(whole) // 2
    whole[start : start + 9000] = bytes(9000)
    path.write_bytes(whole)
    reader = VideoReader(tmp_path)
    fates = []
    for index in range(0, 100, 5):
        try:
            fates.append(len(reader.read(("a.mkv", index / FPS))) > 32 * 32 * 3)
        except DataError as error:
            assert "damaged before" in str(error)
            fates.append(False)
    assert fates[0] and fates[-1]
    assert not all(fates)
    assert sum(fates) >= 12


def test_live_streams_without_duration_or_index(tmp_path):
    film(tmp_path / "a.mkv", [grey(i) for i in range(50)], live="1")
    with av.open(str(tmp_path / "a.mkv")) as container:
        assert container.duration is None
    source = VideoSource(tmp_path / "a.mkv", Sampling(every=0.4, scenes=False))
    assert seconds(source) == pytest.approx([0, 0.4, 0.8, 1.2, 1.6])
    assert source.refused == ()
    for index in (4, 1, 3):
        assert shade(source.read(index)) == pytest.approx(20 + 40 * index, abs=2)


def test_a_cover_is_not_a_video():
    cover = stream_like(width=600, height=600, disposition=SimpleNamespace(value=0x400))
    with pytest.raises(DataError, match="only sound"):
        video_frames._stream(holding(cover, audio=["a song"]))
    with pytest.raises(DataError, match=r"no video in it$"):
        video_frames._stream(holding(cover))
    film = stream_like()
    assert video_frames._stream(holding(cover, film)) is film


def test_of_two_videos_the_larger_is_taken():
    small, large, unknown = stream_like(), stream_like(width=16), stream_like(codec_context=None)
    assert video_frames._stream(holding(unknown, small, large)) is large


def stream_like(color_trc=1, **given):
    context = SimpleNamespace(color_trc=color_trc, thread_count=0)
    return SimpleNamespace(**{"width": 8, "height": 8, "codec_context": context, **given})


def holding(*streams, audio=()):
    return SimpleNamespace(streams=SimpleNamespace(video=streams, audio=audio))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"codec_context": None}, "cannot decode"),
        ({"width": 60_000, "height": 60_000}, "60000x60000"),
        ({"color_trc": 16}, "high dynamic range"),
    ],
)
def test_streams_that_cannot_be_used(given, reason):
    with pytest.raises(DataError, match=reason):
        video_frames._stream(holding(stream_like(**given)))


def test_damage_while_reading_or_converting_is_a_data_error(tmp_path, monkeypatch):
    film(tmp_path / "a.mp4", [grey(i) for i in range(30)])

    def fail(*given):
        raise av.error.InvalidDataError(1, "bad")

    decoder = Decoder(tmp_path / "a.mp4")
    monkeypatch.setattr(decoder._converter, "pixels", fail)
    with pytest.raises(DataError, match=r"the frame at 0\.4 s cannot be converted"):
        decoder.picture(0.4)
    decoder._packets = (fail() for _ in range(1))
    with pytest.raises(DataError, match=r"ends or is damaged before 1\.1 s"):
        decoder.picture(1.1)
    decoder.close()


@pytest.mark.parametrize("name", ["nothing.mp4", "nothing"])
def test_what_is_not_there_is_said(tmp_path, name):
    with pytest.raises(DataError, match=r"expected\. Received"):
        VideoSource(tmp_path / name)


def test_a_file_of_any_ending_may_be_named(tmp_path):
    film(tmp_path / "a.mp4", [grey(0)]).rename(tmp_path / "recording")
    assert VideoSource(tmp_path / "recording").names == ("recording#t=0.000",)


def test_a_video_gone_since_listing_is_a_data_error(tmp_path):
    film(tmp_path / "a.mp4", [grey(0)])
    source = VideoSource(tmp_path)
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(DataError, match="cannot be opened"):
        source.read(0)


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    def refuse(name, *rest):
        raise ImportError(name)

    monkeypatch.setattr(video_frames.importlib, "import_module", refuse)
    with pytest.raises(MissingPackageError, match=r"gansmith\[video\]"):
        VideoSource(tmp_path)


def test_no_torch_is_needed():
    code = "import sys, gansmith.data.sources.video; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
