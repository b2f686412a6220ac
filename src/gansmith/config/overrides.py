"""``--set a.b=v``, typed by the dataclass fields, typos answered by name; and what differs between values."""

import ast
import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from gansmith.config.field_types import choices_of, hints_of, new_name, open_kind
from gansmith.config.serialization import describe_type, to_json
from gansmith.errors import SettingError, nearest

T = TypeVar("T")


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, plain value) of every leaf, with the class of each dataclass that is a choice."""
    tree = to_json(value) if not isinstance(value, dict) else value
    for key, item in tree.items():
        if key == "is" and prefix:
            yield prefix.rstrip("."), str(item).rpartition(":")[2]
        elif isinstance(item, dict):
            yield from flat(item, f"{prefix}{key}.")
        elif key != "is":
            yield f"{prefix}{key}", item


def differences(old: Any, new: Any) -> list[str]:
    """One line for each setting that differs: ``train.batch: 64 -> 128``."""
    before, after = dict(flat(old)), dict(flat(new))
    names = list(before) + [name for name in after if name not in before]
    absent = "(absent)"
    return [
        f"{name}: {before.get(name, absent)} -> {after.get(name, absent)}"
        for name in names
        if before.get(name, absent) != after.get(name, absent)
    ]


def override(value: T, assignment: str) -> T:
    """``value`` with one setting changed: ``override(recipe, "train.batch=128")``.

    A field that holds a choice of dataclasses takes a name or a call: ``optimizers.critic=RMSprop``,
    ``method.schedule=Cosine(end=0.1)``.

    Raises:
        SettingError: no such setting (the nearest is named), or a value of another type.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise SettingError(f"--set takes name=value, such as train.batch=64. Received: {assignment!r}.")
    return typing.cast(T, _replace(value, path.split("."), text, path))


def _replace(value: Any, names: list[str], text: str, path: str) -> Any:
    name, rest = names[0], names[1:]
    if isinstance(value, Mapping):
        return _replace_in_mapping(value, names, text, path)
    if not dataclasses.is_dataclass(value):
        raise SettingError(f"'{path}' goes too deep: '{name}' is inside a plain value ({value!r}).")
    hints = hints_of(type(value))
    name = new_name(name, hints)
    if name not in hints:
        raise SettingError(f"There is no setting '{path}'.{_suggest(path, names, hints)}")
    if rest:
        changed = _replace(getattr(value, name), rest, text, path)
    else:
        changed = _parse(text, hints[name], path)
    return dataclasses.replace(value, **{name: changed})  # type: ignore[type-var]


def _replace_in_mapping(value: Mapping[str, Any], names: list[str], text: str, path: str) -> Any:
    name, rest = names[0], names[1:]
    if rest:
        if name not in value:
            raise SettingError(f"There is no setting '{path}'.{_suggest(path, names, value)}")
        return {**value, name: _replace(value[name], rest, text, path)}
    if value and name not in value:
        raise SettingError(f"There is no setting '{path}'.{_suggest(path, names, value)}")
    sample = next(iter(value.values()), "")
    kind = open_kind(type(sample)) if dataclasses.is_dataclass(sample) else str
    return {**value, name: _parse(text, kind, path)}


def _suggest(path: str, names: list[str], known: Mapping[str, Any]) -> str:
    """The nearest of ``known`` to the first of ``names``, the part of ``path`` that is still to be found."""
    stem = path.split(".")
    at = len(stem) - len(names)
    return nearest(".".join(stem[: at + 1]), [".".join([*stem[:at], other]) for other in known])


def _parse(text: str, kind: Any, path: str) -> Any:
    for choice in choices_of(kind):
        try:
            return _parse_one(text.strip(), choice)
        except (ValueError, OverflowError, SyntaxError, KeyError):
            continue
    raise SettingError(f"{path} must be {describe_type(kind)}. Received: {text!r}.")


def _parse_one(text: str, kind: Any) -> Any:
    if kind in _PLAIN:
        return _PLAIN[kind](text)
    if typing.get_origin(kind) is typing.Literal:
        return {str(value): value for value in typing.get_args(kind)}[text]
    if hasattr(kind, "parse"):
        return kind.parse(text)
    if typing.get_origin(kind) is tuple:
        return _parse_tuple(text, typing.get_args(kind))
    if dataclasses.is_dataclass(kind):
        return _parse_call(text, typing.cast(type, kind))
    raise ValueError(text)


def _whole(text: str) -> int:
    number = float(text.replace("_", "")) if not text.lstrip("+-").isdigit() else int(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)  # 2e6 is a natural way to write an image count.


def _none(text: str) -> None:
    return {"none": None, "null": None}[text.lower()]


def _truth(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return words[text.lower()]


_PLAIN: Mapping[Any, Callable[[str], Any]] = {
    type(None): _none,
    bool: _truth,
    int: _whole,
    float: float,
    str: str,
}


def _parse_tuple(text: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = [part for part in text.strip("()[] ").split(",") if part.strip()]
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(parts)
    return tuple(_parse_one(part.strip(), kind) for part, kind in zip(parts, kinds, strict=True))


def _parse_call(text: str, kind: type) -> Any:
    """``Name`` or ``Name(field=value, ...)``."""
    call = ast.parse(text, mode="eval").body
    if isinstance(call, ast.Name):
        call = ast.Call(func=call, args=[], keywords=[])
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or call.args:
        raise ValueError(text)
    if call.func.id != kind.__name__:
        raise ValueError(text)
    hints, fields = hints_of(kind), {}
    for keyword in call.keywords:
        name = new_name(str(keyword.arg), hints)
        if name not in hints:
            raise SettingError(f"{kind.__name__} has no field '{name}'.{nearest(name, hints)}")
        fields[name] = _parse(ast.unparse(keyword.value).strip("'\""), hints[name], name)
    return kind(**fields)
