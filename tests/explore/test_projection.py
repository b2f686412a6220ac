"""Projection: what a generator made is found again, latents stay where training was, mistakes are told."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from helpers import SPEC16, generator_of, random_bytes, small_named
from toys import Cycle

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import write_tensors
from gansmith.core.tensors import BytePictures
from gansmith.errors import CheckpointError, DataError, SettingError
from gansmith.explore.latent_encoder import LatentEncoder, stored_encoder, train_encoder
from gansmith.explore.likeness import Likeness, pixel_distance, ssim
from gansmith.explore.projection import Search, learned_threshold, project, psnr
from gansmith.explore.shell import Shell
from gansmith.images.grid import to_bytes
from gansmith.models.generator import Generator, from_method

LATENT, SIZE = 12, 8
QUICK = Search(steps=120, starts=2, tried=16)
SEEDS = (100, 101, 102)


def linear() -> Generator:
    """G(z) = tanh(A z) with a known A: the latent of an image is one, and can be found."""
    matrix = torch.randn(3 * SIZE * SIZE, LATENT, generator=torch.Generator().manual_seed(1)) / 6.0
    return generator_of(
        lambda noise: noise.normal(LATENT),
        lambda z: torch.tanh(z @ matrix.T).view(-1, 3, SIZE, SIZE),
        DataSpec(SIZE, SIZE),
    )


def untrained(name: str) -> Generator:
    """A thin model of the catalogue as it is before training: its critic is there."""
    method = small_named(name).method
    spec = dataclasses.replace(SPEC16, class_names=("one", "two"))
    torch.manual_seed(0)
    generator = from_method(method, method.build(spec), spec, name="run", recipe_name=name)
    return dataclasses.replace(generator, table={"labels": torch.tensor([0, 1, 1])})


GENERATOR = linear()


@pytest.fixture(scope="module")
def own() -> BytePictures:
    return to_bytes(GENERATOR.make(Noise.of(*SEEDS)))


@pytest.fixture(scope="module")
def encoder() -> LatentEncoder:
    return train_encoder(GENERATOR, images=4096)


def test_what_the_generator_made_is_found_again(own: BytePictures) -> None:
    told = []
    found = project(GENERATOR, own, QUICK, progress=lambda done, every: told.append((done, every)))
    assert (found.psnr > 35).all()
    torch.testing.assert_close(found.latents, GENERATOR.latents(Noise.of(*SEEDS)), atol=0.25, rtol=0)
    torch.testing.assert_close(found.psnr, psnr(found.images, own))
    assert told == [(step, 120) for step in range(1, 121)]
    assert not found.failed.any()


def test_a_photo_finds_the_same_latent_alone_and_beside_others(own: BytePictures) -> None:
    together, alone = (project(GENERATOR, some, QUICK) for some in (own, own[1:2]))
    assert torch.allclose(together.latents[1], alone.latents[0], atol=1e-4)
    other = project(GENERATOR, own[1:2], dataclasses.replace(QUICK, seed=1, steps=0))
    assert not torch.allclose(other.latents, alone.latents, atol=1e-2)


def test_moves_never_end_further_from_the_photo_than_the_start_and_more_starts_than_fewer() -> None:
    photos = random_bytes(2, SIZE)
    start = project(GENERATOR, photos, dataclasses.replace(QUICK, steps=0))
    moved = project(GENERATOR, photos, QUICK)
    wild = project(GENERATOR, photos, dataclasses.replace(QUICK, rate=500.0, steps=3))
    assert (moved.distance < start.distance).all()
    assert (wild.distance <= start.distance).all()
    one = project(GENERATOR, photos, dataclasses.replace(QUICK, starts=1))
    assert (moved.distance <= one.distance + 1e-5).all()


def test_latents_stay_on_the_shell() -> None:
    shell = Shell.of(GENERATOR, "z")
    assert shell.length == pytest.approx(math.sqrt(LATENT), rel=0.02)
    assert shell.spread == pytest.approx(1.0, rel=0.02)
    z = torch.randn(64, LATENT) * torch.logspace(-2, 2, 64)[:, None]
    held = shell.hold(z)
    lengths = held.norm(dim=1)
    assert (lengths >= shell.shortest - 1e-4).all() and (lengths <= shell.longest + 1e-4).all()
    torch.testing.assert_close(held / lengths[:, None], z / z.norm(dim=1, keepdim=True))
    inside = (z.norm(dim=1) > shell.shortest) & (z.norm(dim=1) < shell.longest)
    torch.testing.assert_close(held[inside], z[inside])
    found = project(GENERATOR, random_bytes(2, SIZE), QUICK)  # Noise wants an ever longer latent.
    assert (found.latents.norm(dim=1) <= shell.longest + 1e-4).all()


def test_an_encoder_guesses_better_than_chance_and_is_one_of_the_starts(
    encoder: LatentEncoder, own: BytePictures
) -> None:
    truth = GENERATOR.latents(Noise.of(*SEEDS))
    guess = encoder(own)
    assert (guess - truth).norm(dim=1).mean() < 0.66 * truth.norm(dim=1).mean()
    as_it_is = project(GENERATOR, own, Search(steps=0, starts=1), encoder=encoder)
    torch.testing.assert_close(as_it_is.latents, guess.cpu())
    few = Search(steps=20, starts=2, tried=4)
    with_it, without = (project(GENERATOR, own, few, encoder=e) for e in (encoder, None))
    assert with_it.distance.mean() < without.distance.mean()


def test_an_encoder_is_read_back_as_it_was_written_and_knows_whose_it_is(
    encoder: LatentEncoder, own: BytePictures, tmp_path: Path
) -> None:
    assert stored_encoder(GENERATOR, tmp_path, "z") is None
    path = encoder.save(tmp_path)
    again = stored_encoder(GENERATOR, tmp_path, "z")
    assert again is not None and torch.equal(again(own), encoder(own))
    other = untrained("dcgan64")
    with pytest.raises(SettingError, match="for weights None"):
        encoder.check(other, "z")
    with pytest.raises(SettingError, match="reads the space z"):
        encoder.check(GENERATOR, "w")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        stored_encoder(GENERATOR, tmp_path, "z")
    write_tensors(path, {"middle": torch.zeros(3)}, {"format": "other"})
    with pytest.raises(CheckpointError, match="no encoder"):
        stored_encoder(GENERATOR, tmp_path, "z")


def test_noise_fails_and_the_generators_own_images_do_not(own: BytePictures) -> None:
    photos = torch.cat([own, random_bytes(2, SIZE)])
    threshold = learned_threshold(GENERATOR, QUICK)
    found = project(GENERATOR, photos, QUICK, threshold=threshold)
    assert found.failed.tolist() == [False] * 3 + [True] * 2
    assert found.threshold == threshold


@pytest.mark.parametrize(
    ("name", "space"), [("dcgan64", "z"), ("stylegan2-32", "w"), ("stylegan2-32", "w+"), ("acgan28", "z")]
)
def test_models_of_the_catalogue_are_searched_by_their_critic_in_each_space(name: str, space: str) -> None:
    generator = untrained(name)
    assert Likeness(generator, generator.prompts([0])).has_critic
    photos = random_bytes(1)
    how = Search(space=space, steps=12, starts=2, tried=4)
    start, found = (project(generator, photos, dataclasses.replace(how, steps=s)) for s in (0, 12))
    assert found.space == space and found.latents.shape == start.latents.shape
    assert found.distance < start.distance
    again = generator.synthesize(found.latents, Noise.of(found.seed), found.prompt, space)
    assert torch.equal(to_bytes(again), found.images)
    if space == "w+":
        layers = found.latents[0]
        assert layers.dim() == 2 and not torch.allclose(layers[0], layers[-1])


def test_likeness_is_0_for_equal_images_alone_and_leaves_batch_normed_maps_out() -> None:
    generator = untrained("dcgan64")
    likeness = Likeness(generator)
    images = generator.make(Noise.of(0, 1, 2)).clone()
    view = likeness.view(images)
    assert likeness(view, view).abs().max() < 1e-6
    assert (likeness(view, view.rows(torch.tensor([1, 2, 0]))) > 0.001).all()
    alone = likeness.view(images[:1])
    for one, many in zip(alone.maps, view.maps, strict=True):
        torch.testing.assert_close(one[0], many[0], atol=1e-4, rtol=1e-3)


def test_distances_of_pixels_have_their_closed_forms() -> None:
    black, white = -torch.ones(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    c1 = 0.0004
    light = (c1 - 2) / (c1 + 2)  # Means of -1 and 1; without variance the second factor is 1.
    assert ssim(black, white).item() == pytest.approx(light, rel=1e-4)
    assert pixel_distance(black, white).item() == pytest.approx(2.0 + 0.1 * (1.0 - light), rel=1e-4)
    assert pixel_distance(white, white).item() == pytest.approx(0.0, abs=1e-6)
    grey = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    assert psnr(grey + 10, grey).item() == pytest.approx(20 * math.log10(25.5))
    assert psnr(grey, grey).item() == 100.0


@pytest.mark.parametrize(
    ("kind", "message"),
    [(SettingError, "steps"), (SettingError, "starts"), (SettingError, "tried"), (SettingError, "rate")],
)
def test_numbers_out_of_range_are_refused(kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"{message} must be at least"):
        Search(**{message: -1})


def test_what_cannot_be_projected_is_refused_with_the_reason(
    encoder: LatentEncoder, own: BytePictures
) -> None:
    without = dataclasses.replace(GENERATOR, method=Cycle())
    for call in (project, lambda generator, photos: train_encoder(generator)):
        with pytest.raises(SettingError, match="makes images from something else"):
            call(without, own)
    with pytest.raises(SettingError, match="latent spaces z"):
        project(GENERATOR, own, Search(space="w"))
    with pytest.raises(SettingError, match="images=0"):
        train_encoder(GENERATOR, images=0)
    with pytest.raises(DataError, match="no photos"):
        project(GENERATOR, own[:0])
    with pytest.raises(DataError, match=r"\[1, 3, 4, 4\]"):
        project(GENERATOR, own[:1, :, :4, :4])
