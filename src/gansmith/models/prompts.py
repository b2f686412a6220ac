"""What a trained model is asked for besides a seed: prompts by name, or drawn as the training data are."""

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.text import clipped, find_name
from gansmith.data.metadata.captions import to_texts, words_of
from gansmith.errors import SettingError, nearest
from gansmith.methods.batches import IMAGE_COLUMNS

_EXAMPLES = 12  # Words of a message.


@dataclass(frozen=True)
class Wish:
    """What a person asks of a conditional model; what is left open follows the training data.

    Example:
        >>> generator.prompts([0, 1, 2], Wish(attributes={"smiling": 1}))
    """

    label: str | None = None  # The name of a class, or its number.
    attributes: Mapping[str, int] = field(default_factory=dict)  # Name, in any spelling -> 0 or 1.
    caption: str | None = None

    def __bool__(self) -> bool:
        return self.label is not None or bool(self.attributes) or self.caption is not None


@dataclass(frozen=True, eq=False)
class Prompts:
    """The prompts a model takes: what each column means, and what the training data had in them.

    Args:
        kind: the NamedTuple of the method.
        spec: the names of classes and attributes.
        table: column -> its values in some training rows, [rows, ...]; a checkpoint keeps them.
        words: those that captions may consist of; none: any.

    Example:
        >>> prompts = Prompts(LabelPrompt, spec, {"labels": torch.tensor([3, 7])})
        >>> prompts.choose([0], Wish(label="7")).labels
        tensor([7])
    """

    kind: type[Any]
    spec: DataSpec
    table: Mapping[str, Tensor]
    words: tuple[str, ...] = ()

    def choose(self, seeds: Sequence[int], wish: Wish | None = None) -> Any:
        """A prompt for each seed: a training row drawn by the seed, with what ``wish`` says put in its place.

        A seed has the same prompt whatever other seeds are asked for.

        Returns: the NamedTuple, its columns [batch, ...] on the CPU.

        Raises:
            SettingError: the wish names what this model does not know, or its prompts are images.
        """
        self.check(wish or Wish())
        images = [name for name in self.kind._fields if name in IMAGE_COLUMNS]
        if images:
            raise SettingError(
                f"This model makes images out of images ({', '.join(images)}), which seeds alone do not "
                "give. Give it some (gansmith translate), or compare it with its data (gansmith evaluate)."
            )
        count = len(next(iter(self.table.values())))
        chance = Noise.of(*seeds).fork("prompt").uniform(1)[:, 0].double()
        rows = (chance * count).long().clamp(max=count - 1)
        columns = {name: self.table[name][rows].clone() for name in self.kind._fields}
        for name, fill in _FILLERS.items():
            if name in columns:
                fill(columns[name], self.spec, wish or Wish())
        kind: Any = self.kind
        return kind(*columns.values())

    def check(self, wish: Wish) -> None:
        """Raise SettingError where a wish is for a column the model does not take, or an unknown name."""
        asked = {
            "labels": ("--label", wish.label is not None),
            "attributes": ("--attribute", bool(wish.attributes)),
            "captions": ("--caption", wish.caption is not None),
        }
        for column, (option, there) in asked.items():
            if there and column not in self.kind._fields:
                takes = ", ".join(self.kind._fields)
                raise SettingError(
                    f"{option} is for models that were trained on {column}. This one takes {takes}. "
                    f"Leave {option} out."
                )
        if wish.label is not None:
            label_number(wish.label, self.spec.class_names)
        attribute_numbers(wish.attributes, self.spec.attribute_names)
        if wish.caption is not None:
            self._check_caption(wish.caption)

    def _check_caption(self, caption: str) -> None:
        if not words_of(caption):
            rule = "A caption says what is to be seen, as in --caption 'a smiling person with glasses'."
            raise SettingError(f"{rule} Received: one without words.")
        _fill_captions(
            torch.zeros(1, self.spec.caption_length, dtype=torch.uint8), self.spec, Wish(caption=caption)
        )
        if self.words and len(self.unknown(caption)) == len(set(words_of(caption))):
            raise SettingError(
                "This model knows the words of the captions it was trained on. Received: "
                f"{self._named(caption)}, and no word that it knows. It knows, for example: "
                f"{', '.join(self.words[:_EXAMPLES])}."
            )

    def unknown(self, caption: str | None) -> list[str]:
        """The words of a caption that the model does not know, and passes over; none for no caption."""
        known = set(self.words)
        spoken = dict.fromkeys(words_of(caption or ""))
        return [word for word in spoken if word not in known] if known else []

    def remark(self, wish: Wish | None) -> str | None:
        """What is to be said of a caption some of whose words are not known; None where all are."""
        caption = None if wish is None else wish.caption
        if caption is None or not self.unknown(caption):
            return None
        return f"Words this model does not know are passed over: {self._named(caption)}."

    def _named(self, caption: str) -> str:
        """Unknown words, each with the nearest that is known, where there is one."""
        parts = []
        for word in self.unknown(caption)[:_EXAMPLES]:
            near = difflib.get_close_matches(word, self.words, n=1, cutoff=0.6)
            parts.append(f"'{clipped(word, 40)}'" + (f" (near: '{near[0]}')" if near else ""))
        more = len(self.unknown(caption)) - len(parts)
        return ", ".join(parts) + (f" and {more} more" if more else "")

    def arrange(self, prompt: Any) -> tuple[list[int], str | None]:
        """In which order rows belong in a grid, by class or by attributes, and a sentence that says so.

        Captions that are all one are that sentence.

        Returns: the rows in order, and the sentence; rows as they are and None where nothing orders them.
        """
        columns = dict(zip(self.kind._fields, prompt, strict=True))
        if "labels" in columns:
            labels = columns["labels"].tolist()
            counts = Counter(labels)
            classes = (f"{self.spec.class_names[label]} ({counts[label]})" for label in sorted(counts))
            return sorted(
                range(len(labels)), key=labels.__getitem__
            ), f"sorted by class: {', '.join(classes)}"
        if "attributes" in columns:
            rows = columns["attributes"].tolist()
            names = ", ".join(self.spec.attribute_names)
            return sorted(range(len(rows)), key=rows.__getitem__), f"sorted by {names}"
        captions = columns.get("captions")
        asked = [] if captions is None else list(dict.fromkeys(to_texts(captions)))
        return list(range(len(prompt[0]))), f"of: {asked[0]}" if len(asked) == 1 else None

    def captions(self, prompt: Any, count: int) -> list[str]:
        """The captions of the first rows of a prompt; none of a model that takes none."""
        column = dict(zip(self.kind._fields, prompt, strict=True)).get("captions")
        return [] if column is None else to_texts(column[:count])

    def in_words(self, wish: Wish) -> str:
        """A wish as a person would write it beside a row: ``dog``, ``smiling=1``, or a caption as it is."""
        classes, names = self.spec.class_names, self.spec.attribute_names
        wanted = attribute_numbers(wish.attributes, names)
        parts = (
            None if wish.label is None else classes[label_number(wish.label, classes)],
            ", ".join(f"{names[number]}={value}" for number, value in wanted.items()),
            wish.caption,
        )
        return "; ".join(filter(None, parts)) or "as the seeds draw"

    def describe(self, prompt: Any, row: int) -> str:
        """One prompt of a batch in words, for the marks of an image: ``label: 3``."""
        parts = []
        for name, column in zip(self.kind._fields, prompt, strict=True):
            words = _DESCRIBERS.get(name)
            if words is not None:
                parts.append(words(column[row], self.spec))
        return "; ".join(parts)


