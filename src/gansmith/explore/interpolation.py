"""Walks through latent space: how one image turns into another, and what one number of the latent does."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from gansmith.core.noise import Noise
from gansmith.core.tensors import Latents
from gansmith.errors import SettingError
from gansmith.explore.directions import Direction, check_amount
from gansmith.images.animation import animate
from gansmith.images.grid import grid, to_bytes, to_pil
from gansmith.images.provenance import description, xmp_packet
from gansmith.models.generator import RUN, Generator, Move
from gansmith.models.latents import Mode, Point, linear, slerp
from gansmith.models.load import open_generator
from gansmith.models.prompts import Wish


def through(latents: Latents, frames_per_leg: int, mode: Mode, loop: bool) -> Iterator[Point]:
    """A walk from the first latent to the last, and with ``loop`` back to the first.

    Args:
        latents: the k points to pass, [k, latent], k at least 2; each is met exactly.
        frames_per_leg: steps from one to the next, at least 1.
        mode: along straight lines or great circles.
        loop: whether the walk returns to the first point.

    Returns: k * frames_per_leg points with ``loop``, which can be played again and again without a
    halt, else (k - 1) * frames_per_leg + 1.

    Raises:
        SettingError: fewer than two points, or no frames.
    """
    if len(latents) < 2 or frames_per_leg < 1:
        rule = "A walk needs at least two points and one frame a leg."
        raise SettingError(f"{rule} Received: {len(latents)} points, {frames_per_leg} frames a leg.")
    between = {"linear": linear, "spherical": slerp}[mode]
    points = [*latents, latents[0]] if loop else [*latents]
    shares = [frame / frames_per_leg for frame in range(frames_per_leg)]
    way = (between(a, b, t) for a, b in itertools.pairwise(points) for t in shares)
    return way if loop else itertools.chain(way, [latents[-1]])


def traverse(latent: Point, coordinate: int, low: float, high: float, frames: int) -> Iterator[Point]:
    """One latent again and again, its number ``coordinate`` moved evenly from ``low`` to ``high``.

    Raises:
        SettingError: a coordinate the latent does not have, or fewer than two frames.
    """
    if not 0 <= coordinate < len(latent):
        rule = f"A coordinate of this latent is a number from 0 to {len(latent) - 1}."
        raise SettingError(f"{rule} Received: coordinate={coordinate}.")
    if frames < 2 or not math.isfinite(high - low):
        rule = "A sweep needs at least two frames, and two ends that are numbers."
        raise SettingError(f"{rule} Received: frames={frames}, from {low} to {high}.")
    chosen = torch.arange(len(latent), device=latent.device) == coordinate
    return (torch.where(chosen, value, latent) for value in torch.linspace(low, high, frames).tolist())


MOST_SEEDS = 10_000  # A film of that many takes hours to watch.


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """A walk from the latent of one seed to that of the next.

    With ``side_by_side`` above one, a frame shows as many walkers on the same tour, each a seed ahead
    of the one before it.

    Example:
        >>> paths = Interpolation(frames_per_leg=48).paths(torch.randn(3, 64))
        >>> len(list(paths[0]))
        144
    """

    frames_per_leg: int = 24
    mode: Mode | None = None  # None: as the latent space wants it, spherical in z and linear beyond.
    loop: bool = True
    side_by_side: int = 1

    def paths(self, latents: Latents, mode: Mode = "spherical") -> Sequence[Iterator[Point]]:
        """Each walker's points; ``mode`` is the space's own. SettingError for more walkers than seeds."""
        if not 1 <= self.side_by_side <= len(latents):
            rule = f"A tour of {len(latents)} seeds can be walked 1 to {len(latents)} times side by side."
            raise SettingError(f"{rule} Received: side_by_side={self.side_by_side}.")
        starts = [latents.roll(-ahead, 0) for ahead in range(self.side_by_side)]
        return [through(start, self.frames_per_leg, self.mode or mode, self.loop) for start in starts]


@dataclass(frozen=True, kw_only=True)
class Traversal:
    """A sweep of one number of the latent from ``low`` to ``high``, for all seeds side by side.

    Example:
        >>> len(list(Traversal(coordinate=5, frames=9).paths(torch.randn(2, 64))[0]))
        9
    """

    coordinate: int
    low: float = -3.0  # In standard deviations of a Gaussian latent.
    high: float = 3.0
    frames: int = 49

    def paths(self, latents: Latents, mode: Mode = "spherical") -> Sequence[Iterator[Point]]:
        """The sweep of each latent; SettingError for a coordinate it does not have."""
        return [traverse(latent, self.coordinate, self.low, self.high, self.frames) for latent in latents]


@dataclass(frozen=True, kw_only=True)
class Along:
    """A way along one direction, from ``-amount`` to ``amount``, for all seeds side by side.

    Its latents are of the direction's space, or of w+ where it moves some layers alone.

    Example:
        >>> walk("runs/one", [3, 14], Path("smile.gif"), Along(direction=directions["smiling"]))
    """

    direction: Direction
    amount: float = 1.0
    frames: int = 49

    @property
    def note(self) -> str:
        """What is swept, for the marks of films."""
        return f"direction {self.direction.name} {-self.amount:g} to {self.amount:g}"

    def paths(self, latents: Latents, mode: Mode = "spherical") -> Sequence[Iterator[Point]]:
        """The way of each latent; SettingError for an amount that cannot be, or fewer than two frames."""
        if self.frames < 2:
            raise SettingError(f"A sweep needs at least two frames. Received: frames={self.frames}.")
        check_amount(self.amount, self.direction.name)
        amounts = torch.linspace(-self.amount, self.amount, self.frames).tolist()
        return [(self.direction.move(latent[None], amount)[0] for amount in amounts) for latent in latents]


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How the frames of a walk are shown.

    Example:
        >>> walk("runs/one", [3, 14], Path("walk.gif"), video=VideoOptions(fps=24, columns=2))
    """

    fps: int = 12
    last_hold_s: float = 0.0
    columns: int | None = None  # Of images side by side; None: nearly square.


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is held fixed along a walk.

    With a ``way`` along a direction, and with a ``move``, the space is theirs.

    Args:
        wish: of a conditional model; what it leaves open is taken from the first seed.
        space: where the way lies, such as ``w``; see ``Generator.spaces``.
        truncation: psi of the latents that are passed; None for none.
        move: what is done to these latents before the walk, such as directions; None for nothing.

    Example:
        >>> Choice(wish=Wish(label="7")).space
        'z'
    """

    wish: Wish | None = None
    space: str = "z"
    truncation: float | None = None
    move: Move | None = None


def walk(
    model: Generator | str,
    seeds: Sequence[int],
    out: Path,
    way: Interpolation | Traversal | Along | None = None,
    video: VideoOptions | None = None,
    choice: Choice | None = None,
) -> Path:
    """A film (.gif, .webp or .mp4) of a walk through latent space, marked as made by a generator.

    Args:
        model: a run directory, a checkpoint, or an open generator that has a latent.
        seeds: whose latents are passed (an ``Interpolation``) or moved (the others).
        out: where the film goes.
        way: what the film shows; None for a tour that returns to its first seed.
        video: how it is shown; None for 12 frames a second.
        choice: the prompt, the latent space and the truncation that are held fixed.

    Returns: ``out``.

    Raises:
        SettingError: a generator without a latent, no seeds, or a rule of the way or the film broken.
        StorageError: the disk refused.

    Example:
        >>> walk("runs/faces", [3, 14, 15], Path("walk.mp4"), Interpolation(frames_per_leg=48))
    """
    generator = open_generator(model) if isinstance(model, str) else model
    check_has_latent(generator)
    _check_seeds(seeds, way)
    held = choice or Choice()
    prompts = generator.prompts([seeds[0]] * len(seeds), held.wish)
    # On the CPU: the way has few numbers, and MPS has no double precision.
    latents = generator.latents(Noise.of(*seeds), prompts, held.space, held.truncation).cpu()
    latents = latents if held.move is None else held.move(latents)
    same = Held(
        space=held.space,
        seed=seeds[0],
        prompt=generator.prompts([seeds[0]], held.wish),
        note=None if held.move is None else held.move.note,
        one_seed=len(seeds) == 1,
    )
    return film(generator, latents, out, way, video, same)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What all frames of a film share: a latent space, and what is drawn besides the latent.

    Args:
        space: of the latents.
        seed: of what is drawn besides them.
        prompt: one row, of a conditional model.
        note: what the film's mark says besides.
        one_seed: whether the mark names the seed.

    Example:
        >>> Held(space="w+", seed=3).space
        'w+'
    """

    space: str = "z"
    seed: int = 0
    prompt: Any = None
    note: str | None = None
    one_seed: bool = False


