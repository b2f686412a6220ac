"""What a model that makes images of images is asked for besides the image: attributes, or key points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from gansmith.core.tensors import Attributes, AttributeShares, Images
from gansmith.errors import SettingError
from gansmith.models.generator import Generator
from gansmith.models.prompts import attribute_numbers, parse_attributes

_SURE = 8.0  # So many training images a combination must be expected in, before its absence says anything.


@runtime_checkable
class ReadsAttributes(Protocol):
    """A method whose networks read the attributes of an image.

    Example:
        >>> isinstance(StarGAN(), ReadsAttributes)
        True
    """

    def read_attributes(self, networks: Any, images: Images) -> Attributes:
        """[batch, attributes], each 0 or 1."""
        ...


@dataclass(frozen=True, eq=False)
class Companions:
    """Which attributes go together, as some training images show.

    Args:
        table: attributes of training images, [rows, attributes], each 0 or 1.
        names: what they are called.

    Example:
        >>> Companions(torch.tensor([[0, 1], [1, 0]] * 20), ("dark hair", "fair hair")).follow({0: 1})
        {0: 1, 1: 0}
    """

    table: Tensor
    names: Sequence[str]

    def never(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether no training image has both, though by chance some would."""
        first, second = (self.table[:, number] == value for number, value in (one, other))
        expected = float(first.float().mean() * second.float().mean()) * len(self.table)
        return expected >= _SURE and not bool((first & second).any())

    def follow(self, asked: Mapping[int, int]) -> dict[int, int]:
        """What is asked, and what it brings with it: fair hair takes dark hair away.

        Raises:
            SettingError: two settings that no training image has together.
        """
        settled = dict(asked)
        for one in asked.items():
            for other in asked.items():
                if self.never(one, other):
                    raise SettingError(
                        "What is set must go together in the pictures the model learnt from. Received: "
                        f"{self._said(one)} and {self._said(other)}, which none of {len(self.table):,} of "
                        "them has. Leave one of the two out."
                    )
            for number in range(len(self.names)):
                impossible = [value for value in (0, 1) if self.never(one, (number, value))]
                if number not in asked and len(impossible) == 1:
                    settled[number] = 1 - impossible[0]
        return settled

    def _said(self, setting: tuple[int, int]) -> str:
        return f"{self.names[setting[0]]}={setting[1]}"


@dataclass(frozen=True, eq=False)
class Conditions:
    """Turns images into the prompts of a model, with what was asked of it.

    Args:
        generator: the model.
        attributes: number of an attribute -> 0 or 1; what is not named is read off each image.
        points: key points of the result, [points, 2], in pixels of the model's size.
        strength: how far to go from what each image shows to what is asked, from 0 to 1.

    Example:
        >>> Conditions.of(open_generator("runs/faces"), settings="smiling=1").prompt(images)
    """

    generator: Generator
    attributes: Mapping[int, int]
    points: Tensor | None = None
    strength: float = 1.0

    @classmethod
    def of(
        cls,
        generator: Generator,
        settings: str | None = None,
        points: str | None = None,
        strength: float | None = None,
    ) -> "Conditions":
        """What is asked by ``--set``, ``--points`` and ``--strength``.

        Raises:
            SettingError: the model takes no such thing, or lacks it; an unknown name, a contradiction; points
                of another number, or outside the image; a strength without a setting, or out of range.
        """
        if strength is not None and settings is None:
            raise SettingError(
                "--strength says how far to go to what --set asks for. "
                f"Received: {strength:g} without --set. Add --set NAME=1, or leave it out."
            )
        if strength is not None and not 0 <= strength <= 1:
            raise SettingError(
                "--strength is from 0, what the picture shows, to 1, all that is set. "
                f"Received: {strength:g}. Try 0.5."
            )
        fields = _fields(generator)
        for option, given, column in (("--set", settings, "attributes"), ("--points", points, "landmarks")):
            if given is not None and column not in fields:
                raise SettingError(
                    f"{option} is for models that are given {_WORDS[column]}, too. Received: it for "
                    f"{generator.name} ({generator.recipe_name}), which is given {', '.join(fields)}. "
                    "Leave it out."
                )
            if given is None and column in fields:
                raise SettingError(
                    f"{generator.name} is given {_WORDS[column]}, too. {_EXAMPLES[column](generator)}"
                )
        attributes = {} if settings is None else _attributes(generator, settings)
        return cls(
            generator,
            attributes,
            None if points is None else _points(generator, points),
            1.0 if strength is None else strength,
        )

    def prompt(self, images: Images) -> Any:
        """The prompt of images in the networks' range."""
        kind: Any = self.generator.method.prompt_type
        if self.points is not None:
            return kind(images, self.points.to(images.device).expand(len(images), -1, -1))
        if "attributes" not in kind._fields:
            return kind(images)
        seen = self.read(images)
        wanted = seen.clone()
        for number, value in self.attributes.items():
            wanted[:, number] = value
        return kind(images, wanted if self.strength == 1 else mixed(seen, wanted, self.strength))

    def read(self, images: Images) -> Attributes:
        """The attributes the model itself sees in images."""
        method = self.generator.method
        if not isinstance(method, ReadsAttributes):
            raise SettingError(
                f"{self.generator.name} does not read attributes, so all must be set: "
                f"{', '.join(self.generator.spec.attribute_names)}."
            )
        with torch.inference_mode():
            seen = method.read_attributes(self.generator.networks, images.to(self.generator.device))
        return seen.clone().cpu()

    def words(self) -> str | None:
        """What was asked, for the marks of results."""
        names = self.generator.spec.attribute_names
        if self.attributes:
            said = ", ".join(f"{names[number]}={value}" for number, value in sorted(self.attributes.items()))
            return said if self.strength == 1 else f"{said}, {self.strength:g} of the way"
        if self.points is not None:
            return "points " + " ".join(f"{x:g},{y:g}" for x, y in self.points.tolist())
        return None

    def turned(self, images: Images, number: int) -> Any:
        """The prompt that turns one attribute of each image into its opposite, with what goes along."""
        seen = self.read(images)
        wanted, companions = seen.clone(), companions_of(self.generator)
        for row in range(len(seen)):
            for place, value in companions.follow({number: 1 - int(seen[row, number])}).items():
                wanted[row, place] = value
        kind: Any = self.generator.method.prompt_type
        return kind(images, wanted)


