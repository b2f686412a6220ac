"""From wish to wish: ends are what generate makes, between them lies a straight line, and refusals teach."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from helpers import generator_of
from PIL import Image

from gansmith.cli.main import cli
from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.explore.wishes import walk_wishes
from gansmith.methods.acgan import ACGAN
from gansmith.methods.base import Method
from gansmith.methods.biggan import AttributeBigGAN, BigGAN
from gansmith.methods.cdcgan import AttributeDCGAN, ConditionalDCGAN
from gansmith.methods.encoder_decoder import EncoderDecoderGAN
from gansmith.methods.projection import AttributeProjection, Projection
from gansmith.models.generator import Generator, from_method
from gansmith.models.prompts import Wish
from gansmith.networks.architectures import Attentive
from gansmith.networks.biggan import OneHot
from gansmith.networks.conditional import Embedding

SPEC = DataSpec(32, 32, class_names=("cat", "dog", "owl"), attribute_names=("smiling", "hat"))
LABELS = [
    ConditionalDCGAN(),
    ACGAN(),
    Projection(),
    EncoderDecoderGAN(),
    BigGAN(networks=Attentive(shared=4, width=4, max_channels=4)),
    BigGAN(networks=Attentive(width=4, max_channels=4)),
]
ATTRIBUTES = [AttributeDCGAN(), AttributeProjection(), AttributeBigGAN()]


def model(method: Method[Any, Any, Any]) -> Generator:
    torch.manual_seed(0)
    method = method.tiny()
    networks = method.build(SPEC)
    for parameter in networks.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # At the start a condition steers nothing.
    made = from_method(method, networks, SPEC, name="pets", recipe_name="toy")
    made.table["labels"] = torch.tensor([0, 1, 2])  # type: ignore[index]
    made.table["attributes"] = torch.tensor([[0, 0], [1, 1], [0, 1]], dtype=torch.uint8)  # type: ignore[index]
    return made


def film(path: Path) -> list[Image.Image]:
    with Image.open(path) as image:
        frames = []
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            frames.append(image.convert("RGB"))
        return frames


@pytest.mark.parametrize("method", [*LABELS, *ATTRIBUTES], ids=lambda method: type(method).__name__)
def test_ends_are_the_images_of_the_wishes(method: Method[Any, Any, Any]) -> None:
    maker, seeds, noise = model(method), [3, 4], Noise.of(3, 4)
    labelled = method in LABELS
    wishes = (
        [Wish(label="cat"), Wish(label="owl")] if labelled else [Wish(attributes={"hat": v}) for v in (0, 1)]
    )
    one, other = (maker.prompts(seeds, wish) for wish in wishes)
    latents = maker.latents(noise, one)
    begun, half, ended = (
        maker.between(latents, noise, (one, other), torch.full((2,), share)) for share in (0.0, 0.5, 1.0)
    )
    assert torch.equal(begun, maker.make(noise, one)) and torch.equal(ended, maker.make(noise, other))
    assert not torch.equal(begun, ended), "a model that hears nothing proves nothing"
    assert not torch.equal(half, begun) and not torch.equal(half, ended)


def test_between_classes_embeddings_are_mixed() -> None:
    labels, layer = torch.tensor([0, 2]), Embedding(SPEC, "labels", 5)
    shares = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert torch.equal(layer(shares), layer(labels))
    torch.testing.assert_close(layer(shares.mean(0, keepdim=True)), layer(labels).mean(0, keepdim=True))
    alone = OneHot(SPEC, "labels")
    assert torch.equal(alone(shares), alone(labels).float())


def test_a_film_goes_from_wish_to_wish_and_back(tmp_path: Path) -> None:
    maker, wishes = model(ConditionalDCGAN()), [Wish(label=name) for name in ("cat", "dog", "owl")]
    out = walk_wishes(maker, [3, 4], wishes, tmp_path / "a.webp", frames_per_leg=3)
    frames = film(out)
    assert len(frames) == 9, "three legs, the last one back to the first"
    assert frames[0].size == (2 * 32 + 2, 32), "two seeds side by side"
    with Image.open(out) as image:
        packet = str(image.info.get("xmp"))
    assert "cat | dog | owl" in packet
    with pytest.raises(SettingError, match="Did you mean 'owl'"):
        walk_wishes(maker, [3], [*wishes, Wish(label="oul")], tmp_path / "b.gif")
    with pytest.raises(SettingError, match="Received: 1 wishes, 0 seeds"):
        walk_wishes(maker, [], wishes[:1], tmp_path / "b.gif")
    assert not (tmp_path / "b.gif").exists()


def test_models_without_such_a_line_are_refused(tmp_path: Path) -> None:
    plain = generator_of(lambda noise: noise.normal(4), lambda z: z, DataSpec(8, 8))
    wishes = [Wish(label="cat"), Wish(label="dog")]
    with pytest.raises(SettingError, match=r"seeds alone\. Leave them out"):
        walk_wishes(plain, [0], wishes, tmp_path / "a.gif")
    maker = model(ConditionalDCGAN())
    maker.networks.generator = torch.nn.Module()  # Which hears no label.
    prompts = maker.prompts([0], wishes[0]), maker.prompts([0], wishes[1])
    with pytest.raises(SettingError, match=r"ConditionalDCGAN has none\. Ask for one wish"):
        maker.between(torch.zeros(1, 6), Noise.of(0), prompts, torch.zeros(1))


@pytest.mark.parametrize("option", ["--coordinate=1", "--mode=linear", "--space=z", "--along=smile"])
def test_one_way_at_a_time(tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gansmith.cli.walk.open_model", lambda *words: model(ConditionalDCGAN()))
    words = ["walk", "run", "-o", str(tmp_path / "a.gif"), "--label", "cat", "--label", "dog"]
    result = CliRunner().invoke(cli, [*words, option])
    said = f"{result.output}{result.exception}"
    assert result.exit_code != 0 and f"2 wishes and {option.partition('=')[0]}. Leave it out" in said
    result = CliRunner().invoke(cli, [*words, "--seeds", "3", "--frames", "2"])
    assert result.exit_code == 0 and "through 2 wishes" in result.output, f"{result.exception}"
    assert len(film(tmp_path / "a.gif")) == 4
