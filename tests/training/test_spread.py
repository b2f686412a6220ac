"""Generating and evaluating with several processes: what is written is what one process writes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from helpers import generator_of, random_bytes, small_named
from torch import Tensor, nn

from gansmith.cli.main import cli
from gansmith.config.overrides import override
from gansmith.core.distributed import World
from gansmith.core.noise import Noise
from gansmith.core.seeds import parse_seeds
from gansmith.core.spec import DataSpec
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.data.open import open_data
from gansmith.engine.trainer import Trainer
from gansmith.errors import StorageError
from gansmith.metrics.compute import Evaluation, compute, contribute
from gansmith.metrics.features.base import Outputs
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import DataPictures, ModelPictures
from gansmith.metrics.registry import ExtraInputs
from gansmith.metrics.statistics import EvaluationOptions, Statistics, contribute_statistics, gather
from gansmith.models import write as writing
from gansmith.models.generator import Generator
from gansmith.models.write import write
from gansmith.runs.run import Run
from gansmith.training.evaluation import Examiner
from gansmith.training.session import train

PIXELS = open_features("pixels")
SEEDS = parse_seeds("5-90,3")
FORMS = ["out", "out.zip", "out.png"]


@dataclass(frozen=True)
class Thread(World):
    """One of several threads of this process, in place of several processes."""

    box: dict[int, Any] = field(default_factory=dict)
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))

    def exchanged(self, mine: object) -> list[Any]:
        self.box[self.rank] = mine
        self.meeting.wait(30)
        everyones = [self.box[rank] for rank in range(self.size)]
        self.meeting.wait(30)
        return everyones

    def broadcast(self, value: Any) -> Any:
        return json.loads(json.dumps(self.exchanged(value)[0]))

    def gather(self, tensor: Tensor) -> list[Tensor] | None:
        everyones = self.exchanged(tensor.clone())
        assert len({(each.dtype, each.shape[1:]) for each in everyones}) == 1, "they could not be sent"
        return everyones if self.is_main else None

    def barrier(self) -> None:
        self.exchanged(None)


def together(size: int, work: Callable[[World], Any]) -> list[Any]:
    """What ``work`` returns, or raises, at each of ``size`` processes."""
    box, barrier = dict[int, Any](), threading.Barrier(size)
    found: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            found[rank] = work(Thread(rank, size, None, box, barrier))
        except Exception as error:
            found[rank] = error
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


NETWORK = nn.Sequential(nn.Linear(8, 3 * 16 * 16), nn.Tanh())


@dataclass(frozen=True, eq=False, kw_only=True)
class Watched(Generator):
    """A generator that notes how many images it is asked for."""

    seen: list[int]

    def make(self, noise: Noise, *asked: Any) -> Tensor:
        self.seen.append(len(noise))
        return super().make(noise, *asked)


def maker(seen: list[int] | None = None) -> Generator:
    """A generator of small pictures that notes how many it is asked for."""
    toy = generator_of(
        lambda noise: noise.normal(8), lambda rows: NETWORK(rows).view(-1, 3, 16, 16), DataSpec(16, 16, 3)
    )
    return Watched(**vars(toy), seen=[] if seen is None else seen)


def contents(path: Path) -> dict[str, bytes]:
    """All files at a path."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("size", "batch"), [(2, 16), (3, 64), (5, 7)])
def test_several_processes_write_the_bytes_of_one(tmp_path: Path, form: str, size: int, batch: int) -> None:
    write(maker(), SEEDS, tmp_path / "alone" / form)
    seen: list[list[int]] = [[] for _ in range(size)]
    done: list[int] = []

    def work(world: World) -> writing.Written:
        path = tmp_path / "all" / form
        progress = done.append if world.is_main else None
        return write(maker(seen[world.rank]), SEEDS, path, batch=batch, progress=progress, world=world)

    written = together(size, work)
    assert [each.count for each in written] == [87] * size
    assert contents(tmp_path / "all" / form) == contents(tmp_path / "alone" / form)
    assert sum(done) == 87
    assert max(map(sum, seen[1:])) <= 87 / size + size, "the work was not spread"
    assert sum(map(sum, seen)) <= 87 + (64 if form == "out" else 0)


