"""Weights are found, fetched and checked, and nothing in them is ever run."""

import hashlib
import io
import pickle
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gansmith.errors import DataError, SettingError
from gansmith.metrics.features import inception, vision, weights
from gansmith.metrics.features.weights import Weights, WeightsFile, digest, open_weights, randomize
from gansmith.metrics.scores import lpips


def content():
    buffer = io.BytesIO()
    torch.save({"weight": torch.arange(6.0).view(2, 3), "bias": torch.zeros(2)}, buffer)
    return buffer.getvalue()


CONTENT = content()


def described(raw, name="small.pth"):
    found = hashlib.sha256(raw).hexdigest()
    return WeightsFile(name, "https://example.org/small.pth", found, 1, "The network small", "Else pixels.")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache of our own, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))

    def refuse(url, timeout):
        raise URLError("there is no network")

    monkeypatch.setattr(weights, "urlopen", refuse)
    return tmp_path / "home" / "hub" / "checkpoints"


def serve(monkeypatch, raw):
    asked = []

    def answer(url, timeout):
        asked.append((url, timeout))
        return io.BytesIO(raw)

    monkeypatch.setattr(weights, "urlopen", answer)
    return asked


def test_weights_are_taken_from_torchs_cache(home):
    file = described(CONTENT)
    home.mkdir(parents=True)
    (home / file.name).write_bytes(CONTENT)
    found = open_weights(file)
    assert file.place() == home / file.name
    assert found.identity == hashlib.sha256(CONTENT).hexdigest()
    assert torch.equal(found.tensors["weight"], torch.arange(6.0).view(2, 3))


def test_a_named_file_is_used_whatever_it_is_called(tmp_path):
    named = tmp_path / "mine.pth"
    named.write_bytes(CONTENT)
    layer = nn.Linear(3, 2)
    open_weights(described(CONTENT), named).into(layer)
    open_weights(described(CONTENT), str(named)).into(layer)
    assert torch.equal(layer.weight, torch.arange(6.0).view(2, 3))


def test_safetensors_are_read_too(tmp_path):
    named = tmp_path / "mine.safetensors"
    save_file({"weight": torch.ones(2, 3)}, named)
    found = open_weights(described(named.read_bytes()), named)
    assert torch.equal(found.tensors["weight"], torch.ones(2, 3))


def test_missing_weights_are_fetched_once_and_kept(home, monkeypatch):
    asked = serve(monkeypatch, CONTENT)
    file = described(CONTENT)
    open_weights(file)
    open_weights(file)
    assert asked == [(file.url, weights._TIMEOUT)]
    assert [path.name for path in home.iterdir()] == [file.name]


def test_without_a_network_the_message_says_what_to_put_where(home):
    file = described(CONTENT)
    with pytest.raises(DataError) as caught:
        open_weights(file)
    for words in (file.name, str(home), file.url, "there is no network", "The network small", "Else pixels."):
        assert words in str(caught.value)
    assert not list(home.iterdir())


def test_a_transfer_that_breaks_off_leaves_nothing(home, monkeypatch):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise IncompleteRead(b"")

    monkeypatch.setattr(weights, "urlopen", lambda url, timeout: Broken())
    with pytest.raises(DataError, match="IncompleteRead"):
        open_weights(described(CONTENT))
    assert not list(home.iterdir())


def test_what_arrives_must_have_the_right_hash(home, monkeypatch):
    serve(monkeypatch, CONTENT[:-1])
    with pytest.raises(DataError, match="what arrived has another SHA-256"):
        open_weights(described(CONTENT))
    assert not list(home.iterdir())


def test_a_cache_that_cannot_be_written_is_told(home, monkeypatch):
    serve(monkeypatch, CONTENT)
    home.parent.mkdir(parents=True)
    home.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="Cannot write"):
        open_weights(described(CONTENT))


def test_a_wrong_hash_is_refused_and_the_file_left_alone(tmp_path):
    named = tmp_path / "small.pth"
    named.write_bytes(CONTENT + b"x")
    with pytest.raises(DataError) as caught:
        open_weights(described(CONTENT), named)
    for words in (hashlib.sha256(CONTENT).hexdigest(), digest(named), str(named), "example.org"):
        assert words in str(caught.value)
    assert named.is_file()


def test_a_named_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="which is not there"):
        open_weights(described(CONTENT), tmp_path / "absent.pth")
    with pytest.raises(DataError, match="cannot be read"):
        digest(tmp_path / "absent.pth")


class Trap:
    """A pickle that would write a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("pack", [pickle.dumps, lambda value: _saved(value)], ids=["pickle", "torch"])
def test_a_file_that_names_code_is_refused_and_not_run(pack, tmp_path):
    sprung = tmp_path / "sprung"
    raw = pack({"weight": Trap(sprung)})
    named = tmp_path / "trap.pth"
    named.write_bytes(raw)
    with pytest.raises(DataError, match="cannot be read as weights"):
        open_weights(described(raw), named)
    assert not sprung.exists()


def _saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("value", [[torch.ones(1)], {"weight": 3}], ids=["list", "number"])
def test_a_file_without_tensors_by_name_is_refused(value, tmp_path):
    raw = _saved(value)
    named = tmp_path / "other.pth"
    named.write_bytes(raw)
    with pytest.raises(DataError, match="holds something else"):
        open_weights(described(raw), named)


@pytest.mark.parametrize("name", ["empty.pth", "empty.safetensors"])
def test_an_empty_file_is_refused(name, tmp_path):
    named = tmp_path / name
    named.write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as weights"):
        open_weights(described(b""), named)


def test_weights_of_another_network_are_refused():
    with pytest.raises(DataError, match="belong to another network"):
        Weights("0" * 64, {"weight": torch.ones(5, 5)}).into(nn.Linear(3, 2))


@pytest.mark.parametrize("text", ["random:", "random:-1", "random:x", "random:1.5", "random:" + "9" * 19])
def test_a_seed_that_is_no_number_is_refused(text):
    with pytest.raises(SettingError, match="random:SEED"):
        open_weights(described(CONTENT), text)


def deep():
    layers = [nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU()]
    for _ in range(12):
        layers += [nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    return nn.Sequential(*layers).eval()


def test_random_weights_follow_from_the_seed_alone():
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(networks))
        network = deep()
        open_weights(described(CONTENT), f"random:{seed}").into(network)
        networks.append(network.state_dict())
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])
    assert not torch.equal(networks[0]["0.weight"], networks[2]["0.weight"])


def test_random_weights_keep_signals_alive_through_many_layers():
    network = deep()
    randomize(network, 0)
    with torch.no_grad():
        out = network(torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert 0.1 < float(out.std()) < 10.0
    assert int(network[1].num_batches_tracked) == 0


def test_published_files_have_whole_hashes():
    files = [inception.FILE, *lpips._BACKBONES.values(), *(n.file for n in vision.NETWORKS.values())]
    for file in files:
        assert len(file.sha256) == 64 and set(file.sha256) <= set("0123456789abcdef")
        assert file.url.startswith("https://") and file.url.endswith(file.name)
        # torch's names end in the first digits of the hash.
        last = Path(file.name).stem.rpartition("-")[2]
        assert not (len(last) == 8 and set(last) <= set("0123456789abcdef")) or file.sha256.startswith(last)
