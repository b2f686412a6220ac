"""Vectors of words out of a package: read from its files, refused where they are others, saved in no run."""

import copy
import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gansmith.config.overrides import override
from gansmith.config.serialization import dumps, from_json
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.metadata.captions import to_column
from gansmith.engine.layout import check_layout
from gansmith.errors import DataError, MissingPackageError, OtherPackageError
from gansmith.methods.base import Lender
from gansmith.methods.batches import CaptionBatch
from gansmith.methods.stackgan import StackGAN
from gansmith.methods.text import JointEmbedding
from gansmith.networks import words
from gansmith.networks.words import Learnt, LearntTable, PackageTable, WordLlama, WordVectors, package_vectors
from gansmith.recipes import named

PIECES = ("red", "cap", "sun", "glass", "es")
TABLE = torch.arange(20.0).reshape(5, 4) + 1
SPEC = DataSpec(height=16, width=16, caption_length=60, words=("a", "red", "cap"))
REAL = importlib.util.find_spec("wordllama") is not None


class Tokenizer:
    """Stands for that of tokenizers: the longest piece that a word begins with, again and again."""

    def __init__(self, pieces: dict[str, int]) -> None:
        self._pieces = pieces

    @classmethod
    def from_file(cls, path: str) -> "Tokenizer":
        return cls(json.loads(Path(path).read_text()))

    def get_vocab(self) -> dict[str, int]:
        return dict(self._pieces)

    def encode(self, word: str, add_special_tokens: bool) -> SimpleNamespace:
        assert not add_special_tokens
        ids = []
        while word and (fits := [piece for piece in self._pieces if word.startswith(piece)]):
            longest = max(fits, key=len)
            ids.append(self._pieces[longest])
            word = word.removeprefix(longest)
        return SimpleNamespace(ids=ids)


