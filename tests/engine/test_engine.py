"""How the machine is used changes no result: micro-batches, too little memory, compilation, work beside."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_named, trainer_of
from promises import RECIPES
from sessions import Ear, data, final_tensors, go, recipe
from torch import Tensor, nn
from toys import Lazy

from gansmith.config.optimizers import SGD
from gansmith.config.recipe import Recipe
from gansmith.config.training import EngineConfig, TrainConfig
from gansmith.core import stopping
from gansmith.core.distributed import World
from gansmith.engine import device
from gansmith.engine.device import Choices, out_of_memory, pick_precision
from gansmith.engine.sync_batch_norm import SharedBatchNorm, has_batch_norm, share_batch_norms
from gansmith.engine.trainer import Trainer
from gansmith.errors import SettingError, StorageError, TrainingError
from gansmith.images import provenance
from gansmith.methods.base import Loss
from gansmith.methods.batches import ImageBatch
from gansmith.recipes import CATALOGUE
from gansmith.runs.run import Run
from gansmith.training import session
from gansmith.training.background import Background
from gansmith.training.setup import ready
from gansmith.training.signals import interruptible

CPU = torch.device("cpu")


# ---- micro-batches ------------------------------------------------------------------------------------

OF_IMAGES = [n for n, r in RECIPES.items() if n in CATALOGUE and r.method.batch_type is ImageBatch]
"""Each game of the catalogue that trains on images alone."""

SPECTRAL = ("faces", "lsgan", "robust", "sngan")
WHOLE = [name for name in OF_IMAGES if not name.startswith(("dragan", "progan", "stylegan2", *SPECTRAL))]
"""Those whose losses see images one by one: DRAGAN, ProGAN and StyleGAN2 take a deviation over those
worked on at a time, and spectral norm iterates once a pass."""


def without_batch_norm(trainer: Trainer) -> Trainer:
    for module in list(trainer.networks.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, child.eval().requires_grad_(False))
                child.train = lambda mode=True, child=child: child  # Its running statistics, always.
    return trainer


def in_parts(the_recipe: Recipe, micro_batch: int | None) -> dict[str, Tensor]:
    engine = EngineConfig(micro_batch=micro_batch)
    slow = {player: SGD(lr=1e-3, momentum=0.0) for player in the_recipe.optimizers}
    changed = replace(
        the_recipe, train=replace(the_recipe.train, engine=engine, average=None), optimizers=slow
    )
    trainer = without_batch_norm(trainer_of(changed))
    trainer.step()
    return {name: value for name, value in trainer.state().items() if value.is_floating_point()}


@pytest.mark.parametrize("name", WHOLE)
def test_gradients_of_micro_batches_add_up_to_those_of_the_batch(name: str) -> None:
    the_recipe = replace_batch(small_named(name), 16)
    whole, parts = in_parts(the_recipe, None), in_parts(the_recipe, 4)
    moved = 0.0
    for key, value in whole.items():
        assert float((parts[key] - value).norm()) <= 1e-5 * float(value.norm()) + 1e-7, key
        moved += float((parts[key] - value).abs().sum())
    assert moved > 0  # Otherwise both did the same, and nothing was shown.


def test_batch_norm_sees_the_micro_batch() -> None:
    the_recipe = replace_batch(small_named("dcgan28"), 8)
    states = []
    for micro in (None, 4):
        engine = EngineConfig(micro_batch=micro)
        trainer = trainer_of(replace(the_recipe, train=replace(the_recipe.train, engine=engine)))
        trainer.step()
        states.append(trainer.state())
    counts = [int(state["networks.generator.main.1.num_batches_tracked"]) for state in states]
    assert counts == [1, 4]  # Once for both players together, or for each player and part.


def replace_batch(the_recipe: Recipe, batch: int) -> Recipe:
    return replace(the_recipe, train=replace(the_recipe.train, batch=batch))


@pytest.mark.parametrize("wrong", [0, -3])
def test_a_micro_batch_is_at_least_one_picture(wrong: int) -> None:
    with pytest.raises(SettingError, match=r"train.engine.micro_batch must be at least 1"):
        EngineConfig(micro_batch=wrong)


@pytest.mark.parametrize(
    ("batch", "micro", "near"),
    [
        (97, 64, r"micro_batch=1, or in a new run train.batch=128"),
        (8, 3, "micro_batch=2, or in a new run train.batch=9"),
    ],
)
def test_a_micro_batch_that_leaves_a_rest_is_refused_before_anything_is_written(
    batch: int, micro: int, near: str, tmp_path: Path
) -> None:
    odd = replace_batch(recipe(), batch)
    odd = replace(odd, train=replace(odd.train, engine=EngineConfig(micro_batch=micro)))
    with pytest.raises(SettingError, match=near):
        go(tmp_path / "run", odd)
    assert not (tmp_path / "run").exists()


def test_processes_that_cannot_share_a_batch_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"multiple of the processes"):
        ready(replace_batch(recipe(), 7), data(), CPU, World(0, 2))


# ---- memory -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Greedy(Lazy):
    """Memory for ``room`` pictures at a time, and no more."""

    room: int = 3

    def fool(self, networks: Any, batch: Any, noise: Any, progress: Any) -> Loss:
        if len(noise) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().fool(networks, batch, noise, progress)


def test_memory_that_runs_out_halves_the_micro_batch_says_so_and_changes_nothing(tmp_path: Path) -> None:
    ear = Ear()
    plain = recipe(Greedy(room=100))
    go(tmp_path / "roomy", plain)
    go(tmp_path / "tight", replace(plain, method=Greedy(room=3)), console=ear)
    said = [line for line in ear.said if "Memory is too small" in line]
    sizes = plain.train.batch
    assert said[0].startswith(
        f"Memory is too small for {sizes} pictures at a time. From here on {sizes // 2} "
    )
    roomy, tight = final_tensors(tmp_path / "roomy"), final_tensors(tmp_path / "tight")
    assert roomy.keys() == tight.keys()
    for name, value in roomy.items():
        if name.startswith("networks.") and not name.endswith("mean_penalty"):  # A memory of each look.
            assert torch.allclose(tight[name], value, rtol=1e-4, atol=1e-5), name


def test_memory_for_not_even_one_picture_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="enough for one picture at a time, and it is not"):
        go(tmp_path / "run", recipe(Greedy(room=0)))


def test_other_errors_are_not_taken_for_memory(tmp_path: Path) -> None:
    assert out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))

    class Broken(Lazy):
        def fool(self, networks: Any, batch: Any, noise: Any, progress: Any) -> Loss:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        go(tmp_path / "run", recipe(Broken()))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_rehearsal_moves_nothing(name: str) -> None:
    trainer = trainer_of(small_named(name))
    trainer.step()
    trainer.flush()
    before = {key: value.clone() for key, value in trainer.state().items()}
    assert trainer.dry_run()
    for key, value in trainer.state().items():
        assert torch.equal(value, before[key]), key
    assert not trainer.has_news
    assert all(weight.grad is None for weight in trainer.networks.parameters())


# ---- choices ------------------------------------------------------------------------------------------


def test_choices_are_automatic_and_can_be_set() -> None:
    plain = Choices.of(TrainConfig(precision="float32"), CPU)
    kept = ", memory kept" if sys.platform == "linux" else ""
    assert str(plain) == f"on cpu in float32, channels last{kept}"
    assert (plain.tf32, plain.compiled, plain.graphs) == (False, False, False)
    engine = EngineConfig(layout="contiguous", compile="graphs", tf32=True, keep_memory=False)
    set_ = Choices.of(TrainConfig(precision="bfloat16", engine=engine), CPU)
    assert str(set_) == "on cpu in bfloat16, compiled"  # Graphs and TF32 are CUDA's.
    apple = Choices.of(TrainConfig(precision="auto"), torch.device("mps"))
    assert str(apple) == "on mps in float32"


@pytest.mark.parametrize(
    ("said", "gain", "chosen"),
    [
        (True, 2.5, True),
        (True, 0.9, True),  # Near each other: what the processor says.
        (True, 0.1, False),  # Hardware that torch does not use.
        (False, 0.07, False),
        (False, 1.1, False),
        (False, 2.0, True),  # Hardware that no flag tells of.
    ],
)
def test_bfloat16_is_taken_where_it_is_timed_to_be_faster(
    said: bool, gain: float, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: said)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    seconds = {torch.float32: 1.0, torch.bfloat16: 1.0 / gain}
    monkeypatch.setattr(device, "_convolution_seconds", lambda dtype: seconds[dtype])
    device._faster_in_bfloat16.cache_clear()
    try:
        assert (pick_precision("auto", CPU) == torch.bfloat16) == chosen
    finally:
        device._faster_in_bfloat16.cache_clear()


def test_emulated_bfloat16_is_told_by_its_time() -> None:
    held_back = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    words = "import torch; from gansmith.engine.device import pick_precision; "
    words += "print(pick_precision('auto', torch.device('cpu')))"
    done = subprocess.run([sys.executable, "-c", words], env=held_back, capture_output=True, text=True)
    assert done.stdout.strip() == "torch.float32", done.stderr


_PAGES = """
import resource, torch
from gansmith.engine.device import Choices
from gansmith.config.training import EngineConfig, TrainConfig

