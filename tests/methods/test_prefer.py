"""Prefer: the loss in closed form, what is taken over of any lender, what is refused, and that it moves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, random_bytes, random_images, small
from torch import Tensor, nn

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.dataset import MemoryDataSet
from gansmith.errors import DataError, SettingError
from gansmith.methods.base import Lender
from gansmith.methods.batches import ImageBatch
from gansmith.methods.bilinear import BilinearGAN
from gansmith.methods.cdcgan import ConditionalDCGAN
from gansmith.methods.dcgan import DCGAN
from gansmith.methods.prefer import Prefer
from gansmith.methods.progan import ProGAN
from gansmith.methods.wgan import WGAN
from gansmith.models.load import build_networks, checkpoint_of, lenders, open_generator
from gansmith.networks.preference import Preference
from gansmith.networks.preference_file import PreferenceFacts, load_preference, read_facts, save_preference
from gansmith.ratings.preference import fit_preference
from gansmith.ratings.simulated import Simulated, brightness
from gansmith.ratings.store import Store
from gansmith.recipes import named
from gansmith.training.session import train
from gansmith.training.setup import fitted

SPEC = DataSpec(height=16, width=16)
SEEDS = tuple(range(64))
QUICK = ("train.images=160", "train.picture_every=160", "optimizers.generator.lr=2e-3")


class Says(nn.Module):
    """Likes an image as much as its first pixel is bright, in doubt by a quarter."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean = images[:, 0, 0, 0]
        return mean, torch.full_like(mean, 0.25)


def test_the_loss_is_the_lenders_less_the_lower_bound() -> None:
    lender = BilinearGAN().tiny()
    method, batch = Prefer(lender=lender, weight=0.5), ImageBatch(random_images(4))
    networks = method.build(SPEC)
    networks.attach({"preference": Says()})
    now, end = Progress(images=40, total_images=400), Progress(images=400, total_images=400)
    theirs = {turn.player: turn for turn in lender.turns()}
    for turn in method.turns():  # Each draw moves a noise on, so each loss has a fresh one.
        found = turn.loss(networks, batch, Noise.of(*range(4)), now)
        game = theirs[turn.player].loss(networks, batch, Noise.of(*range(4)), end)
        wanted = game.total
        if turn.player == "generator":
            liked = lender.generate(networks, None, Noise.of(*range(4)).fork("preferred"))[:, 0, 0, 0].mean()
            wanted = game.total - 0.5 * (liked - 0.25)
            torch.testing.assert_close(found.parts["liking"], liked)
            found.total.backward()
            assert all(p.grad is not None for p in networks.generator.parameters())
        torch.testing.assert_close(found.total, wanted)
    both = {"discriminator": ("discriminator",), "generator": ("generator",)}
    assert Prefer(lender=WGAN()).players() == both, "one player against the generator, whatever its name"


def data() -> MemoryDataSet:
    return MemoryDataSet("made up", {"images": random_bytes(40)}, "made up")


def lent(place: Path, recipe: str, images: int = 8) -> Path:
    """A short run with a preference of no opinion."""
    run = place / recipe
    train(small(named(recipe), images=images, batch=8), data(), run, device="cpu")
    checkpoint, made = checkpoint_of(run), small(named(recipe), images=images, batch=8)
    networks = build_networks(made, checkpoint.tensors)
    preference = Preference(networks.get_submodule("discriminator"), made.spec())
    save_preference(preference, facts_of(run, preference), run)
    return run


def facts_of(run: Path, preference: Preference, auc: float = 0.9) -> PreferenceFacts:
    fingerprint = str(open_generator(str(run), "cpu").fingerprint)
    return PreferenceFacts(generator=fingerprint, ratings=20, auc=auc, digest=preference.fingerprint())


def preferring(run: Path, *settings: str) -> Recipe:
    recipe = small(named("prefer32"), images=16, batch=8)
    recipe = replace(recipe, data=replace(recipe.data, validation=0.2))
    quiet = ("train.evaluate.guards.recall=none", "train.evaluate.guards.swd=none", "train.evaluate.every=0")
    return override(recipe, *quiet, f"borrow.generator={run}", *settings)


