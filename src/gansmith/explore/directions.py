"""Directions of a latent space: ways along which one thing changes in the pictures of a generator."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from gansmith.core.files import whole_file, write_text
from gansmith.core.json_files import parse_json
from gansmith.core.noise import Noise
from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.core.tensors import Latents
from gansmith.errors import CheckpointError, SettingError, StorageError, nearest
from gansmith.models.generator import Generator

Source = Literal["sefa", "ganspace", "attribute"]
"""Who found a direction."""

Window = tuple[int, int] | None
"""First and last layer of w+, counted from 0; None for all of them."""

FARTHEST = 3.0
"""An amount has at most this size; pictures beyond 1 are seldom faces any more."""

_SPREAD = 2048  # Latents whose spread along a direction is measured.
_FORMAT = "gansmith-directions-1"
_NAME = re.compile(r"[^\s=,/\\][^=,/\\]{0,79}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Direction:
    """A way through a latent space along which pictures change.

    Args:
        name: without ``=``, commas and slashes, at most 80 letters.
        space: of the latents it moves: ``z``, ``w``; one of ``w`` moves latents of ``w+``, too.
        vector: [latent], of length 1.
        source: who found it.
        reach: how far an amount of 1 goes, in the latent's units: three standard deviations along the vector.
        layers: first and last layer of w+ whose styles it moves, counted from 0; None for all.
        accuracy: of the boundary an attribute's direction is normal to, on latents it was not fitted to.
        share: of the generator's own images that were judged to have the attribute.

    Raises:
        SettingError: a name that cannot be.

    Example:
        >>> smile = stored_directions(generator, Path("runs/one"))["smile"]
        >>> images = generator.synthesize(smile.move(latents, 0.5), noise, space=smile.space)
    """

    name: str
    space: str
    vector: Tensor
    source: Source
    reach: float
    layers: Window = None
    accuracy: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if not (_NAME.fullmatch(self.name) and self.name.isprintable()):
            raise SettingError(
                "The name of a direction has 1 to 80 letters, and no '=', comma or slash. Received: "
                f"{self.name[:80]!r}."
            )

    def move(self, latents: Latents, amount: float) -> Latents:
        """Latents gone ``amount`` times ``reach`` along the direction.

        In z their length is put back to what it was, so that they stay where the generator was trained: near
        a sphere.

        Args:
            latents: [batch, latent], or of w+ [batch, layers, latent].
            amount: from -1 to 1, at most three times that; 0 changes nothing.

        Raises:
            SettingError: an amount that is no number or too large, or latents of another size.
        """
        check_amount(amount, self.name)
        if latents.shape[-1] != len(self.vector):
            raise SettingError(
                f"Direction '{self.name}' moves latents of {len(self.vector)} numbers. Received: "
                f"{latents.shape[-1]}. It was found for another generator."
            )
        if amount == 0:
            return latents
        step = (amount * self.reach) * self.vector.to(latents)
        if self.space == "z":
            moved = latents + step
            length = latents.norm(dim=-1, keepdim=True)
            shell: Latents = moved * (length / moved.norm(dim=-1, keepdim=True).clamp(min=1e-12))
            return shell
        if self.layers is None:
            return latents + step
        if latents.dim() != 3:
            raise SettingError(
                f"Direction '{self.name}' moves layers {self.layers[0]} to {self.layers[1]} of w+. Received: "
                "latents of w. Give it latents of w+."
            )
        number = torch.arange(latents.shape[1], device=latents.device)
        inside = (number >= self.layers[0]) & (number <= self.layers[1])
        return latents + inside[:, None] * step


def check_amount(amount: float, name: str) -> None:
    """Raise SettingError unless an amount is a number of at most ``FARTHEST``."""
    if not (math.isfinite(amount) and abs(amount) <= FARTHEST):
        raise SettingError(
            f"An amount is a number from -{FARTHEST:g} to {FARTHEST:g}; 1 is three standard deviations, and "
            f"already far. Received: {name}={amount:g}."
        )


@dataclass(frozen=True, eq=False)
class Directions:
    """The directions of one generator, by name, in order; ``|`` adds others.

    Args:
        fingerprint: of the generator they were found for (`Generator.fingerprint`).
        found: the directions, each name once.

    Example:
        >>> directions = stored_directions(generator, Path("runs/one"))
        >>> directions.names
        ('sefa-1', 'smile')
    """

    fingerprint: str | None
    found: tuple[Direction, ...] = field(default=())

    def __post_init__(self) -> None:
        names = self.names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise SettingError(f"Directions have a name each. Received: '{twice[0]}' twice.")

    @property
    def names(self) -> tuple[str, ...]:
        """In the order they were found."""
        return tuple(direction.name for direction in self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Direction]:
        return iter(self.found)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Direction:
        """The direction of a name; SettingError for an unknown one, with the nearest."""
        for direction in self.found:
            if direction.name == name:
                return direction
        if not self.found:
            raise SettingError(
                f"This model has no directions yet, so none is called '{name}'. Find some with: gansmith "
                "explore MODEL directions"
            )
        raise SettingError(f"There is no direction '{name}'.{nearest(name, self.names)}")

    def __or__(self, others: Iterable[Direction]) -> "Directions":
        """With others, which take the place of those of the same name."""
        by_name = {direction.name: direction for direction in (*self.found, *others)}
        return Directions(self.fingerprint, tuple(by_name.values()))

    def renamed(self, old: str, new: str) -> "Directions":
        """With another name for one of them.

        Raises:
            SettingError: there is no such direction, or one of the new name already.
        """
        one = self[old]
        if new != old and new in self:
            raise SettingError(f"There is a direction '{new}' already. Give '{old}' another name.")
        found = (replace(each, name=new) if each is one else each for each in self.found)
        return Directions(self.fingerprint, tuple(found))

    def without(self, name: str) -> "Directions":
        """All but this one; SettingError for an unknown name, with the nearest."""
        one = self[name]
        return Directions(self.fingerprint, tuple(each for each in self.found if each is not one))

    def angles(self, names: Sequence[str] | None = None) -> Tensor:
        """Degrees between each two, from 0 to 180: [names, names].

        Raises:
            SettingError: directions of several spaces, which have no angle between them.
        """
        chosen = [self[name] for name in (self.names if names is None else names)]
        if len({(direction.space, len(direction.vector)) for direction in chosen}) > 1:
            raise SettingError("There are angles between directions of one space. Received: of several.")
        if not chosen:
            return torch.zeros(0, 0)
        vectors = torch.stack([direction.vector for direction in chosen]).double()
        angles = torch.rad2deg(torch.acos((vectors @ vectors.t()).clamp(-1.0, 1.0))).float()
        return angles.fill_diagonal_(0.0)

    def save(self, run_dir: Path) -> None:
        """Write ``explore/directions.safetensors`` and ``directions.json`` into a run.

        Raises:
            StorageError: the disk refused.
        """
        facts = [_facts(direction) for direction in self.found]
        tensors = {str(at): one.vector.float().cpu().contiguous() for at, one in enumerate(self.found)}
        metadata = {"format": _FORMAT, "fingerprint": self.fingerprint or ""}
        with whole_file(folder(run_dir) / "directions.safetensors", durable=True) as part:
            write_tensors(part, tensors, metadata | {"directions": json.dumps(facts)})
        tree = {"format": _FORMAT, "fingerprint": self.fingerprint, "directions": facts}
        write_text(folder(run_dir) / "directions.json", json.dumps(tree, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, run_dir: Path) -> "Directions":
        """What a run stores; none where it stores none.

        Vectors and facts are one file, so a process that is killed leaves the old ones or the new ones;
        ``directions.json`` is for people and other programs.

        Raises:
            CheckpointError: the file is damaged.
            StorageError: it cannot be read.
        """
        path = folder(run_dir) / "directions.safetensors"
        try:
            tensors, metadata = read_tensors(path)
        except FileNotFoundError:
            return cls(None)
        except OSError as error:
            raise StorageError(f"Cannot read {path}: {error.strerror or error}.") from error
        except ValueError as error:
            raise _damaged(path, str(error)) from error
        try:
            if metadata.get("format") != _FORMAT:
                raise ValueError("it holds no directions")
            found = tuple(
                _direction(facts, tensors[str(at)])
                for at, facts in enumerate(parse_json(metadata["directions"]))
            )
            return cls(metadata["fingerprint"] or None, found)
        except (KeyError, TypeError, ValueError, SettingError) as error:
            raise _damaged(path, str(error)) from error


def stored_directions(generator: Generator, run_dir: Path) -> Directions:
    """The directions that a run stores for this generator; none where it stores none.

    Raises:
        CheckpointError: they were found for other weights, or their file is damaged.
        StorageError: it cannot be read.

    Example:
        >>> stored_directions(open_generator("runs/one"), Path("runs/one")).names
        ('sefa-1', 'sefa-2')
    """
    stored = Directions.load(run_dir)
    if not stored:
        return Directions(generator.fingerprint)
    if stored.fingerprint != generator.fingerprint:
        raise CheckpointError(
            "Directions belong to the weights they were found for. Received: those in "
            f"{folder(run_dir)}, of weights {stored.fingerprint}, for {generator.name}, whose weights are "
            f"{generator.fingerprint}. It was trained on, or is another checkpoint. Find them again with: "
            "gansmith explore MODEL directions --anew"
        )
    return stored


def folder(run_dir: Path) -> Path:
    """Where a run keeps what was found in it."""
    return run_dir / "explore"


def home_of(model: str) -> Path:
    """The run that a MODEL is or lies in; of weights from elsewhere the folder they are in."""
    path = Path(model)
    if path.is_dir():
        return path
    above = path.resolve().parent.parent
    return above if (above / "recipe.json").is_file() else path.parent


def check_space(generator: Generator, space: str | None) -> str:
    """The space in which directions are looked for: the one that is named, else w, else z.

    Raises:
        SettingError: images are not made of a latent, or there is no such space.
    """
    spaces = [name for name in generator.spaces if name != "w+"]
    if not spaces:
        raise SettingError(
            f"Directions are of generators that make images from a latent. {generator.name} "
            f"({generator.recipe_name}) makes them from something else."
        )
    if space is None:
        return "w" if "w" in spaces else spaces[0]
    if space not in spaces:
        hint = " A direction of w moves w+, too: give it --layers." if space == "w+" and "w" in spaces else ""
        known = ", ".join(spaces)
        raise SettingError(
            f"Directions of {generator.recipe_name} are found in {known}. Received: {space!r}.{hint}"
        )
    return space


def check_count(count: int) -> None:
    """Raise SettingError for fewer directions than one."""
    if count < 1:
        raise SettingError(f"count is a number of directions, at least 1. Received: count={count}.")


def check_layers(generator: Generator, space: str, layers: Window) -> None:
    """Raise SettingError for layers that a generator does not have, or of a space without any."""
    if layers is None:
        return
    if space != "w" or "w+" not in generator.spaces:
        raise SettingError(
            "Layers are of w+, which methods with styles have, and of directions of w. Received: layers "
            f"{layers[0]}-{layers[1]} of {space}, for {generator.recipe_name}. Leave --layers out."
        )
    count = generator.latents(Noise.of(0), space="w+").shape[1]
    if not 0 <= layers[0] <= layers[1] < count:
        raise SettingError(
            f"{generator.name} has the layers 0 to {count - 1}. Received: {layers[0]}-{layers[1]}."
        )


def window_name(layers: Window) -> str:
    """What is added to the name of a direction that moves some layers alone."""
    return "" if layers is None else f"@{layers[0]}-{layers[1]}"


def spread(generator: Generator, space: str, vectors: Tensor) -> Tensor:
    """Three standard deviations of a space's latents along each column of [latent, k]: [k]."""
    latents = generator.latents(Noise(torch.arange(_SPREAD)), space=space).cpu().float()
    return 3.0 * (latents @ vectors.to(latents)).std(dim=0)