Choices.of(TrainConfig(engine=EngineConfig(keep_memory={keeps})), torch.device("cpu")).apply()
pages = []
for _ in range(40):
    tensor = torch.ones(2**24)  # 64 MiB: 16,384 pages, and more than is kept by itself.
    del tensor
    pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(pages[-1] - pages[19])  # The first ones go where they fit.
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no mallopt")
def test_memory_that_is_kept_is_not_asked_for_again() -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC", "GLIBC"))}

    def asked(keeps: bool) -> int:
        script = _PAGES.format(keeps=keeps)
        return int(subprocess.run([sys.executable, "-c", script], capture_output=True, env=plain).stdout)

    assert asked(keeps=True) * 10 < asked(keeps=False)


@pytest.mark.parametrize("name", ["rpgan28", "wgan-gp28"])
def test_the_order_in_memory_changes_nothing_but_rounding(name: str) -> None:
    states = []
    for layout in ("channels_last", "contiguous"):
        the_recipe = small_named(name)
        the_recipe = replace(
            the_recipe,
            train=replace(the_recipe.train, engine=EngineConfig(layout=layout)),
            optimizers={player: SGD(lr=1e-3) for player in the_recipe.optimizers},
        )
        trainer = trainer_of(the_recipe)
        trainer.step()
        states.append(trainer.state())
    last = [s.is_contiguous() for s in states[1].values() if s.dim() == 4]
    assert last and all(last)
    for key, value in states[0].items():
        assert torch.allclose(value.float(), states[1][key].float(), rtol=1e-4, atol=1e-5), key


