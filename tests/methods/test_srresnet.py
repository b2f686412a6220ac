"""SRResNet: the paper's network to the parameter, squared distance, and results larger than their sources."""

from pathlib import Path

import pytest
import torch
from helpers import random_images
from torch import nn

from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.methods.batches import PairBatch, SourcePrompt, example_batch
from gansmith.methods.srresnet import Enlarger, SuperResolution
from gansmith.networks.srresnet import SRResNet
from gansmith.recipes import named

BATCH = PairBatch(random_images(4, 4), random_images(4, 16, seed=1))
FOUR = (0, 1, 2, 3)


def test_parameters_of_the_paper() -> None:
    """Counted from the layer table: one slope for each PReLU, no bias before a norm."""
    with torch.device("meta"):
        network = SuperResolution().build(named("srresnet-x4").spec()).generator
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_547_350


@pytest.mark.parametrize("times", [2, 4, 8])
@pytest.mark.parametrize(("channels", "source"), [(3, 3), (3, 1), (1, 1)])
def test_results_are_so_many_times_larger(times: int, channels: int, source: int) -> None:
    spec = DataSpec(height=32, width=48, channels=channels, source_channels=source, source_shrink=times)
    network = SRResNet(spec, 4, 1)
    batch = example_batch(PairBatch, spec, 2)
    assert batch.source.shape == (2, source, 32 // times, 48 // times)
    assert network(batch.source).shape == batch.target.shape == (2, channels, 32, 48)


def test_sources_as_large_as_results_are_refused() -> None:
    with pytest.raises(SettingError, match=r"data\.pairs=small:4"):
        SuperResolution().build(DataSpec(height=32, width=32))
    assert override(named("srresnet-x4"), "data.pairs=small:2").spec().source_shrink == 2


class Flat(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 3, 16, 16), 0.5)


def test_the_loss_is_the_squared_distance_and_psnr_is_told_beside_bicubics() -> None:
    method, networks = SuperResolution(), Enlarger(Flat())
    loss = method.generator_loss(networks, BATCH, Noise.of(*FOUR), Progress())
    assert loss.total.item() == pytest.approx((BATCH.target - 0.5).square().mean().item(), rel=1e-6)
    flat = PairBatch(torch.full((2, 3, 4, 4), 0.25), torch.full((2, 3, 16, 16), 0.25))
    found = method.validation_metrics(networks, flat, Noise.of(0, 1))
    # A quarter of [-1, 1] off everywhere: 10 log10(4 / 0.0625).
    assert found["psnr"].item() == pytest.approx(18.0618, abs=1e-3)
    assert found["bicubic"].item() == pytest.approx(106.0206, abs=1e-2), "equal, to the floor of 1e-10"


def test_a_run_enlarges_pictures_of_any_size(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image
    from promises import RECIPES, everything

    from gansmith.models.translate import translate
    from gansmith.training.session import train

    recipe = override(RECIPES["srresnet-x4"], "train.images=8")
    train(recipe, everything(20, shrink=4), tmp_path / "run", device="cpu")
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((11, 7, 3), np.uint8)).save(tmp_path / "in" / "a.png")
    translate(str(tmp_path / "run"), tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (28, 44)


def test_held_out_pictures_of_its_own_data_are_measured_and_all_of_others(tmp_path: Path) -> None:
    from preparing import fill
    from promises import RECIPES

    from gansmith.data.open import open_data
    from gansmith.metrics.evaluate import Question, evaluate
    from gansmith.training.session import train

    own, other, run = fill(tmp_path / "own", 12), fill(tmp_path / "other", 3), tmp_path / "run"
    recipe = override(RECIPES["srresnet-x4"], "train.images=8")
    recipe = override(recipe, "data.validation=0.34")
    recipe = override(recipe, "data.pairs=small:4")
    data = open_data(str(own), recipe.data, fields=PairBatch._fields)
    train(recipe, data, run, device="cpu")
    ask = Question(metrics="l1", cache=False)
    for place, count in ((own, 4), (other, 3)):
        assert evaluate(str(run), str(place), ask).about["a_pictures"] == count


def test_a_prompt_is_the_small_picture() -> None:
    spec = DataSpec(height=16, width=16, source_shrink=4)
    method = SuperResolution(width=4, blocks=1)
    made = method.generate(method.build(spec), SourcePrompt(BATCH.source), Noise.of(*FOUR))
    assert made.shape == (4, 3, 16, 16) and float(made.detach().abs().max()) <= 1.0
