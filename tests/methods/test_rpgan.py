"""RpGAN: one pass for scores and penalties, and a penalty that falls."""

import math

import pytest
import torch
from helpers import SPEC16, Linear, one_hot, random_images, silence_head, small_named, trainer_of
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Cosine, Step
from gansmith.core.schedules import Linear as LinearSchedule
from gansmith.errors import SettingError
from gansmith.losses.adversarial import relativistic
from gansmith.methods.batches import ImageBatch
from gansmith.methods.bilinear import BilinearGAN
from gansmith.methods.rpgan import RpGAN
from gansmith.networks.bundle import Pair
from gansmith.recipes import named

REAL, MADE = random_images(8, seed=0), random_images(8, seed=1)


def noise(count: int = 8) -> Noise:
    return Noise(torch.arange(count))


def tiny(**changes) -> RpGAN:
    return RpGAN(latent=6, generator_width=4, discriminator_width=4, **changes)


class Counting(nn.Module):
    """A critic that says 0 and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach())
        return images.flatten(1).sum(dim=1) * 0.0


def test_both_players_move_once_and_the_generator_sees_other_pictures() -> None:
    assert [(turn.player, turn.repeats, turn.new_batch) for turn in tiny().turns()] == [
        ("discriminator", 1, False),
        ("generator", 1, True),
    ]


@pytest.mark.parametrize("penalized", [0.1, 0.25, 1.0])
def test_scores_are_those_of_separate_calls(penalized: float) -> None:
    torch.manual_seed(0)
    critic = tiny().build(SPEC16).discriminator
    real, made, _ = tiny(penalized=penalized).judge(critic, REAL, MADE, noise())
    assert torch.allclose(real, critic(REAL), atol=1e-5)
    assert torch.allclose(made, critic(MADE), atol=1e-5)
    assert real.std() > 1e-3


@pytest.mark.parametrize("value", [0.5, -2.0])
@pytest.mark.parametrize("penalized", [0.1, 0.5, 1.0])
def test_a_linear_critic_costs_r1_plus_r2(value: float, penalized: float) -> None:
    _, _, penalty = tiny(penalized=penalized).judge(Linear(one_hot(value), 3.0), REAL, MADE, noise())
    assert penalty.item() == pytest.approx(value**2, rel=1e-3)  # w^2 / 2 on either side.


def test_r1_and_r2_count_alike() -> None:
    class OnReal(nn.Module):
        """Slope 2 on pictures that are far above 0, slope 0 on the others."""

        def forward(self, images: Tensor) -> Tensor:
            return torch.where(images.flatten(1).mean(dim=1) > 1.0, 2.0 * images[:, 2, 1, 2], 0.0)

    _, _, on_real = tiny().judge(OnReal(), REAL + 4.0, MADE, noise())
    _, _, on_made = tiny().judge(OnReal(), REAL, MADE + 4.0, noise())
    assert on_real.item() == pytest.approx(2.0, rel=1e-3)
    assert on_made.item() == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(("penalized", "count"), [(0.01, 1), (0.25, 2), (0.5, 4), (1.0, 8)])
def test_one_pass_shows_the_batch_and_a_moved_share_of_it(penalized: float, count: int) -> None:
    critic = Counting()
    tiny(penalized=penalized, distance=0.1).judge(critic, REAL, MADE, noise())
    (seen,) = critic.seen
    real, made, moved = seen.split([8, 8, 2 * count])
    assert torch.equal(real, REAL)
    assert torch.equal(made, MADE)
    steps = moved - torch.cat([REAL[:: 8 // count], MADE[:: 8 // count]])
    assert torch.allclose(steps.abs(), torch.tensor(0.1), atol=1e-6)
    assert not torch.equal(steps[:count].sign(), steps[count:].sign())


@pytest.mark.parametrize("schedule", [Constant(), Cosine(end=0.1), LinearSchedule(end=0.5), Step(epochs=1.0)])
@pytest.mark.parametrize("images", [0, 500, 1000])
def test_the_penaltys_weight_falls_by_its_schedule(schedule, images: int) -> None:
    method = tiny(gamma=0.7, gamma_schedule=schedule)
    networks = Pair(tiny().build(SPEC16).generator, Linear(one_hot(2.0)))
    progress = Progress(images=images, total_images=1000, batch=8, data_images=250)
    loss = method.discriminator_loss(networks, ImageBatch(REAL), noise(), progress)
    made = networks.generator(method.latents(noise()))
    game = relativistic(networks.discriminator(REAL), networks.discriminator(made))
    assert (loss.total - game).item() == pytest.approx(0.7 * schedule(progress) * 4.0, rel=1e-3)
    assert loss.parts["penalty"].item() == pytest.approx(4.0, rel=1e-3)


def test_a_critic_that_says_nothing_costs_log_2() -> None:
    method = tiny()
    networks = method.build(SPEC16)
    silence_head(networks.discriminator)
    batch = ImageBatch(REAL)
    loss = method.discriminator_loss(networks, batch, noise(), Progress())
    assert loss.total.item() == pytest.approx(math.log(2), abs=1e-6)
    assert {name: part.item() for name, part in loss.parts.items()} == {
        "D(x)": 0.5,
        "D(G(z))": 0.5,
        "margin": 0.0,
        "penalty": 0.0,
    }
    loss = method.generator_loss(networks, batch, noise(), Progress())
    assert loss.total.item() == pytest.approx(math.log(2), abs=1e-6)
    assert method.validation_metrics(networks, batch, noise())["margin"].item() == 0.0


def test_the_generator_aims_above_the_real_picture_of_its_pair() -> None:
    torch.manual_seed(0)
    method = tiny()
    networks = method.build(SPEC16)
    fake = networks.discriminator(networks.generator(method.latents(noise())))
    expected = relativistic(fake, networks.discriminator(REAL))
    loss = method.generator_loss(networks, ImageBatch(REAL), noise(), Progress())
    assert torch.allclose(loss.total, expected, atol=1e-6)


def test_the_critic_has_no_normalization_and_keeps_the_scale_of_noise() -> None:
    torch.manual_seed(0)
    critic = RpGAN(discriminator_width=16).build(SPEC16).discriminator
    assert not any(isinstance(module, nn.BatchNorm2d | nn.GroupNorm) for module in critic.modules())
    with torch.no_grad():
        scores = critic(torch.randn(256, 3, 16, 16))
    assert 0.3 < scores.std() < 3.0  # He's initialization: unit variance in, about unit variance out.


def test_every_part_of_a_step_is_reported_once_and_finite() -> None:
    trainer = trainer_of(small_named("rpgan28"))
    trainer.step()
    row = trainer.flush()
    assert set(row) == {
        "discriminator/loss",
        "discriminator/D(x)",
        "discriminator/D(G(z))",
        "discriminator/margin",
        "discriminator/penalty",
        "discriminator/gradient",
        "generator/loss",
        "generator/D(G(z))",
        "generator/gradient",
    }
    assert all(math.isfinite(value) for value in row.values())
    assert tiny().latents(noise(3)).shape == (3, 6)


def test_only_what_has_transposed_convolutions_is_smoothed() -> None:
    assert named("rpgan64").method.smooth and not named("rpgan32").method.smooth
    with pytest.raises(SettingError, match="smooth=true of a generator without them"):
        BilinearGAN(smooth=True)