def test_networks_that_cannot_be_compiled_go_back_to_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **options: Any) -> Any:
        raise RuntimeError("torch.compile with aot_autograd does not currently support double backward")

    def compile_(network: nn.Module, **options: Any) -> None:
        network._compiled_call_impl = refused if isinstance(network, type(critic)) else network._call_impl

    critic = trainer_of(small_named("wgan-gp28")).networks.discriminator
    monkeypatch.setattr(nn.Module, "compile", compile_)
    the_recipe = small_named("wgan-gp28")
    engine = EngineConfig(compile="on")
    trainer = trainer_of(replace(the_recipe, train=replace(the_recipe.train, engine=engine)))
    with pytest.raises(RuntimeError, match="double backward"):
        trainer.networks.discriminator(torch.zeros(2, 3, 16, 16))
    assert trainer.dry_run()
    assert trainer.networks.discriminator._compiled_call_impl is None
    assert trainer.networks.generator._compiled_call_impl is not None
    trainer.step()
    assert trainer.images == trainer.recipe.train.batch


def test_engine_settings_may_differ_on_resume(tmp_path: Path) -> None:
    first = recipe(images=16)
    go(tmp_path / "run", first)
    ear = Ear()
    engine = EngineConfig(micro_batch=2)
    longer = replace(first, train=replace(first.train, images=32, engine=engine))
    go(tmp_path / "run", longer, console=ear)
    assert any("train.engine.micro_batch: None -> 2" in line for line in ear.said)
    assert Run.open(tmp_path / "run").recipe.train.engine == engine


