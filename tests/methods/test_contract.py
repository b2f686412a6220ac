"""The promises every method keeps, over the whole catalogue and the toys that break wrong abstractions."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import facts_of
from promises import ATTRIBUTES, CLASSES, RECIPES, everything, resolved, trainer_of
from toys import TOYS, SecondStage, recipe_for

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json, to_json
from gansmith.core.noise import Noise
from gansmith.engine.trainer import Trainer, pictures_of
from gansmith.errors import SettingError
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.methods.discriminative import DiscriminativeMethod
from gansmith.models.classifier import open_classifier
from gansmith.models.generator import from_method
from gansmith.models.load import borrowed_weights, open_generator
from gansmith.models.prompts import Prompts
from gansmith.networks.spectral import SpectralNorm
from gansmith.runs.checkpoint import Checkpoint

NORMS = (torch.nn.modules.batchnorm._BatchNorm, SpectralNorm)  # Their statistics move as they look.
every_method = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())

seen_before = pytest.mark.no_cover
"""Steps that other tests take under the eye of coverage, which makes them half as slow again."""


def weights(trainer: Trainer[Any, Any, Any], name: str) -> list[torch.Tensor]:
    return [p.detach().clone() for p in trainer.networks.get_submodule(name).parameters()]


def names_of(trainer: Trainer[Any, Any, Any]) -> list[str]:
    return [name for name, _ in trainer.networks.named_children()]


@every_method
def test_gradients_stay_with_the_player(recipe: Recipe) -> None:
    trainer = trainer_of(recipe)
    for move in trainer._plan:
        before = {name: weights(trainer, name) for name in names_of(trainer)}
        trainer.networks.zero_grad(set_to_none=True)
        batch = trainer._loader.batch(0, 4)
        trainer._play(move, trainer._resize(batch, trainer.progress), Noise.of(0, 1, 2, 3), trainer.progress)
        owned = recipe.method.players()[move.turn.player]
        owned_parameters = {
            id(p) for name in owned for p in trainer.networks.get_submodule(name).parameters()
        }
        for name in names_of(trainer):
            for parameter, old in zip(
                trainer.networks.get_submodule(name).parameters(), before[name], strict=True
            ):
                if id(parameter) not in owned_parameters:
                    assert torch.equal(parameter, old), f"{move.turn.name} moved {name}"
                    assert parameter.grad is None, f"{move.turn.name} left a gradient in {name}"


@every_method
def test_every_owned_network_moves(recipe: Recipe) -> None:
    trainer, first = trainer_of(recipe), trainer_of(recipe)
    before = {name: weights(trainer, name) for name in names_of(trainer)}
    for _ in range(4):
        trainer.step()
    owned = {name for names in recipe.method.players().values() for name in names}
    before |= {name: weights(first, name) for name in owned}
    for name in owned:
        moved = [not torch.equal(a, b) for a, b in zip(before[name], weights(trainer, name), strict=True)]
        assert any(moved), f"{name} never moved"
    for name in set(names_of(trainer)) - {name.partition(".")[0] for name in owned}:
        assert all(torch.equal(a, b) for a, b in zip(before[name], weights(trainer, name), strict=True))
        assert not trainer.networks.get_submodule(name).training


@every_method
@seen_before
def test_resume_equals_never_stopping_bit_for_bit(recipe: Recipe, tmp_path: Path) -> None:
    straight = trainer_of(recipe)
    for _ in range(4):
        straight.step()
    Checkpoint(straight.state(), facts_of(straight)).save(tmp_path / "half.safetensors")
    for _ in range(4):
        straight.step()
    torch.manual_seed(99)  # The world's randomness has moved on; the run must not care.
    second = trainer_of(recipe)
    half = Checkpoint.load(tmp_path / "half.safetensors")
    second.load(half.tensors, half.facts["images"])
    for _ in range(4):
        second.step()
    assert straight.images == second.images
    ours, theirs = straight.state(), second.state()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@every_method
def test_a_picture_does_not_depend_on_its_batch(recipe: Recipe) -> None:
    trainer = trainer_of(recipe)
    for _ in range(3):
        trainer.step()
    networks = trainer.networks_for_pictures()
    sample = trainer._loader.sample(4)
    if isinstance(recipe.method, DiscriminativeMethod):
        said = recipe.method.answers(networks, sample.images)
        alone = recipe.method.answers(networks, sample.images[2:3])
        torch.testing.assert_close(said[2:3], alone, rtol=0, atol=1e-5)
        assert len(said) == len(recipe.method.truth(sample)) == 4
        return
    whole = pictures_of(
        recipe.method, networks, recipe.method.prompt(sample), Noise.of(5, 6, 7, 8), recipe.spec()
    )
    alone = type(sample)(*(column[2:3] for column in sample))
    one = pictures_of(recipe.method, networks, recipe.method.prompt(alone), Noise.of(7), recipe.spec())
    assert whole.shape == (4, 3, 16, 16)
    assert float(whole.abs().max()) <= 1.0
    torch.testing.assert_close(whole[2:3], one, rtol=0, atol=1e-5)


@every_method
def test_a_method_is_a_value(recipe: Recipe) -> None:
    method = recipe.method
    assert method == replace(method) and hash(method) == hash(replace(method))
    field = dataclasses.fields(method)[0].name if dataclasses.fields(method) else None
    if field:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(method, field, 0)
    assert from_json(json.loads(json.dumps(to_json(recipe))), Recipe) == recipe


@every_method
def test_losses_are_functions_of_their_arguments(recipe: Recipe) -> None:
    """The same networks, batch, noise and progress give the same loss, so nothing hides between calls."""
    trainer, values = trainer_of(recipe), []
    batch = trainer._resize(trainer._loader.batch(0, 4), trainer.progress)
    for _ in range(2):
        fresh = trainer_of(recipe)
        turns = recipe.method.turns()
        losses = [t.loss(fresh.networks, batch, Noise.of(1, 2, 3, 4), trainer.progress).total for t in turns]
        values.append([loss.item() for loss in losses])
    assert values[0] == values[1]


def test_a_second_run_borrows_a_frozen_network() -> None:
    first = trainer_of(TOYS["lazy"])
    for _ in range(3):
        first.step()
    borrowed = {f"generator.{k}": v for k, v in first.networks.generator.state_dict().items()}
    recipe = recipe_for(SecondStage(), ("refiner",))
    trainer = trainer_of(recipe)
    second = Trainer(recipe, trainer._loader, torch.device("cpu"), borrowed)
    for _ in range(3):
        second.step()
    for name, value in second.networks.generator.state_dict().items():
        assert torch.equal(value, first.networks.generator.state_dict()[name])


def test_growth_is_a_function_of_progress() -> None:
    trainer = trainer_of(TOYS["growing"])
    heights = []
    for _ in range(12):
        trainer.step()
        heights.append(trainer.flush()["discriminator/height"])
    assert heights == [8.0] * 6 + [16.0] * 6


def test_the_memory_of_past_fakes_survives_in_the_bundle() -> None:
    trainer = trainer_of(TOYS["cycle"])
    trainer.step()
    assert float(trainer.networks.pool_a.abs().sum()) > 0
    assert "networks.pool_a" in trainer.state()


@every_method
def test_losses_write_no_memory(recipe: Recipe) -> None:
    """Memory is written once a step, from numbers that are the same on every process."""
    trainer = trainer_of(recipe)
    trainer.step()
    own = {id(b) for m in trainer.networks.modules() if isinstance(m, NORMS) for b in m.buffers()}
    memory = {n: b.clone() for n, b in trainer.networks.named_buffers() if id(b) not in own}
    batch = trainer._resize(trainer._loader.batch(0, 4), trainer.progress)
    for turn in recipe.method.turns():
        turn.loss(trainer.networks, batch, Noise.of(1, 2, 3, 4), trainer.progress)
    now = dict(trainer.networks.named_buffers())
    assert [name for name, value in memory.items() if not torch.equal(now[name], value)] == []


@every_method
@seen_before
def test_parts_of_a_batch_leave_the_memory_of_the_whole(recipe: Recipe) -> None:
    whole, parts = trainer_of(recipe), trainer_of(recipe)
    parts.micro_batch = 2
    for trainer in (whole, parts):
        for _ in range(2):
            trainer.step()
    own = {n for n, m in whole.networks.named_modules() for n in _statistics(n, m)}
    ours, theirs = dict(whole.networks.named_buffers()), dict(parts.networks.named_buffers())
    for name in set(ours) - own:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0.05, atol=0.05)


def _statistics(name: str, module: torch.nn.Module) -> list[str]:
    """Names of running statistics, which are of the parts."""
    return [f"{name}.{b}" for b, _ in module.named_buffers()] if isinstance(module, NORMS) else []


@every_method
def test_a_checkpoint_makes_images_without_the_data(recipe: Recipe, tmp_path: Path) -> None:
    """Names, classes and prompts are in the checkpoint; what nobody trains is not."""
    trainer = trainer_of(recipe)
    trainer.step()
    Checkpoint(trainer.state(), facts_of(trainer)).save(tmp_path / "model.safetensors")
    saved = {n.removeprefix("networks.") for n in trainer.state() if n.startswith("networks.")}
    plain = recipe.method.build(trainer.spec).state_dict()
    assert saved == set(plain), "networks as they are built, and no instruments"
    if not recipe.method.makes_images:
        with pytest.raises(SettingError, match="needs a model that makes images"):
            open_generator(str(tmp_path / "model.safetensors"), "cpu")
        classifier = open_classifier(str(tmp_path / "model.safetensors"), "cpu")
        assert len(classifier.logits(trainer._loader.sample(3).images)) == 3
        return
    generator = open_generator(str(tmp_path / "model.safetensors"), "cpu")
    kind = recipe.method.prompt_type
    if kind is not None and IMAGE_COLUMNS & set(kind._fields):
        with pytest.raises(SettingError, match="images out of images"):
            generator.make(Noise.of(0, 1))
        prompt = recipe.method.prompt(trainer._loader.sample(2))
        assert generator.make(Noise.of(0, 1), prompt).shape == (2, 3, 16, 16)
        return
    images = generator.make(Noise.of(0, 1, 2))
    assert images.shape == (3, 3, 16, 16) and float(images.abs().max()) <= 1.0
    assert torch.equal(generator.make(Noise.of(2)), images[2:]), "a prompt follows from its seed alone"


@every_method
def test_a_tiny_method_is_the_same_game(recipe: Recipe) -> None:
    tiny = recipe.method.tiny()
    assert type(tiny) is type(recipe.method) and tiny.players() == recipe.method.players()
    names = [turn.name for turn in recipe.method.turns()]
    assert [turn.name for turn in tiny.turns()] == names
    spec = resolved(recipe).spec()
    with torch.device("meta"):
        tiny.build(spec)


def test_a_spec_knows_the_names_of_what_a_method_trains_on() -> None:
    assert resolved(TOYS["labelled"]).spec().class_names == CLASSES
    assert resolved(TOYS["attributed"]).spec().attribute_names == ATTRIBUTES
    assert resolved(TOYS["captioned"]).spec().caption_length == 6
    assert resolved(TOYS["lazy"]).spec().classes == 0, "what is not trained on is not asked for"


def test_prompts_follow_the_frequencies_of_the_training_data() -> None:
    trainer = trainer_of(TOYS["labelled"])
    kind: Any = TOYS["labelled"].method.prompt_type
    prompts = Prompts(kind, trainer.spec, trainer.prompts)
    drawn = torch.bincount(prompts.choose(range(3000)).labels, minlength=3) / 3000
    rows = trainer._loader.training
    there = torch.bincount(everything().fetch(rows, ("labels",))["labels"], minlength=3) / len(rows)
    torch.testing.assert_close(drawn, there, rtol=0, atol=0.03)
    assert torch.equal(prompts.choose([7, 8]).labels[1:], prompts.choose([8]).labels)


def test_a_part_of_a_network_is_owned_and_the_rest_is_frozen() -> None:
    trainer = trainer_of(TOYS["part owned"])
    before = trainer.networks.discriminator.body.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    trainer.step()
    discriminator = trainer.networks.discriminator
    assert discriminator.head.training and not discriminator.body.training
    assert all(torch.equal(value, before[name]) for name, value in discriminator.body.state_dict().items())


def test_instruments_are_frozen_and_shared_by_copies() -> None:
    trainer = trainer_of(TOYS["instrument"])
    for _ in range(2):
        trainer.step()
    features = trainer.networks.instruments["features"]
    assert not features.training and not any(p.requires_grad for p in features.parameters())
    assert trainer.networks_for_pictures().instruments["features"] is features
    again = trainer_of(TOYS["instrument"]).networks.instruments["features"]
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in features.state_dict().items())


def test_latent_spaces_truncation_and_gradients() -> None:
    trainer = trainer_of(TOYS["two spaces"])
    for _ in range(3):
        trainer.step()
    method = TOYS["two spaces"].method
    generator = from_method(
        method, trainer.networks_for_pictures(), trainer.spec, name="toy", recipe_name="toys"
    )
    noise = Noise.of(4, 5, 6)
    assert generator.spaces == ("z", "w", "w+") and generator.latents(noise, space="w+").shape == (3, 2, 4)
    images = generator.make(noise)
    for space in generator.spaces:
        latents = generator.latents(noise, space=space)
        assert torch.equal(generator.synthesize(latents, noise, space=space), images), space
    same = generator.make(Noise.of(4, 4), truncation=0.0)
    assert torch.equal(same[:1], same[1:])
    assert torch.equal(generator.make(noise, truncation=1.0), images)
    with pytest.raises(SettingError, match="Truncation is for methods that define it"):
        generator.latents(noise, space="z", truncation=0.5)
    with pytest.raises(SettingError, match=r"latent spaces z, w, w\+"):
        generator.latents(noise, space="v")
    w = generator.latents(noise, space="w").clone().requires_grad_(True)
    generator.differentiable(noise, space="w")(w).square().sum().backward()
    assert w.grad is not None and float(w.grad.abs().sum()) > 0


def test_a_network_of_another_name_is_borrowed(tmp_path: Path) -> None:
    first = trainer_of(TOYS["lazy"])
    Checkpoint(first.state(), facts_of(first)).save(tmp_path / "one.safetensors")
    weights = borrowed_weights({"sketcher": f"{tmp_path / 'one.safetensors'}:discriminator"})
    assert all(name.startswith("sketcher.") for name in weights) and weights
    with pytest.raises(SettingError, match=r"no network 'diskriminator' .*\.safetensors:discriminator\."):
        borrowed_weights({"sketcher": f"{tmp_path / 'one.safetensors'}:diskriminator"})
