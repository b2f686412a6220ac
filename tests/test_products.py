"""Every verb with every kind of method, and every metric during training: parts that meet."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import random_bytes
from PIL import Image
from promises import ATTRIBUTES, CLASSES
from toys import TOYS

from gansmith.cli.main import cli
from gansmith.config.recipe import Recipe
from gansmith.errors import GansmithError
from gansmith.images.provenance import read_provenance
from gansmith.metrics.descriptions import DESCRIPTIONS, describe
from gansmith.metrics.outputs import history
from gansmith.metrics.registry import METRICS
from gansmith.recipes import CATALOGUE

KINDS = ("cycle", "growing", "labelled", "attributed", "captioned", "paired", "instrument", "two spaces",
         "adaptive", "part owned")  # fmt: skip
OF_IMAGES = ("cycle", "paired")
every_kind = pytest.mark.parametrize("kind", KINDS)


@dataclass
class Said:
    output: str
    stdout: str


def run(*words: object, code: int = 0) -> Said:
    """The command, which ends with this code; of a user's mistake the message is what it says."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    problem = result.exception
    if problem is not None and not isinstance(problem, SystemExit | GansmithError):
        raise problem
    found = problem.exit_code if isinstance(problem, GansmithError) else result.exit_code
    output = f"{result.output}{problem if isinstance(problem, GansmithError) else ''}"
    assert found == code, output
    return Said(output, result.stdout)


def folder(place: Path, kind: str) -> Path:
    """Images with all that a method may train on, as a user has them."""
    images = random_bytes(60).permute(0, 2, 3, 1).numpy()
    rows = ["file_name,label,smiling,glasses,text"]
    for row, image in enumerate(images):
        part = {"paired": ("a", "b")[row % 2], "cycle": ("trainA", "trainB")[row % 2]}.get(kind, "all")
        name = f"{row // 2 if kind == 'paired' else row:03}.png"
        (place / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / part / name)
        label = CLASSES[row % 3]
        rows.append(f"{part}/{name},{label},{row % 2},{row // 2 % 2},a {label} in the {row % 5}th room")
    if kind not in OF_IMAGES:
        (place / "metadata.csv").write_text("\n".join(rows) + "\n")
    return place