# ---- a number that is none ----------------------------------------------------------------------------


class Faint(Lazy):
    """A loss that is no number for its first ``bad`` times at 24 images."""

    bad = 1
    times = 0

    def fool(self, networks: Any, batch: Any, noise: Any, progress: Any) -> Loss:
        loss = super().fool(networks, batch, noise, progress)
        if progress.images < 24:
            return loss
        type(self).times += progress.images == 24
        return Loss(loss.total * (float("nan") if type(self).times <= self.bad else 1.0))


@pytest.fixture
def faint() -> type[Faint]:
    Faint.times = 0
    return Faint


def test_after_a_nan_the_run_goes_back_with_lower_rates_and_goes_on(tmp_path: Path, faint: type) -> None:
    ear = Ear()
    go(tmp_path / "run", replace(recipe(), method=faint()), console=ear)
    run = Run.open(tmp_path / "run")
    assert run.checkpoint_files()[-1].stem == "000000048"
    assert [back["images"] for back in run.rollbacks()] == [32]
    assert any(
        "generator/loss became nan by image 32. Training goes back to image 16 with learning rates 0.5"
        in line
        for line in ear.said
    )
    (alarm,) = [alarm for alarm in run.alarms() if alarm["alarm"] == "not_a_number"]
    assert alarm["images"] == 16 and "attempt 1 of 3" in alarm["message"]
    images = [row["images"] for row in run.rows()]
    assert images == sorted(set(images)) and images[-1] == 48
    assert all(bool(t.isfinite().all()) for t in final_tensors(tmp_path / "run").values())


def test_lower_rates_are_known_on_resume(tmp_path: Path, faint: type, monkeypatch) -> None:
    shorter = replace(recipe(images=32), method=faint())
    go(tmp_path / "run", shorter)
    rates: list[float] = []
    step = Trainer.step

    def noted(trainer: Trainer) -> None:
        rates.append(trainer.rate)
        step(trainer)

    monkeypatch.setattr(Trainer, "step", noted)
    go(tmp_path / "run", replace(shorter, train=replace(shorter.train, images=48)))
    assert rates and set(rates) == {0.5}


def test_three_attempts_and_then_it_stops_with_everything_saved(
    tmp_path: Path, faint: type, monkeypatch
) -> None:
    monkeypatch.setattr(faint, "bad", 100)
    with pytest.raises(TrainingError, match="after 3 attempts with ever smaller learning rates"):
        go(tmp_path / "run", replace(recipe(), method=faint()))
    run = Run.open(tmp_path / "run")
    assert len(run.rollbacks()) == 3
    assert run.checkpoint_files()[-1].stem == "000000016"
    assert [row["images"] for row in run.rows()] == [8, 16, 24]
    assert [alarm["images"] for alarm in run.alarms()] == [16, 16, 16]
    with pytest.raises(TrainingError, match="after 3 attempts"):  # The count outlives the process.
        go(tmp_path / "run", replace(recipe(), method=faint()))


