"""The common game: any adversarial loss, any penalty, any pair of networks, each chosen by its name."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from helpers import SPEC16, Linear, one_hot, random_images, silence_head, small_named, trainer_of

from gansmith.augment.policies import ADA
from gansmith.config.field_types import choices_of
from gansmith.config.overrides import override
from gansmith.config.serialization import from_json, to_json
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Cosine
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Logistic,
    Minimax,
    PairedLoss,
    Relativistic,
    Wasserstein,
)
from gansmith.losses.penalties import DRAGAN, R1, R1R2, GradientPenalty, NoPenalty, Penalty
from gansmith.methods.batches import AttributeBatch, ImageBatch, LabelledBatch
from gansmith.methods.gan import GAN, AttributeGAN, ConditionalGAN
from gansmith.networks.architectures import R3MP, Architecture, Convolutional, Progressive, ResNet, SNResNet
from gansmith.networks.bundle import Pair

LOG2 = math.log(2.0)
BATCH = ImageBatch(random_images(4))
LOSSES = [kind.__name__ for kind in choices_of(AdversarialLoss | PairedLoss)]
PENALTIES = [kind.__name__ for kind in choices_of(Penalty)]
NETWORKS = [kind.__name__ for kind in choices_of(Architecture)]
NORMS = ["batch", "layer", "none", "spectral"]


def noise() -> Noise:
    return Noise(torch.arange(4))


def tiny(**changes) -> GAN:
    return GAN(**changes).tiny()


def test_the_names_are_those_the_pages_speak_of() -> None:
    assert sorted(LOSSES) == [
        "Hinge",
        "LeastSquares",
        "Logistic",
        "Minimax",
        "Relativistic",
        "Wasserstein",
    ]
    assert sorted(PENALTIES) == ["DRAGAN", "GradientPenalty", "NoPenalty", "R1", "R1R2", "R2"]
    assert sorted(NETWORKS) == [
        "Attentive",
        "Convolutional",
        "Progressive",
        "R3",
        "R3MP",
        "ResNet",
        "SNResNet",
        "StyleBased",
        "Transformer",
    ]


def test_a_recipe_that_was_written_adds_no_choices() -> None:
    """Networks have a ``generator`` and a ``discriminator``, as losses have."""
    to_json(small_named("r3gan32-small"))
    assert [kind.__name__ for kind in choices_of(AdversarialLoss)] == LOSSES[:-1]
    assert not {kind.__name__ for kind in choices_of(AdversarialLoss)} & set(NETWORKS)


ARCHITECTURES = [
    *(f"{name}(norm={norm})" for name in ("Convolutional", "ResNet") for norm in NORMS),
    "SNResNet",
    "R3",
    "Progressive",
    "Attentive",
    "R3MP",
    "StyleBased",
    "StyleBased(normalization=adain)",
    "Transformer",
]


@pytest.mark.parametrize("networks", ARCHITECTURES)
def test_any_loss_with_any_penalty_on_any_networks(networks: str) -> None:
    """Combinations are made of settings, survive JSON, and move both players at 8 px.

    Each loss meets each penalty on one pair of networks, and one on all others: a loss sees scores alone.
    """
    spec, batch = DataSpec(height=8, width=8), ImageBatch(random_images(3, size=8))
    every = networks == "ResNet(norm=none)"
    pairs = itertools.product(LOSSES, PENALTIES) if every else zip(LOSSES, PENALTIES, strict=True)
    for loss, penalty in pairs:
        settings = [f"method.adversarial={loss}", f"method.penalty={penalty}", f"method.networks={networks}"]
        if penalty != "NoPenalty" and "batch" in networks:
            with pytest.raises(SettingError, match="with batch norm, which mixes them"):
                override(small_named("lsgan32"), *settings)
            continue
        recipe = override(small_named("lsgan32"), *settings)
        assert from_json(to_json(recipe), type(recipe)) == recipe
        method = recipe.method.tiny()
        if penalty != "NoPenalty" and networks == "Transformer":
            with pytest.raises(SettingError, match="cannot be differentiated twice"):
                method.build(spec)
            continue
        if loss == "Wasserstein" and penalty == "NoPenalty" and networks == "ResNet(norm=none)":
            with pytest.raises(SettingError, match="needs a bound"):
                method.build(spec)
            continue
        pair = method.build(spec)
        for turn, owned in zip(method.turns(), (pair.discriminator, pair.generator), strict=True):
            pair.zero_grad(set_to_none=True)
            total = turn.loss(pair, batch, Noise.of(0, 1, 2), Progress()).total
            total.backward()
            gradients = [weight.grad for weight in owned.parameters() if weight.grad is not None]
            assert total.isfinite() and gradients, f"{loss}, {penalty}, {turn.name}"
            assert all(gradient.isfinite().all() for gradient in gradients)
            assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_clipping_keeps_every_weight_of_the_discriminator_small() -> None:
    """After each move, and after none of the generator's; layers that scale their weights refuse it."""
    recipe = override(small_named("dragan32"), "method.penalty=NoPenalty", "method.clip=0.02")
    trainer = trainer_of(recipe)
    assert max(float(w.detach().abs().max()) for w in trainer.networks.discriminator.parameters()) > 0.02
    trainer.step()
    weights = list(trainer.networks.discriminator.parameters())
    assert max(float(w.detach().abs().max()) for w in weights) == pytest.approx(0.02)
    assert max(float(w.detach().abs().max()) for w in trainer.networks.generator.parameters()) > 0.02
    rule = r"used as they are stored\. Received: clip=0\.02 with"
    for networks in (Convolutional(norm="spectral"), Progressive(), R3MP()):
        with pytest.raises(SettingError, match=rule):
            tiny(clip=0.02, networks=networks).build(SPEC16)
    with pytest.raises(SettingError, match=r"positive, or none\. Received: clip=0"):
        GAN(clip=0.0)