def check_no_wish(wish: Wish | None, name: str) -> None:
    """Raise SettingError where something is asked of a model that takes no prompt."""
    if wish:
        raise SettingError(
            f"--label, --attribute and --caption are for models trained on them. {name} makes images from "
            "seeds alone. Leave them out."
        )


def label_number(label: str, names: Sequence[str]) -> int:
    """The class of a name or a number.

    Raises:
        SettingError: there is none; the nearest is named.
    """
    if (name := find_name(label, names)) is not None:
        return names.index(name)
    if label.isdigit() and int(label) < len(names):
        return int(label)
    rule = f"This model has {len(names)} classes. Received: '{label}', which is none of them."
    raise SettingError(f"{rule}{nearest(label, names)}")


def parse_attributes(text: str) -> dict[str, int]:
    """``smiling=1,hair=fair`` -> what is named, as it is spelled, and 0 or 1; a name alone is 1.

    Raises:
        SettingError: a name or a value is missing, or one is to be both.

    Example:
        >>> parse_attributes("smiling=0, hair=fair, hat")
        {'smiling': 0, 'hair=fair': 1, 'hat': 1}
    """
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (word.strip() for word in part.rpartition("="))
        if equals and not (name and value):
            lacks = "nothing behind" if name else "no name before"
            raise SettingError(f"{_RULE} Received: {part!r}, with {lacks} the =.")
        spelled, wanted = (name, int(value)) if equals and value in ("0", "1") else (part, 1)
        if found.get(spelled, wanted) != wanted:
            raise _both(spelled)
        found[spelled] = wanted
    return found


