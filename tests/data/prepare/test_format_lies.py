"""Columns of a prepared set that contradict each other are told as damage, and nothing else happens."""

import json

import numpy as np
import pytest
from PIL import Image

from gansmith.core.image_size import Size
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.errors import DataError

COUNT = 6
LIES = {
    "labels": [
        np.array(["a"] * COUNT),
        np.zeros(COUNT, "datetime64[s]"),
        np.zeros(COUNT, [("x", "i8")]),
        np.zeros((COUNT, 2), np.int64),
        np.full(COUNT, -1),
        np.full(COUNT, 2),
        np.zeros(COUNT, np.float32),
    ],
    "attributes": [np.zeros((COUNT, 3), np.uint8), np.zeros(COUNT, np.uint8), np.zeros((COUNT, 1), np.int64)],
    "landmarks": [np.zeros((COUNT, 5, 3), np.float32), np.full((COUNT, 5, 2), "x")],
    "held_out": [np.zeros(COUNT, np.int64), np.zeros((COUNT, 1), np.bool_)],
}


@pytest.mark.parametrize(("name", "place"), [(name, i) for name in LIES for i in range(len(LIES[name]))])
def test_columns_that_lie_are_damage(tmp_path, name, place):
    for number in range(COUNT):
        (tmp_path / "data" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "data" / "ab"[number % 2] / f"{number}.png")
    made = prepare(str(tmp_path / "data"), tmp_path / "set", Options(size=Size(8, 8)), workers=1).path
    array = LIES[name][place]
    np.save(made / f"{name}.npy", array)
    told = json.loads((made / "set.json").read_text())
    told["columns"][name] = {"dtype": str(array.dtype), "shape": list(array.shape)}
    (made / "set.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match="Prepare the set again"):
        PreparedFolder(made)
