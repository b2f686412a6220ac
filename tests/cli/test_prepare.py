"""The verbs prepare and inspect, as a person types them."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from gansmith.cli.main import cli
from gansmith.data.prepare.format import PreparedFolder
from gansmith.errors import DataError, SettingError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures of two kinds, and one file that is none."""
    random = np.random.default_rng(0)
    for number in range(12):
        folder = tmp_path / "photos" / ("cat" if number % 3 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "photos" / "cat" / "bad.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def test_prepare_makes_a_set_and_tells_what_is_in_it(photos: Path, tmp_path: Path) -> None:
    result = run("prepare", photos, tmp_path / "set", "--size", "16x8", "--workers", 1)
    assert result.exit_code == 0
    assert "12 pictures in" in result.stdout and "gansmith train" in result.stdout
    folder = PreparedFolder(tmp_path / "set")
    assert (len(folder), str(folder.size), folder.channels) == (12, "16x8", 3)
    assert folder.facts.label_names == ("cat", "dog")
    assert [item.name for item in folder.refused] == ["cat/bad.png"]
    again = run("prepare", photos, tmp_path / "set", "--size", "16x8", "--workers", 1)
    assert again.exit_code == 0


def test_json_is_alone_on_stdout(photos: Path, tmp_path: Path) -> None:
    prepared = run("prepare", photos, tmp_path / "set", "--size", 8, "--workers", 1, "--json")
    inspected = run("inspect", photos, "--json")
    for result, cats in ((prepared, 8), (inspected, 9)):  # What is only inspected is not sorted out yet.
        report = json.loads(result.stdout)
        assert (report["looked_at"], report["count"]) == (12, 13)
        assert report["labels"] == [{"name": "cat", "count": cats}, {"name": "dog", "count": 4}]


def test_inspect_reports_on_folders_prepared_sets_and_builtin_names(photos: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert "12 pictures" in run("inspect", photos, "--sheet", sheet).stdout.replace(
        "13 pictures", "12 pictures"
    )
    with Image.open(sheet) as picture:
        assert picture.width > 64
    run("prepare", photos, tmp_path / "set", "--size", 8, "--workers", 1)
    assert "cat 8, dog 4" in run("inspect", tmp_path / "set").stdout
    assert "landmarks" in run("inspect", "demo-faces:20").stdout


def test_a_builtin_set_is_prepared_with_all_its_facts(tmp_path: Path) -> None:
    run("prepare", "demo-faces:5", tmp_path / "faces", "--size", 32, "--workers", 1)
    folder = PreparedFolder(tmp_path / "faces")
    facts = folder.facts
    assert facts.captions is not None and len(facts.captions) == 5
    assert facts.landmarks is not None and facts.landmarks.shape == (5, 5, 2)
    assert facts.landmark_names[0] == "left_eye"


def test_a_builtin_set_is_no_file_of_the_users(tmp_path: Path) -> None:
    told = run("prepare", "demo-faces:1", tmp_path / "faces", "--size", 32, "--workers", 1).stdout
    assert "files        built-in 1" in told and "PPM" not in told
    assert "\n1 picture in" in told and "1 pictures" not in told
    assert "drawn by gansmith" in told
    assert PreparedFolder(tmp_path / "faces").licence == "drawn by gansmith (Apache-2.0); they show nobody"
    assert "built-in 3" in run("inspect", "demo-faces:3").stdout
    run("prepare", tmp_path / "faces", tmp_path / "smaller", "--size", 8, "--workers", 1)
    assert "prepared 1" in run("inspect", tmp_path / "smaller").stdout


def test_a_licence_is_kept_and_told(photos: Path, tmp_path: Path) -> None:
    words = ("prepare", photos, tmp_path / "set", "--size", 8, "--workers", 1)
    assert "not known; gansmith prepare --license TEXT" in run(*words).stdout
    assert "CC BY 4.0, Ada" in run(*words, "--licence", "CC BY 4.0, Ada").stdout
    assert json.loads(run(*words, "--json").stdout)["licence"] == "CC BY 4.0, Ada"
    assert "licence      CC BY 4.0, Ada" in run("inspect", tmp_path / "set").stdout
    with pytest.raises(SettingError, match="one line of text"):
        run(*words, "--licence", " ")


def test_changed_options_of_pairs_are_named(photos: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        source = photos / "cat" / f"{number}.png"
        for folder in ("dog", "cow"):
            (photos / folder).mkdir(exist_ok=True)
            (photos / folder / f"{number}.png").write_bytes(source.read_bytes())
    words = ("prepare", photos, tmp_path / "set", "--size", 8, "--workers", 1)
    pairs = ("--pairs", "folders", "--between")
    run(*words, *pairs, "dog,cat")
    with pytest.raises(DataError, match=r"other options \(--between: dog,cat -> cow,cat"):
        run(*words, *pairs, "cow,cat")
    with pytest.raises(DataError, match="--swap: False -> True"):
        run(*words, *pairs, "dog,cat", "--swap")
    with pytest.raises(DataError, match="--pairs: folders -> None"):
        run(*words)
    (photos / "dog" / "1.png").unlink()
    with pytest.raises(DataError, match=r"SRC is not what .* was begun from \(2 pictures then, 1 now"):
        run(*words, *pairs, "dog,cat")


def test_pairs_and_a_box(photos: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        source = photos / "cat" / f"{number}.png"
        (photos / "dog" / f"{number}.png").write_bytes(source.read_bytes())
    words = ("--between", "dog,cat", "--size", 8, "--workers", 1)  # Two folders: pairs are no other kind.
    told = run("prepare", photos, tmp_path / "pairs", *words)
    assert f"train {tmp_path / 'pairs'} --recipe pix2pix64-small" in told.stdout  # Not one that wants images.
    folder = PreparedFolder(tmp_path / "pairs")
    assert len(folder) == 2
    assert np.array_equal(folder.arrays["source"], folder.arrays["target"])
    run("prepare", photos, tmp_path / "box", "--fit", "box=10,10,26,26", "--workers", 1)
    assert str(PreparedFolder(tmp_path / "box").size) == "16"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fit", "squash"), "box=left,top,right,bottom"),
        (("--fit", "box=1,2,3"), "box=left,top,right,bottom"),
        (("--fit", "box=5,5,5,9"), "left < right"),
        (("--size", "big"), "128x96"),
        (("--pairs", "grey", "--align", "faces"), "Faces are found in single pictures"),
        (("--every-face",), "goes with --align faces"),
        (("--margin", "0.1"), "goes with --align faces"),
        (("--swap",), "goes with --pairs folders"),
        (("--between", "cat"), "names two folders"),
        (("--pairs", "folders", "--between", "cat,cow"), "Did you mean|no folder"),
        (("--workers", 0), "At least one worker"),
        (("--align", "faces", "--template", "ffqh"), "Did you mean 'ffhq'"),
    ],
)
def test_mistakes_are_told(photos: Path, tmp_path: Path, words: tuple[object, ...], message: str) -> None:
    with pytest.raises((SettingError, DataError), match=message):
        run("prepare", photos, tmp_path / "set", *words)
    assert not (tmp_path / "set" / "set.json").exists()


def test_nothing_is_written_into_data_and_unfinished_sets_and_runs_are_no_data(
    photos: Path, tmp_path: Path
) -> None:
    picture = photos / "dog" / "0.png"
    before = picture.read_bytes()
    with pytest.raises(SettingError, match="never written to"):
        run("inspect", photos, "--sheet", picture)
    assert picture.read_bytes() == before
    with pytest.raises(SettingError, match="At least one worker"):
        run("inspect", photos, "--workers", 0)
    run("prepare", photos, tmp_path / "set", "--size", 8, "--workers", 1)
    (tmp_path / "set" / "set.json").rename(tmp_path / "set" / "unfinished.jsonl")
    with pytest.raises(DataError, match="once it is finished"):
        run("inspect", tmp_path / "set")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "recipe.json").write_text("{}")
    with pytest.raises(DataError, match="a run"):
        run("inspect", tmp_path / "run")


@pytest.mark.parametrize("setting", ["data.pairs=beside", "data.swap=true", "data.domains=cat,dog"])
def test_pairs_and_domains_are_for_methods_that_train_on_them(photos: Path, setting: str) -> None:
    with pytest.raises(DataError, match="trains on images"):
        run("train", photos, "--dry-run", "--recipe", "rpgan8", "--set", setting)


def test_help_keeps_the_lines_of_its_examples() -> None:
    for verb in ("prepare", "train"):
        lines = run(verb, "--help").stdout.splitlines()
        assert sum(line.strip().startswith(f"gansmith {verb} ") for line in lines) >= 3
    assert "\\b" not in run("--help").stdout