def attribute_numbers(asked: Mapping[str, int], names: Sequence[str]) -> dict[int, int]:
    """What `parse_attributes` found -> the numbers of these attributes in a model, and 0 or 1.

    Raises:
        SettingError: an unknown name (the nearest is named), or one that is to be both.
    """
    found: dict[int, int] = {}
    for spelled, value in asked.items():
        if (whole := f"{spelled}={value}") in names:  # Of a column of numbers, one attribute for each.
            spelled, value = whole, 1
        number = attribute_number(spelled, names)
        if found.get(number, value) != value:
            raise _both(names[number])
        found[number] = value
    return found


def attribute_number(spelled: str, names: Sequence[str]) -> int:
    """Which attribute is meant by ``fair hair``, ``Fair_Hair`` or ``hair=fair``.

    Raises:
        SettingError: there is none; the nearest is named.

    Example:
        >>> attribute_number("hair=fair", ("smiling", "fair hair"))
        1
    """
    if spelled in names:
        return names.index(spelled)
    known = {name.replace("_", " "): place for place, name in enumerate(names)}
    group, equals, value = (word.strip() for word in spelled.rpartition("="))
    turned = f"{value} {group}" if equals else spelled
    for way in (spelled, turned):
        if (name := find_name(way.replace("_", " "), known)) is not None:
            return known[name]
    if equals and find_name(group.replace("_", " "), known) is not None:
        raise SettingError(f"{_RULE} Received: {spelled!r}.")
    raise SettingError(f"There is no attribute '{turned}' in this model.{nearest(turned, names)}")


_RULE = "An attribute is 0 or 1, as in smiling=1,glasses=0."


def _both(name: str) -> SettingError:
    return SettingError(f"An attribute is there or it is not. Received: {name}=1 and {name}=0.")


def _fill_labels(column: Tensor, spec: DataSpec, wish: Wish) -> None:
    if wish.label is not None:
        column.fill_(label_number(wish.label, spec.class_names))


def _fill_attributes(column: Tensor, spec: DataSpec, wish: Wish) -> None:
    for number, value in attribute_numbers(wish.attributes, spec.attribute_names).items():
        column[:, number] = value


def _fill_captions(column: Tensor, spec: DataSpec, wish: Wish) -> None:
    if wish.caption is None:
        return
    content = wish.caption.encode()
    if len(content) > spec.caption_length:
        raise SettingError(
            f"A caption of this model has at most {spec.caption_length} bytes. Received: {len(content)}. "
            "Write a shorter one."
        )
    column.zero_()
    column[:, : len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)


_FILLERS: Mapping[str, Callable[[Tensor, DataSpec, Wish], None]] = {
    "labels": _fill_labels,
    "attributes": _fill_attributes,
    "captions": _fill_captions,
}

_DESCRIBERS: Mapping[str, Callable[[Tensor, DataSpec], str]] = {
    "labels": lambda value, spec: f"label: {spec.class_names[int(value)]}",
    "attributes": lambda value, spec: (
        "attributes: " + ", ".join(n for n, v in zip(spec.attribute_names, value.tolist(), strict=True) if v)
    ),
    "captions": lambda value, spec: f"caption: {to_texts(value[None])[0]}",
}
