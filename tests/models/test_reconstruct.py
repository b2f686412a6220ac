"""Power-function averages: widths, the recursion, and other widths out of snapshots, against closed forms."""

import math
from pathlib import Path

import pytest
import torch
from helpers import small_named

from gansmith.config.training import PowerAverage, exponent
from gansmith.core.progress import Progress
from gansmith.data.open import open_data
from gansmith.errors import RunError, SettingError
from gansmith.models.load import open_generator
from gansmith.models.reconstruct import reconstruct, weights
from gansmith.runs.run import Run
from gansmith.training.session import train


@pytest.mark.parametrize(("sigma", "gamma"), [(0.05, 16.97), (0.1, 6.94), (0.28, None), (0.01, None)])
def test_the_exponent_has_that_width(sigma: float, gamma: float | None) -> None:
    """6.94 and 16.97 are the paper's; the deviation of the density (g + 1) t^g on [0, 1] is the width."""
    found = exponent(sigma)
    assert math.sqrt((found + 1) / (found + 3) - ((found + 1) / (found + 2)) ** 2) == pytest.approx(sigma)
    assert gamma is None or found == pytest.approx(gamma, abs=0.005)


def averages(sigma: float, path: list[float], batch: int = 4) -> list[float]:
    """The average after each step of a weight that goes along a path."""
    average, found, rule = 0.0, [], PowerAverage(sigma=sigma)
    for step, value in enumerate(path, 1):
        decay = rule.decay(Progress(images=step * batch, batch=batch))
        average = decay * average + (1.0 - decay) * value
        found.append(average)
    return found


def test_the_average_of_a_straight_line_is_the_profiles_mean() -> None:
    steps = 4000
    found = averages(0.1, [step / steps for step in range(1, steps + 1)])
    gamma = exponent(0.1)
    assert found[0] == 1 / steps, "the first step is all there is"
    assert found[-1] == pytest.approx((gamma + 1) / (gamma + 2), rel=1e-3)


@pytest.mark.parametrize("wanted", [0.05, 0.07, 0.15])
def test_another_width_comes_out_of_snapshots(wanted: float) -> None:
    steps = 4000
    path = [math.sin(0.002 * step) + step / steps for step in range(1, steps + 1)]
    times = [float(steps * number // 32) for number in range(1, 33)]
    kept, truth = averages(0.1, path), averages(wanted, path)[-1]
    shares, error = weights(times, 0.1, steps, wanted)
    made = sum(share * kept[int(time) - 1] for share, time in zip(shares, times, strict=True))
    assert made == pytest.approx(truth, abs=0.01)
    assert abs(kept[-1] - truth) > 0.02, "the snapshot itself is something else"
    assert 0.0 < error < 0.1
    assert sum(shares) == pytest.approx(1.0, abs=1e-9)


def test_its_own_width_is_the_last_snapshot() -> None:
    shares, error = weights([1.0, 2.0, 3.0], 0.1, 3.0, 0.1)
    assert shares.tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-9) and error < 1e-6


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "one"
    recipe = small_named("dcgan64", images=40, average=PowerAverage(), checkpoint_every=8, keep_checkpoints=9)
    train(recipe, open_data("demo-faces:20", recipe.data), place, device="cpu")
    return place


def test_a_run_gets_an_average_of_another_width(run: Path, tmp_path: Path) -> None:
    newest = Run.open(run).newest()
    assert newest is not None
    of_run = {name: value for name, value in newest[0].tensors.items() if name.startswith("average.")}
    same = reconstruct(run, 0.1, tmp_path / "same.safetensors")
    assert same.snapshots == 5 and same.error < 1e-6
    made = {name: value for name, value in _tensors(same.path).items() if name in of_run}
    assert made.keys() == of_run.keys()
    for name, value in of_run.items():
        torch.testing.assert_close(made[name], value, rtol=1e-4, atol=1e-6)
    wider = reconstruct(run, 0.2, tmp_path / "wider.safetensors")
    changed = [
        name for name, value in _tensors(wider.path).items() if not torch.equal(value, made.get(name, value))
    ]
    assert changed and all(name.startswith("average.") for name in changed)
    assert open_generator(str(wider.path), "cpu").images_seen == 40


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    from gansmith.runs.checkpoint import Checkpoint

    return dict(Checkpoint.load(path).tensors)


def test_what_makes_no_sense_is_said(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    with pytest.raises(SettingError, match=r"0.01 to 0.28\. Received: sigma=0.5"):
        reconstruct(run, 0.5, out)
    with pytest.raises(SettingError, match=r"Try .*x\.safetensors"):
        reconstruct(run, 0.1, tmp_path / "x.png")
    for average, every, said in ((None, 4, "PowerAverage"), (PowerAverage(), 8, "1 of two or more")):
        recipe = small_named("dcgan64", images=8, average=average, averaged=(), checkpoint_every=every)
        place = tmp_path / said[:5]
        train(recipe, open_data("demo-faces:20", recipe.data), place, device="cpu")
        with pytest.raises(RunError, match=said):
            reconstruct(place, 0.1, out)
    assert not out.exists()
