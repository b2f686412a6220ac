"""A prepared set that contradicts itself is told as damage when it is opened; what opens can be used."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.inspect.inspect import inspect
from gansmith.data.inspect.measure import SEEN
from gansmith.data.mapped import open_prepared
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.errors import DataError

COUNT = 6
FACTS = {
    "labels": np.arange(COUNT) % 2,
    "attributes": np.eye(COUNT, 3, dtype=np.uint8),
    "landmarks": np.ones((COUNT, 5, 2), np.float32),
    "held_out": np.arange(COUNT) < 2,
}
NAMES = {"label_names": ["a", "b"], "attribute_names": ["x", "y", "z"], "landmark_names": list("abcde")}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A set of pixels of which everything is known, and one in shards."""
    root = tmp_path_factory.mktemp("sets")
    pixels, shards = (
        prepare(f"demo-faces:{COUNT}", root / name, Options(size=Size(8, 8), shards=size), workers=1).path
        for name, size in (("pixels", None), ("shards", 3))
    )
    for name, column in FACTS.items():
        replace(pixels, name, column)
    change(pixels, NAMES)
    return {"pixels": pixels, "shards": shards}


def change(folder: Path, told: dict[str, Any]) -> None:
    """Say something else in the description."""
    whole = json.loads((folder / "set.json").read_text()) | told
    (folder / "set.json").write_text(json.dumps(whole))


def replace(folder: Path, name: str, column: Any) -> None:
    """Another column, of which the description says what is there."""
    np.save(folder / f"{name}.npy", column)
    if name not in ("places", "names", "captions", "seen"):
        columns = json.loads((folder / "set.json").read_text())["columns"]
        shape = {"dtype": str(column.dtype), "shape": list(column.shape)}
        change(folder, {"columns": columns | {name: shape}})


def wrong_kinds(column: Any) -> Iterator[Any]:
    """Columns as long as this one, of every other kind."""
    count, *rest = column.shape
    for kind in ("U3", "S2", "datetime64[s]", "f4", "c8", "i2", "u8", ">i8", ">f4", [("x", "i8")], "m8[s]"):
        if np.dtype(kind) != column.dtype:
            yield np.zeros(column.shape, kind)
    yield np.zeros((count, *rest, 1), column.dtype)
    if rest:
        yield np.zeros(count, column.dtype)


def edited(column: Any, place: Any, value: Any) -> Any:
    """A copy with one value changed."""
    copied = np.array(column)
    copied[place] = value
    return copied


def none(shape: tuple[int, ...], kind: str = "u1") -> Any:
    """A column of zeros."""
    return np.zeros((COUNT, *shape), kind)


EDITS: dict[str, list[tuple[Any, Any]]] = {
    "labels": [(3, -1), (3, 2), (0, 2**62), (5, -(2**63))],
    "attributes": [((1, 1), 2), ((5, 2), 255)],
    "names": [(0, -1), (2, 0), (4, 10**9), (COUNT - 1, 2**62), (1, -(2**63))],
    "captions": [(0, -1), (2, 0), (4, 10**9), (COUNT - 1, 2**62), (1, -(2**63))],
    "places": [
        *((0, (-1, 0, 9)), (1, (2, 512, 9)), (2, (10**9, 0, 9)), (3, (0, -5, 9)), (4, (0, 512, 0))),
        *((5, (0, 2**62, 2**62)), (5, (0, 512, 10**7)), (5, (0, 2**63 - 1, 1)), (5, (1, 0, -(2**63)))),
    ],
}
"""Column -> (place, value) of what contradicts another part of the set."""

WIDTHS: list[tuple[str, Any]] = [
    *(("attributes", none((width,))) for width in (0, 2, 4)),
    *(("landmarks", none((width, 2), "f4")) for width in (0, 2, 4)),
    ("landmarks", none((5, 3), "f4")),
    ("held_out", np.full(COUNT, 7, np.uint8).view(np.bool_)),
]


def lying_columns(sets: dict[str, Path]) -> Iterator[tuple[str, str, Any]]:
    """(which set, column, what it is changed to)."""
    for name in (*FACTS, *EDITS):
        which = "shards" if name == "places" else "pixels"
        column = np.load(sets[which] / f"{name}.npy")
        yield from ((which, name, wrong) for wrong in wrong_kinds(column))
        yield from ((which, name, edited(column, *edit)) for edit in EDITS.get(name, ()))
    yield from (("pixels", *lie) for lie in WIDTHS)


def tell_everything(folder: PreparedFolder) -> None:
    """Whatever training, inspecting and evaluating ask of a set."""
    inspect(folder, max_pictures=COUNT)
    data = open_prepared(folder, DataConfig(size=Size(8, 8)))
    data.fetch(torch.arange(COUNT))
    assert folder.facts.take([0]) and folder.refused is not None and folder.fingerprint


def test_columns_that_lie_are_damage(sets: dict[str, Path], tmp_path: Path) -> None:
    for path in sets.values():
        tell_everything(PreparedFolder(path))
    cases = list(lying_columns(sets))
    assert len(cases) > 100
    for number, (which, name, lie) in enumerate(cases):
        place = shutil.copytree(sets[which], tmp_path / "set")
        replace(place, name, lie)
        with pytest.raises(DataError, match=r"is damaged: .*Prepare the set again\.$"):
            tell_everything(PreparedFolder(place))
            pytest.fail(f"{number}: {name} is taken")
        shutil.rmtree(place)


@pytest.mark.parametrize(("field", "value"), [("format", 200), ("mode", 99), ("width", 0), ("height", 0)])
def test_measurements_that_cannot_be_are_damage(
    sets: dict[str, Path], tmp_path: Path, field: str, value: int
) -> None:
    place = shutil.copytree(sets["pixels"], tmp_path / "set")
    seen = np.load(place / "seen.npy")
    assert seen.dtype == SEEN
    seen[field][1] = value
    np.save(place / "seen.npy", seen)
    with pytest.raises(DataError, match="is damaged: seen"):
        inspect(str(place))
