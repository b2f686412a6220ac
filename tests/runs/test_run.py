"""Run directories: made, locked, compared, kept and cleaned."""

import functools
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import random_bytes, small_named, trainer_of

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.errors import CheckpointError, RunError, StorageError
from gansmith.runs.run import Run, environment

BIAS = "networks.discriminator.main.0.bias"
DATA = {"name": "faces", "pictures": 24, "fingerprint": "abc"}

HOLD = """
import sys, time
from pathlib import Path
from gansmith.runs.run import Run
with Run(Path(sys.argv[1]), None).locked():
    print("held", flush=True)
    time.sleep(600)
"""


def recipe(*assignments: str) -> Recipe:
    made = small_named("rpgan28", images=1000)
    for assignment in assignments:
        made = override(made, assignment)
    return made


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", recipe(), DATA)


@functools.cache
def state() -> dict[str, torch.Tensor]:
    trainer = trainer_of(recipe(), random_bytes(8, 16))
    trainer.step()
    return trainer.state()


def tensors(value: float = 0.0) -> dict[str, torch.Tensor]:
    return state() | {BIAS: torch.full_like(state()[BIAS], value)}


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)


# ---- making and opening -----------------------------------------------------------------------------


def test_a_run_that_was_made_can_be_opened(run: Run) -> None:
    opened = Run.open(run.path)
    assert opened.recipe == recipe()
    assert opened.facts_of_data() == DATA
    assert opened.newest() is None
    assert opened.rows() == []
    assert json.loads((run.path / "environment.json").read_text()).keys() >= {"gansmith", "torch", "python"}
    assert {item.name for item in run.path.iterdir()} == {
        "checkpoints",
        "data.json",
        "environment.json",
        "pictures",
        "recipe.json",
    }


@pytest.mark.parametrize("lock", [True, False])
def test_an_empty_directory_may_become_a_run(tmp_path: Path, lock: bool) -> None:
    if lock:
        (tmp_path / "run.lock").touch()
    assert Run.is_run(Run.create(tmp_path, recipe(), DATA).path)


def test_a_directory_with_other_files_is_refused_and_untouched(tmp_path: Path) -> None:
    for name in ("d.txt", "a.txt", "c.txt", "b.txt"):
        (tmp_path / name).touch()
    with pytest.raises(RunError, match=r"new or empty .*holds a.txt, b.txt, c.txt and is not a run"):
        Run.create(tmp_path, recipe(), DATA)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_is_no_run_and_nothing_can_be_made_below_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="which is a file"):
        Run.create(tmp_path / "file", recipe(), DATA)
    with pytest.raises(StorageError, match="Could not make"):
        Run.create(tmp_path / "file" / "run", recipe(), DATA)


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_opening_what_is_no_run_says_what_a_run_holds(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match=r"A run directory holds recipe\.json"):
        Run.open(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", RunError),
        ("", RunError),
        ("[]", RunError),
        ('{"a": 1}', RunError),
        ('{"is": "gansmith.config.optimizers:Adam"}', RunError),
        ('{"is": "subprocess:Popen", "args": "ls"}', RunError),
    ],
)
def test_a_recipe_file_that_holds_no_recipe_is_refused(run: Run, text: str, error: type[Exception]) -> None:
    (run.path / "recipe.json").write_text(text)
    with pytest.raises(error):
        Run.open(run.path)


def test_the_environment_names_what_numbers_depend_on() -> None:
    facts = environment()
    assert facts["torch"] == torch.__version__
    assert all(isinstance(value, str) for value in facts.values())


# ---- locking ----------------------------------------------------------------------------------------


def test_a_lock_is_held_once_and_freed_at_the_end_also_by_an_error(run: Run) -> None:
    with pytest.raises(ZeroDivisionError), run.locked():
        with pytest.raises(RunError, match="Another process is training in"), Run.open(run.path).locked():
            pass
        raise ZeroDivisionError
    with Run.open(run.path).locked():
        assert (run.path / "run.lock").exists()


def test_a_directory_that_is_gone_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Could not lock"), Run(tmp_path / "file", recipe()).locked():
        pass


def test_another_process_holds_the_lock_until_it_dies_even_by_kill(run: Run) -> None:
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(RunError, match="Another process is training in"), run.locked():
                pass
        finally:
            other.kill()
        assert other.wait(timeout=30) == -signal.SIGKILL
    with run.locked():
        assert Run.is_run(run.path)


# ---- comparing --------------------------------------------------------------------------------------


def test_the_recipe_it_was_started_with_may_resume(run: Run) -> None:
    before = (run.path / "recipe.json").read_text()
    Run.open(run.path).check_unchanged(recipe(), DATA)
    run.adopt(recipe())
    assert (run.path / "recipe.json").read_text() == before


@pytest.mark.parametrize("assignment", ["train.images=2000", "train.keep_checkpoints=1", "about=more words"])
def test_length_words_and_what_is_kept_may_differ(run: Run, assignment: str) -> None:
    run.check_unchanged(recipe(assignment), DATA)
    run.adopt(recipe(assignment))
    assert Run.open(run.path).recipe == recipe(assignment)


def test_the_settings_that_differ_are_shown_and_only_they(run: Run) -> None:
    other = recipe("train.batch=8", "train.images=5000", "optimizers.generator.lr=0.5", "method.gamma=0.5")
    with pytest.raises(RunError) as caught:
        run.check_unchanged(other, DATA | {"name": "renamed"})
    lines = [line.strip() for line in str(caught.value).splitlines() if line.startswith("  ")]
    assert lines == [
        "method.gamma: 0.1 -> 0.5",
        "optimizers.generator.lr: 0.0004 -> 0.5",
        "train.batch: 4 -> 8",
    ]
    assert "Repeat the first command to resume, or choose another --run." in str(caught.value)
    words = "--set method.gamma=0.1 --set optimizers.generator.lr=0.0004 --set train.batch=4"
    assert f"{words} goes on with the run's own" in str(caught.value)


