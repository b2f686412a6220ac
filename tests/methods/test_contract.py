"""The promises every method keeps, over the whole catalogue and the toys that break wrong abstractions."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from promises import RECIPES
from toys import TOYS, SecondStage, recipe_for

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json, to_json
from gansmith.core.noise import Noise
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer, pictures_of
from gansmith.runs.checkpoint import Checkpoint

every_method = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


def trainer_of(recipe: Recipe) -> Trainer[Any, Any, Any]:
    generator = torch.Generator().manual_seed(0)
    data = MemoryDataSet(
        "made up",
        {
            name: torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8, generator=generator)
            for name in ("images", "a", "b")
        },
    )
    loader: Loader[Any] = Loader(
        data, recipe.method.batch_type, recipe.data, recipe.train.seed, torch.device("cpu")
    )
    return Trainer(recipe, loader, torch.device("cpu"))


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
    trainer = trainer_of(recipe)
    before = {name: weights(trainer, name) for name in names_of(trainer)}
    for _ in range(4):
        trainer.step()
    owned = {name for names in recipe.method.players().values() for name in names}
    for name in owned:
        moved = [not torch.equal(a, b) for a, b in zip(before[name], weights(trainer, name), strict=True)]
        assert any(moved), f"{name} never moved"
    for name in set(names_of(trainer)) - owned:
        assert all(torch.equal(a, b) for a, b in zip(before[name], weights(trainer, name), strict=True))
        assert not trainer.networks.get_submodule(name).training


@every_method
def test_resume_equals_never_stopping_bit_for_bit(recipe: Recipe, tmp_path: Path) -> None:
    straight = trainer_of(recipe)
    for _ in range(8):
        straight.step()
    first = trainer_of(recipe)
    for _ in range(4):
        first.step()
    Checkpoint(first.state(), {"images": first.images}).save(tmp_path / "half.safetensors")
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