def test_a_finite_difference_begins_where_the_game_has_been() -> None:
    """Four passes of the discriminator and not six, with the value and the gradient of all six."""
    torch.manual_seed(0)
    penalty = R1R2(gamma=2.0, distance=0.1)
    method = tiny(penalty=penalty, networks=Convolutional(norm="none"))
    pair, passes = method.build(SPEC16), []
    pair.discriminator.register_forward_hook(lambda *_: passes.append(1))
    loss = method.discriminator_loss(pair, BATCH, noise(), Progress()).total
    assert len(passes) == 4
    weights = list(pair.discriminator.parameters())
    gradients = torch.autograd.grad(loss, weights)
    fakes = pair.generator(method.latents(noise())).detach()
    critic = pair.discriminator
    plain = method.adversarial.discriminator(critic(BATCH.images), critic(fakes))
    expected = plain + penalty(critic, BATCH.images, fakes, noise())
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("moves", [1, 5])
def test_the_discriminator_moves_as_often_as_asked(moves: int) -> None:
    trainer = trainer_of(override(small_named("lsgan32"), f"method.discriminator_moves={moves}"))
    trainer.step()
    steps = {
        player: {int(state["step"]) for state in optimizer.state.values()}
        for player, optimizer in trainer.optimizers.items()
    }
    assert steps == {"discriminator": {moves}, "generator": {1}}


