"""Checkpoints and JSON that lie, by a seed, with the digests that whoever makes one computes."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.runs.checkpoint import FORMAT, _digest

Facts = Any
Tensors = dict[str, Tensor]

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 10**9, 10**30, -(10**400), 1.5, float("nan"), float("inf")),
    *("", "64", "nan", "x" * 100_000, "\ud800", "\x1b[31mred\x1b[0m", "\u202eleft", "../../../etc"),
    *([], {}, [[]], [None], [1, "a"], ["x" * 100_000], {"": ""}, {"a": {"b": []}}, {"is": 3}),
    *({"is": "gansmith.config.optimizers:Adam"}, {"is": "gansmith.config.recipe:Recipe"}),
    *({"is": "os:system"}, {"is": "gansmith.errors:GansmithError"}),
)
"""What stands where something else should."""


def deep(levels: int, way: str = "[") -> str:
    """JSON nested so deep."""
    return ("[" * levels + "]" * levels) if way == "[" else '{"a":' * levels + "1" + "}" * levels


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value in a tree of JSON."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def with_value(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The tree with another value at a place."""
    if not path:
        return value
    copied = dict(tree) if isinstance(tree, dict) else list(tree)
    copied[path[0]] = with_value(tree[path[0]], path[1:], value)
    return copied


def without(tree: Any, path: tuple[Any, ...]) -> Any:
    """The tree without a place."""
    copied = dict(tree) if isinstance(tree, dict) else list(tree)
    if len(path) == 1:
        del copied[path[0]]
    else:
        copied[path[0]] = without(tree[path[0]], path[1:])
    return copied


def odd_tree(tree: Any, chance: random.Random) -> tuple[str, Any]:
    """A tree with one thing wrong, and what it is."""
    path = chance.choice(places(tree))
    if path and chance.random() < 0.2:
        return f"without {path}", without(tree, path)
    value = chance.choice(ODD)
    return f"{path} = {value!r:.40}", with_value(tree, path, value)


def odd_tensors(tensors: Tensors, chance: random.Random) -> tuple[str, Tensors]:
    """Tensors of which one is missing, misnamed, of another shape or type, or too many."""
    name = chance.choice(sorted(tensors))
    value = tensors[name]
    changed = dict(tensors)
    del changed[name]
    shapes: list[Callable[[], Tensor]] = [
        lambda: value.reshape(-1)[:1].clone(),
        lambda: torch.zeros(0, dtype=value.dtype),
        lambda: value[None].clone(),
        lambda: torch.cat([value.reshape(-1), value.reshape(-1)]),
        lambda: torch.zeros(3, 1, 2, dtype=value.dtype),
        lambda: value.double() if value.is_floating_point() else value.float(),
        lambda: value.to(torch.bfloat16),
        lambda: value.bool(),
    ]
    kind = chance.randrange(5)
    if kind == 0:
        return f"without {name}", changed
    if kind == 1:
        other = chance.choice(
            [name + "x", name.upper(), "networks." + name, "", "a" * 100_000, "\x1b[2J", "."]
        )
        return f"{name} as {other!r:.30}", changed | {other: value}
    if kind == 2:
        more = chance.choice(
            ["networks.x", "optimizers.generator.9999.step", "optimizers.nobody.0.step", "prompts.a"]
        )
        return f"with {more}", tensors | {more: torch.zeros(2)}
    made = chance.choice(shapes)()
    if made.shape == value.shape and made.dtype == value.dtype:
        made = torch.zeros(7, dtype=torch.int16)
    return f"{name} as {made.dtype} {list(made.shape)}", changed | {name: made}


def read(path: Path) -> tuple[Tensors, Facts]:
    """Tensors and facts of a checkpoint, unchecked."""
    tensors, metadata = read_tensors(path)
    return tensors, json.loads(metadata["facts"])


def write(path: Path, tensors: Mapping[str, Tensor], facts: Facts | str) -> None:
    """A checkpoint whose digest is right, whatever it says."""
    text = facts if isinstance(facts, str) else json.dumps(facts)
    held = {name: value.contiguous() for name, value in tensors.items()}
    write_tensors(path, held, {"format": FORMAT, "facts": text, "digest": _digest(held, text)})


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut out, put in or doubled."""
    for _ in range(chance.choice((1, 1, 4))):
        place, kind = chance.randrange(len(content) + 1), chance.randrange(4)
        before, after = content[:place], content[place:]
        odd = chance.choice((b"[" * 1000, b'{"a":' * 1000, b"9" * 30, b"\x00" * 9, b"\xff", b"null", b'"'))
        content = (
            before + odd + after, before + after[chance.randrange(1, 200) :],
            before + bytes([chance.randrange(256)]) + after[1:], before + after[:500] + after,
        )[kind]  # fmt: skip
    return content
