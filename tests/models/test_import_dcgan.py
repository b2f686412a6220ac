"""Foreign checkpoints: every layout gives the pixels of the network it came from, and nothing runs."""

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gansmith.cli.generate import open_model
from gansmith.core.noise import Noise
from gansmith.errors import CheckpointError
from gansmith.models.import_dcgan import foreign_generator, read_foreign
from gansmith.models.write import write

Weights = Mapping[str, Tensor]
LATENT = 9


def dcgan(
    kernels: tuple[int, ...] = (4, 4, 4), channels: int = 3, bias: bool = False, width: int = 8, **norm: bool
) -> nn.Sequential:
    """A trained generator, as far as shapes and statistics go."""
    torch.manual_seed(len(kernels))
    steps = {2: (2, 0, 0), 3: (1, 1, 0), 4: (2, 1, 0), 5: (2, 2, 1)}
    layers: list[nn.Module] = []
    before = LATENT
    for place, kernel in enumerate(kernels):
        last = place == len(kernels) - 1
        after = channels if last else width * 2 ** (len(kernels) - 2 - place)
        stride, padding, extra = steps[kernel] if place else (1, 0, 0)
        layers.append(nn.ConvTranspose2d(before, after, kernel, stride, padding, extra, bias=bias))
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(after, **norm), nn.ReLU()]
        before = after
    network = nn.Sequential(*layers)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(std=0.3).add_(1.0 if name.endswith(("running_var", "norm.weight")) else 0.0)
            if name.endswith("running_var"):
                tensor.abs_().add_(0.1)
    return network.eval()


def renamed(weights: Weights, name: Callable[[str], str]) -> dict[str, Tensor]:
    return {name(key): tensor.clone() for key, tensor in weights.items()}


def layered(weights: Weights) -> dict[str, Tensor]:
    """``layer1.0.weight``, ``layer1.1.running_mean``: each layer its own block."""
    return renamed(weights, lambda key: f"layer{int(key[0]) // 3 + 1}.{int(key[0]) % 3}{key[1:]}")


def listed_apart(weights: Weights) -> dict[str, Tensor]:
    """First all convolutions, then all normalizations, as a class that names them in that order does."""
    convolutions = {
        f"net.convT{int(key[0]) // 3 + 1}{key[1:]}": key for key in weights if int(key[0]) % 3 == 0
    }
    norms = {f"net.bn{int(key[0]) // 3 + 1}{key[1:]}": key for key in weights if int(key[0]) % 3 == 1}
    return {new: weights[old] for new, old in {**convolutions, **norms}.items()}


def without_counters(weights: Weights) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in weights.items() if not key.endswith("num_batches_tracked")}


def other(weights: Weights) -> dict[str, Tensor]:
    return {key: torch.zeros_like(tensor) for key, tensor in weights.items()}


def discriminator() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4), nn.Conv2d(16, 1, 4)
    )


LAYOUTS: dict[str, Callable[[Weights], Any]] = {
    "plain": OrderedDict,
    "main": lambda w: renamed(w, lambda key: f"main.{key}"),
    "module": lambda w: renamed(w, lambda key: f"module.main.{key}"),
    "layers": layered,
    "listed apart": listed_apart,
    "no counters": without_counters,
    "g_model_state_dict": lambda w: {"epoch": 3, "d_model_state_dict": other(w), "g_model_state_dict": w},
    "netG": lambda w: {"netD": discriminator().state_dict(), "netG": layered(w), "note": "hello"},
    "generator": lambda w: {"args": {"lr": 1e-4}, "models": [{"generator": w}, {"critic": other(w)}]},
    "state_dict": lambda w: {"state_dict": renamed(w, lambda key: f"module.{key}")},
    "model": lambda w: {"model": w, "optimizer": {"state": {0: {"exp_avg": w["0.weight"], "step": 1}}}},
    "averaged": lambda w: {"generator": other(w), "generator.ema": w, "loss": [0.1, 0.2]},
    "lightning": lambda w: {
        "state_dict": {
            **renamed(discriminator().state_dict(), lambda key: f"discriminator.{key}"),
            **renamed(w, lambda key: f"generator.main.{key}"),
        }
    },
}


