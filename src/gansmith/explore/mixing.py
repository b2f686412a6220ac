"""Mixing of styles: the coarse layers of one image, the fine ones of another (Karras 2019, figure 3)."""

import re
from pathlib import Path

import torch

from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures, Latents
from gansmith.errors import SettingError
from gansmith.explore.places import Places, check_latent
from gansmith.images.grid import grid
from gansmith.images.provenance import write_picture
from gansmith.models.generator import Generator

LAYERED = "w+"
"""The space in which each layer has a style of its own."""

MOST_MIXED = 4096
"""Images of a table."""

_NAMED = ("coarse", "middle", "fine")


def layers_of(generator: Generator) -> int:
    """How many layers of styles a generator has.

    Raises:
        SettingError: none: all its layers see the same latent.
    """
    check_latent(generator)
    if LAYERED not in generator.spaces:
        spaces = ", ".join(generator.spaces)
        raise SettingError(
            "Styles are mixed layer by layer, which needs the latent space w+. Received: "
            f"{generator.name} ({generator.recipe_name}), which has {spaces} alone: all of its layers grow "
            "out of one latent. Train --recipe stylegan2-32-small, or go from one image to the other: "
            "gansmith explore MODEL between."
        )
    return int(generator.latents(Noise.of(0), None, LAYERED).shape[1])


def parse_layers(text: str, count: int) -> range:
    """``4-9``, ``7``, or a third by name: ``coarse``, ``middle``, ``fine``; counted from 0.

    Args:
        text: as the user wrote it.
        count: layers there are.

    Raises:
        SettingError: something else, or layers that are not there.
    """
    rule = (
        f"Layers are written as 4-9 or 7, from 0 to {count - 1} in this model, or as coarse, middle or fine."
    )
    if text in _NAMED:
        third = _NAMED.index(text)
        return range(third * count // 3, (third + 1) * count // 3)
    match = re.fullmatch(r"\s*(\d{1,4})\s*(?:-\s*(\d{1,4})\s*)?", text, re.ASCII)
    if match is None:
        raise SettingError(f"{rule} Received: {text!r}.")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < count:
        raise SettingError(f"{rule} Received: {text!r}.")
    return range(first, last + 1)


def mix(base: Latents, other: Latents, layers: range) -> Latents:
    """Latents of w+ with the styles of some layers from another, row by row.

    Args:
        base: [n, layers, style].
        other: the same shape.
        layers: which layers are taken from ``other``.

    Example:
        >>> mixed = mix(w_plus[:1], w_plus[1:2], range(8, 10))
    """
    taken = torch.zeros(base.shape[-2], dtype=torch.bool, device=base.device)
    taken[list(layers)] = True
    return torch.where(taken[:, None], other, base)


def mixing_table(generator: Generator, base: Places, other: Places, layers: range) -> BytePictures:
    """The images of every mix, with the sources in the first row and column; the corner is white.

    Args:
        generator: one with w+.
        base: rows, in w+.
        other: columns, in w+: whose layers are taken.
        layers: which.

    Returns: uint8 [(rows + 1) * (columns + 1), channels, height, width], row by row.

    Raises:
        SettingError: more images than ``MOST_MIXED``, or places of another space.
    """
    down, across = len(base.latents), len(other.latents)
    if (down + 1) * (across + 1) > MOST_MIXED:
        raise SettingError(
            f"A table of mixes has at most {MOST_MIXED} images. Received: {down} by {across} sources."
        )
    if {base.space, other.space} != {LAYERED}:
        raise SettingError(
            f"Styles are mixed in {LAYERED}. Received: latents of {base.space} and {other.space}. Say "
            f"--space {LAYERED}."
        )
    mixed = mix(base.latents.repeat_interleave(across, 0), other.latents.repeat(down, 1, 1), layers)
    top, left = base.images(generator, other.latents), base.images(generator)
    inner = base.images(generator, mixed).view(down, across, *top.shape[1:])
    corner = torch.full_like(top[:1], 255)
    rows = [torch.cat([corner, top])]
    rows += [torch.cat([left[row : row + 1], inner[row]]) for row in range(down)]
    return torch.cat(rows)


def write_mixing(
    generator: Generator, base: Places, other: Places, layers: range, out: Path
) -> tuple[Path, BytePictures]:
    """The table as one image, marked.

    Returns: ``out``, and the images of the table.

    Raises:
        SettingError: see ``mixing_table``, or an ending that is no picture's.
        StorageError: the disk refuses.

    Example:
        >>> seeds = places_of_seeds(generator, [3, 14], "w+")
        >>> write_mixing(generator, seeds, seeds, range(4, 9), Path("mix.png"))
    """
    made = mixing_table(generator, base, other, layers)
    note = f"styles of layers {layers[0]}-{layers[-1]} from the top row, the others from the left column"
    write_picture(grid(made, columns=len(other.latents) + 1), out, generator.provenance(note=note))
    return out, made
