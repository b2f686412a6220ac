"""PixelDTGAN: the port's counts, three kinds of pairs in closed form, and items whose truth is known."""

import pytest
import torch
from helpers import random_images
from torch import Tensor, nn

from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.loading.loader import Loader
from gansmith.data.open import open_data
from gansmith.errors import DataError, SettingError
from gansmith.methods.batches import AssociationBatch
from gansmith.methods.pixeldtgan import PixelDTGAN, TransferNetworks
from gansmith.recipes import named

NOISE = Noise.of(0, 1, 2, 3)
PAIR = ("source", "target")


def test_parameters_of_the_port() -> None:
    """Which has no bottleneck, and 96 channels in the first layers."""
    with torch.device("meta"):
        networks = PixelDTGAN(width=96, code=0).build(DataSpec(height=64, width=64))
        with_code = PixelDTGAN(width=96, code=64).build(DataSpec(height=64, width=64))
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in networks.named_children()}
    assert counts == {"generator": 12_399_552, "discriminator": 6_212_736, "domain": 6_217_344}
    code = 2 * 768 * 16 * 64 + 2 * 64 + 2 * 768  # There and back, and two norms.
    assert sum(p.numel() for p in with_code.generator.parameters()) == 12_399_552 + code


class Mean(nn.Module):
    """A critic whose score is the mean of what it is shown."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))


class Grey(nn.Module):
    """A converter that makes everything of one grey."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))

    def forward(self, images: Tensor) -> Tensor:
        return self.level.expand_as(images)


def flat(level: float) -> Tensor:
    return torch.full((4, 3, 16, 16), level)


def test_losses_in_closed_form() -> None:
    """Source 0, its item 1, another item 0.5, the result -0.5; the pair's score is half of the target's."""
    networks = TransferNetworks(Grey(-0.5), Mean(), Mean())
    batch = AssociationBatch(flat(0.0), flat(1.0), flat(0.5))

    def real(score: float) -> float:
        return nn.functional.softplus(torch.tensor(-score)).item()

    method = PixelDTGAN(l1=2.0)
    loss = method.discriminators_loss(networks, batch, NOISE, Progress())
    realism = (real(1.0) + real(0.5) + real(0.5)) / 3  # The fake's score -0.5, as false.
    domain = (real(0.5) + real(-0.25) + real(0.25)) / 3  # Another one's item is false, too.
    assert loss.parts["realism"].item() == pytest.approx(realism, rel=1e-5)
    assert loss.parts["domain"].item() == pytest.approx(domain, rel=1e-5)
    loss = method.generator_loss(networks, batch, NOISE, Progress())
    assert loss.total.item() == pytest.approx((real(-0.5) + real(-0.25)) / 2 + 2.0 * 1.5, rel=1e-5)


def test_the_other_target_is_never_the_rows_own() -> None:
    data = open_data("demo-faces:40", DataConfig(size=Size(16, 16), pairs="item:hat"), fields=PAIR)
    loader: Loader[AssociationBatch] = Loader(
        data, AssociationBatch, DataConfig(validation=0.25), 0, torch.device("cpu")
    )
    for batch in (loader.sample(30), next(loader.held_out_batches(10, 10))):
        places = {tuple(item.flatten().tolist()): place for place, item in enumerate(batch.target)}
        assert all(tuple(item.flatten().tolist()) in places for item in batch.other_target)
    rows = [stream.held_out for stream in loader._streams]
    assert bool((rows[0] != rows[1]).all()) and sorted(rows[0].tolist()) == sorted(rows[1].tolist())


@pytest.mark.parametrize("kind", ["item:hat", "item:glasses"])
def test_an_item_is_alone_on_white_and_its_wearer_wears_it(kind: str) -> None:
    data = open_data("demo-faces:12", DataConfig(size=Size(64, 64), pairs=kind), fields=PAIR)  # type: ignore[arg-type]
    found = data.fetch(torch.arange(12), PAIR)
    item, edge = found["target"], found["target"][:, :, [0, -1], :]
    assert bool((edge > 200).float().mean() > 0.99), "white around it"
    there = (item.float().mean(dim=1) < 250).float().mean(dim=(1, 2))
    assert bool(((there > 0.01) & (there < 0.5)).all()), "and something in each"
    assert len({tuple(picture.flatten().tolist()) for picture in item}) > 3
    swapped = open_data("demo-faces:12", DataConfig(size=Size(64, 64), pairs=kind, swap=True), fields=PAIR)  # type: ignore[arg-type]
    assert torch.equal(swapped.fetch(torch.arange(12), PAIR)["source"], item)


def test_what_cannot_be_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match=r"item:hat are drawn, of demo-faces alone\. Received: digits"):
        open_data("digits", DataConfig(size=Size(8, 8), pairs="item:hat"), fields=PAIR)
    with pytest.raises(SettingError, match="as large as their sources"):
        PixelDTGAN().build(DataSpec(height=64, width=64, source_shrink=4))


def test_the_recipe_and_its_networks_fit_a_picture() -> None:
    recipe = named("pixeldtgan64")
    assert recipe.method == PixelDTGAN() and recipe.train.batch == 128
    networks = recipe.method.tiny().build(DataSpec(height=24, width=32))
    assert networks.generator(random_images(2, 24)[:, :, :, :1].expand(-1, -1, -1, 32)).shape == (
        2,
        3,
        24,
        32,
    )