def mixed(seen: Attributes, wanted: Attributes, share: float) -> AttributeShares:
    """What lies between what is there and what is wanted: 0 is the one, 1 the other.

    Example:
        >>> mixed(torch.tensor([[0, 1]]), torch.tensor([[1, 1]]), 0.25)
        tensor([[0.2500, 1.0000]])
    """
    return torch.lerp(seen.float(), wanted.float(), share)


_WORDS = {"attributes": "attributes", "landmarks": "key points"}
_EXAMPLES = {
    "attributes": lambda generator: (
        f"Say which, as in --set {_quoted(generator.spec.attribute_names[0])}=1. It knows: "
        f"{', '.join(generator.spec.attribute_names)}."
    ),
    "landmarks": lambda generator: (
        f"Say where they go: --points X,Y,X,Y,... in pixels, {generator.spec.landmarks} points of the result."
    ),
}


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name


def _fields(generator: Generator) -> tuple[str, ...]:
    kind: Any = generator.method.prompt_type
    return () if kind is None else tuple(kind._fields)


def companions_of(generator: Generator) -> Companions:
    """What the training images of a model say of its attributes."""
    names = generator.spec.attribute_names
    return Companions(generator.table.get("attributes", torch.zeros(0, len(names))), names)


def _attributes(generator: Generator, settings: str) -> dict[int, int]:
    names = generator.spec.attribute_names
    asked = attribute_numbers(parse_attributes(settings), names)
    if not asked:
        raise SettingError(f"--set names one attribute or more of {', '.join(names)}. Received: none.")
    return companions_of(generator).follow(asked)


def _points(generator: Generator, text: str) -> Tensor:
    spec = generator.spec
    rule = (
        f"--points is X,Y,... in pixels, {spec.landmarks} points of a result of {spec.width}x{spec.height}."
    )
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise SettingError(f"{rule} Received: {text[:60]!r}, which has something else in it.") from error
    if len(numbers) != 2 * spec.landmarks:
        raise SettingError(f"{rule} Received: {len(numbers)} numbers. Give {2 * spec.landmarks}.")
    points = torch.tensor(numbers).view(-1, 2)
    for x, y in points.tolist():
        if not (0 <= x <= spec.width and 0 <= y <= spec.height):
            raise SettingError(f"{rule} Received: ({x:g}, {y:g}), which is outside. Move it in.")
    return points
