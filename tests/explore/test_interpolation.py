"""Walks: closed forms, exact ends, and films with the right number of frames."""

import dataclasses
import itertools
import math
from pathlib import Path

import pytest
import torch
from helpers import generator_of
from PIL import Image
from torch import Tensor
from toys import Cycle

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.explore import interpolation
from gansmith.images import grid, provenance
from gansmith.models import latents
from gansmith.models.generator import Generator

SIZE = 12


def draw(latents: Tensor) -> Tensor:
    """Pictures whose three channels are the first three numbers of the latent."""
    return torch.tanh(latents[:, :3, None, None].expand(-1, 3, SIZE, SIZE))


def toy() -> Generator:
    return generator_of(lambda noise: noise.normal(5), draw, DataSpec(SIZE, SIZE))


def frames_of(path: Path) -> list[Image.Image]:
    with Image.open(path) as film:
        frames = []
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(film.convert("RGB"))
        return frames


@pytest.mark.parametrize("between", [latents.linear, latents.slerp])
def test_the_ends_are_exact(between: type) -> None:
    a, b = Noise.of(1, 2).normal(100)
    assert torch.equal(between(a, b, 0.0), a)
    assert torch.equal(between(a, b, 1.0), b)


def test_linear_has_its_closed_form() -> None:
    a, b = Noise.of(1, 2).normal(100)
    torch.testing.assert_close(latents.linear(a, b, 0.25), 0.75 * a + 0.25 * b)


def test_slerp_between_orthogonal_unit_vectors_is_a_quarter_circle() -> None:
    a, b = torch.eye(7)[1], torch.eye(7)[4]
    assert latents.slerp(a, b, 0.5).norm() == pytest.approx(1.0)
    for t in (0.1, 1 / 3, 0.5, 0.9):
        expected = math.cos(t * math.pi / 2) * a + math.sin(t * math.pi / 2) * b
        torch.testing.assert_close(latents.slerp(a, b, t), expected)


def test_slerp_interpolates_lengths_at_a_constant_angular_speed() -> None:
    a, b = Noise.of(1, 2).normal(64)
    b = 3 * b
    points = [latents.slerp(a, b, frame / 8) for frame in range(9)]
    for frame, point in enumerate(points):
        assert point.norm().item() == pytest.approx(
            float(torch.lerp(a.norm(), b.norm(), frame / 8)), rel=1e-5
        )
    angles = [
        float(torch.acos(torch.cosine_similarity(one.double(), two.double(), dim=0)))
        for one, two in itertools.pairwise(points)
    ]
    assert max(angles) - min(angles) < 1e-5


@pytest.mark.parametrize("factor", [1.0, 2.0, 1 + 1e-7, -1.0, 0.0])
def test_slerp_of_parallel_opposite_and_zero_vectors_is_straight(factor: float) -> None:
    a = Noise.of(1).normal(16)[0]
    between = latents.slerp(a, factor * a, 0.5)
    assert between.isfinite().all()
    torch.testing.assert_close(between, (1 + factor) / 2 * a, atol=1e-6, rtol=1e-5)


def test_a_walk_meets_every_point_and_counts_its_frames() -> None:
    latents = Noise.of(1, 2, 3).normal(8)
    for mode in ("linear", "spherical"):
        there = list(interpolation.through(latents, 4, mode, loop=False))
        assert len(there) == 2 * 4 + 1
        assert all(torch.equal(there[4 * place], latents[place]) for place in range(3))
        round_trip = list(interpolation.through(latents, 4, mode, loop=True))
        assert len(round_trip) == 3 * 4
        assert all(torch.equal(one, two) for one, two in zip(round_trip, there[:-1], strict=False))


def test_a_walk_of_one_point_or_no_frames_is_refused() -> None:
    with pytest.raises(SettingError, match="at least two points"):
        interpolation.through(torch.zeros(1, 4), 4, "linear", loop=True)
    with pytest.raises(SettingError, match="0 frames a leg"):
        interpolation.through(torch.zeros(2, 4), 0, "linear", loop=True)


