"""Checkpoints: whole round trips, no damage unnoticed, no lie believed, nothing unpickled."""

import dataclasses
import errno
import json
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import lies
import pytest
import torch
from helpers import CPU, facts_of
from promises import RECIPES, trainer_of
from safetensors.torch import save_file
from torch import nn

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import to_json
from gansmith.config.training import TrainConfig
from gansmith.core.memory import PeakMemory
from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.errors import CheckpointError, GansmithError, StorageError
from gansmith.methods.batches import ImageBatch
from gansmith.methods.latent import NoiseToImage
from gansmith.models.load import open_generator
from gansmith.networks.bundle import Networks
from gansmith.runs import checkpoint
from gansmith.runs.checkpoint import Checkpoint


class Numbers(Networks):
    """Twenty weights and six whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Module()
        self.a.b = nn.Parameter(torch.arange(20.0))
        self.a.register_buffer("c", torch.arange(6).view(2, 3))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Game(NoiseToImage[Numbers, ImageBatch]):
    """A game that nobody plays, small enough to damage each of its bytes."""

    batch_type = ImageBatch

    def build(self, spec: DataSpec) -> Numbers:
        return Numbers()

    def players(self) -> dict[str, tuple[str, ...]]:
        return {}

    def turns(self) -> list[Any]:
        return []

    def latents(self, noise: Any) -> Any:
        return noise.normal(2)

    def decode(self, networks: Numbers, latents: Any) -> Any:
        return latents[:, :, None, None]


RECIPE = Recipe(name="ü", method=Game(), optimizers={}, train=TrainConfig(average=None))
FACTS = {"images": 1200, "recipe": to_json(RECIPE)}
TENSORS = {f"networks.{name}": value for name, value in Numbers().state_dict().items()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "000001200.safetensors"
    Checkpoint(TENSORS, FACTS).save(path)
    return path


def header_length(path: Path) -> int:
    return 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]


def flip(path: Path, position: int, mask: int = 0x01) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= mask
    path.write_bytes(content)


def test_a_checkpoint_is_read_as_it_was_saved(saved: Path) -> None:
    loaded = Checkpoint.load(saved)
    assert loaded.facts == FACTS and loaded.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(loaded.tensors[name], value) for name, value in TENSORS.items())


def test_saving_leaves_the_tensors_as_they_are(tmp_path: Path) -> None:
    value = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    Checkpoint({"a": value, "b": value, "c": value[1:].mT, "d": nn.Parameter(value)}, {}).save(tmp_path / "a")
    assert value.is_contiguous(memory_format=torch.channels_last)
    loaded, _ = lies.read(tmp_path / "a")
    loaded["a"].zero_()
    assert torch.equal(loaded["b"], value)  # What shared memory on the way in is apart on the way out.
    assert torch.equal(loaded["c"], value[1:].mT) and torch.equal(loaded["d"], value)


# ---- a full disk ----------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_the_old_file_and_no_other(saved: Path, there: bool, monkeypatch) -> None:
    before = saved.read_bytes()
    if not there:
        saved.unlink()

    def fill_the_disk(path: Path, tensors: Any, metadata: Any) -> None:
        Path(path).write_bytes(before[: len(before) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_tensors", fill_the_disk)
    with pytest.raises(StorageError, match="the disk is full"):
        Checkpoint({"a": torch.ones(9)}, {}).save(saved)
    assert [item.name for item in saved.parent.iterdir()] == ([saved.name] if there else [])
    assert not there or saved.read_bytes() == before


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
    positions = range(0, length, 5)
    for position in positions:
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
    assert refused > 0.9 * len(positions)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"1200", b"9200"), (b'"I64"', b'"F64"'), (b'"networks.a.b"', b'"networks.a.e"'), (b"[2,3]", b"[3,2]")],
)
def test_a_header_that_says_something_else_is_refused(saved: Path, old: bytes, new: bytes) -> None:
    content = saved.read_bytes()
    assert content.count(old) == 1
    saved.write_bytes(content.replace(old, new))
    with pytest.raises(CheckpointError, match=r"is damaged|cannot be used"):
        Checkpoint.load(saved)


@pytest.mark.parametrize("drop", ["facts", "digest"])
def test_a_header_without_facts_or_digest_is_refused(tmp_path: Path, drop: str) -> None:
    metadata = {"format": checkpoint.FORMAT, "facts": json.dumps(FACTS), "digest": "0" * 64}
    del metadata[drop]
    save_file(TENSORS, tmp_path / "a.safetensors", metadata)
    with pytest.raises(CheckpointError, match=f"has no {drop}"):
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
    with pytest.raises(CheckpointError):
        Checkpoint.load(path)
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
    with pytest.raises(CheckpointError, match="cannot be read: it is no file"):
        Checkpoint.load(tmp_path)


# ---- lies: the digest is right ---------------------------------------------------------------------------


def refusal(path: Path) -> str | None:
    """What is said of a checkpoint; None where it is taken."""
    try:
        Checkpoint.load(path)
    except CheckpointError as error:
        return str(error)
    return None


GAMES = ("dcgan28", "wgan28", "acgan28", "captioned", "growing", "adaptive", "attributed")


@pytest.fixture(scope="module", params=GAMES)
def trained(request: pytest.FixtureRequest) -> tuple[lies.Tensors, Any]:
    """Tensors and facts of a game after a step."""
    trainer = trainer_of(RECIPES[request.param])
    trainer.step()
    return trainer.state(), json.loads(json.dumps(facts_of(trainer)))


def test_each_tensor_that_is_not_what_the_recipe_makes_is_refused(trained: Any, tmp_path: Path) -> None:
    (tensors, facts), chance, path = trained, random.Random(1), tmp_path / "a.safetensors"
    lies.write(path, tensors, facts)
    assert refusal(path) is None
    for _ in range(40):
        what, changed = lies.odd_tensors(tensors, chance)
        lies.write(path, changed, facts)
        assert refusal(path) is not None, what


def test_weights_that_an_optimizer_has_forgotten_are_noted_or_refused(trained: Any, tmp_path: Path) -> None:
    (tensors, facts), path = trained, tmp_path / "a.safetensors"
    player = next(name.split(".")[1] for name in tensors if name.startswith("optimizers."))
    first = f"optimizers.{player}.0."
    lies.write(path, {name: value for name, value in tensors.items() if not name.startswith(first)}, facts)
    assert "is missing" in str(refusal(path))


def test_facts_of_any_kind_are_refused_or_right(trained: Any, tmp_path: Path) -> None:
    (tensors, facts), chance, path, refused = trained, random.Random(2), tmp_path / "a.safetensors", 0
    for _ in range(60):
        what, changed = lies.odd_tree(facts, chance)
        lies.write(path, tensors, changed)
        said = refusal(path)
        refused += said is not None
        assert said is None or len(said) < 2000, what
        if said is None:  # Not a lie after all: then it can be used.
            try:
                open_generator(str(path), "cpu").make(Noise.of(0))
            except GansmithError:
                continue
    assert refused > 30


@pytest.mark.parametrize(
    "facts", [*(each for each in lies.ODD if each != "\ud800"), {"images": 1}, {"recipe": FACTS["recipe"]}]
)
def test_facts_that_are_none_are_refused(saved: Path, facts: Any) -> None:
    lies.write(saved, TENSORS, facts)
    assert refusal(saved) is not None


@pytest.mark.parametrize("way", "[{")
def test_facts_of_any_depth_are_refused(saved: Path, way: str) -> None:
    lies.write(saved, TENSORS, lies.deep(100_000, way))
    assert "more than 64 levels" in str(refusal(saved))


@pytest.mark.parametrize("values", [{"latent": 10**9}, {"latent": 2 * 10**7, "generator_width": 10**6}])
def test_sizes_are_not_believed(tmp_path: Path, values: dict[str, int]) -> None:
    trainer = trainer_of(RECIPES["dcgan28"])
    facts = json.loads(json.dumps(facts_of(trainer)))
    facts["recipe"]["method"] |= values
    lies.write(tmp_path / "a.safetensors", trainer.state(), facts)
    before = PeakMemory(CPU).read().peak
    assert "its recipe makes 'networks.generator" in str(refusal(tmp_path / "a.safetensors"))
    after = PeakMemory(CPU).read().peak
    assert before is None or after is None or after - before < 2**28


@pytest.mark.parametrize("name", ["labels", "attributes"])
def test_prompts_of_classes_that_are_not_there_are_refused(tmp_path: Path, name: str) -> None:
    trainer = trainer_of(RECIPES["acgan28" if name == "labels" else "attributed"])
    tensors = trainer.state()
    tensors[f"prompts.{name}"] = torch.full_like(tensors[f"prompts.{name}"], 77)
    lies.write(tmp_path / "a.safetensors", tensors, facts_of(trainer))
    assert f"the {name} of its prompts are 0 to" in str(refusal(tmp_path / "a.safetensors"))
