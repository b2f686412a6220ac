"""Files of tensors: what safetensors writes is read, what is written it reads, and damage is refused."""

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gansmith.core.tensor_file import read_metadata, read_tensors, write_tensors

TEXTS = {"format": "x", "facts": '{"name": "ü"}'}


def tensors() -> dict[str, Tensor]:
    weight = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    return {
        "plain": weight,
        "part": weight[1:3],
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
        "double half": torch.tensor([1.5], dtype=torch.float16),
        "dotted.näme": torch.ones(1),
    }


def test_every_kind_of_tensor_survives_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, tensors(), TEXTS)
    loaded, texts = read_tensors(path)
    assert texts == TEXTS == read_metadata(path)
    assert loaded.keys() == tensors().keys()
    for name, value in tensors().items():
        assert loaded[name].dtype == value.dtype, name
        assert loaded[name].shape == value.shape, name
        assert torch.equal(loaded[name], value), name
        assert not loaded[name].requires_grad


def test_safetensors_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    plain = {name: value.detach().clone() for name, value in tensors().items() if name != "part"}
    write_tensors(ours, plain, TEXTS)
    save_file(plain, theirs, TEXTS)
    read = load_file(ours)
    assert read.keys() == plain.keys() and all(torch.equal(read[name], plain[name]) for name in plain)
    found, texts = read_tensors(theirs)
    assert texts == TEXTS
    assert found.keys() == plain.keys() and all(torch.equal(found[name], plain[name]) for name in plain)


def test_a_header_of_any_length_can_be_read_back(tmp_path: Path) -> None:
    path, starts = tmp_path / "a.safetensors", set()
    for padding in range(0, 264, 8):
        write_tensors(path, {"a": torch.zeros(1)}, {"text": "x" * padding})
        assert read_metadata(path) == {"text": "x" * padding}
        starts.add(path.read_bytes()[0])
    assert {0x80, ord("P")} <= starts


def test_a_name_that_is_no_utf8_is_a_name(tmp_path: Path) -> None:
    path = Path(str(tmp_path / "caf") + "\udce9.safetensors")
    write_tensors(path, {"a": torch.ones(2)}, {})
    assert read_tensors(path)[0]["a"].tolist() == [1.0, 1.0]


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut out, put in, or a number made larger."""
    place, kind = chance.randrange(len(whole)), chance.randrange(4)
    before, after = whole[:place], whole[place:]
    if kind == 0:
        return before + bytes([chance.randrange(256)]) + after[1:]
    if kind == 1:
        return before + after[chance.choice((1, 8, 100)) :]
    if kind == 2:
        return before + chance.choice((b"[", b'"', b"9", b"\0" * 8, b"[" * 200)) + after
    return before + after.replace(b"0", b"9", 1)


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_read_as_it_was_or_refused(tmp_path: Path, seed: int) -> None:
    """A file's own length and header hold it together."""
    chance, path = random.Random(seed), tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.arange(20.0), "b": torch.arange(6).view(2, 3)}, TEXTS)
    whole, refused = path.read_bytes(), 0
    for _ in range(100):
        content = whole
        for _ in range(chance.choice((1, 1, 3))):
            content = damaged(content, chance)
        path.write_bytes(content)
        try:
            found, _ = read_tensors(path)
        except ValueError:
            refused += 1
        else:
            assert sum(value.numel() for value in found.values()) < 1000
    assert refused > 30


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"data_offsets":[0,48]', b'"data_offsets":[8,48]'),
        (b'"shape":[2,3]', b'"shape":[3,9]'),
        (b'"shape":[2,3]', b'"shape":[-2]'),
        (b'"shape":[2,3]', b'"shape":6   '),
        (b'"I64"', b'"F99"'),
        (b'{"dtype":"I64"', b'{"dtype":["I6"'),
        (b'"b"', b'"a"'),
        (b'"format":"x"', b'"format":123'),
    ],
)
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.arange(20.0), "b": torch.arange(6).view(2, 3)}, TEXTS)
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ValueError, match="header"):
        read_tensors(path)


def test_truths_that_are_neither_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"flags": torch.tensor([True, False])}, {})
    path.write_bytes(path.read_bytes()[:-2] + b"\x02\x00")
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        read_tensors(path)


def test_a_file_larger_than_the_machine_is_refused_before_it_is_held(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.zeros(100)}, {})
    monkeypatch.setattr("gansmith.core.tensor_file.machine_memory", lambda: 100)
    with pytest.raises(ValueError, match="takes 400 bytes of memory, and this machine has 100 bytes"):
        read_tensors(path)
