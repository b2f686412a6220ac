"""The training loop: batches, turns, rates, averages, and a restart that changes nothing."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest
import torch
from helpers import CPU, facts_of, numbered_bytes, numbers_of, random_bytes, small_named, trainer_of
from torch import Tensor, nn

from gansmith.config.optimizers import SGD, Optimizer
from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, EngineConfig, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Cosine, Linear, Schedule, Step
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer, pictures_of
from gansmith.engine.turns import schedule_updates
from gansmith.errors import CheckpointError, SettingError
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.networks.bundle import Networks
from gansmith.runs.checkpoint import Checkpoint

BATCH = 4
PLAIN = SGD(lr=0.1, momentum=0.0)


class Weights(nn.Module):
    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))


class Guide(nn.Module):
    """A network that would change if it trained."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()

    def forward(self, images: Tensor) -> Tensor:
        return self.drop(self.norm(self.conv(images))).mean()


class Toys(Networks):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.guide = Weights(), Weights(), Guide()


@dataclass(frozen=True, kw_only=True)
class Toy(Method[Toys, ImageBatch, None]):
    """Two players with one weight each and a guide nobody owns."""

    batch_type: ClassVar[type] = ImageBatch
    plan: tuple[Turn, ...] = ()
    grows: tuple[tuple[int, int], ...] = ()  # (Images, side): smaller pictures at the start.

    def build(self, spec: DataSpec) -> Toys:
        return Toys()

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"one": ("one",), "two": ("two",)}

    def turns(self) -> Sequence[Turn]:
        return self.plan

    def generate(self, networks: Toys, prompt: None, noise: Noise) -> Tensor:
        return networks.one.weight.mean().expand(len(noise), 1, 4, 4)

    def validation_metrics(self, networks: Toys, batch: ImageBatch, noise: Noise) -> Mapping[str, Tensor]:
        with torch.no_grad():
            networks.one.weight.fill_(77.0)
        return {"mean": batch.images.mean(), "guide": networks.guide(batch.images)}

    def size_at(self, spec: DataSpec, progress: Progress) -> tuple[int, int]:
        for images, side in self.grows:
            if progress.images < images:
                return side, side
        return spec.height, spec.width


