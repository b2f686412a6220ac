"""Convolutions with a weight gradient of their own give what torch's give."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gansmith.networks import conv
from gansmith.networks.conv import DoubledConv, DownConv, ProjectLatent, ScoreHead, UpConv
from gansmith.networks.spectral import SpectralNorm

LAYERS = [(DownConv, nn.Conv2d), (UpConv, nn.ConvTranspose2d)]


def both(
    own: type, plain: type, bias: bool, channels: int = 6, wanted: int = 5
) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    one = own(channels, wanted, bias=bias).double()
    other = plain(channels, wanted, 4, 2, 1, bias=bias).double()
    other.load_state_dict(one.state_dict())
    return one, other


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the product be taken for every size and type, and count how often it is."""
    calls: list[int] = []
    plain = conv._weight_gradient

    def counted(large: Tensor, small: Tensor) -> Tensor:
        calls.append(1)
        return plain(large, small)

    kinds = (torch.float64, torch.float32, torch.bfloat16)
    monkeypatch.setattr(conv, "_MATMUL", dict.fromkeys(kinds, (0, 10**6)))
    monkeypatch.setattr(conv, "_weight_gradient", counted)
    return calls


def gradients(layer: nn.Module, images: Tensor, after: Callable[[Tensor], Tensor]) -> list[Tensor]:
    images = images.clone().requires_grad_(True)
    made = layer(images)
    after(made).backward()
    return [made.detach(), images.grad, *(weight.grad for weight in layer.parameters())]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("own", "plain"), LAYERS)
def test_results_and_gradients_are_torchs(own: type, plain: type, bias: bool, everywhere: list[int]) -> None:
    one, other = both(own, plain, bias)
    images = torch.randn(3, 6, 4, 8, dtype=torch.float64)
    for mine, theirs in zip(
        gradients(one, images, lambda made: made.square().sum()),
        gradients(other, images, lambda made: made.square().sum()),
        strict=True,
    ):
        assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-10)
    assert everywhere == [1]


@pytest.mark.parametrize(("own", "plain"), LAYERS)
def test_second_derivatives_are_torchs(own: type, plain: type, everywhere: list[int]) -> None:
    def slope(layer: nn.Module, images: Tensor) -> list[Tensor]:
        images = images.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(layer(images).pow(3).sum(), images, create_graph=True)
        gradient.square().sum().backward()
        return [images.grad, *(weight.grad for weight in layer.parameters())]

    one, other = both(own, plain, bias=True)
    images = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    for mine, theirs in zip(slope(one, images), slope(other, images), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-9)
    assert everywhere


@pytest.mark.parametrize(("own", "plain"), LAYERS)
def test_in_bfloat16_it_differs_by_rounding(own: type, plain: type, everywhere: list[int]) -> None:
    one, other = (layer.float() for layer in both(own, plain, bias=True))
    images = torch.randn(4, 6, 8, 8)
    found = []
    for layer in (one, other):
        with torch.autocast("cpu", torch.bfloat16):
            made = layer(images)
        assert made.dtype == torch.bfloat16
        made.float().square().sum().backward()
        found.append([made.detach().float(), *(weight.grad for weight in layer.parameters())])
    for mine, theirs in zip(*found, strict=True):
        assert mine.dtype == torch.float32
        assert float((mine - theirs).norm()) < 0.01 * float(theirs.norm())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(("own", "plain"), LAYERS)
