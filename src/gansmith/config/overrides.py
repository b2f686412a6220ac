"""``--set a.b=v``, typed by the dataclass fields, typos answered by name; and what differs between values."""

import ast
import dataclasses
import functools
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from gansmith.config.field_types import choices_of, hints_of, new_name, open_kind
from gansmith.config.serialization import describe_type, to_json
from gansmith.core.text import parse_number
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


@dataclasses.dataclass(frozen=True)
class _Assignment:
    """One ``a.b=v`` on its way down: the names that are still to be found, the text, the whole path."""

    names: tuple[str, ...]
    text: str
    path: str

    @classmethod
    def of(cls, assignment: str) -> "_Assignment":
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise SettingError(f"--set takes name=value, such as train.batch=64. Received: {assignment!r}.")
        return cls(tuple(path.split(".")), text, path)

    def inside(self) -> "_Assignment":
        """The same, seen from the field it leads through."""
        return dataclasses.replace(self, names=self.names[1:])


def override(value: T, *assignments: str) -> T:
    """``value`` with settings changed: ``override(recipe, "train.batch=128", "data.mirror=true")``.

    A field that holds a choice of dataclasses takes a name or a call: ``optimizers.critic=RMSprop``,
    ``method.schedule=Cosine(end=0.1)``. Fields of one value change at once, so what a value asks of them
    together (no gradient penalty with batch norm) holds in the end and not after each.

    Raises:
        SettingError: no such setting (the nearest is named), or a value of another type.
    """
    return typing.cast(T, _replace(value, [_Assignment.of(each) for each in assignments]))


def _replace(value: Any, assignments: Sequence[_Assignment], kind: Any = None) -> Any:
    if isinstance(value, Mapping):
        change = functools.partial(_replace_in_mapping, of=(*typing.get_args(kind), Any, Any)[1])
        return functools.reduce(change, assignments, value)
    first = next(iter(assignments), None)
    if first is None:
        return value
    if not dataclasses.is_dataclass(value):
        raise SettingError(
            f"'{first.path}' goes too deep: '{first.names[0]}' is inside a plain value ({value!r})."
        )
    hints = hints_of(type(value))
    fields: dict[str, list[_Assignment]] = {}
    for each in assignments:
        name = new_name(each.names[0], hints)
        if name not in hints:
            raise SettingError(f"There is no setting '{each.path}'.{_suggest(each, hints)}")
        fields.setdefault(name, []).append(each.inside())
    changes = {name: _field(getattr(value, name), hints[name], each) for name, each in fields.items()}
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]


def _field(value: Any, kind: Any, assignments: Sequence[_Assignment]) -> Any:
    """What a field of this kind holds after assignments to it, in order, those within it at once."""
    within: list[_Assignment] = []
    for each in assignments:
        if each.names:
            within.append(each)
        else:
            _replace(value, within, kind)  # Of no consequence, but a typo in them is reported.
            value, within = _parse(each.text, kind, each.path), []
    return _replace(value, within, kind)


def _replace_in_mapping(
    value: Mapping[str, Any], assignment: _Assignment, of: Any = Any
) -> Mapping[str, Any]:
    """A mapping with one entry changed; where ``of``, the type of its values, is plain, names are free."""
    name, inside = assignment.names[0], assignment.inside()
    plain = all(choice in _PLAIN for choice in choices_of(of))  # Runs to borrow from, guards; not players.
    if name not in value and (not plain or inside.names):
        raise SettingError(f"There is no setting '{assignment.path}'.{_suggest(assignment, value)}")
    if inside.names:
        return {**value, name: _replace(value[name], [inside])}
    sample = next(iter(value.values()), "")
    kind = open_kind(type(sample)) if dataclasses.is_dataclass(sample) else of
    return {**value, name: _parse(inside.text, kind, inside.path)}


def _suggest(assignment: _Assignment, known: Mapping[str, Any]) -> str:
    """The nearest of ``known`` to the first name that is still to be found."""
    stem = assignment.path.split(".")
    at = len(stem) - len(assignment.names)
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
    float: parse_number,
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
