"""What a field of a dataclass may hold, and the classes that may stand for an open type."""

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

KNOWN: dict[str, type] = {}
"""Classes outside gansmith that may be named in JSON and settings: the user's, and ones already written."""
_OURS = __name__.partition(".")[0]

OLD_FIELDS = {
    "optimisers": "optimizers",
    "penalised": "penalized",
    "standardise": "standardize",
    "widest": "max_channels",
}
"""Fields as version 0.1 called them -> what they are called now."""


def know(module: types.ModuleType) -> None:
    """Allow JSON to name the dataclasses that ``module``, the user's own code, defines."""
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and value.__module__ == module.__name__
            and dataclasses.is_dataclass(value)
        ):
            KNOWN[class_name(value)] = value


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def new_name(name: str, hints: Mapping[str, Any]) -> str:
    """What a field is called now, where ``name`` is what version 0.1 called it."""
    new = OLD_FIELDS.get(name, name)
    return new if name not in hints and new in hints else name


def hints_of(kind: type) -> dict[str, Any]:
    """The type of each field of a dataclass, by name."""
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def choices_of(kind: Any) -> tuple[Any, ...]:
    """The types that may stand in a field: members of a union, and the classes that fit an open type.

    An open type is a protocol, such as ``AdversarialLoss``, or an abstract class. What fits it are the
    dataclasses of its own module, and the user's own.
    """
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    members = typing.get_args(kind) if union else (kind,)
    return tuple(
        choice for member in members for choice in (_fitting(member) if is_open(member) else (member,))
    )


def is_open(kind: Any) -> bool:
    """Whether any class that fits may stand for a type: a protocol, or an abstract class."""
    return isinstance(kind, type) and (bool(getattr(kind, "_is_protocol", False)) or inspect.isabstract(kind))


def open_kind(kind: type) -> Any:
    """The open type a class stands for: the abstract class it comes from, or itself."""
    return next((base for base in kind.__mro__[1:] if inspect.isabstract(base)), kind)


def _fitting(kind: type) -> tuple[type, ...]:
    home = [value for value in vars(sys.modules[kind.__module__]).values() if isinstance(value, type)]
    # The user's own. Ours would fit by the names of their methods alone: networks have a generator, too.
    theirs = [each for each in KNOWN.values() if each.__module__.partition(".")[0] != _OURS]
    classes = dict.fromkeys(home + theirs)
    return tuple(
        each
        for each in classes
        if dataclasses.is_dataclass(each) and not is_open(each) and issubclass(each, kind)
    )


def class_name(kind: type) -> str:
    """``"module:Name"``, as JSON has it."""
    return f"{kind.__module__}:{kind.__qualname__}"