def test_a_sweep_moves_one_number_and_no_other() -> None:
    latent = Noise.of(1).normal(5)[0]
    points = torch.stack(list(interpolation.traverse(latent, 3, -2.0, 2.0, 5)))
    assert points[:, 3].tolist() == [-2, -1, 0, 1, 2]
    assert torch.equal(points[:, [0, 1, 2, 4]], latent[[0, 1, 2, 4]].expand(5, 4))


@pytest.mark.parametrize(
    ("coordinate", "high", "frames", "message"),
    [
        (5, 1.0, 3, "from 0 to 4"),
        (-1, 1.0, 3, "coordinate=-1"),
        (0, 1.0, 1, "two frames"),
        (0, math.inf, 3, "two ends"),
    ],
)
def test_a_bad_sweep_is_refused_with_the_rule(
    coordinate: int, high: float, frames: int, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        interpolation.traverse(torch.zeros(5), coordinate, -1.0, high, frames)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_a_film_of_a_tour_has_every_frame(tmp_path: Path, suffix: str) -> None:
    way = interpolation.Interpolation(frames_per_leg=9, loop=False)
    path = interpolation.walk(toy(), [4, 9, 2], tmp_path / f"walk{suffix}", way)
    if suffix == ".mp4":
        av = pytest.importorskip("av")
        with av.open(str(path)) as film:
            assert sum(1 for _ in film.decode(video=0)) == 19
            assert "generative model" in film.metadata["comment"]
    else:
        assert len(frames_of(path)) == 19


def test_a_film_shows_the_seeds_pictures_and_bears_the_mark(tmp_path: Path) -> None:
    maker = toy()
    frames = frames_of(
        interpolation.walk(
            maker, [4, 9], tmp_path / "walk.webp", interpolation.Interpolation(frames_per_leg=5)
        )
    )
    for frame, made in zip((frames[0], frames[5]), grid.to_bytes(maker.make(Noise.of(4, 9))), strict=True):
        expected = made[:, 3, 3].tolist()
        assert frame.getpixel((3, 3)) == pytest.approx(tuple(expected), abs=6)
    with Image.open(tmp_path / "walk.webp") as film:
        assert provenance.SOURCE_TYPE.encode() in film.info["xmp"]
    interpolation.walk(maker, [4, 9], tmp_path / "walk.gif", interpolation.Interpolation(frames_per_leg=2))
    with Image.open(tmp_path / "walk.gif") as film:
        assert b"generative model" in film.info["comment"]


def test_walkers_and_sweeps_go_side_by_side(tmp_path: Path) -> None:
    tour = interpolation.Interpolation(frames_per_leg=3, side_by_side=3)
    frames = frames_of(
        interpolation.walk(
            toy(), [1, 2, 3], tmp_path / "tour.gif", tour, interpolation.VideoOptions(columns=3)
        )
    )
    assert len(frames) == 9
    assert frames[0].size == (3 * SIZE + 4, SIZE)
    # A seed ahead: what the second walker shows now the first shows one leg later.
    assert frames[0].getpixel((SIZE + 3, 5)) == pytest.approx(frames[3].getpixel((1, 5)), abs=8)
    sweep = interpolation.Traversal(coordinate=1, low=-1.0, high=1.0, frames=20)
    frames = frames_of(interpolation.walk(toy(), range(20), tmp_path / "sweep.gif", sweep))
    assert len(frames) == 20
    assert frames[0].size == (5 * (SIZE + 2) - 2, 4 * (SIZE + 2) - 2)


def test_what_cannot_be_walked_is_refused_with_the_reason(tmp_path: Path) -> None:
    film = tmp_path / "walk.gif"
    with pytest.raises(SettingError, match="from a latent"):
        interpolation.walk(dataclasses.replace(toy(), method=Cycle()), [1, 2], film)
    with pytest.raises(SettingError, match="needs seeds"):
        interpolation.walk(toy(), [], film)
    with pytest.raises(SettingError, match="side_by_side=3"):
        interpolation.walk(toy(), [1, 2], film, interpolation.Interpolation(side_by_side=3))
    with pytest.raises(SettingError, match="from 0 to 4"):
        interpolation.walk(toy(), [1], film, interpolation.Traversal(coordinate=99))
    with pytest.raises(SettingError, match=r"\.mp4"):
        interpolation.walk(toy(), [1, 2], tmp_path / "walk.avi")
    assert list(tmp_path.iterdir()) == []
