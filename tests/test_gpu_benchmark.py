"""benchmarks/gpu.py off a GPU: a line for each method of noise or of classes, whose two loops run."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gansmith.methods.batches import ImageBatch, LabelledBatch
from gansmith.recipes import CATALOGUE, named

FOLDER = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="a checkout without benchmarks")


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def test_each_method_has_a_line() -> None:
    from steps import CASES

    measured = {type(named(case.recipe).method) for case in CASES}
    methods = {type(named(name).method) for name in CATALOGUE}
    wanted = {
        kind.__name__
        for kind in methods - measured
        if kind.makes_images and kind.batch_type in (ImageBatch, LabelledBatch)
    }
    assert wanted == {"IcGAN", "Prefer"}, "which stand on the run of an earlier stage"
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("line", ["LSGAN", "WGAN-64", "StyleGAN2-ADA", "CAT", "BigGAN"])
def test_a_plain_step_moves_what_players_own(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from measuring import noise_pictures
    from steps import CASES, Bench

    case = next(case for case in CASES if case.name.startswith(line))
    kind, built = type(named(case.recipe).method), []
    build = kind.build

    def kept(self: Any, spec: Any) -> Any:
        built.append(build(self, spec))
        return built[-1]

    monkeypatch.setattr(kind, "build", kept)
    bench, images = Bench(torch.device("cpu"), 1, 0.0, width=8), noise_pictures(4, 16)
    step = bench._step("plain", case, 2, images, "off")
    before = [weight.detach().clone() for weight in built[-1].parameters()]
    assert abs(step()) < float("inf")
    moved = [not torch.equal(a, b) for a, b in zip(before, built[-1].parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
    bench._step("float32", case, 2, images, "off")()  # Ours runs on what the line says.


def test_the_script_prints_its_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gpu
    import steps

    monkeypatch.setattr(steps, "peak", lambda kind, device: 1e12)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--quick", "--case", "LSGAN"])
    gpu.main()
    said = capsys.readouterr().out
    assert "| LSGAN-64, batch 4, steps, " in said and " images/s | plain, float32: " in said
