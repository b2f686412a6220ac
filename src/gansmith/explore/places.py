"""Places in a latent space, by name: seeds, photos whose latents were searched for, and files of those."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.core.files import whole_file
from gansmith.core.noise import Noise
from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.core.tensors import BytePictures, Latents
from gansmith.errors import CheckpointError, SettingError
from gansmith.explore.interpolation import repeated
from gansmith.explore.projection import Projection
from gansmith.images.grid import to_bytes
from gansmith.models.generator import Generator
from gansmith.models.prompts import Wish

SUFFIX = ".safetensors"
"""Of a file of places."""

_FORMAT = "gansmith-places-1"
_COLUMN = "prompt."


@dataclass(frozen=True, eq=False, kw_only=True)
class Places:
    """Latents of one space, and what they need to become the same images again.

    Args:
        space: of the latents.
        latents: [places, *latent], on the CPU.
        names: of the places: ``seed 3``, ``photo.jpg``.
        seed: of what the generator draws besides the latent.
        prompt: one row, of a conditional model.

    Example:
        >>> places = places_of_seeds(generator, [3, 14])
        >>> places.images(generator).shape
        torch.Size([2, 3, 64, 64])
    """

    space: str
    latents: Latents
    names: tuple[str, ...]
    seed: int = 0
    prompt: Any = None

    def images(self, generator: Generator, latents: Latents | None = None) -> BytePictures:
        """The images of these latents, or of others of the same space, seed and prompt."""
        points = self.latents if latents is None else latents
        noise, prompt = Noise.of(*[self.seed] * len(points)), repeated(self.prompt, len(points))
        return to_bytes(generator.synthesize(points, noise, prompt, self.space))

    def save(self, path: Path, generator: Generator) -> Path:
        """Write them into a ``.safetensors`` file that knows which weights they belong to.

        Returns: the file.

        Raises:
            SettingError: another ending.
            StorageError: the disk refuses.
        """
        if path.suffix.lower() != SUFFIX:
            raise SettingError(f"Latents are written as a {SUFFIX} file. Received: {path}.")
        columns = {} if self.prompt is None else dict(self.prompt._asdict())
        tensors = {"latents": self.latents} | {_COLUMN + name: each for name, each in columns.items()}
        facts = {
            "format": _FORMAT,
            "space": self.space,
            "names": "\n".join(name.replace("\n", " ") for name in self.names),
            "seed": str(self.seed),
            "fingerprint": generator.fingerprint or "",
        }
        with whole_file(path) as part:
            write_tensors(part, {name: each.cpu().contiguous() for name, each in tensors.items()}, facts)
        return path


def places_of_seeds(
    generator: Generator,
    seeds: Sequence[int],
    space: str | None = None,
    *,
    first: int | None = None,
    wish: Wish | None = None,
    truncation: float | None = None,
) -> Places:
    """The latents of seeds.

    Args:
        generator: one with a latent.
        seeds: whose.
        space: None for the last one.
        first: the seed of what is drawn besides the latent, and of the prompt; None: the first of the seeds.
        wish: of a conditional model.
        truncation: psi; None for none.

    Raises:
        SettingError: no seeds, no latent, or no such space.
    """
    check_latent(generator)
    if not seeds:
        raise SettingError("There must be a seed at least. Received: none.")
    seed, known = seeds[0] if first is None else first, space or generator.spaces[-1]
    prompt = generator.prompts([seed], wish)
    rows = repeated(prompt, len(seeds))
    latents = generator.latents(Noise.of(*seeds), rows, known, truncation).cpu().clone()
    names = tuple(f"seed {each}" for each in seeds)
    return Places(space=known, latents=latents, names=names, seed=seed, prompt=prompt)


def places_of_photos(found: Projection, names: Sequence[str]) -> Places:
    """What was found for photos of these names."""
    return Places(
        space=found.space, latents=found.latents, names=tuple(names), seed=found.seed, prompt=found.prompt
    )


def read_places(path: Path, generator: Generator) -> Places:
    """Places as ``Places.save`` wrote them.

    Raises:
        CheckpointError: the file is not there, damaged, or something else.
        SettingError: it belongs to other weights.
    """
    try:
        tensors, facts = read_tensors(path)
        if facts.get("format") != _FORMAT:
            raise ValueError("it holds no latents of photos")
        names, space = tuple(facts["names"].split("\n")), facts["space"]
        columns = {name.removeprefix(_COLUMN): each for name, each in tensors.items() if "." in name}
        kind: Any = generator.method.prompt_type
        prompt = kind(**columns) if columns and kind is not None else None
        latents, seed, theirs = tensors["latents"], int(facts["seed"]), facts["fingerprint"]
        if len(latents) != len(names):
            raise ValueError(f"it holds {len(latents)} latents of {len(names)} names")
    except (OSError, ValueError, LookupError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CheckpointError(
            f"Latents cannot be read: {path}: {why}. Such files are written by gansmith explore MODEL "
            "project."
        ) from error
    if theirs != (generator.fingerprint or ""):
        raise SettingError(
            f"Latents belong to the weights that they were found for. Received: {path}, of weights "
            f"{theirs or 'unknown'}, and {generator.name} has {generator.fingerprint}. Project the photos "
            "with this model."
        )
    check_space(generator, space)
    return Places(space=space, latents=latents, names=names, seed=seed, prompt=prompt)


def joined(parts: Sequence[Places], generator: Generator) -> Places:
    """Places of several kinds as one; w becomes w+ where another one is of w+.

    Raises:
        SettingError: nothing to join, or latents of spaces, or under prompts, that do not go together.
    """
    if not parts:
        raise SettingError("There must be a place at least: a seed, a photo, or a file of latents.")
    spaces = list(dict.fromkeys(part.space for part in parts))
    if len(spaces) > 1 and set(spaces) != {"w", "w+"}:
        told = "; ".join(f"{', '.join(part.names)} in {part.space}" for part in parts)
        raise SettingError(
            "Latents that go together are of one space, and z cannot be turned into another's. Received: "
            f"{told}. Name the space for all (--space), or project the photos into the same one."
        )
    wide = max(parts, key=lambda part: part.latents.dim())
    for part in parts:
        if not _equal(part.prompt, parts[0].prompt):
            raise SettingError(
                "Latents that go together were found for one prompt. Received: "
                f"{', '.join(part.names)}, found for another one than {', '.join(parts[0].names)}. Project "
                "the photos with the same --label, --attribute or --caption, and the same --seed."
            )
    shape = wide.latents.shape[1:]
    latents = [_widened(part.latents.cpu(), shape) for part in parts]
    names = tuple(name for part in parts for name in part.names)
    return replace(parts[0], space=wide.space, latents=torch.cat(latents), names=names)


def widened(places: Places, generator: Generator) -> Places:
    """Places of w as such of w+, the same style in every layer; others as they are."""
    if places.space != "w" or "w+" not in generator.spaces:
        return places
    shape = generator.latents(Noise.of(places.seed), places.prompt, "w+").shape[1:]
    return replace(places, space="w+", latents=_widened(places.latents, shape))


def check_latent(generator: Generator) -> None:
    """Raise SettingError for a generator whose images are not made of a latent."""
    if not generator.spaces:
        raise SettingError(
            f"This needs a generator that makes images from a latent. Received: {generator.name} "
            f"({generator.recipe_name}), which makes them from something else. Name the run of a generator "
            "of noise, such as --recipe faces32."
        )


def check_space(generator: Generator, space: str) -> None:
    """Raise SettingError for a space that the generator does not have."""
    check_latent(generator)
    generator.way(space)


def _widened(latents: Tensor, shape: torch.Size) -> Tensor:
    """[n, style] -> [n, layers, style]; what has that shape as it is."""
    if latents.shape[1:] == shape:
        return latents
    return latents[:, None].expand(-1, *shape).contiguous()


def _equal(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    pairs: list[tuple[Tensor, Tensor]] = list(zip(one, other, strict=True))
    return all(torch.equal(first.cpu(), second.cpu()) for first, second in pairs)