Install = Callable[..., WordLlama]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a package of the form of wordllama on the path; returns the setting that fits it."""
    monkeypatch.setitem(sys.modules, "tokenizers", SimpleNamespace(Tokenizer=Tokenizer))

    def put(table: torch.Tensor = TABLE, pieces: tuple[str, ...] = PIECES, release: str = "9.1") -> WordLlama:
        site = tmp_path / release
        for name in ("weights", "tokenizers", f"../wordllama-{release}.dist-info"):
            (site / "wordllama" / name).resolve().mkdir(parents=True)
        (site / "wordllama/__init__.py").write_text("raise RuntimeError('its code is not to be run')")
        save_file({"embedding.weight": table.half()}, site / "wordllama/weights/l2_supercat_256.safetensors")
        numbers = json.dumps({piece: number for number, piece in enumerate(pieces)})
        (site / "wordllama/tokenizers/l2_supercat_tokenizer_config.json").write_text(numbers)
        facts = f"Metadata-Version: 2.1\nName: wordllama\nVersion: {release}\n"
        (site / f"wordllama-{release}.dist-info/METADATA").write_text(facts)
        monkeypatch.syspath_prepend(str(site))
        held = package_vectors()
        assert held.release == release
        return WordLlama(digest=held.digest, release=release)

    return put


def test_a_word_is_the_mean_of_its_pieces(install: Install) -> None:
    install()
    vectors, there = package_vectors().read(to_column(["Red SUNGLASSES!", "cap", "", "zzz red"]))
    assert there.tolist() == [[True, True], [True, False], [False, False], [True, False]]
    torch.testing.assert_close(vectors[0], torch.stack([TABLE[0], TABLE[2:5].mean(dim=0)]))
    torch.testing.assert_close(vectors[1], torch.stack([TABLE[1], torch.zeros(4)]))
    assert not vectors[2].any() and torch.equal(vectors[3, 0], TABLE[0])
    empty, none = package_vectors().read(to_column(["", "..."]))
    assert empty.shape == (2, 1, 4) and not none.any()


def test_only_the_layer_behind_the_vectors_is_learnt_and_saved(install: Install) -> None:
    setting = install()
    with torch.device("meta"):
        setting.table(SPEC.words, 6)  # Sizes are tried there first; the vectors are not lost by that.
    table = setting.table(SPEC.words, 6)
    assert isinstance(setting, WordVectors) and isinstance(table, PackageTable)
    assert set(table.state_dict()) == {"narrow.weight", "narrow.bias"}
    assert copy.deepcopy(table)._held is table._held, "a copy has the same vectors"
    alone, there = table(to_column(["red"]))
    beside, _ = table(to_column(["red", "a cap of red glass"]))
    torch.testing.assert_close(alone[0, 0], beside[0, 0])
    assert there.all() and not beside[0, 1:].any(), "nothing behind the end"
    alone.sum().backward()
    assert table.narrow.weight.grad is not None


def test_the_digest_is_of_what_is_in_the_files(install: Install) -> None:
    first, again = install(release="9.1"), install(release="9.2")
    assert first.digest == again.digest != WordLlama().digest
    again.table((), 4), replace(first, release="9.2").table((), 4)
    assert install(release="9.3", table=TABLE + 1).digest != first.digest
    assert install(release="9.4", pieces=PIECES[::-1]).digest != first.digest


def test_other_vectors_than_a_run_was_made_with_are_refused(install: Install) -> None:
    before = install(release="9.1")
    install(release="9.3", table=TABLE + 1)
    with pytest.raises(
        OtherPackageError, match=r"those of wordllama 9\.1.*Received: wordllama 9\.3.*==9\.1'"
    ):
        before.table((), 4)
    with pytest.raises(OtherPackageError, match="may use these") as refused:
        JointEmbedding(vectors=before).tiny().build(SPEC)
    said = str(refused.value).split('--set "')[1].split('"')[0]
    override(named("text32"), said).method.encoder(SPEC)  # What it says to do does it.


@pytest.mark.parametrize(
    "spoil", ["no table", "damaged table", "no pieces", "damaged pieces", "too many pieces"]
)
def test_damaged_files_are_named(install: Install, tmp_path: Path, spoil: str) -> None:
    install()
    folder = tmp_path / "9.1/wordllama"
    table = folder / "weights/l2_supercat_256.safetensors"
    pieces = folder / "tokenizers/l2_supercat_tokenizer_config.json"
    path = table if "table" in spoil else pieces
    if spoil.startswith("no "):
        path.unlink()
    elif spoil == "too many pieces":
        path.write_text(json.dumps({"red": 5}))
    else:
        path.write_bytes(b"damaged")
    words._load.cache_clear()
    with pytest.raises(DataError, match=r"l2_supercat_256.*release 9\.1.*--force-reinstall"):
        WordLlama().table((), 4)


def test_a_package_that_is_not_there_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "wordllama" else find(name, *rest)
    )
    recipe = override(named("text32"), "method.vectors=WordLlama")
    with pytest.raises(MissingPackageError, match=r"wordllama.*pip install 'gansmith\[text\]'"):
        recipe.method.build(SPEC)
    with pytest.raises(MissingPackageError):
        check_layout(recipe, 0, {})  # Its checkpoints are not damaged for that.


def test_tokenizers_that_are_not_there_are_said(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = install()
    words._load.cache_clear()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingPackageError, match="the package tokenizers"):
        setting.table((), 4)


def test_stackgan_borrows_it_and_both_runs_say_what_they_need(install: Install) -> None:
    setting = install()
    text = replace(JointEmbedding(), vectors=setting).tiny()
    recipe = replace(named("text32"), method=text)
    assert from_json(json.loads(dumps(recipe)), type(recipe)).method.vectors == setting
    stage = StackGAN().tiny().with_lenders(SPEC, {"text_encoder": Lender("runs/text", text, SPEC)})
    assert stage.text.vectors == setting and stage.words(SPEC) == (), "any word"
    state = text.build(SPEC).text_encoder.state_dict()
    assert not any(value.shape == TABLE.shape for value in state.values())
    borrowed = stage.build(SPEC).text_encoder
    borrowed.load_state_dict(state)
    assert borrowed(to_column(["sunglasses nobody named"])).shape == (1, text.size)


def test_it_learns_captions_by_words_that_the_data_have_once(install: Install) -> None:
    method = JointEmbedding(size=8, width=4, word=8, gallery=4, vectors=install())
    torch.manual_seed(0)
    networks = method.build(replace(SPEC, words=()))
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch: Any = CaptionBatch(images, to_column(["red", "cap", "sunglasses"], 60))
    optimizer = torch.optim.Adam(networks.parameters(), 1e-2)
    for _ in range(30):
        loss = method.joint_loss(networks, batch, Noise.of(0, 1, 2), Progress())
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert loss.total.item() < 0.2
    assert torch.equal(package_vectors().table, TABLE), "the vectors are frozen"


def test_learnt_vectors_begin_as_those_of_an_embedding() -> None:
    torch.manual_seed(3)
    table = Learnt().table(SPEC.words, 5)
    torch.manual_seed(3)
    assert isinstance(table, LearntTable)
    assert torch.equal(table.weight, torch.nn.Embedding(4, 5, padding_idx=0).weight)
    vectors, there = table(to_column(["a zebra's red cap", "zebra"]))
    assert torch.equal(vectors[0], table.weight[1:]) and there.tolist() == [[True] * 3, [False] * 3]
    assert Learnt().words(SPEC.words) == SPEC.words


@pytest.mark.skipif(not REAL, reason="wordllama is not installed")
def test_the_package_as_it_is_knows_which_sentences_are_alike() -> None:
    assert package_vectors().digest == WordLlama().digest
    assert package_vectors().table.shape == (32_000, 256)
    texts = ["a smiling woman with blond hair", "a blonde lady who smiles", "a bald man with a beard"]
    vectors, there = package_vectors().read(to_column(texts))
    means = torch.nn.functional.normalize(vectors.sum(dim=1) / there.sum(dim=1, keepdim=True), dim=1)
    like, unlike = float(means[0] @ means[1]), float(means[0] @ means[2])
    assert like > 0.5 > 0.3 > unlike