class Watch:
    """Turns that remember what each of their moves saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[int]]] = []
        self.noise: list[tuple[str, list[int]]] = []
        self.images: list[Tensor] = []

    def turn(self, player: str, name: str | None = None, slope: float = 1.0, **options) -> Turn:
        name = name or player

        def loss(networks: Toys, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
            self.seen.append((name, numbers_of(batch.images)))
            self.noise.append((name, noise.seeds.tolist()))
            self.images.append(batch.images)
            total = slope * networks.get_submodule(player).weight.sum()
            return Loss(total, {"images": torch.tensor(float(progress.images))})

        return Turn(name=name, player=player, loss=loss, **options)


def toy(*plan: Turn, optimizer: Optimizer = PLAIN, count: int = 24, grows=(), **train) -> Trainer:
    numbers = {"images": 1000, "batch": BATCH, "precision": "float32", "average": None} | train
    recipe = Recipe(
        name="toy",
        method=Toy(plan=plan, grows=grows),
        optimizers={"one": optimizer, "two": optimizer},
        data=DataConfig(size=Size(4, 4), channels=1, validation=0.0),
        train=TrainConfig(**numbers),
    )
    return trainer_of(recipe, numbered_bytes(count))


def order(count: int, start: int = 0, data: int = 24) -> list[int]:
    """The numbers a loader gives, so that what a trainer draws can be told."""
    return numbers_of(toy(Watch().turn("one"), count=data)._loader.batch(start, count).images)


# ---- batches ----------------------------------------------------------------------------------------


def test_five_critic_moves_see_five_batches_and_the_generator_the_last_of_them() -> None:
    watch = Watch()
    trainer = toy(watch.turn("one", repeats=5), watch.turn("two"))
    trainer.step()
    trainer.step()
    stream = order(40)
    batches = [stream[start : start + BATCH] for start in range(0, 40, BATCH)]
    expected = [("one", batch) for batch in batches[:5]] + [("two", batches[4])]
    expected += [("one", batch) for batch in batches[5:]] + [("two", batches[9])]
    assert watch.seen == expected
    assert len({tuple(batch) for _, batch in watch.seen[:5]}) == 5


def test_a_fresh_turn_sees_pictures_no_earlier_turn_of_the_step_saw() -> None:
    watch = Watch()
    trainer = toy(watch.turn("one"), watch.turn("two", new_batch=True))
    for _ in range(3):
        trainer.step()
    stream = order(24)
    assert [seen for _, seen in watch.seen] == [
        stream[start : start + BATCH] for start in range(0, 24, BATCH)
    ]
    assert [name for name, _ in watch.seen] == ["one", "two"] * 3
    assert sorted(stream) == list(range(24))


def test_turns_that_do_not_ask_for_fresh_pictures_share_the_batch() -> None:
    watch = Watch()
    toy(watch.turn("one"), watch.turn("two"), watch.turn("one", "again")).step()
    assert [seen for _, seen in watch.seen] == [order(BATCH)] * 3


def test_a_first_turn_that_asks_for_fresh_pictures_wastes_none() -> None:
    watch = Watch()
    toy(watch.turn("one", new_batch=True)).step()
    assert watch.seen == [("one", order(BATCH))]


def test_every_move_of_every_step_has_noise_of_its_own() -> None:
    watch, again = Watch(), Watch()
    for each in (watch, again):
        trainer = toy(each.turn("one", repeats=2), each.turn("two"))
        trainer.step()
        trainer.step()
    seeds = [seed for _, move in watch.noise for seed in move]
    assert len(set(seeds)) == len(seeds) == 2 * 3 * BATCH
    assert again.noise == watch.noise
    other = Watch()
    toy(other.turn("one", repeats=2), other.turn("two"), seed=1).step()
    assert not set(seeds) & {seed for _, move in other.noise for seed in move}


def test_a_turn_that_shares_goes_on_with_the_noise_of_the_move_before_it() -> None:
    watch = Watch()
    trainer = toy(watch.turn("one", repeats=2), watch.turn("two", reuse_fakes=True, repeats=2))
    trainer.step()
    first, second, third, fourth = (tuple(seeds) for _, seeds in watch.noise)
    assert second == third
    assert len({first, second, fourth}) == 3


def test_all_who_go_on_with_what_a_move_made_take_gradients_in_it() -> None:
    watch = Watch()
    turns = (
        watch.turn("one"),
        watch.turn("two", reuse_fakes=True),
        watch.turn("one", "again", reuse_fakes=True),
    )
    assert [update.grad_players for update in schedule_updates(Toy(plan=turns))] == [
        ("one", "two"),
        ("two", "one"),
        ("one",),
    ]


@pytest.mark.parametrize(("micro_batch", "made"), [(None, 1), (2, 4)])
def test_what_is_made_of_a_shared_noise_is_made_once_and_gives_the_same(
    micro_batch: int | None, made: int
) -> None:
    """With parts of a batch it is made for each part and player, from the same numbers."""
    calls, seen = [], []

    def make(networks: Toys, noise: Noise) -> Tensor:
        calls.append(len(noise))
        return noise.normal(3) * networks.two.weight

    def judge(networks: Toys, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        fake = noise.cached("fake", lambda: make(networks, noise))
        seen.append((fake.detach(), noise.uniform(1)))
        return Loss((fake.detach() * networks.one.weight).sum())

    def forge(networks: Toys, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        fake = noise.cached("fake", lambda: make(networks, noise))
        seen.append((fake.detach(), noise.uniform(1)))
        return Loss((fake - 1).square().sum())

    engine = EngineConfig(micro_batch=micro_batch)
    trainer = toy(
        Turn(name="one", player="one", loss=judge),
        Turn(name="two", player="two", loss=forge, reuse_fakes=True),
        engine=engine,
    )
    torch.nn.init.ones_(trainer.networks.two.weight)
    trainer.step()
    assert len(calls) == made
    half = len(seen) // 2
    for (one, after), (other, also_after) in zip(seen[:half], seen[half:], strict=True):
        assert torch.equal(one, other)
        assert torch.equal(after, also_after)
    # The derivative of the sum of (z w - 1)^2 is 2 z (z w - 1), whoever made z w.
    noise = torch.cat([fake for fake, _ in seen[half:]])
    assert torch.allclose(trainer.networks.two.weight, 1 - 0.1 * 2 * (noise * (noise - 1)).sum(0) / half)


def test_a_forgotten_detach_is_told() -> None:
    def fakes(networks: Toys, noise: Noise) -> Tensor:
        return noise.cached("fake", lambda: noise.normal(3) * networks.two.weight)

    def judge(networks: Toys, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        return Loss((fakes(networks, noise) * networks.one.weight).sum())

    def forge(networks: Toys, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        return Loss(fakes(networks, noise).sum())

    turns = (
        Turn(name="judge", player="one", loss=judge),
        Turn(name="g", player="two", loss=forge, reuse_fakes=True),
    )
    with pytest.raises(SettingError, match=r"turn 'judge', whose gradients reached those of two\. Detach"):
        toy(*turns).step()


def test_pictures_are_shrunk_by_area_while_a_method_grows() -> None:
    watch = Watch()
    recipe = toy(watch.turn("one"), grows=((BATCH, 2), (3 * BATCH, 1))).recipe
    pictures = random_bytes(8, size=4, channels=1)
    trainer = trainer_of(recipe, pictures)
    for _ in range(4):
        trainer.step()
    assert [tuple(images.shape[2:]) for images in watch.images] == [(2, 2), (1, 1), (1, 1), (4, 4)]
    full = trainer._loader.batch(0, BATCH).images
    quarters = full.view(BATCH, 1, 2, 2, 2, 2).mean(dim=(3, 5))
    assert torch.allclose(watch.images[0], quarters, atol=1e-6)
    assert torch.equal(watch.images[3], trainer._loader.batch(3 * BATCH, BATCH).images)


def test_only_pictures_are_shrunk() -> None:
    class Labelled(NamedTuple):
        images: Tensor
        labels: Tensor

    shown: list[Labelled] = []

    def loss(networks: Toys, batch: Labelled, noise: Noise, progress: Progress) -> Loss:
        shown.append(batch)
        return Loss(networks.one.weight.sum())

    @dataclass(frozen=True, kw_only=True)
    class WithLabels(Toy):
        batch_type: ClassVar[type] = Labelled

    recipe = toy(Watch().turn("one")).recipe
    method = WithLabels(plan=(Turn(name="one", player="one", loss=loss),), grows=((100, 2),))
    data = MemoryDataSet("toy", {"images": numbered_bytes(8), "labels": torch.arange(8)})
    loader = Loader(data, Labelled, recipe.data, 0, CPU)
    Trainer(replace(recipe, method=method), loader, CPU).step()
    assert isinstance(shown[0], Labelled)
    assert shown[0].images.shape == (BATCH, 1, 2, 2)
    assert shown[0].labels.tolist() == numbers_of(shown[0].images)


# ---- turns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_lazy_turn_is_played_on_multiples_and_counts_that_many_times(every: int) -> None:
    watch = Watch()
    trainer = toy(watch.turn("one", slope=2.0), watch.turn("one", "lazy", slope=5.0, every=every))
    played = []
    for step in range(6):
        before = len(watch.seen)
        trainer.step()
        names = [name for name, _ in watch.seen[before:]]
        assert names == (["one", "lazy"] if step % every == 0 else ["one"])
        played += names
    assert played.count("lazy") == 6 // every
    # After a whole number of periods a lazy turn has moved as far as an eager one.
    assert torch.allclose(trainer.networks.one.weight, torch.tensor(-0.1 * 6 * (2.0 + 5.0)))
    assert trainer.flush()["lazy/loss"] < 0  # Reported as it is, not scaled: see the next test.


def test_a_lazy_turns_loss_is_reported_unscaled() -> None:
    trainer = toy(Watch().turn("two"), Watch().turn("one", "lazy", every=3))
    with torch.no_grad():
        trainer.networks.one.weight.fill_(2.0)
    trainer.step()
    assert trainer.flush()["lazy/loss"] == pytest.approx(6.0)


def test_a_turn_moves_its_player_and_nobody_else() -> None:
    def both(networks: Toys, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        return Loss(networks.one.weight.sum() + 3 * networks.two.weight.sum() + networks.guide(batch.images))

    trainer = toy(Turn(name="one", player="one", loss=both))
    trainer.step()
    assert torch.allclose(trainer.networks.one.weight, torch.tensor(-0.1))
    assert (trainer.networks.two.weight == 0).all()
    assert trainer.networks.two.weight.grad is None
    assert trainer.networks.guide.conv.weight.grad is None


def test_gradients_do_not_add_up_over_moves() -> None:
    trainer = toy(Watch().turn("one", repeats=3))
    trainer.step()
    assert torch.allclose(trainer.networks.one.weight, torch.tensor(-0.3))


def test_a_constraint_is_applied_after_each_move() -> None:
    bounds: list[float] = []

    def post_step(networks: Toys) -> None:
        bounds.append(networks.one.weight[0].item())
        networks.one.weight.clamp_(-0.15, 0.15)

    trainer = toy(Watch().turn("one", repeats=3, post_step=post_step))
    trainer.step()
    assert bounds == pytest.approx([-0.1, -0.2, -0.25])
    assert torch.allclose(trainer.networks.one.weight, torch.tensor(-0.15))


def test_a_network_nobody_owns_stays_in_eval_mode_and_as_it_was() -> None:
    modes: list[tuple[bool, bool, bool]] = []

    def loss(networks: Toys, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        modes.append((networks.one.training, networks.guide.training, networks.guide.norm.training))
        return Loss(networks.one.weight.sum() * networks.guide(batch.images))

    trainer = toy(Turn(name="one", player="one", loss=loss))
    before = {name: value.clone() for name, value in trainer.networks.guide.state_dict().items()}
    for _ in range(3):
        trainer.step()
    assert modes == [(True, False, False)] * 3
    for name, value in trainer.networks.guide.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert (trainer.networks.one.weight != 0).all()


# ---- rates, averages, numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [Linear(end=0.0), Cosine(end=0.1), Step(epochs=0.5, factor=0.1)])
def test_each_step_moves_by_the_rate_its_schedule_asks_for(schedule: Schedule) -> None:
    trainer = toy(Watch().turn("one"), optimizer=SGD(lr=0.1, momentum=0.0, schedule=schedule), images=40)
    expected = 0.0
    for images in range(0, 40, BATCH):
        expected -= 0.1 * schedule(Progress(images=images, total_images=40, batch=BATCH, data_images=24))
        trainer.step()
        assert trainer.networks.one.weight[0].item() == pytest.approx(expected, abs=1e-6)
    assert trainer.images == 40


def test_the_average_follows_by_the_decay_of_its_half_life() -> None:
    average = Average(half_life=8.0, rampup=1e6, floor=8.0)  # Two steps of four images.
    trainer = toy(Watch().turn("one"), average=average, averaged=("one",))
    weight, expected = 0.0, 0.0
    for _ in range(5):
        trainer.step()
        weight -= 0.1
        expected = 0.5**0.5 * expected + (1 - 0.5**0.5) * weight
    assert trainer.average.one.weight[0].item() == pytest.approx(expected, abs=1e-6)
    pictures = pictures_of(
        trainer.method, trainer.networks_for_pictures(), None, Noise.of(1, 2), trainer.spec
    )
    assert pictures.shape == (2, 1, 4, 4)
    assert pictures[0, 0, 0, 0].item() == pytest.approx(expected, abs=1e-6)
    assert trainer.networks.one.weight[0].item() == pytest.approx(-0.5)


def test_without_an_average_pictures_come_from_the_last_step() -> None:
    for options in ({"average": None}, {"average": Average(), "averaged": ()}):
        trainer = toy(Watch().turn("one"), **options)
        trainer.step()
        assert trainer.average is None
        assert torch.allclose(trainer.networks_for_pictures().one.weight, torch.tensor(-0.1))


def test_an_unknown_name_among_the_averaged_is_told_with_the_known_ones() -> None:
    with pytest.raises(SettingError, match=r"networks: one, two, guide. Received: 'three'"):
        toy(Watch().turn("one"), average=Average(), averaged=("one", "three"))


def test_numbers_are_averaged_over_the_interval_and_then_forgotten() -> None:
    trainer = toy(Watch().turn("one", repeats=2), Watch().turn("two", every=2))
    for _ in range(4):
        trainer.step()
    row = trainer.flush()
    norms = {"one/gradient", "two/gradient"}
    assert row.keys() == {"one/loss", "one/images", "two/loss", "two/images"} | norms
    assert row["one/images"] == pytest.approx((0 + 4 + 8 + 12) / 4)
    assert row["two/images"] == pytest.approx((0 + 8) / 2)
    assert row["one/loss"] == pytest.approx(-0.3 * sum(range(8)) / 8, abs=1e-6)
    assert trainer.flush() == {}
    trainer.step()
    assert trainer.flush()["one/images"] == 16.0


def test_measuring_disturbs_nothing() -> None:
    trainer = toy(Watch().turn("one"))
    trainer.step()
    before = {name: value.clone() for name, value in trainer.state().items()}
    batch = ImageBatch(torch.full((3, 1, 4, 4), 0.25))
    assert trainer.validation_metrics(batch)["mean"] == pytest.approx(0.25)
    for name, value in trainer.state().items():
        assert torch.equal(value, before[name]), name


# ---- restart ----------------------------------------------------------------------------------------


def through_a_file(trainer: Trainer, path: Path) -> Mapping[str, Tensor]:
    Checkpoint(trainer.state(), facts_of(trainer)).save(path)
    return Checkpoint.load(path).tensors


def with_sgd(recipe: Recipe) -> Recipe:
    for player in recipe.optimizers:
        recipe = override(recipe, f"optimizers.{player}=SGD(lr=0.01, momentum=0.9)")
    return recipe


@pytest.mark.parametrize("change", [lambda recipe: recipe, with_sgd], ids=["as it is", "SGD"])
@pytest.mark.parametrize("name", ["rpgan28", "dcgan28", "wgan28", "wgan-gp28"])
def test_a_run_that_stopped_continues_bit_for_bit(name: str, change: Callable, tmp_path: Path) -> None:
    recipe = change(small_named(name, images=40))
    straight = trainer_of(recipe)
    for _ in range(4):
        straight.step()
    stopped = trainer_of(recipe)
    for _ in range(2):
        stopped.step()
    resumed = trainer_of(recipe)
    resumed.load(through_a_file(stopped, tmp_path / "a.safetensors"), stopped.images)
    for _ in range(2):
        resumed.step()
    assert resumed.images == straight.images
    assert resumed.state().keys() == straight.state().keys()
    for key, value in straight.state().items():
        assert torch.equal(resumed.state()[key], value), key
    assert {key.partition(".")[0] for key in straight.state()} == {"networks", "average", "optimizers"}


def test_a_loaded_optimizers_memory_is_laid_out_as_its_weights_are(tmp_path: Path) -> None:
    recipe = small_named("rpgan28")
    trainer, resumed = trainer_of(recipe), trainer_of(recipe)
    trainer.step()
    resumed.load(through_a_file(trainer, tmp_path / "a.safetensors"), trainer.images)
    odd = 0
    for player, optimizer in resumed.optimizers.items():
        for parameter, state in optimizer.state.items():
            for value in (state["exp_avg"], state["exp_avg_sq"]):
                assert value.stride() == parameter.stride(), player
                odd += not value.is_contiguous()
    assert odd > 0  # Some weights do lie with channels last, or this proves nothing.


def test_weights_of_other_networks_are_refused(tmp_path: Path) -> None:
    trainer = trainer_of(small_named("rpgan28"))
    other = trainer_of(override(small_named("rpgan28"), "method.generator_width=5"))
    with pytest.raises(
        CheckpointError, match=r"of other networks than the recipe builds: .* there and .* here"
    ):
        other.load(through_a_file(trainer, tmp_path / "a.safetensors"), 0)


def test_one_seed_builds_one_set_of_networks_whatever_was_drawn_before() -> None:
    recipe = small_named("dcgan28")
    torch.manual_seed(1)
    one = trainer_of(recipe).state()
    torch.rand(5)
    two = trainer_of(recipe).state()
    other = trainer_of(override(recipe, "train.seed=1")).state()
    weight = "networks.generator.main.0.weight"
    assert torch.equal(one[weight], two[weight])
    assert not torch.equal(one[weight], other[weight])


def test_borrowed_weights_are_taken_over_and_unknown_networks_are_refused() -> None:
    recipe = toy(Watch().turn("one")).recipe
    loader = Loader(MemoryDataSet("toy", {"images": numbered_bytes(8)}), ImageBatch, recipe.data, 0, CPU)
    trainer = Trainer(recipe, loader, CPU, borrowed={"two.weight": torch.tensor([1.0, 2.0, 3.0])})
    assert trainer.networks.two.weight.tolist() == [1.0, 2.0, 3.0]
    assert trainer.networks.one.weight.tolist() == [0.0] * 3
    with pytest.raises(SettingError, match=r"There is no network 'tow' to borrow for. Did you mean 'two'\?"):
        Trainer(recipe, loader, CPU, borrowed={"tow.weight": torch.zeros(3)})


def test_a_checkpoint_of_version_0_1_is_read(tmp_path: Path) -> None:
    trainer = trainer_of(small_named("rpgan28", images=40))
    trainer.step()
    old = {
        re.sub("^optimizers[.]", "optimisers.", key): value.clone() for key, value in trainer.state().items()
    }
    assert any(key.startswith("optimisers.") for key in old)
    resumed = trainer_of(small_named("rpgan28", images=40))
    resumed.load(old, trainer.images)
    assert resumed.state().keys() == trainer.state().keys()
    for key, value in trainer.state().items():
        assert torch.equal(resumed.state()[key], value), key
    for each in (trainer, resumed):
        each.step()
    assert all(torch.equal(resumed.state()[key], value) for key, value in trainer.state().items())
