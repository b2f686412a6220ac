"""CycleGAN: the paper's networks to the parameter, its losses in closed form, its pool by its rules."""

import pytest
import torch
from helpers import random_images
from promises import RECIPES, trainer_of
from torch import nn

from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Linear
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.methods.batches import DomainBatch, DomainPrompt
from gansmith.methods.cyclegan import CycleGAN, CycleNetworks
from gansmith.networks.patchgan import PatchDiscriminator
from gansmith.networks.resnet_translator import ResNetTranslator
from gansmith.recipes import named

SPEC = DataSpec(height=16, width=16)
BATCH = DomainBatch(random_images(4), random_images(4, seed=1))
FOUR = (0, 1, 2, 3)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("blocks", "parameters"), [(9, 11_378_179), (6, 7_837_699)])
def test_parameters_of_the_paper(blocks: int, parameters: int) -> None:
    """Counted from the authors' layer tables."""
    with torch.device("meta"):
        networks = CycleGAN(blocks=blocks).build(DataSpec(height=128, width=128))
    assert count(networks.a_to_b) == count(networks.b_to_a) == parameters
    assert count(networks.critic_a) == count(networks.critic_b) == 2_764_737


@pytest.mark.parametrize("up", ["transposed", "nearest", "bilinear"])
@pytest.mark.parametrize(("height", "width", "channels"), [(16, 16, 1), (24, 40, 3)])
def test_any_size(up, height: int, width: int, channels: int) -> None:
    translator = ResNetTranslator(DataSpec(height=height, width=width, channels=channels), 2, 1, up)
    images = torch.zeros(2, channels, height, width)
    assert translator(images).shape == images.shape


def test_a_size_that_cannot_be_halved_twice_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"Received: 62x64\. Try data\.size=64x64"):
        CycleGAN().build(DataSpec(height=64, width=62))


class Plus(nn.Module):
    """A translator that adds a number."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.number


class Says(nn.Module):
    """A critic that says the same of everything."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.tensor(score))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.score.expand(len(images), 2, 2)


def closed() -> CycleNetworks:
    return CycleNetworks((Plus(0.5), Plus(-0.25)), (Says(0.2), Says(0.4)), 6, SPEC)


def test_losses_in_closed_form() -> None:
    """Cycles are off by 0.5 - 0.25 each way; identity by 0.5 and 0.25, of the right pair."""
    method = CycleGAN(cycle=10.0, identity=5.0, pool=6)
    loss = method.translators_loss(closed(), BATCH, Noise.of(*FOUR), Progress())
    game = (0.4 - 1.0) ** 2 + (0.2 - 1.0) ** 2
    assert loss.parts["cycle"].item() == pytest.approx(0.5, abs=1e-6)
    assert loss.parts["identity"].item() == pytest.approx(0.75, abs=1e-6)
    assert loss.total.item() == pytest.approx(game + 10.0 * 0.5 + 5.0 * 0.75, rel=1e-6)
    alone = CycleGAN(cycle=0.0, identity=0.0, pool=6)
    loss = alone.translators_loss(closed(), BATCH, Noise.of(*FOUR), Progress())
    assert loss.total.item() == pytest.approx(game, rel=1e-6) and "identity" not in loss.parts
    loss = method.critics_loss(closed(), BATCH, Noise.of(*FOUR), Progress())
    wanted = (0.2 - 1) ** 2 / 2 + 0.2**2 / 2 + (0.4 - 1) ** 2 / 2 + 0.4**2 / 2
    assert loss.total.item() == pytest.approx(wanted, rel=1e-6), "each critic's loss is halved"


def test_each_direction_is_judged_by_its_own_critic() -> None:
    networks, images = closed(), BATCH.a
    forth, back = CycleGAN(), CycleGAN(direction="b_to_a")
    prompt, noise = DomainPrompt(images), Noise.of(*FOUR)
    torch.testing.assert_close(forth.generate(networks, prompt, noise), images + 0.5)
    torch.testing.assert_close(back.generate(networks, prompt, noise), images - 0.25)
    assert forth.critic_scores(networks, images, prompt)[0, 0, 0].item() == pytest.approx(0.4)
    assert back.critic_scores(networks, images, prompt)[0, 0, 0].item() == pytest.approx(0.2)


