"""StackGAN: the authors' counts, losses in closed form, and stages that stand on each other."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from helpers import random_bytes, random_images, small
from PIL import Image
from torch import nn

from gansmith.cli.main import cli
from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json, to_json
from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.metadata.captions import to_column
from gansmith.errors import GansmithError, SettingError
from gansmith.images.provenance import read_provenance
from gansmith.methods.base import Lender
from gansmith.methods.batches import CaptionBatch, CaptionPrompt
from gansmith.methods.gan import GAN
from gansmith.methods.stackgan import StackGAN, StackGANTwo, TextToImage, kl_divergence
from gansmith.methods.text import JointEmbedding
from gansmith.models.load import borrowed_weights
from gansmith.networks.stackgan import StageOneGenerator, StageTwoGenerator, TextDiscriminator, augmented
from gansmith.recipes import named
from gansmith.training.session import train

LOG2 = math.log(2.0)
SPEC = DataSpec(height=16, width=16, caption_length=40, words=("a", "red", "cap", "blue", "hat"))
TEXTS = ("a red cap", "a blue hat", "a red hat", "a blue cap")
BATCH = CaptionBatch(random_images(4), to_column(TEXTS, 40))
ONE = replace(StackGAN().tiny(), vocabulary=SPEC.words)
TWO = replace(StackGANTwo().tiny(), vocabulary=SPEC.words, one=ONE)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_networks_are_as_large_as_the_authors() -> None:
    small, large = DataSpec(height=64, width=64), DataSpec(height=256, width=256)
    with torch.device("meta"):
        assert [count(StageOneGenerator(small, 100, 128, 1024, w)) for w in (192, 128)] == [
            20_020_832,
            10_301_248,
        ]
        assert [count(TextDiscriminator(small, 128, w)) for w in (96, 64)] == [12_407_425, 5_715_713]
        assert count(StageTwoGenerator(large, 4, 128, 1024, 192, 2)) == 37_130_480
        assert count(StageTwoGenerator(large, 4, 128, 1024, 128, 4)) == 26_290_080
        assert count(TextDiscriminator(large, 128, 96, alone=True)) == 159_889_538
        assert count(TextDiscriminator(large, 128, 64, alone=True)) == 71_269_122


class Critic(nn.Module):
    """Scores by what is shown: ``right`` where mean and image agree, ``wrong`` where they do not."""

    def __init__(self, method: TextToImage, alone: bool) -> None:
        super().__init__()
        self.has_alone = alone

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def judge(self, images: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        return 0.0 * images.mean(dim=(1, 2, 3)) + mean[:, 0]

    def judge_alone(self, images: torch.Tensor) -> torch.Tensor | None:
        return 0.0 * images.mean(dim=(1, 2, 3)) if self.has_alone else None


@pytest.mark.parametrize("method", [ONE, TWO], ids=["one", "two"])
def test_losses_are_the_closed_form(method: TextToImage) -> None:
    networks = method.build(SPEC)
    nn.init.zeros_(networks.generator.augmentation.linear.weight)
    bias = networks.generator.augmentation.linear.bias
    networks.discriminator = Critic(method, method is TWO)
    for level in (0.0, 2.0):  # The mean of all numbers of c, and so every score for a caption.
        with torch.no_grad():
            bias.copy_(torch.tensor([level] * 4 + [0.0] * 4))
        noise = Noise.of(0, 1, 2, 3)
        found = method.discriminator_loss(networks, BATCH, noise, Progress()).total.item()
        yes, no = math.log1p(math.exp(-level)), math.log1p(math.exp(level))
        if method is ONE:
            assert found == pytest.approx(yes + 0.5 * (no + no), abs=1e-5)
        else:
            assert found == pytest.approx((yes + LOG2) / 2 + (no + no + LOG2) / 3, abs=1e-5)
        loss = method.generator_loss(networks, BATCH, Noise.of(0, 1, 2, 3), Progress())
        game = yes + (LOG2 if method is TWO else 0.0)
        assert loss.total.item() == pytest.approx(game + 2.0 * level**2 / 2, abs=1e-5)


def test_an_equal_caption_is_no_wrong_one() -> None:
    networks = ONE.build(SPEC)
    captions = to_column(["a red cap"] * 3 + ["a blue hat"], 40)
    seen: list[torch.Tensor] = []

    class Listens(Critic):
        def judge(self, images: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
            seen.append(mean)
            # 10 for every real image with another's caption, or with an equal one.
            return 10.0 * (len(seen) == 3) + 0.0 * images.mean(dim=(1, 2, 3)) * mean[:, 0]

    networks.discriminator = Listens(ONE, alone=False)
    images = CaptionBatch(BATCH.images, captions)
    loss = ONE.discriminator_loss(networks, images, Noise.of(0, 1, 2, 3), Progress())
    high = math.log1p(math.exp(10.0))
    assert loss.total.item() == pytest.approx(LOG2 + 0.5 * (high + LOG2), abs=1e-4)
    same = CaptionBatch(BATCH.images, to_column(["a red cap"] * 4, 40))
    seen.clear()
    loss = ONE.discriminator_loss(networks, same, Noise.of(0, 1, 2, 3), Progress())
    assert loss.total.item() == pytest.approx(LOG2 + 0.5 * LOG2, abs=1e-4), "no caption here is wrong"


def test_conditioning_augmentation() -> None:
    mean, log_variance = torch.tensor([[-1.0, 0.5]]), torch.tensor([[math.log(4.0), 0.0]])
    assert augmented(mean, log_variance, torch.tensor([[1.0, -1.0]])).tolist() == [[1.0, -0.5]]
    expected = 0.5 * ((1 + 4 - 1 - math.log(4.0)) + (0.25 + 1 - 1)) / 2
    assert kl_divergence(mean, log_variance).item() == pytest.approx(expected)
    assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0.0


@pytest.mark.parametrize("method", [ONE, TWO], ids=["one", "two"])
def test_both_spaces_lead_to_one_image(method: TextToImage) -> None:
    networks = method.build(SPEC).eval()
    prompt, noise = CaptionPrompt(BATCH.captions), lambda: Noise.of(4, 5, 6, 7)
    images = method.generate(networks, prompt, noise())
    for space in method.spaces:
        latents = method.to_latent(networks, noise(), prompt, space)
        torch.testing.assert_close(method.synthesize(networks, latents, noise(), prompt, space), images)


@pytest.mark.parametrize("method", [ONE, TWO], ids=["one", "two"])
def test_between_two_captions_lies_a_straight_line(method: TextToImage) -> None:
    networks = method.build(SPEC).eval()
    one = CaptionPrompt(to_column(["a red cap"] * 2, 40))
    other = CaptionPrompt(to_column(["a blue hat"] * 2, 40))
    z = method.to_latent(networks, Noise.of(4, 5), one)
    with torch.no_grad():
        found = [
            method.blend(networks, z, Noise.of(4, 5), (one, other), torch.full((2,), share))
            for share in (0.0, 0.5, 1.0)
        ]
        ends = [method.generate(networks, end, Noise.of(4, 5)) for end in (one, other)]
        torch.testing.assert_close(found[0], ends[0])
        torch.testing.assert_close(found[2], ends[1])
        assert not torch.equal(found[0], found[2])
        half = method.between(networks, z, (one, other), torch.full((2,), 0.5))
        both = [method.to_latent(networks, Noise.of(4, 5), end, "c") for end in (one, other)]
    torch.testing.assert_close(half, (both[0] + both[1]) / 2)


def test_lenders_decide_or_are_refused() -> None:
    text = JointEmbedding(size=8, word=8)
    lender, half = Lender("runs/text", text, SPEC), replace(SPEC, height=8, width=8)
    assert StackGAN().with_lenders(SPEC, {"text_encoder": lender}).text == text
    first = Lender("runs/one", ONE, half)
    both = {"first": first, "text_encoder": first}
    found = StackGANTwo().with_lenders(SPEC, both)
    assert found.one == ONE and found.times == 2 and found.text == ONE.text
    two, wide, strange = StackGANTwo(), replace(SPEC, width=32), Lender("runs/x", GAN(), half)
    refused: list[tuple[TextToImage, DataSpec, dict[str, Any], str]] = [
        (StackGAN(), SPEC, {}, "borrowed text encoder. Received: none"),
        (StackGAN(), SPEC, {"text_encoder": strange}, "runs/x, by GAN"),
        (two, SPEC, {"text_encoder": first}, "finished stage one. Received: none"),
        (two, SPEC, {"first": first}, "borrowed text encoder. Received: none"),
        (two, SPEC, both | {"first": strange}, "runs/x, by GAN"),
        (two, replace(SPEC, height=24, width=24), both, "24x24; runs/one is of 8x8. Try data.size=16x16"),
        (two, wide, both, "32x16; runs/one is of 8x8"),
        (two, half, both | {"first": Lender("runs/one", ONE, SPEC)}, "runs/one is of 16x16"),
        (two, SPEC, both | {"text_encoder": lender}, "one text encoder.*borrow.text_encoder=runs/one"),
    ]
    for method, spec, lenders, message in refused:
        with pytest.raises(SettingError, match=message):
            method.with_lenders(spec, lenders)
    with pytest.raises(SettingError, match="power of two"):
        StackGANTwo(times=3)


class Letters(nn.Module):
    """An encoder of one's own, without a vocabulary: how often each letter comes."""

    def forward(self, captions: torch.Tensor) -> torch.Tensor:
        counts = torch.stack([(captions == letter).sum(dim=1) for letter in b"abcdehrt"], dim=1).float()
        return counts / counts.norm(dim=1, keepdim=True).clamp(min=1e-6)


