"""Instance norm goes its own way through features whose channels lie last, and gives what torch's gives."""

import pytest
import torch
from torch import Tensor, nn

from gansmith.networks import norm
from gansmith.networks.norm import InstanceNorm


@pytest.fixture(autouse=True)
def _for_few_numbers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norm, "_FEW", 0)


def normed(affine: bool) -> InstanceNorm:
    torch.manual_seed(0)
    layer = InstanceNorm(3, affine).double()
    for weight in layer.parameters():
        nn.init.normal_(weight)
    return layer


def features(grid: tuple[int, int]) -> Tensor:
    return torch.randn(2, 3, *grid, dtype=torch.float64) + 2.0


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("grid", [(5, 7), (32, 33)])
def test_both_orders_in_memory_give_the_same(grid: tuple[int, int], affine: bool) -> None:
    """Images, first gradients and gradients of the gradient's length."""
    layer, x = normed(affine), features(grid)
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        each = x.to(memory_format=order).requires_grad_(True)
        made = layer(each)
        (slope,) = torch.autograd.grad(made.sin().sum(), each, create_graph=True)
        asked = [each, *layer.parameters()]
        first = torch.autograd.grad(made.cos().sum(), asked, retain_graph=True)
        found.append([made.detach(), *first, *torch.autograd.grad(slope.square().sum(), asked)])
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert "Normalized" in type(made.grad_fn).__name__
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_are_those_of_small_steps() -> None:
    """Of all three results, twice."""
    layer = normed(affine=True)
    x = features((3, 4)).to(memory_format=torch.channels_last).requires_grad_(True)

    def ours(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return norm._Normalized.apply(x, w, b, layer.eps)

    assert torch.autograd.gradcheck(ours, (x, layer.weight, layer.bias))
    assert torch.autograd.gradgradcheck(ours, (x, layer.weight, layer.bias))


def test_what_comes_out_may_be_changed_in_place_and_use_is_torchs() -> None:
    layer, x = normed(affine=False), features((4, 4)).to(memory_format=torch.channels_last)
    x.requires_grad_(True)
    nn.Sequential(layer, nn.ReLU(inplace=True))(x).sum().backward()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), layer(x.contiguous()))
        assert layer(x).grad_fn is None