def test_all_of_a_lender_is_where_it_starts(tmp_path: Path) -> None:
    """Without a learning rate worth the name they stay what they were: averages where there are any."""
    run = lent(tmp_path, "stylegan2-32-small")
    still = [f"optimizers.{player}.lr=1e-30" for player in ("generator", "discriminator")]
    ours = fitted(preferring(run, *still, "train.images=8"))
    outcome = train(ours, data(), tmp_path / "liked", device="cpu")
    bundle = ours.method.build(ours.spec())
    memories = dict(bundle.named_buffers(recurse=False))
    wanted = {*dict(bundle.named_children()), *memories}
    assert set(outcome.run.recipe.borrow) == wanted and set(outcome.run.recipe.borrow.values()) == {str(run)}
    theirs, kept = checkpoint_of(run).tensors, checkpoint_of(outcome.run.path).tensors
    for name in (each for each, _ in bundle.named_parameters()):
        before = theirs.get(f"average.{name}", theirs[f"networks.{name}"])
        torch.testing.assert_close(kept[f"networks.{name}"], before, rtol=0, atol=1e-20)
    for name in memories:
        assert (kept[f"networks.{name}"] - theirs[f"networks.{name}"]).abs().max() < 0.02, name
    assert not any("preference" in name for name in kept), "the instrument is never saved"
    growing = Prefer(lender=ProGAN().tiny(), ratings="runs/x").borrowed(SPEC, {"generator": "runs/x"})
    assert growing == dict.fromkeys(("generator", "discriminator", "level"), "runs/x")
    generator, lender = open_generator(str(tmp_path / "liked"), "cpu"), open_generator(str(run), "cpu")
    assert generator.spaces == lender.spaces
    assert torch.equal(generator.latents(Noise.of(3)), lender.latents(Noise.of(3)))
    torch.testing.assert_close(generator.make(Noise.of(3)), lender.make(Noise.of(3)), rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lent(tmp_path_factory.mktemp("prefer"), "bilinear32", images=80)


def test_what_cannot_be_preferred_is_refused(faces: Path, tmp_path: Path) -> None:
    method, run = Prefer(), str(faces)
    lender = lenders({"generator": run})["generator"]
    facts = read_facts(faces)
    assert facts is not None and lender.fingerprint == facts.generator
    assert method.with_lenders(SPEC, {"generator": lender}).ratings == run
    bare, rated, guess = (tmp_path / name for name in ("bare", "rated", "guess"))
    for place in (bare, rated, guess):
        place.mkdir()
    (rated / "ratings.sqlite").touch()
    preference = Preference(DCGAN().tiny().build(SPEC).discriminator, SPEC)
    save_preference(preference, replace(facts, auc=0.59), guess)
    refused: dict[str, tuple[DataSpec, Lender | None]] = {
        "Received: none.*gansmith rate RUN.*borrow.generator=RUN": (SPEC, None),
        "latent alone. Received: runs/c, by ConditionalDCGAN": (
            SPEC,
            Lender("runs/c", ConditionalDCGAN(), SPEC),
        ),
        "16x16.*Add --set data.size=16x16": (replace(SPEC, height=32, width=32), lender),
        "which has none. Rate it: gansmith rate .*bare": (SPEC, replace(lender, name=str(bare))),
        "ratings and no preference. Run: gansmith rate .*rated --fit": (
            SPEC,
            replace(lender, name=str(rated)),
        ),
        "surely above 0.6. Received: 0.59": (SPEC, replace(lender, name=str(guess))),
        "trained since": (SPEC, replace(lender, fingerprint="of-another-x")),
    }
    for message, (spec, each) in refused.items():
        with pytest.raises(SettingError, match=message):
            method.with_lenders(spec, {} if each is None else {"generator": each})
    with pytest.raises(DataError, match=r"gansmith rate .*--fit"):
        load_preference(bare, DCGAN().tiny().build(SPEC).discriminator, SPEC)
    (guess / "preference.safetensors").write_bytes(b"none")
    with pytest.raises(DataError, match=r"ratings are kept apart and are safe. Fit again: gansmith rate"):
        load_preference(guess, DCGAN().tiny().build(SPEC).discriminator, SPEC)


def test_images_move_to_what_was_liked_and_a_run_by_prefer_can_lend_again(
    faces: Path, tmp_path: Path
) -> None:
    generator = open_generator(str(faces), "cpu")
    before = generator.make(Noise.of(*SEEDS)).mean(dim=(1, 2, 3))
    store = Store.of(faces, generator)
    Simulated(brightness, threshold=float(before.median())).rate(generator, store, 120)
    fit = fit_preference(generator, store)
    assert fit.facts.auc > 0.8
    save_preference(fit.preference, fit.facts, faces)
    means: dict[float, Tensor] = {}
    for weight in (0.0, 1.0):
        recipe = preferring(faces, f"method.weight={weight}", *QUICK)
        outcome = train(recipe, data(), tmp_path / f"{weight}", device="cpu")
        means[weight] = (
            open_generator(str(outcome.run.path), "cpu").make(Noise.of(*SEEDS)).mean(dim=(1, 2, 3))
        )
        rows: list[dict[str, Any]] = outcome.run.rows()
        if weight:  # Resumed, it asks for the preference anew, and for nothing else.
            longer = train(override(recipe, "train.images=168"), data(), outcome.run.path, device="cpu")
            assert longer.images == 168
        assert {"generator/liking", "generator/doubt", "held-out/liked"} <= rows[-1].keys()
    gained = {weight: float((after - before).mean()) for weight, after in means.items()}
    assert gained[1.0] > gained[0.0] + 0.5 * float(before.std())
    again = Lender("x", outcome.run.recipe.method, SPEC, fingerprint="other")
    with pytest.raises(SettingError, match="has none"):
        Prefer().with_lenders(SPEC, {"generator": again})
    again = replace(again, name=str(faces), fingerprint=fit.facts.generator)
    assert isinstance(Prefer().with_lenders(SPEC, {"generator": again}).lender, BilinearGAN)
    instruments = recipe.method.with_lenders(SPEC, lenders({"generator": str(faces)})).instruments(SPEC)
    assert torch.equal(
        instruments["preference"].to(CPU)(random_images(3))[0], fit.preference(random_images(3))[0]
    )
