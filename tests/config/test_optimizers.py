"""Optimizers: what torch is asked for, the learning rate in time, and refusals."""

import pytest
import torch
from torch import nn

from gansmith.config.optimizers import SGD, Adam, Optimizer, RMSprop, set_rate
from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Cosine, Linear, Step
from gansmith.errors import SettingError


@pytest.mark.parametrize(
    ("config", "kind", "numbers"),
    [
        (Adam(), torch.optim.Adam, {"lr": 2e-4, "betas": (0.5, 0.999), "eps": 1e-8}),
        (
            Adam(lr=1e-3, betas=(0.0, 0.9), eps=1e-6),
            torch.optim.Adam,
            {"lr": 1e-3, "betas": (0.0, 0.9), "eps": 1e-6},
        ),
        (RMSprop(), torch.optim.RMSprop, {"lr": 5e-5, "alpha": 0.99, "eps": 1e-8}),
        (RMSprop(lr=1e-2, alpha=0.5, eps=1e-3), torch.optim.RMSprop, {"lr": 1e-2, "alpha": 0.5, "eps": 1e-3}),
        (SGD(), torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9}),
        (SGD(lr=0.5, momentum=0.0), torch.optim.SGD, {"lr": 0.5, "momentum": 0.0}),
    ],
)
def test_torch_is_asked_for_the_class_and_the_numbers_of_the_recipe(config: Optimizer, kind, numbers) -> None:
    parameter = nn.Parameter(torch.zeros(3))
    built = config.build([parameter])
    (group,) = built.param_groups
    assert type(built) is kind
    assert {name: group[name] for name in numbers} == numbers
    assert group["params"] == [parameter]
    assert group.get("weight_decay", 0) == 0


@pytest.mark.parametrize(
    ("config", "moved"),
    [
        (SGD(lr=0.1, momentum=0.5), 2.0 * (0.1 + 0.15)),
        (Adam(lr=0.1), 0.2),  # A constant gradient moves Adam by the rate, whatever the gradient's size.
        (RMSprop(lr=0.1, alpha=0.75), 0.1 * (0.25**-0.5 + (0.25 + 0.75 * 0.25) ** -0.5)),
    ],
)
def test_two_steps_down_a_slope_of_2_go_as_far_as_the_equations_say(config: Optimizer, moved: float) -> None:
    parameter = nn.Parameter(torch.zeros(4))
    optimizer = config.build([parameter])
    for _ in range(2):
        parameter.grad = torch.full((4,), 2.0)
        optimizer.step()
    assert torch.allclose(parameter.detach(), torch.tensor(-moved), rtol=1e-5)


@pytest.mark.parametrize(
    "schedule", [Constant(), Linear(end=0.1), Cosine(end=0.3), Step(epochs=2.0, factor=0.5)]
)
@pytest.mark.parametrize("images", [0, 400, 1000])
def test_the_rate_is_the_recipes_times_the_schedules_factor(schedule, images: int) -> None:
    config = Adam(lr=0.02, schedule=schedule)
    progress = Progress(images=images, total_images=1000, batch=10, data_images=100)
    optimizer = config.build([nn.Parameter(torch.zeros(1))])
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    set_rate(optimizer, config, progress)
    assert [group["lr"] for group in optimizer.param_groups] == [0.02 * schedule(progress)] * 2


@pytest.mark.parametrize(
    ("kind", "values", "rule", "received"),
    [
        *[
            (kind, {"lr": lr}, "must be positive", f"lr={lr}")
            for kind in (Adam, RMSprop, SGD)
            for lr in (0.0, -1.0)
        ],
        (Adam, {"lr": float("nan")}, "must be positive", "lr=nan"),
        (Adam, {"betas": (0.5, 1.0)}, r"in \[0, 1\)", r"betas=\(0.5, 1.0\)"),
        (Adam, {"betas": (-0.1, 0.9)}, r"in \[0, 1\)", r"betas=\(-0.1, 0.9\)"),
        (Adam, {"eps": -1.0}, "must not be negative", "eps=-1.0"),
        (RMSprop, {"alpha": 1.5}, r"in \[0, 1\)", "alpha=1.5"),
        (RMSprop, {"eps": -1.0}, "must not be negative", "eps=-1.0"),
        (SGD, {"momentum": -0.5}, "must not be negative", "momentum=-0.5"),
    ],
)
def test_a_bad_value_is_told_with_the_rule_and_the_value(kind, values, rule: str, received: str) -> None:
    with pytest.raises(SettingError, match=f"{rule}.*Received: {received}"):
        kind(**values)


@pytest.mark.parametrize(("images", "beta"), [(0, 0.9), (500, 0.945), (1000, 0.99), (1500, 0.99)])
def test_the_memory_of_squares_grows_as_its_schedule_says(images: int, beta: float) -> None:
    config = Adam(betas=(0.0, 0.9), memory_schedule=Cosine(end=0.1))
    optimizer = config.build([nn.Parameter(torch.zeros(1))])
    set_rate(optimizer, config, Progress(images=images, total_images=1000, batch=10, data_images=100))
    assert optimizer.param_groups[0]["betas"] == pytest.approx((0.0, beta))
