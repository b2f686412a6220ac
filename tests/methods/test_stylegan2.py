"""StyleGAN2's game against closed forms: path lengths, lazy turns, mixing, the average w, truncation."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import SPEC16, Linear, one_hot, random_images, small_named, trainer_of
from torch import nn

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json, to_json
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.errors import SettingError
from gansmith.methods.batches import ImageBatch
from gansmith.methods.stylegan2 import StyleGAN2, path_lengths
from gansmith.recipes import CATALOGUE, named
from gansmith.recipes.stylegan2 import lazily

METHOD = StyleGAN2().tiny()
BATCH = ImageBatch(random_images(4))


def noise() -> Noise:
    return Noise.of(0, 1, 2, 3)


class Amplifier(nn.Module):
    """w+ of 48 numbers in two layers -> an image of 4 x 4: the first layer once, the second three times."""

    def forward(self, w: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        return (w[:, 0] + 3.0 * w[:, 1]).view(-1, 3, 4, 4)


def test_path_lengths_of_a_linear_synthesis_are_known() -> None:
    """J' y is y for one layer and 3 y for the other, so the length is |y| sqrt((1 + 9) / 2)."""
    at = noise()
    y = at.fork("path").bulk_normal(3, 4, 4).flatten(1) / 4.0
    lengths = path_lengths(Amplifier(), torch.randn(4, 2, 48), torch.zeros(4, 1), at)
    torch.testing.assert_close(lengths, y.norm(dim=1) * math.sqrt(5.0))


def test_the_path_loss_is_2_times_the_squared_distance_to_the_average_of_half_the_batch() -> None:
    torch.manual_seed(0)
    networks = METHOD.build(SPEC16)
    networks.average_length.fill_(0.3)
    loss = METHOD.path_loss(networks, BATCH, noise(), Progress())
    half = Noise.of(0, 2)
    mixed, maps = METHOD._mixed(networks, half)[1], METHOD._maps(networks, half)
    lengths = path_lengths(networks.synthesis, mixed, maps, half)
    average = 0.99 * 0.3 + 0.01 * lengths.mean()
    assert loss.total.item() == pytest.approx(2.0 * (lengths - average).square().mean().item(), rel=1e-4)
    METHOD.after_step(networks, {"w": torch.zeros(6), **loss.signals}, Progress())
    assert networks.average_length.item() == pytest.approx(average.item(), rel=1e-5)
    loss.total.backward()
    assert all(w.grad is not None for w in networks.mapping.parameters())