def numbered(
    generator: Generator, source: Source, space: str, vectors: Tensor, layers: Window
) -> tuple[Direction, ...]:
    """Directions along the columns of [latent, k], called by their source and place: sefa-1, sefa-2, ..."""
    scale = spread(generator, space, vectors.float())
    return tuple(
        Direction(
            name=f"{source}-{place + 1}{window_name(layers)}",
            space=space,
            vector=unit(vectors[:, place]).float(),
            source=source,
            reach=float(scale[place]),
            layers=layers,
        )
        for place in range(vectors.shape[1])
    )


@dataclass(frozen=True, eq=False)
class Steps:
    """Directions and how far to go along each, one after the other.

    Args:
        taken: directions of one space, each with its amount.

    Example:
        >>> steps = Steps.parse(directions, ["smile=0.5", "sefa-2=-1"])
        >>> moved = steps(generator.latents(noise, None, steps.space))
    """

    taken: tuple[tuple[Direction, float], ...]

    def __post_init__(self) -> None:
        spaces = {direction.space: direction for direction, _ in self.taken}
        if not self.taken:
            raise SettingError("Steps need a direction. Received: none.")
        if len(spaces) > 1:
            one, other = list(spaces.values())[:2]
            raise SettingError(
                f"Directions that are combined move one space. Received: '{one.name}', of {one.space}, and "
                f"'{other.name}', of {other.space}. Leave one of them out."
            )

    @classmethod
    def parse(cls, directions: Directions, texts: Sequence[str]) -> "Steps":
        """``["smile=0.5"]`` -> steps.

        Raises:
            SettingError: an unknown name, or an amount that cannot be.
        """
        taken = []
        for text in texts:
            name, _, said = text.rpartition("=")
            name = name.strip()
            try:
                amount = float(said)
            except ValueError:
                amount = math.nan
            if not name or not said.strip() or math.isnan(amount):
                raise SettingError(
                    f"A direction and how far to go along it, as in smile=0.5. Received: {text[:80]!r}."
                )
            direction = directions[name]
            check_amount(amount, name)
            taken.append((direction, amount))
        return cls(tuple(taken))

    @property
    def space(self) -> str:
        """Of the latents to be moved: w+ where one of them moves some layers alone."""
        layered = any(direction.layers is not None for direction, _ in self.taken)
        return "w+" if layered else self.taken[0][0].space

    @property
    def note(self) -> str:
        """What was done, for the marks of pictures."""
        return "; ".join(f"direction {direction.name} {amount:g}" for direction, amount in self.taken)

    def __call__(self, latents: Latents) -> Latents:
        """Latents of ``space``, moved."""
        for direction, amount in self.taken:
            latents = direction.move(latents, amount)
        return latents