@pytest.fixture(scope="module", params=KINDS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A kind, its data and a run of 16 images that was resumed to 24, by the command line alone."""
    kind, place = request.param, tmp_path_factory.mktemp("product")
    recipe: Recipe = TOYS[kind]
    patch = pytest.MonkeyPatch()
    patch.setitem(CATALOGUE, "toy", lambda: recipe)
    data = folder(place / "data", kind)
    words = ["train", data, "--recipe", "toy", "--run", place / "run", "--device", "cpu"]
    for setting in (
        "train.picture_every=8",
        "train.checkpoint_every=8",
        "train.log_every=8",
        "data.validation=0.2",
    ):
        words += ["--set", setting]
    if kind == "labelled":
        words += ["--set", "data.label=label"]
    run(*words, "--set", "train.images=16")
    resumed = run(*words, "--set", "train.images=24")
    assert "Resuming" in resumed.output
    yield kind, data, place / "run", words
    patch.undo()


def test_a_run_has_its_grids_sheet_and_curves(trained: Any) -> None:
    kind, _, place, _ = trained
    for name in ("pictures/000000024.png", "real_vs_generated.png", "curves.png", "animation.webp"):
        assert (place / name).is_file(), name
    said = run("origin", place, code=1).output.splitlines()
    told = {line.partition(": ")[0].rpartition("/")[2]: line.partition(": ")[2] for line in said}
    assert told["curves.png"] == "no mark" and "by gansmith" in told["animation.webp"]
    assert told["real_vs_generated.png"].startswith("made in part by") and "seed" not in told["000000024.png"]
    rows = [json.loads(line) for line in (place / "stats.jsonl").read_text().splitlines()]
    assert rows[-1]["images"] == 24 and all(math.isfinite(v) for row in rows for v in row.values())
    assert any("health/spread" in row for row in rows)
    recipe = json.loads((place / "recipe.json").read_text())
    assert recipe["data"]["classes"] == (list(CLASSES) if kind == "labelled" else [])
    assert recipe["data"]["attributes"] == (list(ATTRIBUTES) if kind == "attributed" else [])


def test_generate(trained: Any, tmp_path: Path) -> None:
    kind, _, place, _ = trained
    if kind in OF_IMAGES:
        said = run("generate", place, "-o", tmp_path / "out", code=2).output
        assert "makes images out of images" in said and "Traceback" not in said
        return
    run("generate", place, "-o", tmp_path / "out", "--seeds", "0-9")
    assert len(list((tmp_path / "out").glob("seed*.png"))) == 10
    run("generate", place, "-o", tmp_path / "grid.png", "--seeds", "3")
    run("generate", place, "-o", tmp_path / "out.zip", "--seeds", "0-3")
    with Image.open(tmp_path / "out" / "seed000003.png") as one, Image.open(tmp_path / "grid.png") as grid:
        pixels, rows = np.asarray(one), np.asarray(grid)
        assert np.array_equal(pixels, rows[: one.height, : one.width]), "one seed is one image"


WISHES = {
    "labelled": (["--label", "dog"], "label: dog", ["--label", "dgo"], "Did you mean 'dog'"),
    "attributed": (
        ["--attribute", "smiling=1,glasses=0"],
        "attributes: smiling",
        ["--attribute", "smilling=1"],
        "Did you mean 'smiling'",
    ),
    "captioned": (["--caption", "a dog"], "caption: a dog", ["--caption", "x" * 999], "at most"),
}


def test_generate_what_was_asked_for(trained: Any, tmp_path: Path) -> None:
    kind, _, place, _ = trained
    if kind not in WISHES:
        said = run("generate", place, "-o", tmp_path / "out", "--label", "dog", code=2).output
        assert "--label" in said and "Traceback" not in said
        return
    asked, note, wrong, message = WISHES[kind]
    run("generate", place, "-o", tmp_path / "out", "--seeds", "0-3", *asked)
    mark = read_provenance(tmp_path / "out" / "seed000002.png")
    assert mark is not None and mark.note == note
    said = run("generate", place, "-o", tmp_path / "no", "--seeds", "0-3", *wrong, code=2).output
    assert message in " ".join(said.split()) and not (tmp_path / "no").exists()
    other = {"labelled": ["--caption", "a"], "attributed": ["--label", "1"], "captioned": ["--label", "1"]}
    said = run("generate", place, "-o", tmp_path / "no", *other[kind], code=2).output
    assert f"This one takes {TOYS[kind].method.prompt_type._fields[0]}" in " ".join(said.split())


def test_grids_are_sorted_by_class_and_say_it(trained: Any, tmp_path: Path) -> None:
    kind, _, place, _ = trained
    if kind != "labelled":
        return
    run("generate", place, "-o", tmp_path / "grid.png", "--seeds", "0-15")
    mark = read_provenance(tmp_path / "grid.png")
    assert mark is not None and mark.note is not None and mark.note.startswith("sorted by class: cat (")
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.height > 4 * 18 - 2, "there is a line of text below the images"
    run("generate", place, "-o", tmp_path / "by_number", "--seeds", "4", "--label", "1")
    run("generate", place, "-o", tmp_path / "by_name", "--seeds", "4", "--label", "dog")
    one, other = (tmp_path / name / "seed000004.png" for name in ("by_number", "by_name"))
    assert one.read_bytes() == other.read_bytes()


def test_walk(trained: Any, tmp_path: Path) -> None:
    kind, _, place, _ = trained
    if kind in OF_IMAGES:
        said = run("walk", place, "-o", tmp_path / "walk.gif", code=2).output
        assert "nothing to walk through" in " ".join(said.split())
        return
    asked = WISHES[kind][0] if kind in WISHES else []
    run("walk", place, "-o", tmp_path / "walk.gif", "--seeds", "1,2", "--frames", "3", *asked)
    assert "made by gansmith" in run("origin", tmp_path / "walk.gif").output
    with Image.open(tmp_path / "walk.gif") as film:
        assert film.n_frames == 6
    if kind == "two spaces":
        run("walk", place, "-o", tmp_path / "w.gif", "--seeds", "1,2", "--frames", "2", "--space", "w",
            "--truncation", "0.7")  # fmt: skip
    said = run("walk", place, "-o", tmp_path / "no.gif", "--space", "v", code=2).output
    assert "latent spaces" in said


def test_explore_directions(trained: Any, tmp_path: Path) -> None:
    kind, _, place, _ = trained
    if kind in OF_IMAGES:
        said = run("explore", place, "directions", code=2).output
        assert "make images from a latent" in " ".join(said.split())
        return
    assert "none yet" in run("explore", place).output
    run("explore", place, "directions", "--find", "ganspace", "--samples", "32", "--count", "2")
    run("explore", place, "directions", "--find", "sefa", "--count", "2", "--rename", "ganspace-2=big ears")
    said = run("explore", place, "directions", "-o", tmp_path / "sheets", "--seeds", "0,1", "--json").stdout
    tree = json.loads(said)
    assert [row["name"] for row in tree["directions"]] == ["ganspace-1", "big ears", "sefa-1", "sefa-2"]
    assert tree["directions"][2]["angles"]["sefa-2"] == pytest.approx(90.0, abs=0.1)
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir())[0] == "big_ears.png"
    run("generate", place, "-o", tmp_path / "out", "--seeds", "0-3", "--direction", "big ears=1")
    mark = read_provenance(tmp_path / "out" / "seed000002.png")
    assert mark is not None and mark.note is not None and mark.note.endswith("direction big ears 1")
    run("walk", place, "-o", tmp_path / "walk.gif", "--seeds", "1", "--frames", "3", "--along", "sefa-1")
    with Image.open(tmp_path / "walk.gif") as film:
        assert film.n_frames == 3
    assert "direction sefa-1 -1 to 1" in run("origin", tmp_path / "walk.gif").output
    if kind == "two spaces":
        run("explore", place, "directions", "--layers", "0-0", "--count", "1")
        name = "sefa-1@0-0"
        along = ("--direction", f"{name}=1", "--truncation", "0.7", "--seeds", "0,1")
        run("generate", place, "-o", tmp_path / "w.png", *along)
        run("walk", place, "-o", tmp_path / "w.gif", "--frames", "2", *along)
        run("walk", place, "-o", tmp_path / "layer.gif", "--frames", "2", "--seeds", "1", "--along", name)
        said = run("walk", place, "-o", tmp_path / "no.gif", *along, "--space", "z", code=2).output
        assert "move latents of their own space" in " ".join(said.split())
        run("explore", place, "directions", "--remove", name)
    said = run("generate", place, "-o", tmp_path / "no", "--direction", "big eyes=1", code=2).output
    assert "Did you mean 'big ears'?" in said
    said = run("walk", place, "-o", tmp_path / "no.gif", "--direction", "sefa-1=inf", code=2).output
    assert "An amount is a number from -3 to 3" in " ".join(said.split())
    said = run("explore", place, "--json", "directions", "--remove", "sefa-2").stdout
    assert len(json.loads(said)["directions"]) == 3, "what stands before the command holds for it"
    assert json.loads(run("explore", place, "--json").stdout)["directions"][-1]["name"] == "sefa-1"


def test_evaluate(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, data, place, _ = trained
    monkeypatch.setenv("GANSMITH_CACHE", str(tmp_path))
    metrics = "fid,kid,pr,swd,ms_ssim" + (",l1,psnr,ssim" if kind in OF_IMAGES else "")
    metrics += ",obedience" if kind in ("labelled", "attributed", "captioned", "cycle") else ""
    words = ("evaluate", place, data, "--features", "pixels", "--metrics", metrics, "--samples", "20")
    found = json.loads(run(*words, "--json").stdout)
    assert all(describe(name).meaning for name in found["values"])
    assert all(v["value"] is None or math.isfinite(v["value"]) for v in found["values"].values())
    again = json.loads(run(*words, "--json", "--no-cache").stdout)
    assert again["values"] == found["values"], "the same question has the same answer"


def test_report_plan_and_compare(trained: Any, tmp_path: Path) -> None:
    kind, data, place, words = trained
    run("report", place, "-o", tmp_path / "page.html")
    assert "after 24 images" in (tmp_path / "page.html").read_text()
    other = shutil.copytree(place, tmp_path / "other")
    run("compare", place, other, "-o", tmp_path / "both.html")
    settings = [word for word in words[words.index("--set") :] if "run" not in str(word)]
    plan = run("plan", data, "--recipe", "toy", "--device", "cpu", "--seconds", "1", *settings, "--json")
    assert json.loads(plan.stdout)["recipe"]["name"] == TOYS[kind].name
    dry = run("train", data, "--recipe", "toy", "--run", tmp_path / "dry", *settings, "--dry-run")
    assert "parameters" in dry.output and not (tmp_path / "dry").exists()


# ---- metrics while a run goes on -----------------------------------------------------------------------

LEFT_OUT = {  # What a metric asks for and this data lack; each is refused before training, in words.
    "memorization": "finished run",
    "modes": "28x28",
    "is": "tells classes apart",
    **{name: "compares pairs" for name in ("l1", "psnr", "ssim", "psnr_y", "ssim_y", "lpips")},
    "class_fid": "trained on labels",
    "obedience": "trained on labels",
    "pose_error": "given key points",
}


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_measured_at_every_evaluation_or_refused_before(metric: str, tmp_path: Path) -> None:
    from gansmith.config.overrides import override
    from gansmith.data.dataset import MemoryDataSet
    from gansmith.errors import GansmithError
    from gansmith.training.session import train

    recipe = TOYS["two spaces"]
    for setting in (
        "train.images=16", "train.evaluate.every=8", "train.evaluate.features=pixels",
        "train.evaluate.samples=20", f"train.evaluate.metrics={metric}", "train.checkpoint_every=16",
    ):  # fmt: skip
        recipe = override(recipe, setting)
    data = MemoryDataSet("made up", {"images": random_bytes(40)}, "made up")
    if metric in LEFT_OUT:
        with pytest.raises(GansmithError, match=LEFT_OUT[metric]):
            train(recipe, data, tmp_path / "run", device="cpu")
        return
    train(recipe, data, tmp_path / "run", device="cpu")
    rows = history(tmp_path / "run")
    assert [row["images"] for row in rows] == [8, 16], "the second evaluation is there, too"
    decides = METRICS[metric].decides
    assert all(decides in row for row in rows)
    assert all(describe(name).meaning for row in rows for name in row if name not in ("images", "key"))
    assert (tmp_path / "run" / "best.safetensors").exists() == bool(DESCRIPTIONS[decides].better)


@pytest.mark.parametrize("metric", METRICS)
def test_every_number_has_a_direction_in_one_place(metric: str) -> None:
    assert METRICS[metric].decides in DESCRIPTIONS


def test_the_less_varied_weights_are_not_the_best(tmp_path: Path) -> None:
    """ms_ssim has no better end, and of swd the smaller is better."""
    assert DESCRIPTIONS["ms_ssim"].better == "" and DESCRIPTIONS["swd"].better == "lower"
    assert torch.tensor([0.2, 0.9]).argmin() == 0
