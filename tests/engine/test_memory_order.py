"""An optimizer moves alike in the order of memory, copies no gradient, and leaves all as it lay."""

import contextlib

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from gansmith.config.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from gansmith.engine.memory_order import in_memory_order


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(8, 16, 3), nn.Conv2d(16, 4, 1), nn.Conv2d(4, 1, 4), nn.Flatten(), nn.Linear(4, 2)
    )
    return layers.to(memory_format=torch.channels_last)


def moved(
    optimizer: Optimizer, context: object = contextlib.nullcontext
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network after three moves, each within a context of its own."""
    body = network()
    built = optimizer.build(body.parameters())
    images = torch.randn(2, 8, 7, 7, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        built.zero_grad(set_to_none=True)
        body(images.contiguous(memory_format=torch.channels_last)).square().mean().backward()
        with context(built):  # type: ignore[operator]
            built.step()
    return body, built


@pytest.mark.parametrize(
    "optimizer", [Adam(), AdamW(), RMSprop(), SGD(momentum=0.9)], ids=lambda one: type(one).__name__
)
def test_a_move_is_the_same_and_all_lies_as_it_lay(optimizer: Optimizer) -> None:
    plain, its = moved(optimizer, lambda built: contextlib.nullcontext())
    turned, other = moved(optimizer, in_memory_order)
    for one, two in zip(plain.parameters(), turned.parameters(), strict=True):
        assert torch.equal(one, two) and one.stride() == two.stride()
        assert one.grad is not None and two.grad is not None and one.grad.stride() == two.grad.stride()
        for key, value in its.state.get(one, {}).items():
            assert (
                torch.equal(value, other.state[two][key]) and value.stride() == other.state[two][key].stride()
            )


def test_no_gradient_is_copied() -> None:
    _, built = moved(Adam(), in_memory_order)
    with profile(activities=[ProfilerActivity.CPU]) as seen, in_memory_order(built):
        built.step()
    assert not [event for event in seen.events() if event.name == "aten::clone"]


def test_what_fails_within_leaves_shapes_as_they_were() -> None:
    body, built = moved(Adam(), in_memory_order)
    shapes = [weight.shape for weight in body.parameters()]
    with pytest.raises(KeyError), in_memory_order(built):
        raise KeyError
    assert [weight.shape for weight in body.parameters()] == shapes