def film(
    generator: Generator,
    latents: Latents,
    out: Path,
    way: Interpolation | Traversal | Along | None = None,
    video: VideoOptions | None = None,
    held: Held | None = None,
) -> Path:
    """A film of a way past latents, wherever they come from, marked as made by a generator.

    Args:
        generator: one with a latent.
        latents: that are passed or moved, [k, *latent].
        out: a .gif, .webp or .mp4.
        way: what the film shows; None for a tour that returns to its first point.
        video: how it is shown; None for 12 frames a second.
        held: the space of the latents, and what all frames share; None for z and seed 0.

    Returns: ``out``.

    Raises:
        SettingError: a rule of the way or the film broken.
        StorageError: the disk refused.

    Example:
        >>> found = project(generator, photos)
        >>> film(generator, found.latents, Path("photos.gif"), held=Held(space=found.space))
    """
    shown, same = video or VideoOptions(), held or Held()
    tour = way or Interpolation()
    # A way through w+ is one of all its numbers; directions alone know of layers.
    points = latents.cpu() if isinstance(tour, Along) else latents.cpu().flatten(1)
    paths = tour.paths(points, generator.way(same.space))
    frames = _frames(generator, paths, shown.columns, (same, latents.shape[1:]))
    asked = None if same.prompt is None or generator.asks is None else generator.asks.describe(same.prompt, 0)
    swept = tour.note if isinstance(tour, Along) else None
    words = "; ".join(filter(None, (asked, same.note, swept))) or None
    provenance = generator.provenance(same.seed if same.one_seed else None, words)
    words, packet = description(provenance), xmp_packet(provenance)
    return animate(frames, out, shown.fps, shown.last_hold_s, comment=words, xmp=packet)


