"""Checkpoints: whole round trips, no damage unnoticed, nothing unpickled."""

import errno
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from gansmith.errors import CheckpointError, StorageError
from gansmith.runs import checkpoint
from gansmith.runs.checkpoint import Checkpoint, read_facts

FACTS = {"images": 1200, "recipe": {"name": "ü", "list": [1, 2.5, None, True]}}


def tensors() -> dict[str, Tensor]:
    weight = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    return {
        "plain": weight,
        "channels last": weight.contiguous(memory_format=torch.channels_last),
        "transposed": weight.flatten(1).T,
        "part": weight[1:3],
        "shared": weight.view(-1),
        "parameter": torch.nn.Parameter(weight),
        "scalar": torch.tensor(3.5),
        "count": torch.tensor(2**53 + 1),
        "whole": torch.arange(-3, 4),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "flags": torch.tensor([True, False]),
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "double": torch.tensor([1e300], dtype=torch.float64),
        "odd": torch.tensor([float("inf"), float("-inf"), -0.0, 1e-45]),
        "empty": torch.empty(0),
        "empty rows": torch.empty(0, 3, dtype=torch.int64),
        "dotted.näme": torch.ones(1),
    }


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "000001200.safetensors"
    Checkpoint({"a": torch.arange(20.0), "b": torch.arange(6).view(2, 3)}, FACTS).save(path)
    return path


def header_length(path: Path) -> int:
    return 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]


def flip(path: Path, position: int, mask: int = 0x01) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= mask
    path.write_bytes(content)


def test_every_kind_of_tensor_survives_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    Checkpoint(tensors(), FACTS).save(path)
    loaded = Checkpoint.load(path)
    assert loaded.facts == FACTS
    assert loaded.tensors.keys() == tensors().keys()
    for name, value in tensors().items():
        assert loaded.tensors[name].dtype == value.dtype, name
        assert loaded.tensors[name].shape == value.shape, name
        assert torch.equal(loaded.tensors[name], value), name
        assert not loaded.tensors[name].requires_grad
    assert read_facts(path) == FACTS


def test_saving_leaves_the_tensors_as_they_are(tmp_path: Path) -> None:
    value = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    Checkpoint({"a": value, "b": value}, {}).save(tmp_path / "a.safetensors")
    assert value.is_contiguous(memory_format=torch.channels_last)
    loaded = Checkpoint.load(tmp_path / "a.safetensors").tensors
    loaded["a"].zero_()
    assert torch.equal(loaded["b"], value)  # What shared memory on the way in is apart on the way out.


def test_no_tensors_at_all_are_a_checkpoint_too(tmp_path: Path) -> None:
    Checkpoint({}, {"images": 0}).save(tmp_path / "a.safetensors")
    assert Checkpoint.load(tmp_path / "a.safetensors") == Checkpoint({}, {"images": 0})


def test_a_header_of_any_length_can_be_read_back(tmp_path: Path) -> None:
    path, starts = tmp_path / "a.safetensors", set()
    for padding in range(0, 264, 8):  # A length may begin like a pickle's or a zip's first bytes.
        Checkpoint({"a": torch.zeros(1)}, {"text": "x" * padding}).save(path)
        assert Checkpoint.load(path).facts == {"text": "x" * padding}
        starts.add(path.read_bytes()[0])
    assert {0x80, ord("P")} <= starts


