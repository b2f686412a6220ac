"""The verb ``plan``: a table, JSON alone, the command that would do it, and train's own mistakes."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from translating import pixels, save

from gansmith.cli import plan
from gansmith.cli.recipe_choice import default_name
from gansmith.core.memory import Memory
from gansmith.core.text import in_bytes
from gansmith.data.builtin.demo_faces.draw import draw
from gansmith.data.builtin.demo_faces.sample import face

TINY = ("--set", "data.size=16", "--set", "train.images=64", "--set", "train.batch=16")
NARROW = ("--set", "method.generator_width=4", "--set", "method.discriminator_width=4")
QUICK = ("--recipe", "rpgan32", *TINY, *NARROW, "--device", "cpu", "--seconds", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "my pictures"
    pictures.mkdir()
    for i in range(20):
        Image.fromarray(draw(face(0, i), 24, 24)).save(pictures / f"{i:02d}.png")
    return pictures


def test_a_table_and_the_command_that_would_do_it(run_cli: Any, folder: Path) -> None:
    code, out, err = run_cli("plan", folder, *QUICK)
    assert code == 0, err
    titles = [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line[2] != "-"]
    assert titles[:8] == ["pictures", "recipe", "device", "batch", "memory", "speed", "time", "disk"]
    assert "20 pictures: 19 to train on, 1 held out; 16 px, colour" in out
    assert "rpgan32 (as asked for)" in out and "16, all at a time" in out and "one measurement" in out
    command = out.splitlines()[-1].strip()
    words = ["gansmith", "train", str(folder), "--recipe", "rpgan32", *TINY, *NARROW, "--device", "cpu"]
    assert shlex.split(command) == words
    assert run_cli(*words[1:], "--run", folder.parent / "run")[0] == 0


def test_json_stands_alone(run_cli: Any, folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff junk")
    code, out, err = run_cli("plan", folder, *QUICK, "--json")
    tree = json.loads(out)
    assert code == 0 and "broken.jpg" in err
    assert set(tree) == {
        *("data", "pictures", "pairs", "labels", "training", "held_out", "recipe", "device", "batch"),
        *("micro_batch", "memory", "speed", "time", "disk", "advice", "command"),
    }
    assert tree["pictures"] == 20 and tree["batch"] == tree["micro_batch"] == 16
    assert tree["recipe"]["settings"]["data"]["channels"] == 3


def test_of_many_refused_files_a_few_are_named(run_cli: Any, folder: Path) -> None:
    for i in range(8):
        (folder / f"broken{i}.jpg").write_bytes(b"\xff\xd8\xff junk")
    (folder / "labels.csv").write_text("name,colour\nnobody.png,red\n")
    code, _, err = run_cli("plan", folder, *QUICK)
    assert code == 0 and err.count("Left out: broken") == 5
    assert "Left out: 4 more; gansmith inspect DATA names them all." in err


def test_a_table_that_is_not_used_is_not_called_a_picture_left_out(run_cli: Any, folder: Path) -> None:
    (folder / "labels.csv").write_text("name,colour\nnobody.png,red\n")
    code, _, err = run_cli("plan", folder, *QUICK)
    assert code == 0 and "Not used: labels.csv: " in err and "Left out" not in err, err


def test_without_recipe_it_is_the_one_train_would_choose(run_cli: Any, folder: Path) -> None:
    narrow = ("--set", "method.networks.width=4")
    code, out, err = run_cli("plan", folder, *TINY, *narrow, "--device", "cpu", "--seconds", "0")
    assert code == 0, err
    assert "faces8 (pictures are typically 24x24, and 8 px is the largest default they fill)" in out
    assert "--recipe faces8 " in out


@pytest.mark.parametrize(
    ("side", "on_gpu", "name", "told"),
    [
        (300, False, "faces64", "64 px is the largest default that a processor learns in minutes"),
        (300, True, "faces256", "256 px is the largest default that a GPU learns in reasonable time"),
        (40, True, "faces32", "32 px is the largest default they fill"),
        (5, False, "faces8", "8 px is the smallest default"),
    ],
)
def test_why_a_recipe_is_chosen(
    side: int, on_gpu: bool, name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gansmith.cli import recipe_choice
    from gansmith.data.open import SourceFacts

    kind = type("Device", (), {"type": "cuda" if on_gpu else "cpu"})
    monkeypatch.setattr(recipe_choice, "describe_source", lambda data: SourceFacts(9, side, side + 1, False))
    monkeypatch.setattr(recipe_choice, "pick_device", lambda name: kind)
    found, why = recipe_choice.default_name("x", "auto")
    assert found == name and told in why and f"{side}x{side + 1}" in why


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("data.pairs=edges", "pix2pix64-small"),
        ("data.pairs=small:4", "srresnet-x4-small"),
        ("data.pairs=hole:random", "context-encoder64-random-small"),
        ("data.pairs=item:hat", "pixeldtgan64-small"),
        ("data.pairs=pose", "pg2-64-small-coarse"),
        ("data.between=a,b", "pix2pix64-small"),
        ("data.domains=a,b", "cyclegan64-small"),
        ("data.second=portraits", "cyclegan64-small"),
        ("data.mirror=true", "faces64"),
    ],
)
def test_pairs_and_domains_get_a_recipe_for_these(setting: str, name: str) -> None:
    assert default_name("demo-faces", "cpu", [setting])[0] == name


def test_prepared_pairs_get_a_recipe_of_pairs(run_cli: Any, tmp_path: Path) -> None:
    words = ("demo-faces:8", tmp_path / "pairs", "--size", "16", "--pairs", "grey")
    assert run_cli("prepare", *words)[0] == 0
    assert default_name(str(tmp_path / "pairs"), "cpu")[0] == "pix2pix64-small"


def test_of_two_folders_with_the_same_names_it_is_said_that_they_may_be_pairs(
    run_cli: Any, tmp_path: Path
) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.jpg"):
        save(tmp_path / "d" / name, pixels(16, 16))
    found, why = default_name(str(tmp_path / "d"), "cpu")
    hint = "a and b hold the same file names: if they are pairs, take --recipe pix2pix64-small"
    assert found.startswith("faces") and why.endswith(f"; {hint}"), "numbered classes look the same"
    words = ("train", tmp_path / "d", "--run", tmp_path / "run", "--dry-run", "--device", "cpu")  # fmt: skip
    code, _, err = run_cli(*words)
    assert code == 0 and f"Recipe: {found} ({why}; --recipe chooses another)." in err
    (tmp_path / "d" / "b" / "2.jpg").rename(tmp_path / "d" / "b" / "3.jpg")
    assert "same file names" not in default_name(str(tmp_path / "d"), "cpu")[1]
    (tmp_path / "d" / "b").rename(tmp_path / "d" / "test")
    save(tmp_path / "d" / "test" / "2.png", pixels(16, 16))
    (tmp_path / "d" / "test" / "3.jpg").unlink()
    assert "same file names" not in default_name(str(tmp_path / "d"), "cpu")[1]


def test_a_length_in_time_leaves_out_grids_and_saves_and_says_so(run_cli: Any, folder: Path) -> None:
    code, out, err = run_cli("plan", folder, *QUICK, "--time", "10m")
    assert code == 0, err
    (row,) = (line for line in out.splitlines() if line.startswith("  time "))
    assert "images in about 10 min" in row and "evaluations are not counted: train --time takes" in row
    assert "come on top" in run_cli("plan", folder, *QUICK)[1]


def test_it_is_said_where_halves_of_single_pictures_may_be_taken_for_pairs(
    run_cli: Any, tmp_path: Path
) -> None:
    for name in ("1.png", "2.png"):
        save(tmp_path / "d" / name, pixels(48, 64))
    words = ("plan", tmp_path / "d", "--recipe", "pix2pix64-small", "--device", "cpu", "--seconds", "0",
             "--set", "data.pairs=beside", "--set", "train.batch=1")  # fmt: skip
    code, _, err = run_cli(*words)
    assert code == 0, err
    assert "pictures of 64x48 pixels" in err


def test_built_ins_and_prepared_sets_can_be_planned(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    assert run_cli("plan", "demo-faces:32", *QUICK)[0] == 0
    assert run_cli("prepare", folder, tmp_path / "set", "--size", "16", "--workers", "1")[0] == 0
    code, out, err = run_cli("plan", tmp_path / "set", *QUICK)
    assert code == 0 and "20 pictures" in out, err


def test_a_method_of_ones_own_can_be_planned(run_cli: Any) -> None:
    own = Path(__file__).parents[2] / "examples" / "own_method.py"
    code, out, err = run_cli("plan", "demo-faces:64", "--recipe", own, "--seconds", "0")
    assert code == 0 and f"--recipe {own}" in out, err


def test_a_second_stage_can_be_planned_before_the_first_and_what_is_missing_is_said(run_cli: Any) -> None:
    words = ("demo-faces:40", "--recipe", "pg2-32-small-fine", "--set", "data.pairs=pose", "--seconds", "0")
    code, out, _ = run_cli("plan", *words)
    assert code == 0 and "Advice" in out and "--set borrow.coarse=RUN" in out


def test_nothing_is_written(
    run_cli: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = sorted(path.name for path in folder.iterdir())
    assert run_cli("plan", folder, *QUICK)[0] == 0
    assert list((tmp_path / "here").iterdir()) == []
    assert sorted(path.name for path in folder.iterdir()) == before


MISTAKES = [
    (("{folder}", "--recipe", "dcgan46"), "Did you mean 'dcgan64'?"),
    (("{folder}", "--recipe", "rpgan8", "--set", "train.batchsize=3"), "'train.batch'"),
    (("{folder}", "--device", "tpu"), "must be one this machine has"),
    (("{tmp}/nowhere",), "nowhere"),
    (("demo-face",), "demo-faces"),
    (("",), "must not be empty"),
    (("{folder}", "--recipe", "rpgan8", "--set", "train.batch=100000000"), "A batch above 8192"),
    (("{folder}", "--recipe", "rpgan8", "--set", "data.pairs=beside"), "for methods that train on pairs"),
    (("{folder}", "--recipe", "rpgan8", "--seconds", "-1"), "0 to 3600 seconds"),
    (("{folder}", "--recipe", "rpgan8", "--seconds", "nan"), "0 to 3600 seconds"),
    (("{folder}", "--seconds", "soon"), "'soon'"),
]


@pytest.mark.parametrize(("words", "told"), MISTAKES, ids=[" ".join(words)[:60] for words, _ in MISTAKES])
def test_a_mistake_is_one_message(
    run_cli: Any, folder: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    code, out, err = run_cli("plan", *(word.format(folder=folder, tmp=tmp_path) for word in words))
    assert code == 2 and out == ""
    assert told in err and "Traceback" not in err


def test_several_processes_are_refused(run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = run_cli("plan", "demo-faces:8")
    assert code == 2 and "torchrun is for train, demo, generate, translate, evaluate. Received: plan" in err


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "1 s"),
        (12.3, "12 s"),
        (59.9, "60 s"),
        (754, "13 min"),
        (3599, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_clock(seconds: float, told: str) -> None:
    assert plan._clock(seconds) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (9_876, "9.9 kB"), (23_400_000, "23.4 MB"), (7_250_000_000, "7.2 GB")],
)
def test_bytes(count: int, told: str) -> None:
    assert in_bytes(count) == told


@pytest.mark.parametrize(("value", "told"), [(0.0321, "0.032"), (4.26, "4.3"), (12345.6, "12,346")])
def test_number(value: float, told: str) -> None:
    assert plan._number(value) == told


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        (
            Memory(2 * 10**9, 10**9, 4 * 10**9, ""),
            "2.0 GB at most, 1.0 GB of it before training; 4.0 GB were free",
        ),
        (Memory(2 * 10**9, None, None, ""), "2.0 GB at most"),
        (Memory(None, None, None, "not measured: why"), "not measured: why"),
    ],
)
def test_memory_in_words(memory: Memory, told: str) -> None:
    assert plan._memory(SimpleNamespace(memory=memory)) == told


@pytest.mark.parametrize(("seconds", "told"), [(3600, "1h"), (5400, "90m"), (90, "90s"), (0.5, "0.5s")])
def test_a_time_is_said_as_it_would_be_asked_for(seconds: float, told: str) -> None:
    assert plan._length(seconds) == told
