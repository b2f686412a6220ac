"""Translate from and to archives, lists and videos, by several processes, and in bounded memory."""

import io
import json
import threading
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from translating import negative, pixels, save, shown

from gansmith.core.distributed import World
from gansmith.errors import DataError, SettingError
from gansmith.images.animation import animate
from gansmith.images.origin import read_origin
from gansmith.models.translate import Translated, Translation, translate


def inside(archive: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(archive) as opened:
        return {name: np.asarray(Image.open(io.BytesIO(opened.read(name)))) for name in opened.namelist()}


# ---- archives -------------------------------------------------------------------------------------------


def test_a_zip_becomes_a_zip_and_only_what_is_new_is_made(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for number in range(3):
            archive.write(save(tmp_path / "a.png", pixels(16, 16, number)), f"{number}/deep.png")
    out = tmp_path / "out.zip"
    assert translate(negative(), tmp_path / "in.zip", out).made == 3
    made = inside(out)
    assert sorted(made) == [f"{number}/deep.png" for number in range(3)]
    assert all(np.array_equal(made[f"{n}/deep.png"], 255 - pixels(16, 16, n)) for n in range(3))
    before = out.read_bytes()
    again = translate(negative(), tmp_path / "in.zip", out)
    assert (again.made, again.kept) == (0, 3) and out.read_bytes() == before
    with zipfile.ZipFile(tmp_path / "in.zip", "a") as archive:
        archive.write(save(tmp_path / "a.png", pixels(16, 16, 9)), "9/deep.png")
    more = translate(negative(), tmp_path / "in.zip", out)
    assert (more.made, more.kept) == (1, 3) and len(inside(out)) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "in.zip", "out.zip"]


def test_what_an_interruption_left_goes_into_the_zip(tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path / "in" / f"{number}.png", pixels(24, 24, number))

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        translate(negative(), tmp_path / "in", tmp_path / "out.zip", progress=stop)
    assert not (tmp_path / "out.zip").exists()
    done = translate(negative(), tmp_path / "in", tmp_path / "out.zip")
    assert (done.made, done.kept) == (2, 3) and len(inside(tmp_path / "out.zip")) == 5


def test_other_peoples_zips_are_not_touched(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png", pixels(16, 16))
    save(tmp_path / "in" / "b.png", pixels(16, 16))
    out = tmp_path / "out.zip"
    out.write_bytes(b"no zip")
    with pytest.raises(SettingError, match="no zip that can be read"):
        translate(negative(), tmp_path / "in", out)
    assert out.read_bytes() == b"no zip"
    with zipfile.ZipFile(out, "w") as archive:
        archive.write(tmp_path / "in" / "a.png", "a.png")
        archive.writestr("notes.txt", "words")
    before = out.read_bytes()
    with pytest.raises(SettingError, match=r"a\.png in .*something else"):
        translate(negative(), tmp_path / "in", out)
    assert out.read_bytes() == before
    with pytest.raises(SettingError, match="never written to"):
        translate(negative(), out, out)
    (tmp_path / "in" / "a.png").unlink()
    translate(negative(), tmp_path / "in", out)
    with zipfile.ZipFile(out) as archive:
        assert sorted(archive.namelist()) == ["a.png", "b.png", "notes.txt"], "nothing is lost"


# ---- lists ----------------------------------------------------------------------------------------------


def test_a_list_keeps_folders_and_names_what_is_missing(tmp_path: Path) -> None:
    paths: list[Path | str] = [
        save(tmp_path / "in" / name, pixels(16, 16)) for name in ("x/a.png", "y/a.png")
    ]
    done = translate(negative(), [*paths, tmp_path / "in" / "none.png", tmp_path / "in"], tmp_path / "out")
    assert done.made == 2
    assert [refused.reason for refused in done.refused] == [
        "there is no such file",
        "a folder, not a picture",
    ]
    assert (tmp_path / "out" / "in" / "x" / "a.png").is_file()
    with pytest.raises(SettingError, match="names at least one"):
        translate(negative(), [], tmp_path / "out")
    before = Path(paths[0]).read_bytes()
    with pytest.raises(SettingError, match="never written to"):
        translate(negative(), paths[:1], Path(paths[0]).parent)
    ours = tmp_path / "out" / "in" / "x" / "a.png"
    with pytest.raises(SettingError, match="never written to"):
        translate(negative(), [ours], ours.parent)
    assert Path(paths[0]).read_bytes() == before


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_single_result_is_of_the_kind_its_name_says(tmp_path: Path, suffix: str) -> None:
    source = save(tmp_path / "a.png", np.full((16, 16, 3), 55, np.uint8))
    to = tmp_path / f"b{suffix}"
    translate(negative(), source, to)
    assert np.abs(shown(to).astype(int) - 200).max() <= 1 and read_origin(to).made_by_model
    assert translate(negative(), source, to).kept == 1


# ---- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "size"), [(1.0, (10, 8)), (2.5, (25, 20)), (4.0, (40, 32)), (7.0, (70, 56))]
)
def test_enlargers_give_the_size_that_was_asked_for(
    tmp_path: Path, scale: float, size: tuple[int, int]
) -> None:
    source = save(tmp_path / "a.png", np.full((8, 10, 3), 55, np.uint8))
    translate(negative(source_shrink=4), source, tmp_path / "b.png", Translation(scale=scale))
    with Image.open(tmp_path / "b.png") as made:
        assert made.size == size
        assert made.getpixel((4, 4)) == ((200,) * 3 if scale <= 4 else (55,) * 3), "twice negated"


def test_a_scale_that_makes_no_sense_is_said(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", pixels(16, 16))
    with pytest.raises(SettingError, match="which keeps sizes"):
        translate(negative(), source, tmp_path / "b.png", Translation(scale=2.0))
    for scale in (0.5, 17.0, float("nan")):
        with pytest.raises(SettingError, match="from 1 to 16"):
            Translation(scale=scale)
    grey = negative(source_shrink=4, source_channels=1)
    with pytest.raises(SettingError, match="cannot go on from there"):
        translate(grey, source, tmp_path / "b.png", Translation(scale=8.0))


def test_a_panorama_takes_the_memory_of_its_pixels_and_a_row_of_tiles(tmp_path: Path) -> None:
    """Twice as high is the same row of tiles: what is held besides source and result does not grow."""
    besides = []
    for height in (64, 224):
        source = save(tmp_path / f"{height}.png", np.zeros((height, 20_000, 3), np.uint8))
        tracemalloc.start()
        translate(negative(height=64, width=64), source, tmp_path / f"to{height}.png")
        besides.append(tracemalloc.get_traced_memory()[1] - 3 * height * 20_000 * 3)
        tracemalloc.stop()
    assert besides[1] < besides[0] + 10e6 and max(besides) < 120e6, besides


@pytest.mark.parametrize("size", [(1, 1), (3, 200)])
def test_a_picture_of_hardly_a_pixel_is_left_out_with_the_reason(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    save(tmp_path / "in" / "dot.png", pixels(*size))
    save(tmp_path / "in" / "small.png", pixels(4, 5))
    done = translate(negative(), tmp_path / "in", tmp_path / "out")
    assert done.made == 1 and "at least 4" in done.refused[0].reason
    assert shown(tmp_path / "out" / "small.png").shape == (4, 5, 3)


# ---- videos ---------------------------------------------------------------------------------------------


def film(path: Path, count: int = 20, size: tuple[int, int] = (24, 16), rate: int = 12) -> Path:
    pytest.importorskip("av")
    frames = (Image.new("RGB", size, (10 * number,) * 3) for number in range(count))
    return animate(frames, path, rate, 0.0)


def levels(path: Path) -> tuple[list[int], float, tuple[int, int]]:
    import av

    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        made = [frame.to_ndarray(format="gray").mean() for frame in opened.decode(stream)]
        return made, float(stream.average_rate), (stream.width, stream.height)


@pytest.mark.parametrize("size", [(24, 16), (16, 16)])
def test_a_video_becomes_a_video_of_the_same_rate(tmp_path: Path, size: tuple[int, int]) -> None:
    source, out = film(tmp_path / "in.mp4", size=size), tmp_path / "out.mp4"
    assert translate(negative(), source, out).made == 20
    was, rate, _ = levels(source)
    made, same, now = levels(out)
    assert same == rate == 12 and now == size and len(made) == 20
    assert np.abs(np.array(made) + was - 255).max() < 4, "each frame is the negative of its own"
    origin = read_origin(out).provenance
    assert origin is not None and str(origin.note).startswith("translated from in.mp4 (")
    again = translate(negative(), source, out)
    assert (again.made, again.kept) == (0, 20)
    strips = tmp_path / "strips.mp4"
    translate(negative(), source, strips, Translation(compare=True))
    assert levels(strips)[2] == (2 * size[0] + 2, size[1])


def test_films_that_are_none_and_films_of_others(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4")
    theirs = film(tmp_path / "theirs.mp4").read_bytes()
    with pytest.raises(SettingError, match="something else"):
        translate(negative(), source, tmp_path / "theirs.mp4")
    with pytest.raises(SettingError, match="never written to"):
        translate(negative(), source, source)
    assert (tmp_path / "theirs.mp4").read_bytes() == theirs
    raw = source.read_bytes()
    for name, content in {
        "words": b"words",
        "empty": b"",
        "head": raw[:40],
        "cut": raw[: len(raw) // 3],
    }.items():
        (tmp_path / f"{name}.mp4").write_bytes(content)
        with pytest.raises(DataError, match="A video was expected"):
            translate(negative(), tmp_path / f"{name}.mp4", tmp_path / "no.mp4")
        with pytest.raises(DataError, match=f"{name}.mp4"):
            translate(negative(), tmp_path / f"{name}.mp4", tmp_path / "no")
        assert not (tmp_path / "no.mp4").exists() and not (tmp_path / "no").exists()
    with pytest.raises(SettingError, match="Results go into a folder"):
        translate(negative(), tmp_path / "in.mp4", tmp_path / "out.avi")


def test_frames_of_a_video_become_pictures_in_a_folder(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", count=30)
    translate(negative(), source, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) >= 3 and all(name.startswith("in.mp4#t=") and name.count(".") == 3 for name in names)


# ---- several processes ----------------------------------------------------------------------------------


class Threads(World):
    """Two processes, played by threads that meet."""

    def __init__(self, rank: int, meeting: threading.Barrier, table: dict[Any, Any]) -> None:
        super().__init__(rank, 2)
        for name, value in {"meeting": meeting, "table": table, "turns": iter(range(10_000))}.items():
            object.__setattr__(self, name, value)

    def _everyones(self, value: Any) -> list[Any]:
        turn = next(self.turns)
        self.table[turn, self.rank] = value
        self.meeting.wait(30)
        return [self.table[turn, rank] for rank in range(2)]

    def gather(self, tensor: torch.Tensor) -> list[torch.Tensor] | None:
        every = self._everyones(tensor)
        return every if self.is_main else None

    def broadcast(self, value: Any) -> Any:
        return json.loads(json.dumps(self._everyones(value)[0]))

    def barrier(self) -> None:
        self._everyones(None)


def by_two(src: Path, out: Path) -> list[Translated]:
    meeting, table = threading.Barrier(2), dict[Any, Any]()
    worlds = [Threads(rank, meeting, table) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda world: translate(negative(), src, out, world=world), worlds))


def test_two_processes_make_what_one_makes(tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path / "in" / f"{number}.png", pixels(20, 20, number))
    for name in ("0bad.png", "9bad.png"):
        (tmp_path / "in" / name).write_bytes(b"no picture")
    one = translate(negative(), tmp_path / "in", tmp_path / "one.zip")
    both = by_two(tmp_path / "in", tmp_path / "two.zip")
    assert all((done.made, done.kept, done.refused) == (5, 0, one.refused) for done in both)
    assert (tmp_path / "two.zip").read_bytes() == (tmp_path / "one.zip").read_bytes()
    assert [done.kept for done in by_two(tmp_path / "in", tmp_path / "two.zip")] == [5, 5]
    source = film(tmp_path / "in.mp4", count=33)
    translate(negative(), source, tmp_path / "one.mp4")
    assert [done.made for done in by_two(source, tmp_path / "two.mp4")] == [33, 33]
    assert levels(tmp_path / "one.mp4") == levels(tmp_path / "two.mp4")