# ---- a full disk ----------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_the_old_file_and_no_other(saved: Path, there: bool, monkeypatch) -> None:
    before = saved.read_bytes()
    if not there:
        saved.unlink()

    def fill_the_disk(tensors: Any, path: Path, metadata: Any) -> None:
        Path(path).write_bytes(before[: len(before) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fill_the_disk)
    with pytest.raises(StorageError, match="the disk is full"):
        Checkpoint({"a": torch.ones(9)}, {}).save(saved)
    assert [item.name for item in saved.parent.iterdir()] == ([saved.name] if there else [])
    assert not there or saved.read_bytes() == before


def test_the_writers_own_error_is_a_storage_error(saved: Path, monkeypatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise checkpoint.SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        Checkpoint({}, {}).save(saved)
    assert Checkpoint.load(saved).facts == FACTS


# ---- damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, "header", "half", -1])
def test_a_file_cut_short_is_refused(saved: Path, length: int | str) -> None:
    content = saved.read_bytes()
    lengths = {"header": header_length(saved), "half": len(content) // 2}
    saved.write_bytes(content[: lengths.get(length, length)])
    with pytest.raises(CheckpointError, match=saved.name):
        Checkpoint.load(saved)


def test_a_file_with_something_behind_it_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(CheckpointError):
        Checkpoint.load(saved)


def test_one_flipped_byte_anywhere_in_the_tensors_is_refused(saved: Path) -> None:
    start, end = header_length(saved), len(saved.read_bytes())
    assert end - start == 4 * 20 + 8 * 6
    for position in range(start, end):
        flip(saved, position)
        with pytest.raises(CheckpointError, match="do not match the digest"):
            Checkpoint.load(saved)
        flip(saved, position)
    assert Checkpoint.load(saved).facts == FACTS


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_one_flipped_byte_in_the_header_is_refused_or_harmless(saved: Path, mask: int) -> None:
    whole, refused, length = Checkpoint.load(saved), 0, header_length(saved)
    for position in range(length):
        flip(saved, position, mask)
        try:
            loaded = Checkpoint.load(saved)
        except CheckpointError:
            refused += 1
        else:
            assert loaded.facts == whole.facts
            assert all(torch.equal(loaded.tensors[name], value) for name, value in whole.tensors.items())
            assert loaded.tensors.keys() == whole.tensors.keys()
        flip(saved, position, mask)
    assert refused > 0.9 * length


@pytest.mark.parametrize(
    ("old", "new"), [(b"1200", b"9200"), (b'"I64"', b'"F64"'), (b'"b"', b'"c"'), (b"[2,3]", b"[3,2]")]
)
def test_a_header_that_says_something_else_is_refused(saved: Path, old: bytes, new: bytes) -> None:
    content = saved.read_bytes()
    assert content.count(old) == 1
    saved.write_bytes(content.replace(old, new))
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.load(saved)


@pytest.mark.parametrize("drop", ["facts", "digest"])
def test_a_header_without_facts_or_digest_is_refused(tmp_path: Path, drop: str) -> None:
    metadata = {"format": checkpoint.FORMAT, "facts": "{}", "digest": "0" * 64}
    del metadata[drop]
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors", metadata)
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.load(tmp_path / "a.safetensors")


# ---- foreign and unsafe -------------------------------------------------------------------------------


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_its_code_does_not_run(tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / "marker", tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps(Trap(marker), protocol))
    for read in (Checkpoint.load, read_facts):
        with pytest.raises(CheckpointError):
            read(path)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()  # The trap was live.


@pytest.mark.parametrize("new", [True, False])
def test_a_file_of_torch_save_is_refused_and_its_code_does_not_run(tmp_path: Path, new: bool) -> None:
    marker, path = tmp_path / "marker", tmp_path / "a.pt"
    torch.save({"a": torch.zeros(2), "trap": Trap(marker)}, path, _use_new_zipfile_serialization=new)
    with pytest.raises(CheckpointError, match="is a pickle, a format that can run code"):
        Checkpoint.load(path)
    assert not marker.exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "gansmith-0"}])
def test_another_programs_safetensors_is_refused_with_what_it_says(tmp_path: Path, metadata) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(2)}, path, metadata)
    says = (metadata or {}).get("format", "nothing")
    with pytest.raises(CheckpointError, match=f"says format gansmith-1.*which says {says}"):
        Checkpoint.load(path)


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n", b"{}", b"\0" * 64, b"\xff" * 64, json.dumps(FACTS).encode()]
)
def test_any_other_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError):
        Checkpoint.load(tmp_path / "a.safetensors")


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        Checkpoint.load(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        Checkpoint.load(tmp_path)
