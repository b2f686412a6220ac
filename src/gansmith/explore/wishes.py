"""A walk from wish to wish: the noise stays, what is asked changes in a straight line."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from gansmith.core.noise import Noise
from gansmith.core.tensors import Latents
from gansmith.errors import SettingError
from gansmith.explore.interpolation import MOST_SEEDS, Choice, VideoOptions, check_has_latent
from gansmith.images.animation import animate
from gansmith.images.grid import grid, to_bytes, to_pil
from gansmith.images.provenance import description, xmp_packet
from gansmith.models.generator import RUN, Generator
from gansmith.models.prompts import Wish, check_no_wish


def walk_wishes(
    generator: Generator,
    seeds: Sequence[int],
    wishes: Sequence[Wish],
    out: Path,
    frames_per_leg: int = 24,
    video: VideoOptions | None = None,
    choice: Choice | None = None,
) -> Path:
    """A film from wish to wish and back to the first, of all seeds side by side, marked as made by a model.

    Where a wish is reached, each image is to the last bit the one that ``generate`` makes of its seed and
    this wish, without truncation; what a wish leaves open is the seed's own, all the way.

    Args:
        generator: a conditional one whose conditions have others between them.
        seeds: whose noise stays.
        wishes: that are passed in this order, two or more.
        out: a .gif, .webp or .mp4.
        frames_per_leg: from one wish to the next, at least 1.
        video: how it is shown; None for 12 frames a second.
        choice: truncation, and directions in the first space; its wish and space are not looked at.

    Returns: ``out``.

    Raises:
        SettingError: the model has no such line, does not know a wish, or a number is out of range.
        StorageError: the disk refused.

    Example:
        >>> wishes = [Wish(caption="a red cap"), Wish(caption="long fair hair")]
        >>> walk_wishes(open_generator("runs/one"), [0, 1], wishes, Path("walk.gif"))
    """
    check_has_latent(generator)
    if len(wishes) < 2 or frames_per_leg < 1 or not 0 < len(seeds) <= MOST_SEEDS:
        raise SettingError(
            f"A walk from wish to wish has two wishes or more, 1 to {MOST_SEEDS} seeds and a frame a leg. "
            f"Received: {len(wishes)} wishes, {len(seeds)} seeds, {frames_per_leg} frames a leg."
        )
    asks, shown, held = generator.asks, video or VideoOptions(), choice or Choice()
    if asks is None:
        check_no_wish(next(filter(None, wishes), None), generator.name)
    prompts = [generator.prompts(list(seeds), wish) for wish in wishes]
    latents = _latents(generator, seeds, prompts[0], held)
    frames = _frames(generator, (seeds, latents, prompts), frames_per_leg, shown.columns)
    texts = [] if asks is None else [asks.in_words(wish) for wish in wishes]
    moved = None if held.move is None else held.move.note
    note = "; ".join(filter(None, (f"from wish to wish: {' | '.join(texts)}", moved)))
    provenance = generator.provenance(seeds[0] if len(seeds) == 1 else None, note)
    words, packet = description(provenance), xmp_packet(provenance)
    return animate(frames, out, shown.fps, shown.last_hold_s, comment=words, xmp=packet)


def _latents(generator: Generator, seeds: Sequence[int], prompt: Any, held: Choice) -> Latents:
    """Of the first space, one for each seed."""
    space = generator.spaces[0]
    latents = generator.latents(Noise.of(*seeds), prompt, space, held.truncation)
    if held.move is None:
        return latents
    if held.move.space != space:
        raise SettingError(
            f"From wish to wish only {space} can be moved. Received: {held.move.note}, which moves "
            f"{held.move.space}. Leave it out."
        )
    return held.move(latents)


def _frames(
    generator: Generator,
    walkers: tuple[Sequence[int], Latents, Sequence[Any]],
    frames_per_leg: int,
    columns: int | None,
) -> Iterator[Image.Image]:
    seeds, latents, prompts = walkers
    count = len(seeds)
    together = max(1, RUN // count)  # Frames at a time, as many as fill the runs of the networks.
    for ends in itertools.pairwise([*prompts, prompts[0]]):
        for first in range(0, frames_per_leg, together):
            steps = range(first, min(first + together, frames_per_leg))
            share = torch.tensor([step / frames_per_leg for step in steps]).repeat_interleave(count)
            one, other = (_often(end, len(steps)) for end in ends)
            noise = Noise.of(*list(seeds) * len(steps))
            made = to_bytes(generator.between(latents.repeat(len(steps), 1), noise, (one, other), share))
            for at in range(0, len(made), count):
                yield to_pil(grid(made[at : at + count], columns))


def _often(prompt: Any, times: int) -> Any:
    """All rows of a prompt, so many times."""
    return type(prompt)(*(column.repeat(times, *[1] * (column.dim() - 1)) for column in prompt))
