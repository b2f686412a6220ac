"""Values to JSON and back, and ``--set a.b=v``: typed by the dataclass fields, typos answered by name."""

import ast
import contextlib
import dataclasses
import importlib
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from gansmith.errors import SettingError, nearest

T = TypeVar("T")

_KNOWN: dict[str, type] = {}
"""Classes outside gansmith that may be named in JSON: ones this process has written, or was told of."""


_OLD_FIELDS = {
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
            _KNOWN[_name(value)] = value


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def to_json(value: Any) -> Any:
    """A tree of dicts, lists and plain values; a dataclass carries its class as ``"is": "module:Name"``."""
    if hasattr(type(value), "parse"):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        _KNOWN.setdefault(_name(type(value)), type(value))
        tree = {"is": _name(type(value))}
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
    for choice in _choices(kind):
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
    known = _OLD_FIELDS if str(tree.get("is", "")).startswith("gansmith.") else {}  # Not a user's own fields.
    return {known.get(key, key): with_new_names(item) for key, item in tree.items()}


def _new_name(name: str, hints: Mapping[str, Any]) -> str:
    """What a field is called now, where ``name`` is what version 0.1 called it."""
    new = _OLD_FIELDS.get(name, name)
    return new if name not in hints and new in hints else name


def _build(kind: type, fields: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    fields = {_new_name(name, hints): item for name, item in fields.items()}
    for name in fields:
        if name not in hints:
            raise SettingError(f"{kind.__name__} has no field '{name}'.{nearest(name, hints)}")
    try:
        made = {name: from_json(item, hints[name]) for name, item in fields.items()}
        for name, value in made.items():
            if not _fits(value, hints[name]):
                raise SettingError(
                    f"{kind.__name__}.{name} must be {_describe(hints[name])}. Received: {value!r}."
                )
        return kind(**made)
    except (
        TypeError,
        ValueError,
        AttributeError,
    ) as error:  # A field is missing, or a value is of another type.
        raise SettingError(f"{kind.__name__} cannot be made of {dict(fields)}: {error}.") from error


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is of the kind a field wants; generic classes are checked by origin."""
    for choice in _choices(kind):
        origin = typing.get_origin(choice)
        if choice is Any or (choice is float and type(value) is int):
            return True
        if origin is typing.Literal and value in typing.get_args(choice):
            return True
        if choice in (bool, int) and type(value) is not choice:
            continue  # To Python, True is an int.
        if origin is not typing.Literal and isinstance(value, origin or choice):
            return True
    return False


def _resolve(path: str) -> type:
    """The class ``"module:Name"``: gansmith's own, or one this process knows from the user's code.

    A run directory may come from anywhere, so it must not be able to name code to be run.
    """
    module_name, _, name = path.partition(":")
    kind: Any = _KNOWN.get(path)
    # Importing gansmith.__main__ would run the command line.
    if kind is None and module_name.startswith("gansmith.") and not module_name.endswith("__main__"):
        with contextlib.suppress(ModuleNotFoundError):
            kind = getattr(importlib.import_module(module_name), name, None)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise SettingError(
            f"{path} is needed and is not part of this gansmith. "
            f"If it is your own method, name its file: --code {module_name}.py "
            f"(for train: --recipe {module_name}.py)."
        )
    return kind


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
    hints = _hints(type(value))
    name = _new_name(name, hints)
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
    kind = _siblings(type(sample)) if dataclasses.is_dataclass(sample) else str
    return {**value, name: _parse(text, kind, path)}


def _siblings(kind: type) -> Any:
    """All classes that may stand where ``kind`` stands in an optimizers mapping."""
    from gansmith.config.optimizers import Optimizer

    return Optimizer if kind in typing.get_args(Optimizer) else kind


def _suggest(path: str, names: list[str], known: Mapping[str, Any]) -> str:
    """The nearest of ``known`` to the first of ``names``, the part of ``path`` that is still to be found."""
    stem = path.split(".")
    at = len(stem) - len(names)
    return nearest(".".join(stem[: at + 1]), [".".join([*stem[:at], other]) for other in known])


def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def _parse(text: str, kind: Any, path: str) -> Any:
    for choice in _choices(kind):
        try:
            return _parse_one(text.strip(), choice)
        except (ValueError, OverflowError, SyntaxError, KeyError):
            continue
    raise SettingError(f"{path} must be {_describe(kind)}. Received: {text!r}.")


def _choices(kind: Any) -> tuple[Any, ...]:
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if union else (kind,)


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
    hints, fields = _hints(kind), {}
    for keyword in call.keywords:
        name = _new_name(str(keyword.arg), hints)
        if name not in hints:
            raise SettingError(f"{kind.__name__} has no field '{name}'.{nearest(name, hints)}")
        fields[name] = _parse(ast.unparse(keyword.value).strip("'\""), hints[name], name)
    return kind(**fields)


_WORDS: Mapping[Any, str] = {
    type(None): "none",
    bool: "true, false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def _describe(kind: Any) -> str:
    names = [word for choice in _choices(kind) for word in _words(choice)]
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