def test_folders_of_a_thousand_are_shared_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "FLAT_FOLDER", 10)
    together(2, lambda world: write(maker(), parse_seeds("990-1009"), tmp_path / "out", world=world))
    assert len(list((tmp_path / "out" / "seeds000000-000999").iterdir())) == 10
    assert len(list((tmp_path / "out" / "seeds001000-001999").iterdir())) == 10


def test_a_disk_that_refuses_one_process_stops_all(tmp_path: Path) -> None:
    (tmp_path / "out" / "seed000012.png" / "in the way").mkdir(parents=True)
    first, second = together(2, lambda world: write(maker(), range(16), tmp_path / "out", world=world))
    assert isinstance(first, threading.BrokenBarrierError)
    assert isinstance(second, StorageError)
    assert "What is there is whole; the same command" in str(second)


def noise(count: int, seed: int) -> DataPictures:
    data = MemoryDataSet("noise", {"images": random_bytes(count, seed=seed)}, f"noise {count} {seed}")
    return DataPictures(data, f"noise {seed}", data.fingerprint, torch.arange(count))


class Classes:
    """A feature network with logits, which notes how many pictures it was shown."""

    name, size, fingerprint = "classes", 2, "of the test"

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, pictures: Tensor) -> Outputs:
        self.seen += len(pictures)
        levels = pictures.float().flatten(1)
        return Outputs(levels[:, :2], levels[:, 2:9])


@pytest.mark.parametrize("size", [2, 3, 8])
def test_several_processes_gather_what_one_gathers(size: int, tmp_path: Path) -> None:
    pictures = noise(90, 1)

    def work(world: World) -> tuple[Statistics | None, int, list[Tensor]]:
        network, options, shown = (
            Classes(),
            EvaluationOptions(batch=16, cache=tmp_path / str(world.size), world=world),
            [],
        )
        if not world.is_main:
            contribute_statistics(pictures, network, options)
            contribute_statistics(pictures, network, options)
            contribute_statistics(pictures, network, options)
            return None, network.seen, []
        found = gather(pictures, network, keep=True, options=options)
        again = gather(pictures, network, keep=True, watchers=[shown.append], options=options)
        assert again.features is not None and torch.equal(again.features, found.features)
        gather(
            pictures, network, keep=True, options=options
        )  # All is known, and nobody wants to see a picture.
        return found, network.seen, shown

    alone, _, one_by_one = work(World())
    (found, *_, shown), *others = together(size, work)
    assert torch.equal(torch.cat(shown), torch.cat(one_by_one))
    assert torch.equal(torch.cat(shown), random_bytes(90, seed=1))
    assert torch.equal(found.features, alone.features)
    assert torch.equal(found.logits, alone.logits)
    assert torch.equal(found.moments.covariance, alone.moments.covariance)
    assert found.about == alone.about == {"channels": 3, "height": 16, "width": 16}
    assert sum(seen for _, seen, _ in others) <= 90 - 90 // size + 16, "they look once, and at their share"


def test_several_processes_find_the_numbers_of_one(tmp_path: Path) -> None:
    made, real, parts = ModelPictures(maker(), "toy", "toy", 70), noise(90, 1), (noise(50, 2), noise(9, 3))

    def work(world: World) -> Evaluation | None:
        if world.is_main:
            metrics, options = ("fid", "memorization"), EvaluationOptions(batch=16, world=world)
            return compute(made, real, PIXELS, metrics, extra=ExtraInputs(parts), options=options)
        contribute([made, real, *parts], PIXELS, EvaluationOptions(batch=16, world=world))
        return None

    found, other = together(2, work)
    assert other is None
    assert found.as_json() == work(World()).as_json()