def check_has_latent(generator: Generator) -> None:
    """Raise SettingError where there is nothing to walk through."""
    if not generator.spaces:
        raise SettingError(
            f"A walk needs a generator that makes images from a latent. {generator.name} "
            f"({generator.recipe_name}) makes them from something else, so there is nothing to walk through."
        )


def _check_seeds(seeds: Sequence[int], way: Interpolation | Traversal | Along | None) -> None:
    if not seeds:
        raise SettingError("A walk needs seeds to go by. Received: none. Write, for example, 0-3.")
    if len(seeds) > MOST_SEEDS:
        raise SettingError(f"A walk passes at most {MOST_SEEDS} seeds. Received: {len(seeds)}.")
    if len(seeds) < 2 and not isinstance(way, Traversal | Along):
        raise SettingError(
            f"A tour needs two seeds or more to go between. Received: {seeds[0]}. "
            "Write, for example, 0-3, or sweep with --coordinate or --along."
        )


def _frames(
    generator: Generator,
    paths: Sequence[Iterable[Point]],
    columns: int | None,
    held: tuple[Held, torch.Size],
) -> Iterator[Image.Image]:
    same, shape = held
    steps = zip(*paths, strict=True)
    # As many frames at a time as fill the runs of the network, or nearly so.
    while group := list(itertools.islice(steps, max(1, RUN // len(paths)))):
        points = torch.stack([point for step in group for point in step]).view(-1, *shape)
        count = len(points)  # What is drawn besides the latent stays the same along the way.
        noise, prompts = Noise.of(*[same.seed] * count), repeated(same.prompt, count)
        made = to_bytes(generator.synthesize(points, noise, prompts, same.space))
        for first in range(0, len(made), len(paths)):
            yield to_pil(grid(made[first : first + len(paths)], columns))


def repeated(prompt: Any, count: int) -> Any:
    """The one row of a prompt as many times; None for None."""
    if prompt is None:
        return None
    return type(prompt)(*(column.expand(count, *column.shape[1:]) for column in prompt))
