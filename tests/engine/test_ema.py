"""The moving average of weights: closed forms, half-lives, buffers and sharing."""

import pytest
import torch
from torch import Tensor, nn

from gansmith.config.training import Average
from gansmith.core.progress import Progress
from gansmith.core.schedules import Cosine
from gansmith.engine.ema import EMA, bundle_for_pictures
from gansmith.networks.bundle import Networks


class Net(nn.Module):
    def __init__(self, trunk: nn.Module | None = None) -> None:
        super().__init__()
        self.trunk = trunk or nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.norm(self.trunk(inputs))


class Bundle(Networks):
    """Two networks, with a trunk in common or not, and one more."""

    def __init__(self, shared: bool = False) -> None:
        super().__init__()
        trunk = nn.Linear(2, 2) if shared else None
        self.a, self.b, self.c = Net(trunk), Net(trunk), Net()


def fill(module: nn.Module, value: float) -> None:
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            tensor.fill_(value)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("updates", [1, 4])
@pytest.mark.parametrize("shared", [False, True])
def test_after_k_updates_towards_constant_weights_the_old_share_is_decay_to_the_k(
    decay, updates, shared
) -> None:
    bundle = Bundle(shared)
    fill(bundle, 1.0)
    average = EMA(bundle, ("a", "b"))
    fill(bundle, 5.0)
    for _ in range(updates):
        average.update(bundle, decay)
    expected = 5.0 - 4.0 * decay**updates
    for tensor in [*average.parameters(), average.a.norm.running_mean, average.b.norm.running_var]:
        assert torch.allclose(tensor, torch.tensor(expected))


def test_each_update_weighs_the_newest_weights() -> None:
    bundle = Bundle()
    fill(bundle, 0.0)
    average = EMA(bundle, ("a",))
    for value in (1.0, 2.0, 3.0):
        fill(bundle, value)
        average.update(bundle, 0.5)
    assert torch.allclose(average.a.trunk.weight, torch.tensor(1 / 8 + 2 / 4 + 3 / 2))


@pytest.mark.parametrize("batch", [1, 10, 100])
def test_after_a_half_life_of_images_the_old_weights_share_is_a_half(batch: int) -> None:
    config = Average(half_life=200.0, rampup=1e9, floor=0.0)
    bundle = Bundle()
    fill(bundle, 0.0)
    average = EMA(bundle, ("a",))
    fill(bundle, 1.0)
    for images in range(batch, 201, batch):
        average.update(bundle, config.decay(Progress(images=images, batch=batch)))
    assert torch.allclose(average.a.trunk.weight, torch.tensor(0.5), atol=1e-5)


@pytest.mark.parametrize(
    ("images", "half_life"),
    [(0, 50.0), (100, 50.0), (500, 50.0), (1000, 100.0), (3000, 300.0), (5000, 400.0)],
)
def test_the_half_life_grows_with_the_run_between_floor_and_ceiling(images: int, half_life: float) -> None:
    config = Average(half_life=400.0, rampup=0.1, floor=50.0)
    assert config.decay(Progress(images=images, batch=8)) == pytest.approx(0.5 ** (8 / half_life))


def test_a_half_life_of_nothing_is_the_live_weights() -> None:
    assert Average(half_life=0.0, floor=0.0).decay(Progress(images=10, batch=2)) == 0.0


def test_running_statistics_are_averaged_and_counts_are_copied() -> None:
    bundle = Bundle()
    average = EMA(bundle, ("a",))
    bundle.train()
    bundle.a(torch.tensor([[1.0, 2.0], [3.0, 8.0]]))
    live, averaged = bundle.a.norm, average.a.norm
    average.update(bundle, 0.75)
    assert torch.allclose(averaged.running_mean, 0.25 * live.running_mean)
    assert torch.allclose(averaged.running_var, 0.75 + 0.25 * live.running_var)
    assert averaged.num_batches_tracked.item() == live.num_batches_tracked.item() == 1
    assert averaged.num_batches_tracked.dtype == torch.int64


def test_the_average_is_a_copy_that_takes_no_gradient() -> None:
    bundle = Bundle()
    average = EMA(bundle, ("a",))
    fill(bundle, 3.0)
    assert not (average.a.trunk.weight == 3.0).any()
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert bundle.a.trunk.weight.requires_grad
    assert [name for name, _ in average.named_children()] == ["a"]


def test_networks_that_share_weights_go_on_sharing() -> None:
    bundle = Bundle(shared=True)
    average = EMA(bundle, ("a", "b"))
    assert average.a.trunk is average.b.trunk
    assert average.a.trunk is not bundle.a.trunk
    pictures = bundle_for_pictures(bundle, average)
    assert pictures.a.trunk is pictures.b.trunk


def test_pictures_are_made_with_averages_where_there_are_any() -> None:
    bundle = Bundle()
    fill(bundle, 1.0)
    average = EMA(bundle, ("a",))
    fill(bundle, 2.0)
    pictures = bundle_for_pictures(bundle, average)
    assert (pictures.a.trunk.weight == 1.0).all()
    assert (pictures.b.trunk.weight == 2.0).all()
    assert not any(module.training for module in pictures.modules())
    assert not any(parameter.requires_grad for parameter in pictures.parameters())
    fill(pictures, 9.0)  # And nothing of it is the run's own.
    assert (average.a.trunk.weight == 1.0).all()
    assert (bundle.a.trunk.weight == 2.0).all()
    assert bundle.training
    assert bundle.a.trunk.weight.requires_grad


def test_without_an_average_pictures_are_made_with_the_live_weights() -> None:
    bundle = Bundle()
    fill(bundle, 2.0)
    assert (bundle_for_pictures(bundle, None).a.trunk.weight == 2.0).all()


@pytest.mark.parametrize(("images", "half_life"), [(0, 0.0), (500, 1000.0), (1000, 2000.0)])
def test_a_half_life_that_follows_a_schedule(images: int, half_life: float) -> None:
    average = Average(half_life=2000.0, rampup=10.0, floor=0.0, schedule=Cosine(start=0.0, end=1.0))
    decay = average.decay(Progress(images=images, total_images=1000, batch=10))
    assert decay == pytest.approx(0.5 ** (10 / half_life) if half_life else 0.0)
