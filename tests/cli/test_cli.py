"""The command line: every verb end to end on tiny pictures, and every mistake one message and exit code 2."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.core import stopping
from gansmith.core.console import Log
from gansmith.data.builtin.demo_faces.draw import draw
from gansmith.data.builtin.demo_faces.sample import face
from gansmith.errors import TrainingError
from gansmith.images.provenance import read_provenance
from gansmith.runs.run import Run

SMALL = ("--set", "data.size=16", "--set", "train.batch=16")
TINY = (*SMALL, "--set", "train.images=64")
NARROW = ("--set", "method.generator_width=4", "--set", "method.discriminator_width=4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(24):
        Image.fromarray(draw(face(0, i), 24, 24)).save(pictures / f"{i:02d}.png")
    return pictures


def hidden(run: Path) -> None:
    """Where a run was there is a file now, in a place where no folder can be."""
    shutil.rmtree(run.parent)
    run.parent.touch()


def trained(run_cli: Any, folder: Path, run: Path, *settings: str) -> None:
    words = ("train", folder, "--recipe", "rpgan32", "--run", run, *TINY, *NARROW)
    code, _, err = run_cli(*words, *settings)
    assert code == 0, err


def test_a_finished_run_says_how_it_goes_on(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    words = ("train", folder, "--recipe", "rpgan32", "--run", tmp_path / "run", *SMALL, *NARROW)
    code, _, err = run_cli(*words, "--time", "1s")
    assert code == 0, err
    images = Run.open(tmp_path / "run").recipe.train.images
    code, printed, _ = run_cli(*words, "--time", "1m")
    assert code == 0 and f"Done before: {tmp_path / 'run'} has its {images} images" in printed
    assert f"--set train.images={2 * images} (and without --time)" in printed
    code, printed, err = run_cli(*words, "--set", f"train.images={images + 64}")
    assert code == 0 and "Done: " in printed, err


@pytest.mark.parametrize("work", [shutil.rmtree, lambda run: run.rename(run.with_name("moved")), hidden])
def test_a_run_whose_directory_vanishes_before_it_is_stopped_says_truly_how_to_resume(
    run_cli: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Any
) -> None:
    place, advance = tmp_path / "runs" / "one", Log.advance

    def stop(console: Log, images: int) -> None:
        advance(console, images)
        if place.exists() and (place / "pictures" / "000000000.png").exists():
            work(place)
            os.kill(os.getpid(), signal.SIGTERM)

    words = ("train", folder, "--recipe", "rpgan32", *TINY, *NARROW)
    with monkeypatch.context() as patched:
        patched.setattr(Log, "advance", stop)
        patched.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        code, _, err = run_cli(*words, "--run", place)
    assert code == 143 and "was moved or removed" in err
    (found,) = re.findall(
        r"Stopped and saved after (\d+) images. The same command(?: with --run (.*))? resumes", err
    )
    code, printed, err = run_cli(*words, "--run", found[1] or place)
    assert code == 0 and f"after {found[0]} images" in err and "Done: 64" in printed, err


def test_from_a_folder_to_pictures(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff junk")
    code, printed, err = run_cli("train", folder, "--recipe", "rpgan32", "--run", run, *TINY, *NARROW)
    assert code == 0 and "Done: 64 images" in printed and "broken.jpg" in err
    assert json.loads((run / "data.json").read_text())["refused"][0][0] == "broken.jpg"
    code, printed, _ = run_cli("generate", run, "-o", out, "--seeds", "0-9,20")
    assert code == 0 and "11 pictures" in printed
    names = sorted(p.name for p in out.glob("seed*.png"))
    assert len(names) == 11 and names[-1] == "seed000020.png"
    provenance = read_provenance(out / "seed000003.png")
    assert provenance is not None and provenance.seed == 3 and provenance.recipe == "rpgan32"
    with Image.open(out / "seed000003.png") as picture:
        assert picture.size == (16, 16)
    code, _, err = run_cli("generate", run, "-o", out, "--seeds", "30")
    assert code == 0 and "also holds" not in err
    trained(run_cli, folder, tmp_path / "other", "--set", "train.seed=1")
    (out / "seed000001.png").write_bytes(b"junk")
    code, _, err = run_cli("generate", tmp_path / "other", "-o", out, "--seeds", "0,1")
    assert code == 0 and "also holds 10 pictures made by other weights" in err
    assert run_cli("generate", run, "-o", out, "--seeds", "0-9,20")[0] == 0
    code, _, _ = run_cli("generate", run, "-o", tmp_path / "one", "--seeds", "3", "--batch", "1")
    assert code == 0
    assert (tmp_path / "one" / "seed000003.png").read_bytes() == (out / "seed000003.png").read_bytes()
    for file in ("walk.gif", "walk.webp"):
        code, _, err = run_cli("walk", run, "-o", tmp_path / file, "--seeds", "0-1", "--frames", "3")
        assert code == 0, err
    code, _, err = run_cli("walk", run, "-o", tmp_path / "sweep.gif", "--seeds", "0", "--coordinate", "5")
    assert code == 0, err


def test_a_checkpoint_file_is_a_model_too(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    trained(run_cli, folder, tmp_path / "run")
    newest = Run.open(tmp_path / "run").checkpoint_files()[-1]
    assert run_cli("generate", newest, "-o", tmp_path / "a.png")[0] == 0
    assert run_cli("generate", tmp_path / "run", "-o", tmp_path / "b.png")[0] == 0
    with Image.open(tmp_path / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_the_same_command_resumes(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    trained(run_cli, folder, tmp_path / "run")
    code, _, err = run_cli(
        "train",
        folder,
        "--recipe",
        "rpgan32",
        "--run",
        tmp_path / "run",
        *TINY,
        *NARROW,
        "--set",
        "train.images=96",
    )
    assert code == 0 and "after 64 images" in err


def test_the_default_recipe_follows_the_pictures(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    narrow = ("--set", "method.networks.width=4")
    code, _, err = run_cli("train", folder, "--run", tmp_path / "run", *TINY, *narrow, "--device", "cpu")
    assert code == 0 and "Recipe: faces8" in err


def test_dry_run_trains_nothing(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    words = ("train", folder, "--recipe", "dcgan64", "--run", tmp_path / "run", "--dry-run")
    code, out, _ = run_cli(*words)
    assert code == 0 and not (tmp_path / "run").exists()
    assert (
        "3,576,704 parameters" in out and "512x4x4" in out and "Memory" in out and "train.batch = 128" in out
    )
    code, out, _ = run_cli(*words, "--json")
    assert json.loads(out)["parameters"] == {"generator": 3576704, "discriminator": 2765568}


def test_recipes_list_and_detail(run_cli: Any) -> None:
    code, out, _ = run_cli("recipes")
    assert code == 0 and {"rpgan64", "dcgan64", "wgan-gp32"} <= {line.split()[0] for line in out.splitlines()}
    assert "optimizers.generator.lr = 0.0002" in run_cli("recipes", "dcgan64")[1]
    assert json.loads(run_cli("recipes", "dcgan64", "--json")[1])["train"]["batch"] == 128
    assert "rpgan64" in json.loads(run_cli("recipes", "--json")[1])


MISTAKES = [
    (("trian",), "Did you mean 'train'?"),
    (("train", "{folder}", "--run", "{tmp}/r", "--recipe", "dcgan46"), "Did you mean 'dcgan64'?"),
    (
        ("train", "{folder}", "--run", "{tmp}/r", "--recipe", "dcgan64", "--set", "train.batchsize=3"),
        "'train.batch'",
    ),
    (
        ("train", "{folder}", "--run", "{tmp}/r", "--recipe", "dcgan64", "--set", "train.batch=ten"),
        "a whole number",
    ),
    (
        ("train", "{folder}", "--run", "{tmp}/r", "--recipe", "dcgan64", "--set", "data.size=51x31"),
        "Try data.size",
    ),
    (("train", "{folder}", "--run", "{tmp}/r", "--device", "tpu"), "must be one this machine has"),
    (("train", "{tmp}/nowhere", "--run", "{tmp}/r"), "nowhere"),
    (("train", "demo-face", "--run", "{tmp}/r"), "demo-faces"),
    (("train", "{tmp}/empty", "--run", "{tmp}/r"), "picture"),
    (("train", "{folder}", "--run", "{folder}"), "is not a run"),
    (("generate", "{tmp}/nowhere", "-o", "{tmp}/o"), "not there"),
    (("generate", "{folder}", "-o", "{tmp}/o"), "recipe.json"),
    (("generate", "{tmp}/junk.pt", "-o", "{tmp}/o"), "junk.pt"),
    (("generate", "{tmp}/junk.safetensors", "-o", "{tmp}/o"), "junk.safetensors"),
    (("generate", "{folder}", "-o", "{tmp}/o", "--seeds", "9-3"), "9-3"),
    (("generate", "{folder}"), "--out"),
    (("generate", "{folder}", "-o", ""), "must not be empty"),
    (("train", "", "--run", "{tmp}/r"), "must not be empty"),
    (("train", "{folder}", "--run", "{tmp}/r", "--json"), "--dry-run"),
    (("train", "{folder}", "--run", "{tmp}/r", "--set", "train.batch=100000000"), "A batch above 8192"),
    (("train", "{folder}", "--run", "{tmp}/r", "--set", "data.size=99999999999"), "4 to 8192 pixels"),
    (("train", "{folder}", "--run", "{tmp}/r", "--set", "data.size=\u00b2"), "64 or 128x96"),
    (("train", "{folder}", "--run", "{tmp}/" + "x" * 300), "too long"),
    (("generate", "x" * 300, "-o", "{tmp}/o"), "too long"),
    (("train", "{folder}", "--run", "{tmp}/r", "--recipe", "{tmp}/raises.py"), "boom"),
    (("train", "{folder}", "--run", "{tmp}/r", "--recipe", "{tmp}/none.py"), "not there"),
]


@pytest.mark.parametrize(("words", "told"), MISTAKES, ids=[" ".join(words)[:60] for words, _ in MISTAKES])
def test_a_mistake_is_one_message_and_exit_code_2(
    run_cli: Any, folder: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "raises.py").write_text("def recipe():\n    raise ValueError('boom')\n")
    for name in ("junk.pt", "junk.safetensors"):
        (tmp_path / name).write_bytes(b"junk" * 100)
    code, out, err = run_cli(*(word.format(folder=folder, tmp=tmp_path) for word in words))
    assert code == 2
    assert told in err and "Traceback" not in err and out == ""
    assert not (tmp_path / "r" / "recipe.json").exists()


def test_a_method_of_ones_own_trains_resumes_and_generates(run_cli: Any, tmp_path: Path) -> None:
    own = Path(__file__).parents[2] / "examples" / "own_method.py"
    words = (
        "train",
        "demo-faces:64",
        "--recipe",
        own,
        "--run",
        tmp_path / "run",
        "--set",
        "train.images=128",
    )
    assert run_cli(*words)[0] == 0
    out = tmp_path / "own.png"
    assert run_cli("generate", tmp_path / "run", "-o", out, "--code", own, "--seeds", "0-3")[0] == 0
    script = (
        f"import sys; sys.argv = ['gansmith', 'generate', {str(tmp_path / 'run')!r}, '-o', {str(out)!r}]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script + "from gansmith.cli.main import main; main()"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "--code own_method.py" in done.stderr


def test_foreign_weights_make_pictures(run_cli: Any, tmp_path: Path) -> None:
    from gansmith.core.spec import DataSpec
    from gansmith.networks.dcgan import DCGANGenerator

    torch.manual_seed(0)
    network = DCGANGenerator(DataSpec(32, 32), 10, 4)
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"g_model_state_dict": weights, "epoch": 3}, tmp_path / "net.pth")
    code, _, err = run_cli("generate", tmp_path / "net.pth", "-o", tmp_path / "grid.png", "--seeds", "0-3")
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "without", "said"),
    [(["--help"], "torch", "gansmith train"), (["recipes", "faces32"], "torch._dynamo", "LeastSquares")],
)
def test_what_takes_long_to_import_is_not_waited_for(words: list[str], without: str, said: str) -> None:
    code = (
        f"import sys; sys.argv = ['gansmith', *{words}]\n"
        "from gansmith.cli.main import cli\n"
        "cli.main(standalone_mode=False)\n"
        f"assert {without!r} not in sys.modules, 'it was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_public_names_are_sorted_and_real() -> None:
    import gansmith

    assert gansmith.__all__ == sorted(gansmith.__all__)
    assert all(getattr(gansmith, name) is not None for name in gansmith.__all__)
    with pytest.raises(AttributeError):
        _ = gansmith.nonsense


def test_demo_trains_shows_and_says_what_to_try(run_cli: Any, tmp_path: Path) -> None:
    run = tmp_path / "demo"
    code, out, err = run_cli("demo", "--run", run, "--images", "64", "--device", "cpu")
    assert code == 0, err
    for file in ("animation.webp", "curves.png", "real_vs_generated.png", "pictures/000000064.png"):
        assert (run / file).stat().st_size > 0 and str(run / file) in out
    assert f"gansmith generate {run}" in out and "gansmith walk" in out


def test_without_run_the_directory_is_named_after_data_and_recipe(
    run_cli: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli("train", folder, "--recipe", "rpgan32", *TINY, *NARROW)[0] == 0
    assert Run.is_run(tmp_path / "runs" / "pictures-rpgan32")


def test_a_method_file_named_like_a_module_is_refused(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("def recipe(): ...")
    code, _, err = run_cli("train", folder, "--recipe", tmp_path / "random.py", "--run", tmp_path / "r")
    assert code == 2 and "Rename the file" in err


def test_statistics_edited_to_nonsense_do_not_stop_a_resume(
    run_cli: Any, folder: Path, tmp_path: Path
) -> None:
    trained(run_cli, folder, tmp_path / "run")
    with open(tmp_path / "run" / "stats.jsonl", "ab") as file:
        file.write(b'5\n{"a": 1}\n[]\n\xff\xfe\n{"images": "x", "seconds": 1}\n')
    (tmp_path / "run" / "data.json").write_text("[]")
    code, _, err = run_cli("train", folder, "--recipe", "rpgan32", "--run", tmp_path / "run", *TINY, *NARROW)
    assert code == 2 and "data: None" in err  # Without data.json nobody knows whether the data is the same.
    assert len(Run.open(tmp_path / "run").rows()) == 1


def test_a_walk_needs_two_seeds_and_an_end(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    trained(run_cli, folder, tmp_path / "run")
    code, _, err = run_cli("walk", tmp_path / "run", "-o", tmp_path / "w.gif", "--seeds", "1")
    assert code == 2 and "two seeds" in err
    code, _, err = run_cli("walk", tmp_path / "run", "-o", tmp_path / "w.gif", "--seeds", "0-99999999999")
    assert code == 2 and "at most" in err


def test_sigterm_while_generating_cleans_up(run_cli: Any, folder: Path, tmp_path: Path) -> None:
    trained(run_cli, folder, tmp_path / "run")
    out = tmp_path / "zips"
    out.mkdir()
    words = [
        "gansmith",
        "generate",
        str(tmp_path / "run"),
        "-o",
        str(out / "many.zip"),
        "--seeds",
        "0-9999999",
    ]
    code = f"import sys; sys.argv = {words!r}\nfrom gansmith.cli.main import main; main()"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if list(out.iterdir()):
                break
            time.sleep(0.1)
        assert list(out.iterdir())
        process.terminate()
        assert process.wait(60) == 143
        assert process.stderr is not None and "stopped" in process.stderr.read()
    assert list(out.iterdir()) == []


def test_a_fast_machine_is_given_a_larger_recipe_in_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from gansmith.cli.train import _lasting
    from gansmith.core.distributed import SINGLE_PROCESS
    from gansmith.recipes import named
    from gansmith.training import duration

    asked = []

    def lasting(recipe: Any, data: Any, seconds: float, *more: Any) -> duration.Lasting:
        asked.append((recipe.name, seconds))
        time.sleep(0.2)  # What measuring takes.
        images = 10 * duration.PLENTY if recipe.name == "faces32" else 64
        return duration.Lasting(replace(recipe, train=replace(recipe.train, images=images)), 1.0, 0.0)

    monkeypatch.setattr(duration, "lasting", lasting)
    opened: Any = object()
    given = (named("faces32"), opened, lambda recipe: opened, torch.device("cpu"), SINGLE_PROCESS)
    recipe, *_ = _lasting(60.0, *given, "faces64")
    assert recipe.name == "faces64" and [name for name, _ in asked] == ["faces32", "faces64"]
    assert asked[0][1] == 60.0 and 50.0 < asked[1][1] <= 59.8
    assert _lasting(60.0, *given, None)[0].name == "faces32"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_launcher_that_stops_us_for_a_lost_process_does_not_hide_the_reason(
    run_cli: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The launcher's SIGTERM may come while the error is still on its way out."""

    def breaks(**_: Any) -> None:
        stopping.lost("Another process has ended.")
        os.kill(os.getpid(), number)
        raise TrainingError("Another process has ended.")

    monkeypatch.setattr("gansmith.cli.main.cli.main", breaks)
    code, _, err = run_cli("recipes")
    assert code == 128 + number
    assert (
        err
        == "gansmith: " + ("Another process has ended." if number == signal.SIGTERM else "stopped.") + "\n"
    )
