"""``train --dry-run`` refuses what ``train`` would refuse before its first step, in the same words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from preparing import snapshot

from gansmith.cli.main import cli
from gansmith.errors import GansmithError
from gansmith.runs.run import Run

TINY = "--set data.size=16 --set train.batch=8 --set train.images=8 --set method.generator_width=4"
WIDTHS = f"{TINY} --set method.discriminator_width=4"

REFUSED = {  # The command -> what its message has.
    "demo-faces:40 --recipe pg2-64-small-fine --set data.pairs=pose --set data.size=16": "borrow",
    "{pictures} --recipe faces8 --set borrow.generator={root}/gone": "MODEL is a run directory",
    "{pictures} --recipe rpgan32 --set borrow.generator={run}:judge": "has no network 'judge' to borrow",
    "{pictures} --recipe rpgan32 --set borrow.generator={run}": "generator",  # Of another width.
    "{pictures} --recipe cdcgan28": "This method trains on images, labels",
    "{pictures} --recipe faces8 --set train.batch=9000": "A batch above 8192",
    "{pictures} --recipe faces8 --set train.evaluate.every=8 --set train.evaluate.metrics=psnr": "compares",
    "{pictures} --recipe rpgan32 --run {pictures}": "A new run needs",
    f"{{pictures}} --recipe rpgan32 --run {{run}} {WIDTHS} --set train.seed=1": "train.seed: 0 -> 1",
    f"demo-faces:40 --recipe rpgan32 --run {{run}} {WIDTHS}": "was started otherwise",
}


def told(*words: str) -> str:
    """The message of a command; empty where it did what was asked for."""
    result = CliRunner().invoke(cli, words)
    problem = result.exception
    if problem is not None and not isinstance(problem, GansmithError):
        raise problem
    return "" if problem is None else str(problem)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("dry")
    (root / "pictures").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "pictures" / f"{number}.png")
    run = (
        "train",
        str(root / "pictures"),
        "--recipe",
        "rpgan32",
        "--run",
        str(root / "run"),
        *WIDTHS.split(),
    )
    assert not told(*run)
    return {"root": root, "pictures": root / "pictures", "run": root / "run"}


@pytest.mark.parametrize("command", REFUSED)
def test_what_training_refuses_a_dry_run_refuses(command: str, places: Any) -> None:
    words = ["train", *command.format(**places).split()]
    words += [] if "--run" in words else ["--run", str(places["root"] / "fresh" / "new")]
    before = snapshot(places["run"])
    dry = told(*words, "--dry-run")
    assert REFUSED[command] in dry
    assert told(*words) == dry and snapshot(places["run"]) == before
    assert not Run.is_run(places["root"] / "fresh" / "new"), "a command that is put right begins anew"


def test_what_can_be_trained_or_resumed_passes_and_nothing_is_written(places: Any) -> None:
    before = snapshot(places["root"])
    words = ("train", str(places["pictures"]), "--recipe", "rpgan32", *WIDTHS.split(), "--dry-run")
    for place in ("fresh/new", "run"):
        assert not told(*words, "--run", str(places["root"] / place))
    lent = f"borrow.generator={places['run']}"
    assert not told(*words, "--run", str(places["root"] / "fresh" / "new"), "--set", lent)
    assert snapshot(places["root"]) == before
