"""Pictures: ranges, grids, sheets, animations and curves."""

import errno
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gansmith.errors import MissingPackageError, SettingError, StorageError
from gansmith.images import animation, grid, plots


def coloured(count: int, size: int = 8) -> Tensor:
    """Pictures that each have one colour of their own."""
    levels = torch.arange(count, dtype=torch.uint8)[:, None, None, None] * 3
    return levels.expand(count, 3, size, size).contiguous()


def frames(count: int, size: tuple[int, int] = (17, 15)) -> Iterator[Image.Image]:
    """Frames no two of which are equal, of odd sizes."""
    for number in range(count):
        yield Image.new("RGB", size, (number * 20, 255 - number * 20, 80))


def test_bytes_cover_the_range_and_clamp() -> None:
    values = torch.tensor([-7.0, -1.0, 0.0, 1.0, 7.0, float("nan"), float("inf"), -0.998])
    levels = grid.to_bytes(values.reshape(1, 1, 2, 4))
    assert levels.flatten().tolist() == [0, 0, 128, 255, 255, 0, 255, 0]


def test_every_level_survives_the_round_trip() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(grid.to_bytes(levels.float() / 127.5 - 1), levels)


def test_a_grid_is_near_square_and_keeps_every_picture_whole() -> None:
    made = coloured(7)
    whole = grid.grid(made, gap=2)
    assert whole.shape == (3, 3 * 10 - 2, 3 * 10 - 2)
    assert torch.equal(whole[:, 10:18, 20:28], made[5])
    assert (whole[:, :, 8:10] == 255).all()
    assert (whole[:, 20:, 20:] == 255).all()


def test_a_grid_of_one_is_the_picture_and_columns_are_kept() -> None:
    assert torch.equal(grid.grid(coloured(1)), coloured(1)[0])
    assert grid.grid(coloured(6), columns=6, gap=0).shape == (3, 8, 48)


@pytest.mark.parametrize(("count", "columns", "gap"), [(0, None, 2), (3, 0, 2), (3, None, -1)])
def test_a_grid_refuses_what_cannot_be(count: int, columns: int | None, gap: int) -> None:
    with pytest.raises(SettingError, match="Received"):
        grid.grid(coloured(count), columns, gap)


def test_pillow_pictures_are_grey_or_colour() -> None:
    assert grid.to_pil(coloured(1)[0]).mode == "RGB"
    assert grid.to_pil(coloured(1)[0][:1]).mode == "L"
    with pytest.raises(SettingError, match="2 channels"):
        grid.to_pil(coloured(1)[0][:2])


def test_a_sheet_has_both_halves_under_headings() -> None:
    real, made = coloured(9, 32), 255 - coloured(4, 32)
    page = np.asarray(grid.sheet(real, made))
    as_array = np.asarray(grid.to_pil(grid.grid(real)))
    windows = [page[top : top + as_array.shape[0]] for top in range(page.shape[0] - as_array.shape[0])]
    found = any(
        np.array_equal(window[:, left : left + as_array.shape[1]], as_array)
        for window in windows
        for left in range(12)
    )
    assert found, "the real half is not on the sheet pixel for pixel"
    heading = page[:20]
    middle = heading.shape[1] // 2
    assert (heading[:, :middle] < 128).any(), "no heading on the left"
    assert (heading[:, middle:] < 128).any(), "no heading on the right"


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_of_pillow_have_every_frame_and_hold_the_last(tmp_path: Path, suffix: str) -> None:
    path = animation.animate(frames(7), tmp_path / f"film{suffix}", fps=10, last_hold_s=1.5)
    lengths = []
    with Image.open(path) as film:
        assert film.n_frames == 7
        assert film.size == (17, 15)
        for number in range(7):
            film.seek(number)
            film.load()
            lengths.append(film.info["duration"])
    assert lengths == [100] * 6 + [1600]


def test_an_mp4_has_every_frame_and_even_sides(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = animation.animate(frames(7), tmp_path / "film.mp4", fps=10, last_hold_s=0.5, comment="made")
    with av.open(str(path)) as film:
        decoded = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.metadata["comment"] == "made"
        assert film.streams.video[0].average_rate == 10
    assert len(decoded) == 7 + 5
    assert decoded[0].shape == (16, 18, 3)
    assert np.abs(decoded[3][4:12, 4:12].astype(int) - (60, 195, 80)).mean() < 12


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_one_frame_is_enough(tmp_path: Path, suffix: str) -> None:
    assert animation.animate(frames(1), tmp_path / f"film{suffix}", last_hold_s=0.0).stat().st_size > 0


def test_an_mp4_takes_frames_one_by_one(tmp_path: Path) -> None:
    given: list[weakref.ref[Image.Image]] = []
    most = 0

    def watched() -> Iterator[Image.Image]:
        nonlocal most
        for frame in frames(12):
            given.append(weakref.ref(frame))
            most = max(most, sum(one() is not None for one in given))
            yield frame

    animation.animate(watched(), tmp_path / "film.mp4")
    assert len(given) == 12
    assert most <= 3


def test_animations_refuse_with_the_rule(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"\.gif, \.webp, \.mp4"):
        animation.animate(frames(2), tmp_path / "film.avi")
    with pytest.raises(SettingError, match="at least one frame"):
        animation.animate([], tmp_path / "film.gif")
    with pytest.raises(SettingError, match="fps=0"):
        animation.animate(frames(2), tmp_path / "film.gif", fps=0)


def test_an_mp4_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackageError, match=r"gansmith\[video\]"):
        animation.animate(frames(2), tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    path.write_bytes(b"old")

    def full() -> Iterator[Image.Image]:
        yield from frames(2)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="disk is full"):
        animation.animate(full(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def rows(count: int, *names: str) -> list[dict[str, float]]:
    """Rows of a run that logged these names."""
    return [{"images": 640.0 * row, **{name: 0.1 * row for name in names}} for row in range(count)]


LOGGED = (
    "discriminator/loss",
    "generator/loss",
    "discriminator/D(x)",
    "discriminator/D(G(z))",
    "generator/D(G(z))",
)


@pytest.mark.parametrize(
    ("names", "panels"),
    [(LOGGED[:2], 1), (LOGGED, 2), ((*LOGGED, "held-out/accuracy"), 3), ((*LOGGED, "seconds"), 2)],
)
def test_curves_have_one_panel_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], panels: int
) -> None:
    drawn: list[str] = []
    draw = plots._draw_panel
    monkeypatch.setattr(
        plots, "_draw_panel", lambda axis, title, *rest: (drawn.append(title), draw(axis, title, *rest))
    )
    path = plots.curves(rows(9, *names), tmp_path / "curves.png")
    assert len(drawn) == panels
    with Image.open(path) as picture:
        assert picture.height == 330 * panels
        assert len(set(picture.convert("L").tobytes())) > 50


def test_curves_of_rows_with_holes_and_of_nothing(tmp_path: Path) -> None:
    uneven = [
        *rows(3, "generator/loss"),
        {"images": 9999.0, "held-out/accuracy": 0.5},
        {"generator/loss": 1.0},
    ]
    assert plots.curves(uneven, tmp_path / "curves.png").stat().st_size > 5000
    with pytest.raises(SettingError, match="no statistics"):
        plots.curves(rows(3, "seconds"), tmp_path / "none.png")
