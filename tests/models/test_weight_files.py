"""Files of weights that ask for endless work or memory are refused at once; all that are used are read."""

import collections
import io
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gansmith.data.sources.cifar import read_plain_pickle
from gansmith.errors import CheckpointError, DataError
from gansmith.models.import_dcgan import read_foreign
from gansmith.models.weight_files import check_weights


def nested(levels: int, times: int, kind: type = list) -> Any:
    """One container held so many times, so deep: a few hundred bytes, and times ** levels ways through it."""
    held: Any = kind()
    for _ in range(levels):
        held = kind([held] * times)
    return held


def generator() -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(8, 4, 4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 2, 1))


def with_key(levels: int) -> bytes:
    """A pickle of a table whose key is a tuple of tuples, put together without taking its hash."""
    tuple_of = b")"  # An empty tuple,
    for _ in range(levels):
        tuple_of += b"2\x86"  # twice on the stack, as a pair of both.
    return b"\x80\x02}" + tuple_of + b"K\x01s."


def zipped(program: bytes, **entries: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"data.pkl": program, "version": b"3\n", **entries}.items():
            archive.writestr(f"archive/{name}", content)
    return held.getvalue()


HOSTILE = {
    "a key of tuples": zipped(with_key(60)),
    "a key of tuples, legacy": with_key(60),
    "a set of tuples": zipped(b"\x80\x04\x8f(" + b")" + b"2\x86" * 60 + b"\x90."),
    "set() of tuples": zipped(b"\x80\x02cbuiltins\nset\n(](" + b")" + b"2\x86" * 60 + b"etR."),
    "a table of pairs": zipped(
        b"\x80\x02ccollections\nOrderedDict\n(](" + b")" + b"2\x86" * 60 + b"K\x01\x86etR."
    ),
    "a storage named by tuples": zipped(b"\x80\x02(X\x07\x00\x00\x00storage" + b")" + b"2\x86" * 60 + b"tQ."),
    "a bomb": zipped(b"\x80\x02}.", **{"data/0": b"\0" * 2**30, "data/1": b"\0" * 2**20}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_endless_work_is_refused_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(HOSTILE[name])
    before = time.monotonic()
    with pytest.raises(CheckpointError, match="damaged, cut short, or no file of weights"):
        read_foreign(path)
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(("levels", "times"), [(12, 30), (60, 2), (7, 1000)])
def test_containers_that_are_shared_are_walked_once(tmp_path: Path, levels: int, times: int) -> None:
    torch.save({"a": nested(levels, times), "g": generator().state_dict()}, tmp_path / "a.pt")
    before = time.monotonic()
    assert read_foreign(tmp_path / "a.pt").found_under == "g"
    torch.save(nested(levels, times), tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="has no network in it"):
        read_foreign(tmp_path / "b.pt")
    assert time.monotonic() - before < 5


def test_one_number_cannot_pose_as_many(tmp_path: Path) -> None:
    weights = {name: value.detach() for name, value in generator().state_dict().items()}
    weights["0.weight"] = torch.zeros(1).expand(10**6, 10**4, 4, 4)
    torch.save(weights, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="no DCGAN generator"):
        read_foreign(tmp_path / "a.pt")


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_saves_passes(tmp_path: Path, new: bool) -> None:
    network = generator()
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 8, 1, 1)).sum().backward()
    optimizer.step()
    saved = {
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "ordered": collections.OrderedDict([("a", torch.zeros(2)), ("b", (1, 2))]),
        "numbers": {1: 2.5, None: [True]},
        "names": {"a", "b"},
        "parameter": nn.Parameter(torch.ones(1)),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
    }
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    with open(tmp_path / "a.pt", "rb") as file:
        check_weights(file)
        assert file.tell() == 0
    assert read_foreign(tmp_path / "a.pt").found_under == "state_dict"


@pytest.mark.parametrize("program", [with_key(60), b"\x80\x04\x8f(" + b")" + b"2\x86" * 60 + b"\x90."])
def test_the_pickles_of_cifar_have_names_for_keys(program: bytes) -> None:
    with pytest.raises(DataError, match="where a name or a number belongs"):
        read_plain_pickle(program)
    assert read_plain_pickle(pickle.dumps({b"labels": [1, 2], "data": {1: None}})) is not None