def test_few_channels_are_woven_to_the_same(
    own: type, plain: type, twice: bool, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into pictures, and back from features to the pictures they are of; with second derivatives, too."""
    woven: list[tuple[int, ...]] = []
    shuffle = torch.nn.functional.pixel_shuffle
    monkeypatch.setattr(
        torch.nn.functional, "pixel_shuffle", lambda a, n: (woven.append(tuple(a.shape)), shuffle(a, n))[1]
    )
    small = own is UpConv
    one, other = both(own, plain, True, *((5, channels) if small else (channels, 5)))
    images = torch.randn(3, 5 if small else channels, 4, 6, dtype=torch.float64)

    def found(layer: nn.Module) -> list[Tensor]:
        inputs = images.clone().requires_grad_(True)
        loss = layer(inputs).pow(3).sum()
        if twice:
            (slope,) = torch.autograd.grad(loss, inputs, create_graph=True)
            loss = slope.square().sum()
        loss.backward()
        return [inputs.grad, *(weight.grad for weight in layer.parameters())]

    mine, theirs = found(one), found(other)
    assert woven
    for ours, expected in zip(mine, theirs, strict=True):
        assert torch.allclose(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_layers_over_the_whole_grid_are_torchs(
    grid: tuple[int, int], bias: bool, order: torch.memory_format
) -> None:
    torch.manual_seed(0)
    begin, end = ProjectLatent(7, 6, grid, bias).double(), ScoreHead(6, 2, grid, bias).double()
    like_begin = nn.ConvTranspose2d(7, 6, grid, 1, 0, bias=bias).double()
    like_end = nn.Conv2d(6, 2, grid, 1, 0, bias=bias).double()
    like_begin.load_state_dict(begin.state_dict())
    like_end.load_state_dict(end.state_dict())
    latents = torch.randn(3, 7, 1, 1, dtype=torch.float64)
    results = []
    for layers in ((begin, end), (like_begin, like_end)):
        both_layers = nn.Sequential(*layers).to(memory_format=order)
        inputs = latents.clone().requires_grad_(True)
        features = both_layers[0](inputs)
        scores = both_layers[1](features)
        scores.square().sum().backward()
        weights = [weight.grad for weight in both_layers.parameters()]
        results.append([features.detach(), scores.detach(), inputs.grad, *weights])
    for mine, theirs in zip(*results, strict=True):
        assert mine.shape == theirs.shape
        assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-10)


def test_it_is_used_where_it_pays_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    plain = conv._weight_gradient
    monkeypatch.setattr(conv, "_weight_gradient", lambda a, b: (calls.append(tuple(b.shape)), plain(a, b))[1])

    def used(layer: nn.Module, size: int, half: bool, learns: bool = True) -> bool:
        calls.clear()
        layer.requires_grad_(learns)
        images = torch.randn(2, layer.in_channels, size, size, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            layer(images).float().sum().backward()
        return bool(calls)

    wide, wider = DownConv(256, 512), UpConv(1024, 512)
    assert used(wide, 8, half=True)
    assert not used(wide, 8, half=False)  # 16 cells: in float32 torch's own is faster.
    assert used(wide, 16, half=True)
    assert not used(wide, 32, half=True)  # 256 cells: the unfolded images cost more than they bring.
    assert used(DownConv(128, 256), 8, half=True)
    assert not used(DownConv(64, 128), 8, half=True)
    assert used(wider, 2, half=False)
    assert not used(wider, 2, half=False, learns=False)  # Somebody else's turn: no weight gradient at all.
    assert not used(DownConv(64, 128), 8, half=True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("grid", [(16, 17), (3, 5)])
def test_a_doubled_convolution_is_torchs_of_what_was_doubled(grid: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(0)
    ours = DoubledConv(3, 2, bias=bias).double()
    plain = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 2, 3, 1, 1, bias=bias).double())
    plain[1].load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, *grid, dtype=torch.float64)
    for one, other in zip(twice(ours, images), twice(plain, images), strict=True):
        torch.testing.assert_close(one, other)


def test_a_doubled_convolution_obeys_spectral_norm_and_autocast() -> None:
    torch.manual_seed(0)
    layer = SpectralNorm(DoubledConv(4, 4)).eval()
    plain = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, 1, 1))
    plain[1].weight, plain[1].bias = nn.Parameter(layer.weight.detach()), layer.layer.bias
    images = torch.randn(2, 4, 16, 16)
    torch.testing.assert_close(layer(images), plain(images))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(images), plain(images)) and layer(images).dtype == torch.bfloat16


def twice(layer: nn.Module, images: Tensor) -> list[Tensor]:
    """The output, its gradients, and gradients of the gradient's length, as penalties take them."""
    images = images.clone(memory_format=torch.preserve_format).requires_grad_(True)
    made = layer(images)
    (slope,) = torch.autograd.grad(made.sin().sum(), images, create_graph=True)
    weights = list(layer.parameters())
    first = torch.autograd.grad(made.cos().sum(), [images, *weights], retain_graph=True)
    second = torch.autograd.grad(slope.square().sum(), [images, *weights], allow_unused=True)
    return [made.detach(), *first, *(each for each in second if each is not None)]