def space_of(several: Sequence[Steps], asked: str | None = None) -> str:
    """The space of the latents that these steps, taken together, move: z where there are none.

    Args:
        several: may be none.
        asked: the space that is wanted; None: what the steps want.

    Raises:
        SettingError: steps of several spaces, or of another than is wanted.
    """
    taken = tuple(pair for steps in several for pair in steps.taken)
    if not taken:
        return asked or "z"
    space = Steps(taken).space
    if asked not in (None, space) and (space, asked) != ("w", "w+"):
        raise SettingError(
            f"Directions move latents of their own space, '{taken[0][0].name}' of {space}. Received: --space "
            f"{asked}. Leave it out."
        )
    return asked or space


def unit(vector: Tensor) -> Tensor:
    """A vector of length 1 whose largest number is positive, so that it is the same each time."""
    found: Tensor = vector / vector.norm().clamp(min=1e-12)
    return found if found[found.abs().argmax()] > 0 else -found


def _facts(direction: Direction) -> dict[str, Any]:
    facts = asdict(replace(direction, vector=torch.zeros(0)))
    del facts["vector"]
    return facts


def _direction(facts: Mapping[str, Any], vector: Tensor) -> Direction:
    known = dict(facts)
    layers = known.pop("layers")
    direction = Direction(vector=vector, layers=None if layers is None else tuple(layers), **known)
    numbers = (direction.reach, *(n for n in (direction.accuracy, direction.share) if n is not None))
    whole = (
        vector.dim() == 1
        and vector.is_floating_point()
        and abs(float(vector.norm()) - 1.0) < 1e-3  # So it is finite.
        and all(isinstance(number, float) and math.isfinite(number) for number in numbers)
        and (layers is None or [type(layer) for layer in layers] == [int, int])
        and direction.source in get_args(Source)
        and isinstance(direction.space, str)
    )
    if not whole:
        raise ValueError(f"direction {direction.name!r} cannot be")
    return direction


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged: {reason}. Remove it, and find directions again with: gansmith explore MODEL "
        "directions"
    )


def layers_of(text: str | None) -> Window:
    """``0-3`` or ``5`` -> first and last layer.

    Raises:
        SettingError: something else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", text.strip())
    first, last = (0, -1) if match is None else (int(match[1]), int(match[2] or match[1]))
    if last < first:
        raise SettingError(f"--layers is the first and the last of some, as in 0-3. Received: {text[:40]!r}.")
    return first, last