@pytest.mark.parametrize("assignment", ["optimizers.generator.betas=[0.5,0.999]", "data.box=0,0,8,8"])
def test_what_is_offered_can_be_typed(run: Run, assignment: str) -> None:
    """In a shell, lists and nothing at all too."""
    other = recipe(assignment)
    with pytest.raises(RunError) as caught:
        run.check_unchanged(other, DATA)
    words = str(caught.value).partition("since then, ")[2].partition(" goes on")[0]
    assert shlex.split(words)[0] == "--set"
    run.check_unchanged(override(other, *shlex.split(words)[1::2]), DATA)


def test_no_setting_is_offered_where_it_would_not_help(run: Run) -> None:
    with pytest.raises(RunError) as caught:
        run.check_unchanged(recipe("train.batch=8", "train.images=500"), DATA)
    assert "(shorter)" in str(caught.value) and "--set" not in str(caught.value)


def test_other_pictures_are_a_difference(run: Run) -> None:
    with pytest.raises(RunError, match=r"data: faces \(24 pictures\) -> cats \(9 pictures\)"):
        run.check_unchanged(recipe(), {"name": "cats", "pictures": 9, "fingerprint": "xyz"})


# ---- checkpoints ------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 3])
def test_the_last_k_checkpoints_are_kept(tmp_path: Path, keep: int) -> None:
    run = Run.create(tmp_path / "run", recipe(f"train.keep_checkpoints={keep}"), DATA)
    for images in (4, 8, 12, 100, 1000):
        run.save(tensors(images), images)
        found = run.newest()
        assert found is not None
        assert found[0].facts["images"] == images
        assert set(found[0].tensors[BIAS].tolist()) == {images}
        assert found[1] == []
    kept = [f"{images:09d}.safetensors" for images in (4, 8, 12, 100, 1000)][-keep:]
    assert [path.name for path in run.checkpoint_files()] == kept
    assert sorted(item.name for item in run.checkpoints.iterdir()) == kept


def test_a_damaged_newest_checkpoint_is_passed_over_and_told(run: Run) -> None:
    for images in (4, 8, 12):
        run.save(tensors(images), images)
    damage(run.checkpoints / "000000012.safetensors")
    (run.checkpoints / "000000008.safetensors").write_bytes(b"")
    found = run.newest()
    assert found is not None
    assert found[0].facts["images"] == 4
    assert [Path(message.split(" is ")[0]).name for message in found[1]] == [
        "000000012.safetensors",
        "000000008.safetensors",
    ]


def test_if_all_checkpoints_are_damaged_each_is_told(run: Run) -> None:
    for images in (4, 8):
        damage(run.save(tensors(), images))
    with pytest.raises(CheckpointError, match=r"No checkpoint of this run is whole:\n.*8\.safe.*\n.*4\.safe"):
        run.newest()


def test_a_file_torn_by_a_kill_is_no_checkpoint_and_goes_with_the_next(run: Run) -> None:
    torn = run.checkpoints / ".000000004.safetensors.0a1b2c3d.part"
    torn.write_bytes(b"half")
    assert run.newest() is None
    run.save(tensors(), 4)
    assert [item.name for item in run.checkpoints.iterdir()] == ["000000004.safetensors"]


# ---- statistics -------------------------------------------------------------------------------------


def test_a_last_line_cut_short_is_left_out(run: Run) -> None:
    run.stats.write_text('{"images": 4, "x": 1.5}\n{"images": 8, "x": 2}\n{"images": 12, "x"')
    assert run.rows() == [{"images": 4, "x": 1.5}, {"images": 8, "x": 2}]


def test_what_a_kill_lost_is_forgotten_and_the_rest_is_kept(run: Run) -> None:
    run.stats.write_text("".join(f'{{"images": {images}}}\n' for images in (4, 8, 12, 16)) + '{"images": 2')
    for images in (0, 8, 12, 16):
        run.picture(images).write_bytes(b"png")
    (run.pictures / "mine.png").write_bytes(b"png")
    run.forget_after(8)
    assert run.rows() == [{"images": 4}, {"images": 8}]
    assert run.stats.read_text().endswith("}\n")  # The next row begins a line of its own.
    assert sorted(path.name for path in run.pictures.iterdir()) == [
        "000000000.png",
        "000000008.png",
        "mine.png",
    ]
    run.forget_after(8)
    assert len(run.rows()) == 2


def test_a_run_without_statistics_has_nothing_to_forget(run: Run) -> None:
    run.forget_after(0)
    assert run.rows() == []


def test_missing_facts_of_the_data_are_no_facts(run: Run) -> None:
    (run.path / "data.json").unlink()
    assert run.facts_of_data() == {}


def test_a_directory_whose_making_was_killed_is_taken_over(tmp_path: Path) -> None:
    for name in ("pictures", "checkpoints"):
        (tmp_path / "run" / name).mkdir(parents=True)
    (tmp_path / "run" / "environment.json").write_text("{}")
    (tmp_path / "run" / ".recipe.json.0a1b2c3d.part").write_text("{")
    recipe = small_named("rpgan28", images=1000)
    assert Run.create(tmp_path / "run", recipe, {"fingerprint": "x"}).recipe == recipe
    (tmp_path / "other" / "pictures").mkdir(parents=True)
    (tmp_path / "other" / "pictures" / "mine.png").write_bytes(b"x")
    with pytest.raises(RunError, match="is not a run"):
        Run.create(tmp_path / "other", recipe, {"fingerprint": "x"})
