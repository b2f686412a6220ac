"""Latents of a frozen autoencoder: the user's file, sizes, and a game that is played on them."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import CPU, SPEC16, facts_of, random_images
from promises import trainer_of
from toys import recipe_for

from gansmith.core.noise import Noise
from gansmith.core.normalization import Scale
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import write_tensors
from gansmith.errors import DataError, SettingError
from gansmith.methods.cat import CAT
from gansmith.methods.gat import GAT
from gansmith.models.generator import from_method
from gansmith.models.load import open_generator
from gansmith.networks.autoencoder import _KL, KLAutoencoder, Unshuffle
from gansmith.recipes import named
from gansmith.runs.checkpoint import Checkpoint

SPEC32 = DataSpec(height=32, width=32)


def noise() -> Noise:
    return Noise.of(0, 1, 2, 3)


def lens(quantized: bool = True) -> _KL:
    torch.manual_seed(0)
    return _KL(4, [32, 64], 1, quantized, scale=0.5, shift=0.1)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "kl.safetensors"
    write_tensors(path, lens().state_dict(), {})
    return path


def test_stable_diffusions_has_its_count() -> None:
    with torch.device("meta"):
        network = _KL(4, [128, 256, 512, 512], 2, True, scale=0.18215, shift=0.0)
    assert sum(weight.numel() for weight in network.parameters()) == 83_653_863
    assert network.factor == 8


def test_the_users_file_is_read_whatever_its_writer_called_attention(file: Path, tmp_path: Path) -> None:
    here = lens().eval()
    wanted = here.encode(random_images(2, 32))
    choice = KLAutoencoder(file=str(file), factor=2, scale=0.5, shift=0.1)
    torch.testing.assert_close(choice.network(SPEC32).encode(random_images(2, 32)), wanted)
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    older = {}
    for name, value in here.state_dict().items():
        for new, old in names.items():
            if new in name and name.endswith("weight"):
                value = value[:, :, None, None].contiguous()
            name = name.replace(new, old)
        older[name] = value
    assert sum("query" in name for name in older) == 4
    write_tensors(tmp_path / "old.safetensors", older, {})
    again = replace(choice, file=str(tmp_path / "old.safetensors")).network(SPEC32)
    torch.testing.assert_close(again.encode(random_images(2, 32)), wanted)


def test_latents_have_their_mean_deviation_and_scale() -> None:
    network, images, noise = lens().eval(), random_images(3, 32), Noise.of(0, 1, 2)
    mean, log_variance = network.quant_conv(network.encoder(images)).chunk(2, dim=1)
    draw = noise.fork("autoencoder").bulk_normal(4, 16, 16)
    torch.testing.assert_close(network.encode(images), 0.5 * (mean - 0.1))
    torch.testing.assert_close(
        network.encode(images, noise), 0.5 * (mean + (log_variance / 2).exp() * draw - 0.1)
    )
    z = torch.randn(3, 4, 16, 16)
    shown = network.decoder(network.post_quant_conv(z)).clamp(-1, 1)
    torch.testing.assert_close(network.decode(0.5 * (z - 0.1)), shown)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"none\.safetensors \(No such file"),
        (b"\x80\x02}q\x00.", r"Pickles are not read"),
        ({"weight": torch.zeros(2)}, "other networks"),
    ],
    ids=["missing", "pickle", "other"],
)
def test_another_file_is_refused_in_one_message(content, said: str, tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content + struct.pack("<Q", 0))
    elif content is not None:
        write_tensors(path, content, {})
    with pytest.raises(
        DataError, match=rf"diffusion_pytorch_model\.safetensors of .*which you fetch.*{said}"
    ):
        KLAutoencoder(file=str(path)).network(SPEC32)


def test_what_does_not_fit_is_refused(file: Path) -> None:
    with pytest.raises(SettingError, match=r"4 channels, 2 times.*factor=8.*autoencoder\.factor=2"):
        KLAutoencoder(file=str(file)).network(SPEC32)
    with pytest.raises(SettingError, match=r"multiples of it. Received: 60x32. Try data.size=32"):
        KLAutoencoder().latents(DataSpec(height=32, width=60))
    with pytest.raises(SettingError, match=r"data.standardize=true"):
        KLAutoencoder().latents(replace(SPEC32, scale=Scale((0.0,) * 3, (1.0,) * 3)))


def test_the_recipes_at_256_px_have_the_papers_tokens() -> None:
    for name in ("gat256-s", "gat256-b", "gat256-l", "gat256-xl", "cat256-m", "cat256-h"):
        recipe = named(name)
        with torch.device("meta"):
            pair = recipe.method.build(replace(recipe.spec(), channels=3))
        assert pair.generator.grid == (16, 16)
        assert pair.generator.heads[0].out.out_features == 16, "a patch of 2 x 2 latents of 4 channels"


@pytest.mark.parametrize("method", [GAT(autoencoder=Unshuffle()), CAT(autoencoder=Unshuffle())])
def test_the_game_is_played_on_latents_and_images_are_decoded(method, tmp_path: Path) -> None:
    method = method.tiny()
    trainer = trainer_of(recipe_for(method, ("generator",)))
    pair, images = trainer.networks, random_images(4)
    assert not any("autoencoder" in name for name in trainer.state()), "it is in no checkpoint"
    stacked = method._stacked(pair, trainer._loader.sample(4)._replace(images=images), noise()).images
    torch.testing.assert_close(stacked, F.pixel_unshuffle(images, 2).repeat(1, 4, 1, 1))
    trainer.step()
    networks = trainer.networks_for_pictures()
    latents = networks.generator(method.latents(noise()))
    assert latents.shape == (4, 12, 8, 8)
    with torch.no_grad():
        made = method.generate(networks, None, noise())
    torch.testing.assert_close(made, F.pixel_shuffle(latents, 2).clamp(-1.0, 1.0).detach())
    assert method.critic_scores(networks, images, None).shape[0] == 4
    Checkpoint(trainer.state(), facts_of(trainer)).save(tmp_path / "one.safetensors")
    opened = open_generator(str(tmp_path / "one.safetensors"))
    torch.testing.assert_close(opened.make(noise()), made, rtol=0, atol=1e-5)


def test_pictures_by_another_autoencoder_have_another_fingerprint(file: Path, tmp_path: Path) -> None:
    other = {name: value + 0.1 for name, value in lens().state_dict().items()}
    write_tensors(tmp_path / "other.safetensors", other, {})
    prints = []
    for path in (file, tmp_path / "other.safetensors", file):
        torch.manual_seed(0)
        method = GAT(autoencoder=KLAutoencoder(file=str(path), factor=2))
        method = replace(method, latent=6, networks=replace(method.networks.tiny(), patch=1))
        pair = method.build(SPEC16)
        pair.attach_lenses(method.lenses(SPEC16))
        made = from_method(method, pair, SPEC16, name="one", recipe_name="gat", device=CPU)
        assert made.make(Noise.of(0)).shape == (1, 3, 16, 16)
        prints.append(made.fingerprint)
    assert prints[0] == prints[2] != prints[1]