def pooled(method: CycleGAN, networks: CycleNetworks, value: float, draws: torch.Tensor) -> None:
    fakes = torch.full((len(draws), 3, 16, 16), value)
    method.after_step(networks, {"to_a": fakes, "to_b": -fakes, "draws": draws}, Progress())


def test_the_pool_is_filled_first_and_then_exchanged_one_for_one() -> None:
    method, networks = CycleGAN(pool=6), closed()
    low = torch.zeros(4, 4)
    pooled(method, networks, 1.0, low)
    assert int(networks.pooled) == 4 and networks.pool_a[:, 0, 0, 0].tolist() == [1, 1, 1, 1, 0, 0]
    pooled(method, networks, 2.0, low)
    assert int(networks.pooled) == 6 and networks.pool_a[:, 0, 0, 0].tolist() == [1, 1, 1, 1, 2, 2]
    assert networks.pool_b[:, 0, 0, 0].tolist() == [-1, -1, -1, -1, -2, -2]
    draws = torch.tensor(
        [[0.4, 0.99, 0.9, 0.0], [0.9, 0.2, 0.1, 0.5]]
    )  # a: place 5 and new; b: new and place 3.
    pooled(method, networks, 3.0, draws)
    assert networks.pool_a[:, 0, 0, 0].tolist() == [1, 1, 1, 1, 2, 3]
    assert networks.pool_b[:, 0, 0, 0].tolist() == [-1, -1, -1, -3, -2, -2]


def test_critics_see_the_past_in_half_of_the_cases_once_the_pool_is_full() -> None:
    method, networks = CycleGAN(pool=6), closed()
    networks.pool_a.fill_(7.0)
    fakes, draws = torch.zeros(2000, 3, 1, 1), Noise(torch.arange(2000)).uniform(2)
    empty = method._from_pool(networks.pool_a[:, :, :1, :1], networks.pooled, fakes, draws)
    assert float(empty.abs().sum()) == 0.0, "not before it is full"
    networks.pooled.fill_(6)
    shown = method._from_pool(networks.pool_a[:, :, :1, :1], networks.pooled, fakes, draws)
    assert float((shown[:, 0] == 7.0).float().mean()) == pytest.approx(0.5, abs=0.05)
    none = CycleGAN(pool=0)
    assert none._from_pool(networks.pool_a[:0], networks.pooled, fakes, draws) is fakes


def test_the_pool_survives_in_the_checkpoint() -> None:
    trainer = trainer_of(RECIPES["cyclegan256"])
    for _ in range(3):
        trainer.step()
    state = trainer.state()
    assert int(state["networks.pooled"]) == 6, "three steps of four pictures, and room for six"
    assert (state["networks.pool_b"].abs().sum(dim=(1, 2, 3)) > 0).all()


def test_without_a_pool_it_trains_too() -> None:
    trainer = trainer_of(override(RECIPES["cyclegan256"], "method.pool=0"))
    trainer.step()
    assert trainer.networks.pool_a.shape[0] == 0


def test_doing_nothing_shows_in_the_numbers() -> None:
    networks = CycleNetworks((nn.Identity(), nn.Identity()), (Says(0.0), Says(0.0)), 6, SPEC)
    found = CycleGAN().validation_metrics(networks, BATCH, Noise.of(*FOUR))
    assert found["change"].item() == 0.0 and found["cycle"].item() == 0.0
    assert found["correlation"].item() == pytest.approx(1.0)

    class Negative(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return -images

    networks.a_to_b = Negative()
    found = CycleGAN().validation_metrics(networks, BATCH, Noise.of(*FOUR))
    assert found["correlation"].item() == pytest.approx(-1.0)


def test_critics_without_a_gain_keep_their_biases() -> None:
    critic = PatchDiscriminator(3, (64, 64), 4, affine=False)
    assert all(module.bias is not None for module in critic.modules() if isinstance(module, nn.Conv2d))


def test_the_recipe_is_the_papers() -> None:
    recipe = named("cyclegan256")
    assert recipe.method == CycleGAN() and recipe.train.batch == 1
    assert (recipe.method.cycle, recipe.method.identity, recipe.method.pool) == (10.0, 5.0, 50)
    for adam in recipe.optimizers.values():
        assert (adam.lr, adam.betas, adam.schedule) == (2e-4, (0.5, 0.999), Linear(start=0.5))  # type: ignore[union-attr]