def test_r1_is_half_gamma_times_the_squared_slope() -> None:
    networks = METHOD.build(SPEC16)
    networks.discriminator = Linear(one_hot(3.0))
    loss = replace(METHOD, gamma=4.0).r1_loss(networks, BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(18.0)


def test_a_judge_that_says_nothing_costs_the_closed_form() -> None:
    networks = METHOD.build(SPEC16)
    silence_head_of_critic(networks)
    assert METHOD.generator_loss(networks, BATCH, noise(), Progress()).total.item() == pytest.approx(
        math.log(2)
    )
    loss = METHOD.discriminator_loss(networks, BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(2.0 * math.log(2))


def test_adain_is_a_setting_and_runs_of_before_have_none() -> None:
    """A recipe written without the field is today's default, and its weights have the same names."""
    recipe = override(small_named("stylegan2-32-small"), "method.normalization=adain")
    trainer = trainer_of(recipe)
    assert all(layer.norm is not None for layer in trainer.networks.synthesis.convolutions)
    for _ in range(2):
        trainer.step()
    assert from_json(to_json(recipe), Recipe) == recipe
    plain = small_named("stylegan2-32-small")
    tree = to_json(plain)
    del tree["method"]["normalization"]
    assert from_json(tree, Recipe) == plain
    layer = plain.method.build(SPEC16).synthesis.convolutions[0]
    assert list(layer.state_dict()) == ["weight", "strength", "bias", "affine.weight", "affine.bias"]
    with pytest.raises(SettingError, match="adain"):
        override(plain, "method.normalization=instance")


def silence_head_of_critic(networks: nn.Module) -> None:
    nn.init.zeros_(networks.discriminator.head.weight)


def test_lazy_turns_are_played_when_due_and_weigh_as_much_as_they_are_rare() -> None:
    trainer = trainer_of(small_named("stylegan2-32-small", images=4 * 17))
    steps = []
    for _ in range(17):
        trainer.step()
        steps.append({name.partition("/")[0] for name in trainer.flush()})
    assert [i for i, row in enumerate(steps) if "R1" in row] == [0, 16]
    assert [i for i, row in enumerate(steps) if "path length" in row] == [0, 4, 8, 12, 16]
    taken = {
        player: {int(state["step"]) for state in optimizer.state.values()}
        for player, optimizer in trainer.optimizers.items()
    }
    assert max(taken["discriminator"]) == 17 + 2 and max(taken["generator"]) == 17 + 5


def test_the_average_w_follows_the_first_mapping_and_not_the_mixed_one() -> None:
    networks, method = METHOD.build(SPEC16), replace(METHOD, mixing=1.0)
    loss = method.generator_loss(networks, BATCH, noise(), Progress())
    w = networks.mapping(noise().fork("z").normal(6))
    torch.testing.assert_close(loss.signals["w"], w.mean(dim=0))
    method.after_step(networks, loss.signals, Progress())
    torch.testing.assert_close(networks.average_w, 0.005 * w.mean(dim=0))


def test_mixing_goes_on_with_another_w_from_a_layer_after_the_first() -> None:
    networks = METHOD.build(SPEC16)
    many = Noise(torch.arange(2000))
    w, mixed = METHOD._mixed(networks, many)
    layers = networks.synthesis.layers
    same = (mixed == w[:, None]).all(dim=2)
    assert bool(same[:, 0].all()), "the first layer is never the second style's"
    begin = same.sum(dim=1)
    assert bool((same.cumprod(dim=1).sum(dim=1) == begin).all()), "one change at most"
    shares = torch.bincount(begin, minlength=layers + 1)[1:].double() / 2000
    expected = torch.tensor([0.9 / (layers - 1)] * (layers - 1) + [0.1], dtype=torch.float64)
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.03)
    w, plain = replace(METHOD, mixing=0.0)._mixed(networks, many)
    assert torch.equal(plain, w[:, None].expand(-1, layers, -1))


def test_truncation_draws_w_to_the_average_in_the_layers_asked_for() -> None:
    networks = METHOD.build(SPEC16)
    networks.average_w.copy_(torch.randn(6))
    w = METHOD.to_latent(networks, noise(), None, "w")
    drawn = METHOD.truncate(networks, w, 0.7, "w")
    torch.testing.assert_close(drawn, networks.average_w + 0.7 * (w - networks.average_w))
    plus = METHOD.to_latent(networks, noise(), None, "w+")
    some = replace(METHOD, truncated_layers=2).truncate(networks, plus, 0.7, "w+")
    torch.testing.assert_close(some[:, :2], drawn[:, None].expand(-1, 2, -1))
    assert torch.equal(some[:, 2:], plus[:, 2:])
    with pytest.raises(SettingError, match="Truncation is for methods that define it"):
        METHOD.truncate(networks, noise().normal(6), 0.7, "z")


def test_a_rare_regularizer_shortens_adams_memory_by_its_step() -> None:
    adam = lazily(named("stylegan2-64").optimizers["generator"].__class__(lr=2.5e-3, betas=(0.0, 0.99)), 4)
    assert adam.lr == pytest.approx(2.0e-3) and adam.betas == pytest.approx((0.0, 0.99**0.8))


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name.startswith("stylegan2")])
def test_the_recipes_follow_the_authors_rules(name: str) -> None:
    recipe = named(name)
    method, size, batch = recipe.method, recipe.data.size.width, recipe.train.batch
    assert method.gamma == pytest.approx(0.0002 * size**2 / batch)
    assert (method.r1_every, method.path_every, method.path_weight, method.mixing) == (16, 4, 2.0, 0.9)
    rates = {player: adam.lr for player, adam in recipe.optimizers.items()}
    assert rates == pytest.approx({"discriminator": 2.5e-3 * 16 / 17, "generator": 2.5e-3 * 4 / 5})


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"r1_every": 0}, "at least 1"),
        ({"mixing": 1.5}, r"share in \[0, 1\]"),
        ({"mapping_rate": 0.0}, "positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, rule: str) -> None:
    with pytest.raises(SettingError, match=rf"{rule}.*Received: {next(iter(change))}="):
        StyleGAN2(**change)
