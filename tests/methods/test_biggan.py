"""SAGAN and BigGAN: published counts, attention, overlap and truncation by closed forms."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import random_images
from torch import nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.losses.adversarial import Hinge
from gansmith.methods.batches import LabelledBatch, LabelPrompt
from gansmith.methods.biggan import BigGAN, overlaps, truncated
from gansmith.models.generator import from_method
from gansmith.networks.attention import SelfAttention2d
from gansmith.networks.biggan import Attentive
from gansmith.networks.spectral import SpectralNorm
from gansmith.recipes import named

SPEC = DataSpec(height=16, width=16, class_names=("a", "b", "c"))
METHOD = replace(
    BigGAN(networks=Attentive(shared=4, hierarchical=True, initial="orthogonal")).tiny(), latent=6
)
BATCH = LabelledBatch(random_images(4), torch.tensor([0, 1, 2, 1]))


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "generator", "discriminator"),
    [
        ("biggan128", 1000, 70_433_988, 87_982_370),
        ("biggan32-cifar10", 10, 4_668_163, 4_207_361),
        ("sagan128", 1000, 33_550_980, 39_448_258),
    ],
)
def test_the_papers_networks_have_their_counts(
    name: str, classes: int, generator: int, discriminator: int
) -> None:
    recipe = named(name)
    size = recipe.data.size.width
    with torch.device("meta"):
        pair = recipe.method.build(
            DataSpec(height=size, width=size, class_names=tuple(map(str, range(classes))))
        )
    assert (count(pair.generator), count(pair.discriminator)) == (generator, discriminator)


def test_the_papers_rates_and_moves() -> None:
    sagan, biggan = named("sagan128"), named("biggan128")
    assert [sagan.optimizers[p].lr for p in ("generator", "discriminator")] == [1e-4, 4e-4]
    assert [biggan.optimizers[p].lr for p in ("generator", "discriminator")] == [5e-5, 2e-4]
    assert sagan.method.adversarial == biggan.method.adversarial == Hinge()
    assert biggan.method.discriminator_moves == 2 and biggan.method.orthogonal == 1e-4


def test_attention_is_nothing_at_first_and_then_a_mean_weighted_by_likeness() -> None:
    layer, features = SelfAttention2d(16), torch.randn(2, 16, 4, 4)
    assert torch.equal(layer(features), features)
    nn.init.constant_(layer.gamma, 0.5)
    nn.init.zeros_(layer.theta.weight)  # All positions are alike, so each sees the mean of all.
    pooled = nn.functional.max_pool2d(layer.g(features), 2).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(layer(features), features + 0.5 * layer.o(pooled.expand(-1, -1, 4, 4)))
    nn.init.normal_(layer.theta.weight, std=3.0)
    # By hand, for one position of one image.
    query = layer.theta(features)[1, :, 2, 3]
    keys = nn.functional.max_pool2d(layer.phi(features), 2)[1].flatten(1)
    values = nn.functional.max_pool2d(layer.g(features), 2)[1].flatten(1)
    seen = values @ (query @ keys).softmax(dim=0)
    expected = features[1, :, 2, 3] + 0.5 * layer.o.weight[:, :, 0, 0] @ seen
    torch.testing.assert_close(layer(features)[1, :, 2, 3], expected)


@pytest.mark.parametrize(
    "networks", [Attentive(), Attentive(shared=4), Attentive(shared=4, hierarchical=True)]
)
def test_all_weights_but_the_shared_embedding_are_spectrally_normalized(networks: Attentive) -> None:
    method = replace(METHOD, networks=networks.tiny())
    pair = method.build(SPEC)
    plain = {
        name
        for name, module in pair.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding)
        and not isinstance(pair.get_submodule(name.rpartition(".")[0]), SpectralNorm)
    }
    assert plain == ({"generator.condition.table"} if networks.shared else set())
    z, labels = torch.randn(3, 6), torch.tensor([0, 1, 2])
    images = pair.generator.eval()(z, labels)
    assert not torch.equal(images[0], pair.generator(z, (labels + 1) % 3)[0]), "the class steers the images"
    scores = pair.discriminator.eval()(images, labels)
    assert not torch.equal(scores, pair.discriminator(images, (labels + 1) % 3))
    with torch.no_grad():
        features = images
        for block in pair.discriminator.blocks:
            features = block(features)
            side = str(features.shape[2])
            if side in pair.discriminator.attention:
                features = pair.discriminator.attention[side](features)
        h = features.relu().sum(dim=(2, 3))
        projected = (pair.discriminator.embedding(labels) * h).sum(dim=1)
        torch.testing.assert_close(scores, pair.discriminator.head(h)[:, 0] + projected)


def test_each_part_of_a_hierarchical_z_reaches_the_image_at_its_own_block() -> None:
    generator = METHOD.build(SPEC).generator.eval()
    z, labels = torch.randn(1, 6), torch.tensor([1])
    stems: list[torch.Tensor] = []
    generator.blocks[0].register_forward_pre_hook(lambda _, inputs: stems.append(inputs[0]))
    with torch.no_grad():
        before = generator(z, labels)
        for part in range(3):
            other = z.clone()
            other[:, 2 * part] += 1.0
            assert not torch.equal(generator(other, labels), before)
    assert not torch.equal(stems[1], stems[0])
    assert torch.equal(stems[2], stems[0]) and torch.equal(stems[3], stems[0])
    with pytest.raises(SettingError, match=r"3 equal parts.*latent=7. Try method.latent=6"):
        replace(METHOD, latent=7).build(SPEC)


def test_overlap_is_the_squared_products_of_different_filters() -> None:
    layer = nn.Conv2d(1, 3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 0, 0, 0], [3, 1, 0, 0], [0, 0, 0, 5]]).view(3, 1, 2, 2))
    assert overlaps(nn.Sequential(layer, nn.Embedding(2, 2))).item() == pytest.approx(2 * 6.0**2)
    overlaps(layer).backward()
    w = layer.weight.detach().flatten(1)
    off = w @ w.T * (1 - torch.eye(3))
    torch.testing.assert_close(layer.weight.grad.flatten(1), 4.0 * off @ w)
    pair = METHOD.build(SPEC)
    plain, more = (
        replace(METHOD, orthogonal=beta).generator_loss(pair.eval(), BATCH, Noise.of(0, 1, 2, 3), Progress())
        for beta in (0.0, 0.1)
    )
    expected = 0.1 * overlaps(pair.generator).item()
    assert (more.total - plain.total).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("threshold", [0.5, 1.5])
def test_truncated_numbers_have_the_truncated_distribution(threshold: float) -> None:
    z = Noise(torch.arange(200)).normal(500)
    cut = truncated(z, threshold)
    assert float(cut.abs().max()) <= threshold
    density = math.exp(-(threshold**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1.0 - 2.0 * threshold * density / math.erf(threshold / math.sqrt(2.0))
    assert cut.var().item() == pytest.approx(variance, rel=0.02)
    order = z.flatten().argsort()
    assert bool((cut.flatten()[order].diff() >= 0).all()), "ranks are kept"
    torch.testing.assert_close(truncated(z, 20.0), z, rtol=1e-2, atol=1e-3)
    with pytest.raises(SettingError, match=r"positive threshold\. Received: 0"):
        METHOD.truncate(METHOD.build(SPEC), z, 0.0)


def test_truncated_images_are_made_with_statistics_of_their_own() -> None:
    """The norm before the last layer leaves mean 0 and variance 1 over truncated images, at any threshold."""
    torch.manual_seed(0)
    networks = METHOD.build(SPEC)
    labels = torch.arange(30) % 3
    generator = from_method(METHOD, networks, SPEC, name="toy", recipe_name="toys", images_seen=0)
    generator = replace(generator, table={"labels": labels})
    seen: dict[int, list[torch.Tensor]] = {}

    def look(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        seen.setdefault(id(module), []).append(output)

    def deviation(threshold: float | None) -> float:
        seen.clear()
        held = generator._settled.get(threshold, networks)
        handle = held.generator.norm.register_forward_hook(look)
        generator.make(Noise(torch.arange(256)), LabelPrompt(torch.arange(256) % 3), threshold)
        handle.remove()
        outputs = torch.cat(next(iter(seen.values())))
        return float(((outputs.var(dim=(0, 2, 3)) - 1.0).abs()).max())

    generator.make(Noise.of(0), LabelPrompt(torch.tensor([0])), 0.3)
    held = generator._settled[0.3]
    assert deviation(0.3) < 0.25
    assert deviation(None) > 0.5, "untrained statistics do not fit"
    generator.make(Noise.of(1), LabelPrompt(torch.tensor([0])), 0.3)
    assert generator._settled[0.3] is held and not held.training
    assert networks.generator.norm.num_batches_tracked == 0, "the model itself stays as it was"


def test_attention_at_a_size_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"8, 16, or 0 for none. Received: attention=64. Try .*attention=16"
    ):
        Attentive(width=4, max_channels=8).generator(SPEC, 6)
