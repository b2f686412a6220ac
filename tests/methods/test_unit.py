"""UNIT: one latent space by shared layers, losses in closed form, both directions, domains by attributes."""

import pytest
import torch
from helpers import random_images
from promises import everything
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.errors import DataError, SettingError
from gansmith.methods.batches import DomainBatch, DomainPrompt
from gansmith.methods.unit import UNIT, UnitNetworks, divergence_of
from gansmith.recipes import named

BATCH = DomainBatch(random_images(4), random_images(4, seed=1))
NOISE = Noise.of(0, 1, 2, 3)
SPEC = DataSpec(height=16, width=16)


class Plus(nn.Module):
    """Adds a number."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, images: Tensor) -> Tensor:
        return images + self.number


class Silent(nn.Module):
    """A critic that finds everything equally likely."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), 2, 2)


def closed() -> UnitNetworks:
    """z = a + 0.5 or b; decoders undo nothing."""
    return UnitNetworks(
        (Plus(0.5), Plus(0.0)), (Plus(0.0), Plus(0.25)), (nn.Identity(), nn.Identity()), (Silent(), Silent())
    )


def test_losses_in_closed_form() -> None:
    """Every distance is the noise of its way plus what encoders and decoders add."""
    method = UNIT(gan=10.0, kl=0.1, likelihood=100.0)
    loss = method.generators_loss(closed(), BATCH, NOISE, Progress())
    eps_a, eps_b = NOISE.fork("a").bulk_normal(3, 16, 16), NOISE.fork("b").bulk_normal(3, 16, 16)
    on_a, on_b = NOISE.fork("a to b").bulk_normal(3, 16, 16), NOISE.fork("b to a").bulk_normal(3, 16, 16)
    direct = (0.5 + eps_a).abs().mean() + (0.25 + eps_b).abs().mean()
    to_b, to_a = BATCH.a + 0.5 + eps_a + 0.25, BATCH.b + eps_b
    back_a, back_b = to_b + on_a, to_a + 0.5 + on_b + 0.25
    cycle = (back_a - BATCH.a).abs().mean() + (back_b - BATCH.b).abs().mean()
    means = [BATCH.a + 0.5, BATCH.b, to_b, to_a + 0.5]
    divergence = sum(0.5 * mean.square().mean() for mean in means)
    game = 2 * torch.tensor(2.0).log()
    wanted = 10.0 * game + 100.0 * (direct + cycle) + 0.1 * divergence
    assert loss.total.item() == pytest.approx(float(wanted), rel=1e-5)
    critics = method.critics_loss(closed(), BATCH, NOISE, Progress())
    assert critics.total.item() == pytest.approx(4 * 0.6931472, rel=1e-5)


def test_the_divergence_is_that_of_two_unit_normals() -> None:
    mean = torch.tensor([[0.0, 3.0]])
    found = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, 1.0), torch.distributions.Normal(0.0, 1.0)
    ).mean()
    assert divergence_of(mean).item() == pytest.approx(found.item())


def test_both_domains_share_the_middle_and_nothing_else() -> None:
    networks = UNIT(generator_width=2, discriminator_width=2, blocks=2, share=1).build(SPEC)
    loss = networks.to_a(networks.mean_of_a(BATCH.a)).mean()
    loss.backward()
    of_a = {
        name for name, part in networks.named_children() if any(p.grad is not None for p in part.parameters())
    }
    assert of_a == {"encoder_a", "shared_encoder", "shared_decoder", "decoder_a"}
    networks.zero_grad(set_to_none=True)
    networks.to_b(networks.mean_of_b(BATCH.b)).mean().backward()
    of_b = {
        name for name, part in networks.named_children() if any(p.grad is not None for p in part.parameters())
    }
    assert of_b == {"encoder_b", "shared_encoder", "shared_decoder", "decoder_b"}
    alone = UNIT(generator_width=2, blocks=2, share=0)
    assert not list(alone.build(SPEC).shared_encoder.parameters())
    assert "shared_encoder" not in alone.players()["generators"]


def test_each_direction_uses_its_own_ends_and_no_chance() -> None:
    forth, back, prompt = UNIT(), UNIT(direction="b_to_a"), DomainPrompt(BATCH.a)
    torch.testing.assert_close(forth.generate(closed(), prompt, NOISE), BATCH.a + 0.75)
    torch.testing.assert_close(back.generate(closed(), prompt, NOISE), BATCH.a)


def test_what_cannot_be_shared_or_halved_is_refused() -> None:
    with pytest.raises(SettingError, match=r"method\.share=5 of method\.blocks=4"):
        UNIT(share=5)
    with pytest.raises(SettingError, match=r"Received: 62x64\. Try data\.size=64x64"):
        UNIT().build(DataSpec(height=64, width=62))


def test_domains_by_attributes_hold_no_image_of_both() -> None:
    whole, device = everything(), torch.device("cpu")
    columns = whole.fetch(torch.arange(len(whole)), ("images", "attributes"))
    data = MemoryDataSet("made up", columns, info=whole.info)
    config = DataConfig(domains=("smiling", "glasses"), validation=0.0)
    loader: Loader[DomainBatch] = Loader(data, DomainBatch, config, 0, device)
    attributes = data.fetch(torch.arange(len(data)))["attributes"]
    for stream, wanted in zip(loader._streams, ([1, 0], [0, 1]), strict=True):
        assert len(stream.training) == int((attributes == torch.tensor(wanted)).all(dim=1).sum())
        assert bool((attributes[stream.training] == torch.tensor(wanted)).all())
    with pytest.raises(DataError, match=r"no label or attribute 'smilling'.*Did you mean 'smiling'"):
        Loader(data, DomainBatch, DataConfig(domains=("smilling", "glasses")), 0, device)


def test_the_networks_keep_their_size() -> None:
    """Regression values: no published counts of the paper's networks were found."""

    def count(*parts: nn.Module) -> int:
        return sum(parameter.numel() for part in parts for parameter in part.parameters())

    with torch.device("meta"):
        networks = UNIT().build(DataSpec(height=256, width=256))
        apart = UNIT(share=0).build(DataSpec(height=256, width=256))
    assert count(networks.encoder_a, networks.shared_encoder) == 5_099_136  # Of each domain, seen alone.
    assert count(networks.shared_decoder, networks.decoder_a) == 5_385_603
    assert count(networks.shared_encoder, networks.shared_decoder) == 2_360_320
    assert count(networks.critic_a) == count(networks.critic_b) == 2_764_737  # CycleGAN's critic.
    assert count(networks) == 24_138_632
    assert count(apart) == count(networks) + 2_360_320  # What was shared is there twice.


def test_the_recipe_is_the_papers() -> None:
    recipe = named("unit256")
    assert recipe.method == UNIT() and recipe.train.batch == 1
    for adam in recipe.optimizers.values():
        assert (adam.lr, adam.betas) == (1e-4, (0.5, 0.999))  # type: ignore[union-attr]
