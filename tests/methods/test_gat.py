"""GAT and CAT: published sizes, rotary places, nested noise, scales apart, consistency by closed forms."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import SPEC16, random_images
from torch import nn

from gansmith.augment.policies import DiffAugment
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.explore.ganspace import ganspace
from gansmith.explore.sefa import sefa
from gansmith.losses.adversarial import Wasserstein
from gansmith.losses.penalties import DRAGAN, R1, R1R2, NoPenalty
from gansmith.methods.batches import ImageBatch, LabelledBatch
from gansmith.methods.cat import CAT, ConditionalCAT
from gansmith.methods.gat import GAT, ConditionalGAT, noise_levels, noisy
from gansmith.models.generator import from_method
from gansmith.networks.transformer import (
    Attention,
    Transformer,
    TransformerDiscriminator,
    TransformerGenerator,
    positions,
    rotate,
    rotation,
)
from gansmith.recipes import named

CPU = torch.device("cpu")
BATCH = ImageBatch(random_images(4))
LATENTS = DataSpec(height=32, width=32, channels=4, class_names=tuple(map(str, range(1000))))


def millions(network: nn.Module) -> float:
    return sum(weight.numel() for weight in network.parameters()) / 1e6


def noise() -> Noise:
    return Noise.of(0, 1, 2, 3)


@pytest.mark.parametrize(
    ("recipe", "generator", "discriminator"),
    [
        ("gat256-s", 29.3, 32.6),
        ("gat256-b", 116.6, 97.1),
        ("gat256-l", 408.5, 314.9),
        ("gat256-xl", 602.0, 459.3),
        ("cat256-m", 260.6, 97.1),
        ("cat256-h", 959.4, 97.1),
    ],
)
def test_the_papers_sizes_have_their_counts(recipe: str, generator: float, discriminator: float) -> None:
    """As published for latents of 32 px with four channels, patches of 2 and 1000 classes; to 0.1 million."""
    method = named(recipe).method
    look = method.networks
    seen = {"stacked": 4} if isinstance(method, GAT) else {"scales": 4}
    with torch.device("meta"):
        made = millions(TransformerGenerator(LATENTS, 64, "labels", look))
        judged = millions(TransformerDiscriminator(LATENTS, "labels", look, **seen))
    assert made == pytest.approx(generator, abs=0.1) and judged == pytest.approx(discriminator, abs=0.1)


def test_the_rate_follows_the_width_and_tokens_are_256() -> None:
    rates = [named(f"gat64-{size}").optimizers["generator"].lr for size in ("s", "b", "l", "xl")]
    assert rates == pytest.approx([4e-4, 2e-4, 1.5e-4, 2e-4 * 768 / 1152])
    for name in ("gat64-s", "gat128-s", "cat64-m", "cat128-h"):
        recipe = named(name)
        assert (recipe.data.size.width // recipe.method.networks.patch) ** 2 == 256


def test_turned_products_depend_on_the_distance_of_places_alone() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(8), torch.randn(8)
    angles = rotation(positions(5, 5, CPU), 8)
    turned = rotate(query.expand(25, 8), angles) @ rotate(key.expand(25, 8), angles).T
    by_distance: dict[tuple[int, int], list[float]] = {}
    for i in range(25):
        for j in range(25):
            apart = (i // 5 - j // 5, i % 5 - j % 5)
            by_distance.setdefault(apart, []).append(float(turned[i, j]))
    for values in by_distance.values():
        assert max(values) - min(values) < 1e-4
    means = [values[0] for values in by_distance.values()]
    assert len({round(mean, 4) for mean in means}) > 60, "and on both axes"


def test_attention_is_softmax_of_normed_and_turned_products() -> None:
    torch.manual_seed(0)
    layer, tokens = Attention(8, 2), torch.randn(1, 5, 8)  # One token without a place, four with.
    angles = rotation(positions(2, 2, CPU), 4)
    q, k, v = layer.qkv(tokens)[0].chunk(3, dim=1)
    out = []
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        a, b = (x[:, part] / x[:, part].square().mean(dim=1, keepdim=True).add(1.2e-7).sqrt() for x in (q, k))
        a, b = (torch.cat([x[:1], rotate(x[1:], angles)]) for x in (a, b))
        out.append((a @ b.T / 2.0).softmax(dim=1) @ v[:, part])
    torch.testing.assert_close(
        layer(tokens, angles)[0], layer.out(torch.cat(out, dim=1)), rtol=1e-4, atol=1e-5
    )


def test_noise_is_nested_and_has_the_papers_deviations() -> None:
    shares = noise_levels(4)
    assert shares == pytest.approx([0.885, 0.76, 0.51, 0.01])
    many = Noise(torch.arange(64))
    clean = noisy(torch.zeros(64, 12, 8, 8), 4, many).chunk(4, dim=1)
    assert [float(level.std()) for level in clean] == pytest.approx(shares, rel=0.02)
    for i in range(3):
        kept = (1 - shares[i]) / (1 - shares[i + 1])
        rest = clean[i] - kept * clean[i + 1]
        apart = torch.corrcoef(torch.stack([rest.flatten(), clean[i + 1].flatten()]))[0, 1]
        assert abs(float(apart)) < 0.03, "what is added knows nothing of what is there"
    image = torch.full((64, 12, 8, 8), 0.5)
    lifted = noisy(image, 4, Noise(torch.arange(64))).chunk(4, dim=1)
    for share, with_image, without in zip(shares, lifted, clean, strict=True):
        torch.testing.assert_close(with_image - without, torch.full_like(without, 0.5 * (1 - share)))


def test_the_stages_add_up_and_the_last_is_the_image() -> None:
    torch.manual_seed(0)
    method = GAT().tiny()
    generator, z = method.build(SPEC16).generator, torch.randn(3, 6)
    stages = generator(z, stages=True).chunk(4, dim=1)
    assert torch.equal(generator(z), stages[-1]) and stages[0].shape == (3, 3, 16, 16)
    with torch.no_grad():
        for weight in (generator.heads[2].out.weight, generator.heads[2].out.bias):
            weight.zero_()
        silent = generator(z, stages=True).chunk(4, dim=1)
    assert torch.equal(silent[1], stages[1]) and torch.equal(silent[2], silent[1])
    assert not torch.equal(silent[3], stages[3])


def test_each_scale_of_cat_is_judged_by_itself() -> None:
    torch.manual_seed(0)
    method = CAT().tiny()
    pair, stack = method.build(SPEC16), random_images(2).repeat(1, 4, 1, 1)
    scores = method.judge(pair, stack, None, noise())
    assert scores.shape == (2, 4)
    for level in range(4):
        other = stack.clone()
        other[:, 3 * level : 3 * level + 3] += 0.5
        changed = (method.judge(pair, other, None, noise()) != scores).any(dim=0).tolist()
        assert changed == [k == level for k in range(4)]
    small = F.avg_pool2d(stack[:, :3], 8)
    torch.testing.assert_close(scores[:, 0], pair.discriminator(small, scale=0))
    with pytest.raises(SettingError, match=r"8 times smaller. Received: patch=4 at 16x16"):
        CAT(networks=Transformer(patch=4, width=8, depth=4, heads=2)).build(SPEC16)


def test_consistency_is_the_weighted_distance_of_the_stages_to_the_image() -> None:
    method = replace(CAT(consistency=0.6, adversarial=Wasserstein()).tiny())
    fakes = torch.cat([torch.full((2, 3, 16, 16), value) for value in (1.0, 2.0, 3.0, 5.0)], dim=1)
    loss = method._against(lambda stack: torch.zeros(2, 4), BATCH, fakes)
    expected = 0.6 * (16.0 / 3 + 9.0 / 2 + 4.0) / 3
    assert loss.total.item() == pytest.approx(expected)
    assert [loss.parts[f"stage {k}"].item() for k in (1, 2, 3)] == [16.0, 9.0, 4.0]


@pytest.mark.parametrize("method", [GAT(), CAT(), GAT(augment=DiffAugment())])
def test_the_penalty_replays_noise_and_augmentation(method) -> None:
    """A critic that is moved by 0 has not changed; moved by s, it pays for what it changes by."""
    torch.manual_seed(0)
    method = method.tiny()
    pair, at = method.build(SPEC16), noise()
    critic = method._augmented(pair, BATCH, at, Progress())
    stack = BATCH.images.repeat(1, 4, 1, 1)
    assert torch.equal(critic(stack), critic(stack)), "the same noise, the same scores"
    double = pair.double()
    images = stack.double()
    critic = method._augmented(double, BATCH, at, Progress())
    signs = noise().fork("R1").signs(12, 16, 16).double()
    with torch.no_grad():
        slope = (critic(images + 1e-4 * signs) - critic(images)) / 1e-4
    made = R1(gamma=2.0, distance=1e-4)(critic, images, images, noise())
    assert made.item() == pytest.approx(slope.square().mean().item(), rel=1e-2)


@pytest.mark.parametrize("method", [ConditionalGAT(), ConditionalCAT()])
def test_the_class_reaches_both_networks(method) -> None:
    spec = DataSpec(height=16, width=16, class_names=("a", "b"))
    method = method.tiny()
    pair = method.build(spec)
    one, two = (LabelledBatch(BATCH.images, torch.full((4,), label)) for label in (0, 1))
    images = [method.generate(pair.eval(), method.prompt(batch), noise()) for batch in (one, two)]
    assert images[0].shape == (4, 3, 16, 16) and not torch.equal(images[0], images[1])
    scores = [method.critic_scores(pair, BATCH.images, method.prompt(batch)) for batch in (one, two)]
    assert not torch.equal(scores[0], scores[1])


@pytest.mark.parametrize("penalty", [DRAGAN(), R1R2(), R1()])
def test_penalties_that_differentiate_twice_are_refused(penalty) -> None:
    with pytest.raises(SettingError, match=r"cannot be differentiated twice.*without a distance"):
        GAT(penalty=penalty)
    assert GAT(penalty=NoPenalty()).penalty == NoPenalty()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"depth": 10}, "multiple of its levels, 4.*depth=12"),
        ({"width": 20, "heads": 2}, "multiple of 4.*of 24"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, rule: str) -> None:
    with pytest.raises(SettingError, match=rule):
        Transformer(**change)
    with pytest.raises(SettingError, match=r"fill the image. Received: patch=6 at 16x16. Try .*patch=4"):
        Transformer(patch=6, width=8, depth=4, heads=2).generator(SPEC16, 4)


@pytest.mark.parametrize("method", [ConditionalGAT(), ConditionalCAT()])
def test_w_is_drawn_to_the_average_of_its_class(method) -> None:
    """It moves by a two-hundredth towards the mean w of the images of a step that are of the class."""
    torch.manual_seed(0)
    spec = DataSpec(height=16, width=16, class_names=("a", "b", "c"))
    method = method.tiny()
    pair, labels = method.build(spec), torch.tensor([0, 2, 2, 0])
    batch = LabelledBatch(BATCH.images, labels)
    w = method.to_latent(pair, noise(), method.prompt(batch), "w").detach()
    pair.average_w.fill_(1.0)
    method.after_step(pair, method.generator_loss(pair, batch, noise(), Progress()).signals, Progress())
    means = [w[[0, 3]].mean(dim=0), None, w[[1, 2]].mean(dim=0)]
    for average, mean in zip(pair.average_w, means, strict=True):
        expected = torch.ones(8) if mean is None else 1.0 + 0.005 * (mean - 1.0)
        torch.testing.assert_close(average, expected)
    prompt = method.prompt(batch)
    drawn = method.truncate(pair, w, 0.3, "w", prompt)
    torch.testing.assert_close(drawn, pair.average_w[labels] + 0.3 * (w - pair.average_w[labels]))
    assert torch.equal(method.truncate(pair, w, 0.0, "w"), pair.average_w.mean(dim=0).expand(4, -1))
    pair.eval()
    made = method.generate(pair, prompt, noise())
    torch.testing.assert_close(method.synthesize(pair, w, noise(), None, "w"), made)
    torch.testing.assert_close(method.synthesize(pair, method.latents(noise()), noise(), prompt, "z"), made)
    with pytest.raises(SettingError, match="Truncation is for methods"):
        method.truncate(pair, method.latents(noise()), 0.5, "z")


def test_sefa_finds_what_w_does_to_every_block_and_head() -> None:
    """Silu stands before each style, but half of silu(w) - silu(-w) is w / 2, so the layers are found."""
    torch.manual_seed(0)
    method = GAT().tiny()
    model = from_method(method, method.build(SPEC16), SPEC16, name="one", recipe_name="gat")
    found = sefa(model, count=3)
    parts = [*model.networks.generator.blocks, *model.networks.generator.heads]
    weight = torch.cat([part.style.weight.detach().double() for part in parts]).T
    weight = weight / weight.norm(dim=0)
    values = torch.stack([one.vector.double() @ (weight @ weight.T) @ one.vector.double() for one in found])
    lengths = torch.stack([one.vector.double().square().sum() for one in found])
    torch.testing.assert_close(
        values / lengths, torch.linalg.eigvalsh(weight @ weight.T).flip(0)[:3], rtol=1e-4, atol=1e-6
    )
    assert {one.space for one in [*found, *ganspace(model, 2)]} == {"w"}