def same_pixels(path: Path, network: nn.Module) -> bool:
    """Whether the file gives the pictures of the network: equal, to rounding in another batch size."""
    noise = Noise.of(*range(16))
    with torch.inference_mode():
        expected = network(noise.normal(LATENT)[:, :, None, None])
    assert expected.std() > 0.02, "pictures that are all alike prove nothing"
    return torch.equal(foreign_generator(path).make(Noise.of(*range(16))), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_pixels_of_the_original(tmp_path: Path, layout: str) -> None:
    network = dcgan()
    torch.save(LAYOUTS[layout](network.state_dict()), tmp_path / "g.pth")
    assert same_pixels(tmp_path / "g.pth", network)


@pytest.mark.parametrize(
    ("kernels", "side"),
    [
        ((4, 4, 4, 4), 32),
        ((7, 4, 4), 28),
        ((4, 5, 5), 16),
        ((4, 2, 2), 16),
        ((4, 3, 4, 3), 8),
        ((1, 4, 4), 4),
        ((2, 4), 4),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_kernels_strides_and_sizes_follow_from_the_shapes(
    tmp_path: Path, kernels: tuple[int, ...], side: int, bias: bool
) -> None:
    network = dcgan(kernels, channels=1, bias=bias)
    torch.save(network.state_dict(), tmp_path / "g.pt")
    found = read_foreign(tmp_path / "g.pt")
    assert (found.spec.height, found.spec.width, found.spec.channels, found.latent) == (side, side, 1, LATENT)
    assert same_pixels(tmp_path / "g.pt", network)


@pytest.mark.parametrize("variant", ["affine", "none", "equal", "half", "legacy"])
def test_other_forms_of_weights_are_read(tmp_path: Path, variant: str) -> None:
    network = dcgan(affine=variant != "affine")
    if variant == "none":
        network = nn.Sequential(*[layer for layer in network if not isinstance(layer, nn.BatchNorm2d)])
    if variant == "equal":
        network = dcgan((4, 3, 3, 4), width=8)
        same = [
            nn.ConvTranspose2d(LATENT, 8, 4),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 8, 4, 2, 1),
            nn.BatchNorm2d(8),
        ]
        network = nn.Sequential(*same, nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh()).eval()
    weights = network.half().state_dict() if variant == "half" else network.state_dict()
    torch.save(weights, tmp_path / "g.pkl", _use_new_zipfile_serialization=variant != "legacy")
    assert same_pixels(tmp_path / "g.pkl", network.float())


@pytest.mark.parametrize("count", [3, 11])
def test_safetensors_are_read_in_the_order_of_their_names(tmp_path: Path, count: int) -> None:
    network = dcgan((4,) + (3,) * (count - 2) + (4,), width=1) if count > 3 else dcgan()
    save_file(renamed(network.state_dict(), lambda key: f"main.{key}"), tmp_path / "g.safetensors")
    assert same_pixels(tmp_path / "g.safetensors", network)


def test_reading_leaves_the_random_numbers_alone_and_pictures_can_be_written(tmp_path: Path) -> None:
    torch.save({"netG": dcgan().state_dict()}, tmp_path / "g.pt")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    generator = foreign_generator(tmp_path / "g.pt")
    assert torch.equal(torch.rand(3), expected)
    assert generator.spec.height == 16
    assert generator.name == "g"
    assert write(generator, range(3), tmp_path / "out").count == 3
    assert read_foreign(tmp_path / "g.pt").found_under == "netG"


class Marker:
    """A pickle that would create a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("form", ["torch", "legacy", "pickle", "nested"])
def test_a_pickle_that_would_run_code_is_refused_unread(tmp_path: Path, form: str) -> None:
    marker, path = Marker(tmp_path / "marker"), tmp_path / "g.pt"
    if form == "pickle":
        path.write_bytes(pickle.dumps(marker))
    else:
        stored = {"netG": dcgan().state_dict(), "extra": marker} if form == "nested" else marker
        torch.save(stored, path, _use_new_zipfile_serialization=form != "legacy")
    with pytest.raises(CheckpointError, match=r"could run code.*torch\.save\(generator\.state_dict"):
        read_foreign(path)
    assert not (tmp_path / "marker").exists()


def test_a_whole_network_is_refused_with_what_it_asks_for(tmp_path: Path) -> None:
    torch.save(dcgan(), tmp_path / "g.pt")
    with pytest.raises(CheckpointError, match=r"asks for torch\.nn\.modules\.container\.Sequential"):
        read_foreign(tmp_path / "g.pt")


@pytest.mark.parametrize("name", ["g.pt", "legacy.pth", "g.safetensors"])
@pytest.mark.parametrize("kept", [0, 7, 0.5, 0.99])
def test_a_file_cut_short_is_said_to_be_damaged(tmp_path: Path, name: str, kept: float | int) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(dict(dcgan().state_dict()), path)
    else:
        torch.save(dcgan().state_dict(), path, _use_new_zipfile_serialization=name == "g.pt")
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(CheckpointError, match="damaged, cut short"):
        read_foreign(path)


def with_nan(weights: Weights) -> dict[str, Tensor]:
    return {key: tensor * float("nan") for key, tensor in weights.items()}


def around_itself() -> dict[str, Any]:
    endless: dict[str, Any] = {"epoch": 1}
    endless["again"] = endless
    return endless


def deep() -> nn.Sequential:
    doubling = [nn.ConvTranspose2d(1, 1, 4, 2, 1) for _ in range(30)]
    return nn.Sequential(nn.ConvTranspose2d(2, 1, 4), *doubling)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "discriminator": (lambda: discriminator().state_dict(), "discriminator.*3 channels in, 1 out"),
    "linear": (lambda: {**dcgan().state_dict(), "fc.weight": torch.ones(4, 2)}, r"fc\.weight \[4, 2\]"),
    "upsampling": (
        lambda: nn.Sequential(nn.Linear(9, 64), nn.Conv2d(8, 3, 3)).state_dict(),
        r"does not have: 0\.weight \[64, 9\]",
    ),
    "broken chain": (
        lambda: {key: tensor for key, tensor in dcgan().state_dict().items() if key[0] not in "34"},
        "not a chain",
    ),
    "odd kernel": (
        lambda: nn.Sequential(nn.ConvTranspose2d(9, 8, 4), nn.ConvTranspose2d(8, 3, 6)).state_dict(),
        "not a chain",
    ),
    "five channels": (lambda: dcgan(channels=5).state_dict(), "ending in 1 or 3 channels"),
    "not numbers": (lambda: with_nan(dcgan().state_dict()), "NaN"),
    "stray normalization": (
        lambda: {**dcgan().state_dict(), **renamed(nn.BatchNorm2d(77).state_dict(), lambda key: f"bn.{key}")},
        "fits behind no layer: bn of 77",
    ),
    "half a normalization": (
        lambda: {key: tensor for key, tensor in dcgan().state_dict().items() if key != "1.bias"},
        "Missing key",
    ),
    "words": (lambda: {"epoch": 3, "lr": 0.1}, "no network in it: its names are epoch, lr"),
    "itself": (around_itself, "no network in it"),
    "too large": (lambda: deep().state_dict(), "8192 are possible"),
    "nothing": (dict, "it is empty"),
    "one tensor": (lambda: torch.ones(3), "holds one Tensor"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_anything_else_is_refused_with_what_was_found(tmp_path: Path, kind: str) -> None:
    make, message = REFUSED[kind]
    torch.save(make(), tmp_path / "g.pt")
    with pytest.raises(CheckpointError, match=message):
        read_foreign(tmp_path / "g.pt")


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    for name in ("g.pt", "g.safetensors"):
        with pytest.raises(CheckpointError, match="There is no file"):
            read_foreign(tmp_path / name)


STEPS = {2: (2, 0, 0), 3: (1, 1, 0), 4: (2, 1, 0), 5: (2, 2, 1)}


def trained(
    kernels: tuple[int, ...], steps: Mapping[int, tuple[int, int, int]], uniform: bool
) -> nn.Sequential:
    """A generator whose statistics are those of its own forward passes, as training leaves them."""
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    before, width = LATENT, 16
    for place, kernel in enumerate(kernels):
        last = place == len(kernels) - 1
        layers.append(
            nn.ConvTranspose2d(before, 3 if last else width, kernel, *(steps[kernel] if place else (1, 0, 0)))
        )
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(width, momentum=None), nn.ReLU()]
        before = width
    network = nn.Sequential(*layers).train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.rand(32, LATENT, 1, 1) * 2 - 1 if uniform else torch.randn(32, LATENT, 1, 1))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.num_batches_tracked.fill_(1000)
    return network.eval()


@pytest.mark.parametrize(
    ("kernels", "other", "uniform"),
    [
        *((kernels, {}, False) for kernels in ((4, 4, 4, 4), (7, 4, 4), (4, 5, 5), (4, 2, 4), (4, 3, 4))),
        ((4, 3, 4), {3: (2, 1, 1)}, False),
        ((3, 4, 3, 4), {4: (1, 0, 0), 3: (2, 0, 0)}, False),  # A generator of a course, 28 pixels a side.
        ((4, 5, 4), {5: (1, 2, 0)}, False),
        ((4, 4, 4), {}, True),
    ],
)
def test_a_network_that_was_built_otherwise_gives_itself_away(
    tmp_path: Path, kernels: tuple[int, ...], other: dict[int, tuple[int, int, int]], uniform: bool
) -> None:
    network = trained(kernels, STEPS | other, uniform)
    torch.save(network.state_dict(), tmp_path / "g.pt")
    if other or uniform:
        with pytest.raises(CheckpointError, match="times the variance"):
            read_foreign(tmp_path / "g.pt")
    else:
        found = read_foreign(tmp_path / "g.pt")
        assert found.doubts == (() if kernels[-1] == 4 else found.doubts[:1])
        assert len(found.doubts) == (kernels[-1] == 5)
        assert same_pixels(tmp_path / "g.pt", network)


def test_strides_that_cannot_be_checked_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(dcgan((4, 3, 4)).state_dict(), tmp_path / "g.pt")  # It counted no batches.
    said = read_foreign(tmp_path / "g.pt").doubts
    assert len(said) == 1
    assert "stride of layer 2, of kernel 3" in said[0]
    open_model(str(tmp_path / "g.pt"), None, "cpu")
    assert "stride of layer 2" in capsys.readouterr().err