def test_without_a_checkpoint_it_goes_back_to_the_start(tmp_path: Path, faint: type) -> None:
    late = {"checkpoint_every": 1000, "picture_every": 1000}
    go(tmp_path / "run", replace(recipe(**late), method=faint()))
    run = Run.open(tmp_path / "run")
    assert [alarm["images"] for alarm in run.alarms()] == [0]
    assert run.checkpoint_files()[-1].stem == "000000048"


# ---- work beside training -----------------------------------------------------------------------------


def test_training_does_not_wait_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    further, waited = threading.Event(), []
    write = provenance.write_png

    def slow(*arguments: Any) -> None:
        waited.append(further.wait(30))  # Until training has gone on without this picture.
        write(*arguments)

    class Onward(Ear):
        images = 0

        def advance(self, images: int) -> None:
            self.images += images
            if self.images >= 24:
                further.set()

    monkeypatch.setattr(session.provenance, "write_png", slow)
    go(tmp_path / "run", console=Onward())
    assert waited and all(waited)
    assert [p.stem for p in sorted((tmp_path / "run" / "pictures").glob("*.png"))] == [
        "000000000",
        "000000016",
        "000000032",
        "000000048",
    ]


def test_work_is_done_in_order_and_its_troubles_are_given_out_once() -> None:
    background, done = Background(), []

    def full() -> None:
        raise StorageError("the disk is full")

    for work in (lambda: done.append(1), full, lambda: done.append(2), full):
        background.do(work)
    background.settle()
    assert done == [1, 2]
    assert [str(error) for error in background.troubles()] == ["the disk is full"] * 2
    assert background.troubles() == []
    background.close()


def test_a_mistake_of_ours_in_the_background_is_not_swallowed() -> None:
    background = Background()
    background.do(lambda: {}["missing"])
    with pytest.raises(KeyError, match="missing"):
        background.settle()
    background.close()


def test_little_work_is_held_back() -> None:
    background, gate, begun = Background(), threading.Event(), []
    for number in range(3):
        background.do(lambda number=number: (begun.append(number), gate.wait(30)))
    third = threading.Thread(target=lambda: background.do(lambda: begun.append(3)))
    third.start()
    third.join(0.2)
    assert third.is_alive()  # It waits: three are waiting already.
    gate.set()
    third.join(30)
    background.settle()
    background.close()
    assert begun == [0, 1, 2, 3]


# ---- signals, batch norm ------------------------------------------------------------------------------


def test_another_signal_is_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "at_once", lambda number, frame: sys.exit(128 + number))  # It ends us all.
    with interruptible() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # torchrun's answer to Ctrl-C.
        assert interruption.signal == signal.SIGINT
        with pytest.raises(SystemExit) as stop:
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.value.code == 130


def test_a_shared_batch_norm_alone_is_a_batch_norm() -> None:
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(3)
    with torch.no_grad():
        plain.weight.uniform_(), plain.bias.uniform_()
    network = nn.Sequential(plain, nn.ReLU())
    twice = nn.Sequential(network, nn.Sequential(plain))
    share_batch_norms(twice, World())
    assert isinstance(twice[0][0], SharedBatchNorm) and twice[1][0] is twice[0][0]
    assert has_batch_norm(twice) and not has_batch_norm(nn.Linear(1, 1))
    assert twice[0][0].weight is plain.weight
    images = torch.randn(4, 3, 5, 5)
    assert torch.equal(twice[0][0](images), plain(images))
    assert list(twice[0][0].state_dict()) == list(plain.state_dict())


def test_rows_and_alarms_are_told_apart(tmp_path: Path) -> None:
    go(tmp_path / "run")
    run = Run.open(tmp_path / "run")
    rows = run.rows()
    with open(run.stats, "a") as file:
        file.write(json.dumps({"images": 48, "alarm": "collapse", "message": "All alike."}) + "\n")
        file.write("{torn\n" + json.dumps({"images": "many"}) + "\n")
    assert run.rows() == rows
    assert run.alarms() == [{"images": 48, "alarm": "collapse", "message": "All alike."}]
    run.forget_after(47)
    assert run.alarms() == []
