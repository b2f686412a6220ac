"""Values to JSON and back: a dataclass carries its class, and is checked against the types of its fields."""

import contextlib
import dataclasses
import importlib
import json
import re
import typing
from collections.abc import Mapping
from typing import Any

from gansmith.config.field_types import (
    KNOWN,
    OLD_FIELDS,
    choices_of,
    class_name,
    hints_of,
    is_open,
    know,
    new_name,
)
from gansmith.core.text import clipped, short
from gansmith.errors import GansmithError, SettingError, nearest

__all__ = ["describe_type", "dumps", "from_json", "know", "to_json", "with_new_names"]

_BEYOND_FLOAT = 10**308
_LONGEST_TEXT = 10_000  # Letters of a name or a remark.
_HALVES = re.compile("[\ud800-\udfff]")

_OLD_MODULES = {
    "gansmith.data.augment": "gansmith.data.loading.augment",
    "gansmith.data.normalise": "gansmith.core.normalization",
    "gansmith.method": "gansmith.core.spec",
    "gansmith.optimisers": "gansmith.config.optimizers",
    "gansmith.recipe": "gansmith.config.recipe",
    "gansmith.schedules": "gansmith.core.schedules",
    "gansmith.size": "gansmith.core.image_size",
}
"""Where version 0.1 had the classes of a recipe -> where they are now."""

_OLD_CLASSES = {
    "gansmith.recipe:Average": "gansmith.config.training",
    "gansmith.recipe:DataConfig": "gansmith.data.config",
    "gansmith.recipe:EngineConfig": "gansmith.config.training",
    "gansmith.recipe:EvaluateConfig": "gansmith.config.training",
    "gansmith.recipe:TrainConfig": "gansmith.config.training",
}
"""Classes that have left the others of their module."""


def to_json(value: Any) -> Any:
    """A tree of dicts, lists and plain values; a dataclass carries its class as ``"is": "module:Name"``."""
    if hasattr(type(value), "parse"):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        KNOWN.setdefault(class_name(type(value)), type(value))
        tree = {"is": class_name(type(value))}
        return tree | {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def from_json(tree: Any, kind: Any) -> Any:
    """The value ``to_json`` wrote, checked against the type ``kind``. Unknown fields are errors."""
    if isinstance(tree, dict) and "is" in tree:
        return _build(_resolve(str(tree["is"])), {key: item for key, item in tree.items() if key != "is"})
    for choice in choices_of(kind):
        origin, arguments = typing.get_origin(choice), typing.get_args(choice)
        if isinstance(tree, dict) and len(arguments) == 2:
            return {key: from_json(item, arguments[1]) for key, item in tree.items()}
        if isinstance(tree, list) and origin is tuple:
            kinds = arguments if arguments[-1] is not Ellipsis else (arguments[0],) * len(tree)
            return tuple(from_json(item, of) for item, of in zip(tree, kinds, strict=True))
        if isinstance(tree, str) and hasattr(choice, "parse"):
            return choice.parse(tree)
    return tree


def dumps(value: Any) -> str:
    """``to_json`` as indented text."""
    return json.dumps(to_json(value), indent=2, ensure_ascii=False) + "\n"


def with_new_names(tree: Any) -> Any:
    """A tree that ``to_json`` of version 0.1 may have written, with the fields named as they are now."""
    if isinstance(tree, list):
        return [with_new_names(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    known = OLD_FIELDS if str(tree.get("is", "")).startswith("gansmith.") else {}  # Not a user's own fields.
    return {known.get(key, key): with_new_names(item) for key, item in tree.items()}


def _build(kind: type, fields: Mapping[str, Any]) -> Any:
    hints = hints_of(kind)
    fields = {new_name(name, hints): item for name, item in fields.items()}
    for name in fields:
        if name not in hints:
            raise SettingError(f"{kind.__name__} has no field '{name}'.{nearest(name, hints)}")
    try:
        made = {name: from_json(item, hints[name]) for name, item in fields.items()}
        for name, value in made.items():
            if not _fits(value, hints[name]):
                raise SettingError(
                    f"{kind.__name__}.{name} must be {describe_type(hints[name])}. Received: {short(value)}."
                )
        return kind(**made)
    except GansmithError:
        raise
    except Exception as error:  # A field is missing, or what a value is asked for it does not have.
        raise SettingError(f"{kind.__name__} cannot be made of {short(fields)}: {error}.") from error


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is of the kind a field wants, what is within it included."""
    if is_open(kind):
        return isinstance(value, kind)
    return any(_is_of(value, choice) for choice in choices_of(kind))


def _is_of(value: Any, choice: Any) -> bool:
    origin, arguments = typing.get_origin(choice), typing.get_args(choice)
    if choice is Any:
        return True
    if origin is typing.Literal:
        return any(value == each and type(value) is type(each) for each in arguments)
    if origin is tuple and isinstance(value, tuple):
        kinds = (arguments[0],) * len(value) if arguments[-1] is Ellipsis else arguments
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if isinstance(value, Mapping) and len(arguments) == 2:
        return all(isinstance(name, str) and _fits(item, arguments[1]) for name, item in value.items())
    if choice is float and type(value) is int:
        return abs(value) < _BEYOND_FLOAT
    if choice in (bool, int):
        return type(value) is choice  # To Python, True is an int.
    return isinstance(value, origin or choice) and (choice is not str or _is_text(value))


def _is_text(value: str) -> bool:
    """Whether it can be written: no half of a pair of letters, and no book."""
    return len(value) <= _LONGEST_TEXT and not _HALVES.search(value)


def _resolve(path: str) -> type:
    """The class ``"module:Name"``: gansmith's own, or one this process knows from the user's code.

    A run directory may come from anywhere, so it must not be able to name code to be run.
    """
    module_name, _, name = path.partition(":")
    kind: Any = KNOWN.get(path)
    module_name = _OLD_CLASSES.get(path) or _OLD_MODULES.get(module_name, module_name)
    # Importing gansmith.__main__ would run the command line.
    if kind is None and module_name.startswith("gansmith.") and not module_name.endswith("__main__"):
        with contextlib.suppress(ModuleNotFoundError):
            kind = getattr(importlib.import_module(module_name), name, None)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        module_name, path = clipped(module_name), clipped(path)
        raise SettingError(
            f"{path} is needed and is not part of this gansmith. "
            f"If it is your own method, name its file: --code {module_name}.py "
            f"(for train: --recipe {module_name}.py)."
        )
    return kind


_WORDS: Mapping[Any, str] = {
    type(None): "none",
    bool: "true, false",
    int: "a whole number",
    float: "a number",
    str: "text of at most 10,000 whole letters",
}


def describe_type(kind: Any) -> str:
    """What a field may hold, in words."""
    names = [word for choice in choices_of(kind) for word in _words(choice)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _words(choice: Any) -> list[str]:
    if typing.get_origin(choice) is typing.Literal:
        return [str(value) for value in typing.get_args(choice)]
    if choice in _WORDS:
        return _WORDS[choice].split(", ")
    if hasattr(choice, "parse"):
        return ["a size such as 64 or 128x96"]
    if dataclasses.is_dataclass(choice):
        fields = ", ".join(f.name for f in dataclasses.fields(choice))
        return [f"{typing.cast(type, choice).__name__}({fields})"]
    if typing.get_origin(choice) is tuple:
        return [str(choice)]
    return [getattr(typing.get_origin(choice) or choice, "__name__", str(choice))]