def test_each_process_looks_at_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: dict[str, int] = {}
    look = DataPictures.some

    def counted(self: DataPictures, start: int, stop: int) -> Tensor:
        here = f"{threading.get_ident()} {self.name}"
        looked[here] = looked.get(here, 0) + stop - start
        return look(self, start, stop)

    monkeypatch.setattr(DataPictures, "some", counted)

    def work(world: World) -> None:
        sides, options = (noise(64, 1), noise(64, 2)), EvaluationOptions(batch=16, world=world)
        if world.is_main:
            compute(*sides, PIXELS, ("fid",), options=options)
        else:
            contribute(sides, PIXELS, options)

    assert together(2, work) == [None, None]
    assert sorted(looked.values()) == [32, 32, 33, 33], "and the first asks for the size of a picture"


def test_a_run_is_examined_together(tmp_path: Path) -> None:
    """Twice: the second time the first process knows the real pictures."""
    recipe = override(small_named("dcgan64"), "data.validation=0.2")
    for setting in ("features=pixels", "samples=80", "metrics=fid,pr"):
        recipe = override(recipe, f"train.evaluate.{setting}")
    data = MemoryDataSet("toy", {"images": random_bytes(90, recipe.data.size.width)})
    loader = Loader(data, recipe.method.batch_type, recipe.data, 0, torch.device("cpu"))
    trainer = Trainer(recipe, loader, torch.device("cpu"))

    def work(world: World) -> list[Evaluation | None]:
        path = tmp_path / str(world.size) / "run"
        path.mkdir(parents=True, exist_ok=True)
        examiner = Examiner(Run(path, recipe), data, loader, world)
        return [examiner.look(trainer), examiner.look(trainer)]

    (alone_first, alone_second), (found, *others) = work(World()), together(2, work)
    assert others == [[None, None]]
    assert [each.as_json() for each in found] == [alone_first.as_json(), alone_second.as_json()]
    assert (tmp_path / "2" / "run" / "evaluation").is_dir()
    loader.close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of a few steps."""
    recipe = small_named("dcgan64", images=16, checkpoint_every=16, picture_every=16)
    recipe = override(recipe, "data.validation=0.2")
    train(recipe, open_data("demo-faces:60", recipe.data), tmp_path / "run", device="cpu")
    return tmp_path / "run"


def alone(*words: object) -> str:
    """What one process prints."""
    found = CliRunner().invoke(cli, [*map(str, words), "--device", "cpu"], catch_exceptions=False)
    assert found.exit_code == 0
    return str(found.stdout)


def torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    """The command by two processes."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "gansmith"]
    return subprocess.run(
        [sys.executable, "-m", *launcher, *map(str, words), "--device", "cpu"],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def test_torchrun_generates_and_evaluates(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANSMITH_CACHE", str(tmp_path / "cache"))
    alone("generate", run, "-o", tmp_path / "one.zip", "--seeds", "0-40")
    made = torchrun("generate", run, "-o", tmp_path / "two.zip", "--seeds", "0-40")
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("41 pictures in") == 1
    assert (tmp_path / "two.zip").read_bytes() == (tmp_path / "one.zip").read_bytes()

    asked = ["evaluate", run, "demo-faces:80", "--features", "pixels", "--metrics", "fid,critic_auc"]
    asked += ["--samples", "80", "--json", "--no-cache", "-o"]
    found = torchrun(*asked, tmp_path / "b")
    assert found.returncode == 0, found.stderr
    assert found.stdout == alone(*asked, tmp_path / "a")
    assert contents(tmp_path / "b").keys() == contents(tmp_path / "a").keys()


def test_torchrun_with_a_mistake_gives_one_message(tmp_path: Path) -> None:
    wrong = torchrun("generate", tmp_path / "none", "-o", tmp_path / "out")
    assert wrong.returncode != 0
    assert wrong.stderr.count("gansmith: MODEL is") == 1
    assert "exitcode  : 2" in wrong.stderr