@dataclass(frozen=True, kw_only=True)
class LetterEmbedding(JointEmbedding):
    def encoder(self, spec: DataSpec) -> nn.Module:
        return Letters()

    def words(self, spec: DataSpec) -> tuple[str, ...]:
        return ()


def test_an_encoder_of_ones_own() -> None:
    own = LetterEmbedding(size=8, width=4)
    method = StackGAN().tiny().with_lenders(SPEC, {"text_encoder": Lender("runs/own", own, SPEC)})
    method = from_json(json.loads(json.dumps(to_json(method))), StackGAN)
    assert method.text == own and method.words(SPEC) == ()
    networks = method.build(SPEC).eval()
    assert isinstance(networks.text_encoder, Letters)
    prompts = [CaptionPrompt(to_column([text] * 2, 40)) for text in ("zebra", "red hat")]
    one, other = (method.generate(networks, prompt, Noise.of(1, 2)) for prompt in prompts)
    assert one.shape == (2, 3, 16, 16) and not torch.equal(one, other)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text encoder, stage one and stage two, each borrowing from those before."""
    place = tmp_path_factory.mktemp("stackgan")
    captions = to_column([TEXTS[row % 4] for row in range(40)], 40)

    def begun(name: str, size: int, borrow: dict[str, str]) -> None:
        data = MemoryDataSet("toy", {"images": random_bytes(40, size), "captions": captions})
        recipe: Recipe = small(named(name), size=size, images=8)
        recipe = replace(recipe, data=DataConfig(size=Size(size, size), channels=3), borrow=borrow)
        train(recipe, data, place / name, device="cpu")

    begun("text32", 8, {})
    begun("stackgan32", 8, {"text_encoder": str(place / "text32")})
    one = str(place / "stackgan32")
    begun("stackgan-two64", 16, {"text_encoder": one, "first": f"{one}:generator"})
    return place


@pytest.mark.parametrize("name", ["text32", "stackgan32", "stackgan-two64"])
def test_generate_by_caption(stages: Path, tmp_path: Path, name: str) -> None:
    def said(caption: str) -> tuple[int, str]:
        words = ["generate", stages / name, "-o", tmp_path / "out", "--seeds", "0-3", "--caption", caption]
        result = CliRunner().invoke(cli, [str(word) for word in words])
        if isinstance(result.exception, GansmithError):
            return result.exception.exit_code, str(result.exception)
        assert result.exception is None
        return result.exit_code, result.output

    code, output = said("an old red cap")
    assert code == 0 and "passed over: 'an' (near: 'a'), 'old'" in output and "4 pictures" in output
    wrong = {"": "without words", "b" * 10_000: "at most", "zebra": "no word that it knows"}
    for caption, message in wrong.items():
        code, output = said(caption)
        assert code == 2 and message in output


def test_several_captions_make_a_sheet(stages: Path, tmp_path: Path) -> None:
    words = [
        "generate",
        str(stages / "stackgan32"),
        "--caption",
        "a red cap",
        "--caption",
        "a blue zebra hat",
    ]
    result = CliRunner().invoke(cli, [*words, "-o", str(tmp_path / "sheet.png"), "--device", "cpu"])
    assert result.exit_code == 0, f"{result.output}{result.exception}"
    assert "16 pictures of 2 wishes" in result.output and "passed over: 'zebra'" in result.output
    mark = read_provenance(tmp_path / "sheet.png")
    assert mark is not None and mark.note == "a row each: a red cap | a blue zebra hat"
    result = CliRunner().invoke(cli, [*words, "-o", str(tmp_path / "folder"), "--device", "cpu"])
    assert result.exit_code != 0 and "a folder of its own" in f"{result.output}{result.exception}"


def test_grids_of_training_name_captions(stages: Path) -> None:
    grids = sorted((stages / "stackgan32" / "pictures").glob("*.png"))
    with Image.open(grids[-1]) as image:
        pixels = image.convert("L")
    assert pixels.height > pixels.width, "words below a square grid"
    below = pixels.crop((0, pixels.width, pixels.width, pixels.height))
    assert below.getextrema()[0] < 128


def test_a_network_that_the_lender_calls_otherwise_is_named(stages: Path) -> None:
    rule = r"no network 'first' to borrow for first\. It has discriminator, generator, text_encoder\."
    with pytest.raises(SettingError, match=rf"{rule}.*--set borrow\.first=\S+stackgan32:generator\.$"):
        borrowed_weights({"first": str(stages / "stackgan32")})
    with pytest.raises(SettingError, match=r"borrow\.first=\S+stackgan32:generator\.$"):
        borrowed_weights({"first": f"{stages / 'stackgan32'}:generatr"})


def test_stage_two_has_the_networks_it_borrowed(stages: Path) -> None:
    from gansmith.models.load import open_generator

    names = "stackgan32", "stackgan-two64"
    one, two = (open_generator(str(stages / name), "cpu").networks for name in names)
    ours, theirs = two.get_submodule("first").state_dict(), one.get_submodule("generator").state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