@pytest.mark.parametrize("networks", [Convolutional(), ResNet(norm="none")])
@pytest.mark.parametrize(
    ("adversarial", "discriminator", "generator"),
    [
        (Logistic(), 2 * LOG2, LOG2),
        (Minimax(), 2 * LOG2, -LOG2),
        (LeastSquares(), 0.5, 0.5),
        (Hinge(), 2.0, 0.0),
        (Wasserstein(), 0.0, 0.0),
        (Relativistic(), LOG2, LOG2),
    ],
)
def test_a_judge_that_says_nothing_costs_the_closed_form(
    adversarial, discriminator, generator, networks
) -> None:
    clip = 1.0 if isinstance(adversarial, Wasserstein) else None  # It needs a bound.
    method = tiny(adversarial=adversarial, networks=networks, clip=clip)
    pair = method.build(SPEC16)
    silence_head(pair.discriminator)
    loss = method.discriminator_loss(pair, BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(discriminator, abs=1e-6)
    assert {name: part.item() for name, part in loss.parts.items()} == {
        "accuracy on real": 0.0,
        "accuracy on fake": 1.0,
        "margin": 0.0,
    }
    loss = method.generator_loss(pair, BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("slope", [0.5, 3.0])
@pytest.mark.parametrize(
    ("penalty", "cost"),
    [
        (NoPenalty(), lambda slope: 0.0),
        (GradientPenalty(), lambda slope: 10.0 * (slope - 1) ** 2),
        (DRAGAN(), lambda slope: 10.0 * (slope - 1) ** 2),
        (R1(gamma=4.0), lambda slope: 2.0 * slope**2),
    ],
)
def test_a_linear_critic_pays_for_the_game_and_for_its_slope(slope: float, penalty, cost) -> None:
    method = tiny(adversarial=Wasserstein(), penalty=penalty, clip=9, networks=Convolutional(norm="none"))
    pair = Pair(method.build(SPEC16).generator, Linear(one_hot(slope)))
    fakes = pair.generator(method.latents(noise()))
    margin = (slope * (BATCH.images - fakes)[:, 2, 1, 2].mean()).item()
    loss = method.discriminator_loss(pair, BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(-margin + cost(slope), abs=1e-4)
    assert loss.parts["margin"].item() == pytest.approx(margin, abs=1e-5)
    if isinstance(penalty, NoPenalty):
        assert "penalty" not in loss.parts
    else:
        assert loss.parts["penalty"].item() == pytest.approx(cost(slope), abs=1e-4)
    measured = method.validation_metrics(pair, BATCH, noise())
    assert measured["margin"].item() == pytest.approx(margin, abs=1e-5)


def test_the_relativistic_generator_is_compared_with_real_images_of_its_own() -> None:
    method = tiny(adversarial=Relativistic(), networks=Convolutional(norm="none"))
    assert [turn.new_batch for turn in method.turns()] == [False, True]
    assert [turn.new_batch for turn in tiny().turns()] == [False, False]
    pair = Pair(method.build(SPEC16).generator, Linear(one_hot(2.0)))
    with torch.no_grad():
        fakes = pair.generator(method.latents(noise()))
        gap = pair.discriminator(fakes) - pair.discriminator(BATCH.images)
    loss = method.generator_loss(pair, BATCH, noise(), Progress()).total
    assert loss.item() == pytest.approx(torch.log1p(torch.exp(-gap)).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("method", "batch"),
    [
        (tiny(networks=SNResNet(), adversarial=Hinge()), BATCH),
        (tiny(networks=Convolutional(norm="spectral"), adversarial=Relativistic()), BATCH),
        (ConditionalGAN(networks=R3MP()).tiny(), LabelledBatch(random_images(4), torch.tensor([0, 1, 2, 1]))),
    ],
)
def test_one_pass_over_both_kinds_is_two(method, batch, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    networks = method.build(replace(SPEC16, class_names=("a", "b", "c"))).eval()
    progress, found, passes = Progress(), [], []
    networks.discriminator.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    assert method.one_pass
    for one in (True, False):
        monkeypatch.setattr(type(method), "one_pass", one)
        loss = method.discriminator_loss(networks, batch, noise(), progress)
        weights = list(networks.discriminator.parameters())
        found.append([loss.total, *loss.parts.values(), *torch.autograd.grad(loss.total, weights)])
    assert passes == [8, 4, 4]
    for mine, other in zip(*found, strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_what_mixes_images_or_asks_more_of_them_has_a_pass_for_each_kind() -> None:
    for method in (
        tiny(networks=Convolutional(norm="batch")),
        tiny(networks=Convolutional(norm="none"), penalty=R1()),
        tiny(networks=Convolutional(norm="spectral"), augment=ADA()),
        tiny(networks=Progressive(), adversarial=Hinge()),
    ):
        assert not method.one_pass


@pytest.mark.parametrize(
    ("name", "changes", "made"),
    [
        ("faces64", (), 1),
        ("faces32", ("method.discriminator_moves=3",), 3),
        ("faces32", ("method.reuse_fakes=false",), 2),
        ("faces32", ("method.adversarial=Relativistic()",), 2),
        ("progan64", ("method.reuse_fakes=true",), 1),
        ("gat32-small", ("method.reuse_fakes=true", "method.adversarial=Hinge()"), 1),
    ],
)
def test_both_players_may_see_the_same_fakes_made_once(
    name: str, changes: tuple[str, ...], made: int
) -> None:
    trainer = trainer_of(override(small_named(name), *changes))
    count: list[int] = []
    trainer.networks.generator.register_forward_pre_hook(lambda *_: count.append(1))
    before = [weight.detach().clone() for weight in trainer.networks.generator.parameters()]
    trainer.step()
    assert len(count) == made
    after = trainer.networks.generator.parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("networks", [Convolutional(), ResNet(norm="batch")])
@pytest.mark.parametrize("penalty", [GradientPenalty(), DRAGAN(), R1()])
def test_a_penalty_of_slopes_and_batch_norm_exclude_each_other(penalty, networks) -> None:
    with pytest.raises(SettingError, match=rf"Received: {type(penalty).__name__} with batch norm"):
        GAN(penalty=penalty, networks=networks)
    assert GAN(networks=networks).penalty == NoPenalty()
    assert GAN(penalty=penalty, networks=SNResNet()).penalty == penalty


@pytest.mark.parametrize("name", ["latent", "discriminator_moves"])
def test_counts_must_be_positive(name: str) -> None:
    with pytest.raises(SettingError, match=rf"method\.{name} must be at least 1. Received: {name}=0"):
        GAN(**{name: 0})


@pytest.mark.parametrize(
    ("method", "batch"),
    [
        (ConditionalGAN(), LabelledBatch(random_images(3), torch.tensor([0, 2, 1]))),
        (AttributeGAN(), AttributeBatch(random_images(3), torch.tensor([[0, 1]] * 3, dtype=torch.uint8))),
    ],
)
def test_the_game_with_a_condition(method: ConditionalGAN, batch) -> None:
    method = replace(method, penalty=R1(gamma=2.0), adversarial=Relativistic()).tiny()
    spec = DataSpec(height=16, width=16, class_names=("a", "b", "c"), attribute_names=("d", "e"))
    pair, at = method.build(spec), Noise.of(0, 1, 2)
    silence_head(pair.discriminator)
    loss = method.discriminator_loss(pair, batch, at, Progress())
    assert loss.total.item() == pytest.approx(LOG2) and loss.parts["penalty"].item() == 0.0
    made = method.generate(pair.eval(), method.prompt(batch), at)
    other = method.generate(pair, method.prompt(batch)._replace(**{method.columns[0]: 1 - batch[1] % 2}), at)
    assert made.shape == (3, 3, 16, 16) and not torch.equal(made, other)


def test_the_penalty_follows_its_schedule() -> None:
    method = tiny(
        adversarial=Wasserstein(),
        penalty=R1(gamma=4.0),
        penalty_schedule=Cosine(end=0.1),
        networks=Convolutional(norm="none"),
    )
    pair = Pair(method.build(SPEC16).generator, Linear(one_hot(3.0)))
    costs = []
    for images in (0, 500, 1000):
        progress = Progress(images=images, total_images=1000)
        costs.append(method.discriminator_loss(pair, BATCH, noise(), progress).parts["penalty"].item())
    assert costs == pytest.approx([18.0, 9.9, 1.8], rel=1e-5)


def test_networks_without_a_condition_are_refused_where_there_is_one() -> None:
    with pytest.raises(SettingError, match=r"method\.networks must be .*R3\("):
        override(small_named("r3gan32-cifar10"), "method.networks=ResNet")


@pytest.mark.parametrize(("score", "on_real", "on_fake"), [(0.25, 0.0, 1.0), (0.75, 1.0, 0.0)])
def test_a_least_squares_judge_is_right_on_either_side_of_a_half(
    score: float, on_real: float, on_fake: float
) -> None:
    """Its scores lie between 0 and 1, so that their sign says nothing, to people and to ADA."""
    trainer = trainer_of(small_named("lsgan32"))
    method = replace(trainer.method, augment=ADA())
    networks = method.build(trainer.spec)
    networks.discriminator.register_forward_hook(lambda _, __, scores: torch.full_like(scores, score))
    batch = ImageBatch(random_images(4, size=trainer.spec.height))
    loss = method.discriminator_loss(networks, batch, Noise.of(0, 1, 2, 3), Progress(0, 100))
    assert float(loss.parts["accuracy on real"]) == on_real
    assert float(loss.parts["accuracy on fake"]) == on_fake
    (sign,) = loss.signals.values()
    assert float(sign) == (1.0 if on_real else -1.0)
