"""A picture of what a direction does: a row for each seed, a column for each amount."""

from collections.abc import Sequence
from pathlib import Path

import torch

from gansmith.core.noise import Noise
from gansmith.errors import SettingError
from gansmith.explore.directions import Direction, check_amount
from gansmith.images.grid import enlarged, grid, to_bytes, with_caption
from gansmith.images.provenance import KINDS, write_picture
from gansmith.models.generator import Generator

AMOUNTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_MOST_ROWS = 64


def direction_sheet(
    generator: Generator,
    direction: Direction,
    out: Path,
    *,
    seeds: Sequence[int] = range(6),
    amounts: Sequence[float] = AMOUNTS,
) -> Path:
    """Write a sheet of one direction, marked as made by the generator; a conditional one keeps its prompts.

    Args:
        generator: whose direction it is.
        direction: to go along.
        out: a ``.png``, ``.jpg`` or ``.webp``, which is replaced.
        seeds: a row each, at most 64.
        amounts: a column each; 0 is the image as it is.

    Returns: ``out``.

    Raises:
        SettingError: no seeds or amounts, an amount that cannot be, or an OUT of another kind.
        StorageError: the disk refused.

    Example:
        >>> direction_sheet(generator, directions["smiling"], Path("smiling.png"))
    """
    if out.suffix.lower() not in KINDS:
        raise SettingError(f"A sheet is one {', '.join(KINDS)}. Received: {out.name!r}.")
    if not 0 < len(seeds) <= _MOST_ROWS or not amounts:
        raise SettingError(
            f"A sheet has 1 to {_MOST_ROWS} seeds, a row each, and an amount or more. Received: {len(seeds)} "
            f"seeds, {len(amounts)} amounts."
        )
    for amount in amounts:
        check_amount(amount, direction.name)
    space = direction.space if direction.layers is None else "w+"
    noise, prompts = Noise.of(*seeds), generator.prompts(list(seeds))
    latents = generator.latents(noise, prompts, space)
    columns = [
        to_bytes(generator.synthesize(direction.move(latents, amount), noise, prompts, space))
        for amount in amounts
    ]
    rows = enlarged(torch.stack(columns, dim=1).flatten(0, 1))
    note = f"{direction.name}: {', '.join(f'{amount:g}' for amount in amounts)}"
    page = with_caption(grid(rows, columns=len(columns)), note)
    write_picture(page, out, generator.provenance(seeds[0] if len(seeds) == 1 else None, note))
    return out
