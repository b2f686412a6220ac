"""Spectral norm: sigma against singular values, and the mistakes its implementations are known for."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import random_images
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.networks.architectures import Architecture, Convolutional, ResNet, SNResNet
from gansmith.networks.conv import DownConv, ScoreHead
from gansmith.networks.spectral import SpectralNorm, _OverSigma, _power_iteration, spectral_norm

LAYERS = {
    "linear": lambda: nn.Linear(5, 3),
    "convolution": lambda: nn.Conv2d(2, 6, 3, 1, 1),
    "transposed": lambda: nn.ConvTranspose2d(6, 2, 3),
    "embedding": lambda: nn.Embedding(7, 4),
    "down": lambda: DownConv(3, 8),
    "head": lambda: ScoreHead(3, 1, (4, 4)),
}
ARCHITECTURES: list[Architecture] = [
    SNResNet(width=8),
    ResNet(width=8, norm="spectral"),
    Convolutional(width=8, norm="spectral"),
]
every_layer = pytest.mark.parametrize("kind", LAYERS)


def made(kind: str, seed: int = 0) -> SpectralNorm:
    torch.manual_seed(seed)
    return SpectralNorm(LAYERS[kind]())


def inputs(kind: str, seed: int = 0) -> Tensor:
    if kind == "embedding":
        return torch.arange(7)
    generator = torch.Generator().manual_seed(seed)
    shapes = {"linear": (4, 5), "convolution": (4, 2, 4, 4), "transposed": (4, 6, 4, 4)}
    return torch.randn(shapes.get(kind, (4, 3, 4, 4)), generator=generator)


def largest(weight: Tensor, kind: str = "") -> float:
    """The largest singular value of a weight as [out, rest]."""
    weight = weight.transpose(0, 1) if kind == "transposed" else weight
    return torch.linalg.matrix_norm(weight.detach().flatten(1), 2).item()


@every_layer
def test_after_50_passes_the_largest_singular_value_is_1(kind: str) -> None:
    layer = made(kind).train()
    for _ in range(50):
        layer(inputs(kind))
    assert largest(layer.weight, kind) == pytest.approx(1.0, abs=0.01)


def test_a_diagonal_weight_is_divided_by_its_largest_entry() -> None:
    plain = nn.Linear(2, 2, bias=False)
    plain.weight.data = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    layer = SpectralNorm(plain).eval()
    assert torch.allclose(layer.weight, torch.tensor([[1.0, 0.0], [0.0, 0.25]]), atol=1e-5)
    assert torch.allclose(layer(torch.tensor([[8.0, 8.0]])), torch.tensor([[8.0, 2.0]]), atol=1e-4)


@every_layer
def test_a_layer_applies_its_normalized_weight_and_its_own_bias(kind: str) -> None:
    layer, plain = made(kind).eval(), LAYERS[kind]()
    plain.load_state_dict(layer.layer.state_dict())
    plain.weight.data = layer.weight.detach()
    assert torch.allclose(layer(inputs(kind)), plain(inputs(kind)), atol=1e-6)


@every_layer
def test_a_pass_in_training_is_one_power_iteration(kind: str) -> None:
    """Also where a layer looks at its weight several times in one pass, as ours do on a CPU."""
    layer = made(kind).train()
    matrix = layer.layer.weight.detach()
    matrix = (matrix.transpose(0, 1) if kind == "transposed" else matrix).flatten(1)
    layer.u.copy_(F.normalize(torch.arange(1.0, len(matrix) + 1), dim=0))  # Far from where it will end.
    expected = F.normalize(matrix @ F.normalize(matrix.T @ layer.u, dim=0), dim=0)
    layer(inputs(kind))
    assert torch.allclose(layer.u, expected, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_eval_mode_is_right_before_any_training(architecture: Architecture) -> None:
    torch.manual_seed(0)
    network = architecture.discriminator(DataSpec(height=32, width=32)).eval()
    layers = [module for module in network.modules() if isinstance(module, SpectralNorm)]
    plain = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [layer.layer for layer in layers] == plain, "every layer that has a weight, once"
    assert all(0.99 < largest(layer.weight) < 1.15 for layer in layers)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_eval_mode_moves_nothing_and_repeats_itself(architecture: Architecture) -> None:
    torch.manual_seed(0)
    network, images = architecture.discriminator(DataSpec(height=16, width=16)), random_images(3)
    network.train()(images)
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert torch.equal(network(images), network(images))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@every_layer
def test_eval_mode_uses_the_weight_as_it_is_now(kind: str) -> None:
    layer = made(kind).eval()
    before = layer(inputs(kind)).detach()
    if getattr(layer.layer, "bias", None) is not None:
        nn.init.zeros_(layer.layer.bias)
        before = layer(inputs(kind)).detach()
    layer.layer.weight.data *= 7.0  # An optimizer's step, or a checkpoint.
    assert torch.allclose(layer(inputs(kind)), before, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_sigma_is_float32_under_autocast(training: bool) -> None:
    plain, mixed = made("convolution").train(training), made("convolution").train(training)
    expected = plain(inputs("convolution"))
    with torch.autocast("cpu", torch.bfloat16):
        found = mixed(inputs("convolution"))
        weight = mixed.weight
    assert found.dtype == torch.bfloat16
    assert weight.dtype == torch.float32 and torch.equal(weight, plain.weight)
    assert torch.equal(mixed.u, plain.u)
    assert torch.allclose(found.float(), expected, atol=0.05)


def test_in_float64_it_stays_float64() -> None:
    layer = made("linear").double()
    assert layer(inputs("linear").double()).dtype == torch.float64


def test_sigma_is_differentiated_with_respect_to_the_weight_alone() -> None:
    """With sigma = u'Wv, the gradient of <G, W / sigma> is G / sigma - <G, W> / sigma^2 uv'."""
    layer = made("linear").eval()
    weight = layer.layer.weight.detach()
    v = F.normalize(weight.T @ layer.u, dim=0)
    u = F.normalize(weight @ v, dim=0)
    sigma = u @ weight @ v
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    (layer.weight * direction).sum().backward()
    expected = direction / sigma - (direction * weight).sum() / sigma**2 * torch.outer(u, v)
    assert torch.allclose(layer.layer.weight.grad, expected, atol=1e-5)


def test_two_passes_in_one_graph_give_the_sum_of_their_gradients() -> None:
    """D(x) - D(G(z)): the second pass moves u, which the graph of the first must not see."""
    together, apart = made("linear").train(), made("linear").train()
    first, second = inputs("linear"), inputs("linear", seed=1)
    (together(first).square().sum() - together(second).square().sum()).backward()
    apart(first).square().sum().backward()
    (-apart(second).square().sum()).backward()
    assert torch.allclose(together.layer.weight.grad, apart.layer.weight.grad, atol=1e-5)
    assert torch.equal(together.u, apart.u)


def test_it_can_be_differentiated_twice() -> None:
    layer = made("convolution").double().eval()
    images = inputs("convolution")[:1].double().requires_grad_(True)

    def slope(weight: Tensor) -> Tensor:
        scores = torch.func.functional_call(layer, {"layer.weight": weight}, (images,)).square().sum()
        (gradient,) = torch.autograd.grad(scores, images, create_graph=True)
        return gradient.square().sum()

    weight = layer.layer.weight.detach().clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(slope(weight), weight)
    # Scores do not depend on the scale of a weight, so neither does their slope: Euler's theorem.
    bias = (gradient * weight).sum().item() / slope(weight).item()
    assert bias == pytest.approx(0.0, abs=1e-8)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("last", [False, True])
def test_both_ways_back_agree_with_finite_differences(last: bool) -> None:
    """Of W / sigma and of sigma, once and twice, in either order of memory."""
    plain = nn.Conv2d(2, 3, 2).double()
    layer = SpectralNorm(plain.to(memory_format=torch.channels_last) if last else plain)
    u, v = _power_iteration(layer._matrix().detach(), layer.u)
    matrix = layer._matrix().detach().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda m: _OverSigma.apply(m, u, v), matrix)
    assert torch.autograd.gradgradcheck(lambda m: _OverSigma.apply(m, u, v), matrix)


@pytest.mark.parametrize("kind", ["convolution", "transposed", "down"])
def test_the_order_in_memory_changes_nothing_and_is_kept(kind: str) -> None:
    first, last = made(kind), made(kind).to(memory_format=torch.channels_last)
    weights = []
    for layer in (first, last):
        weight = layer.weight
        weight.square().sum().backward()
        weights.append(weight)
    assert torch.allclose(*weights, atol=1e-6)
    assert weights[1].is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(first.layer.weight.grad, last.layer.weight.grad, atol=1e-6)


def test_a_weight_of_zeros_gives_zeros() -> None:
    plain = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(plain.weight)
    layer = SpectralNorm(plain)
    layer(torch.ones(1, 3)).sum().backward()
    assert (layer(torch.ones(1, 3)) == 0).all()
    assert plain.weight.grad.isfinite().all()


def test_no_parameter_is_added_and_one_buffer_a_layer() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 1))
    count = sum(p.numel() for p in plain.parameters())
    network = spectral_norm(plain)
    assert network is plain and spectral_norm(network) is network
    assert sum(p.numel() for p in network.parameters()) == count
    assert [name for name, _ in network.named_buffers()] == ["0.u", "3.u"]
    assert [tuple(u.shape) for u in network.buffers()] == [(4,), (1,)]
    again = copy.deepcopy(network)
    assert torch.equal(again.eval()(torch.ones(1, 3, 3, 3)), network.eval()(torch.ones(1, 3, 3, 3)))


@every_layer
def test_a_size_can_be_tried_where_nothing_is_computed(kind: str) -> None:
    with torch.device("meta"):
        layer = SpectralNorm(LAYERS[kind]())
        shape = layer(inputs(kind).to("meta")).shape
    assert shape == made(kind)(inputs(kind)).shape
