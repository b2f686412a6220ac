"""``gansmith rate`` and ``generate --prefer``, on a run that was trained for a moment."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers import small_named
from PIL import Image
from rated import rated_generator
from sessions import data
from translating import negative

from gansmith.core.console import Silent
from gansmith.core.noise import Noise
from gansmith.errors import SettingError
from gansmith.models.load import open_generator
from gansmith.networks.preference_file import read_facts
from gansmith.ratings.best_of import best_of
from gansmith.ratings.preference import fit_preference, open_preference
from gansmith.ratings.sheet import parse_pairs, parse_thumbs
from gansmith.ratings.simulated import Simulated, redness
from gansmith.ratings.store import Store
from gansmith.training.session import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "one"
    train(small_named("rpgan32", images=32), data(), path, console=Silent(), device="cpu")
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "one"))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(*lines: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return give


def test_lines_of_answers() -> None:
    assert parse_thumbs("2,4 - 5", 6) == [False, True, False, True, True, False]
    assert parse_thumbs("ALL", 2) == [True, True] and parse_thumbs(" none", 2) == [False, False]
    assert parse_pairs("2B, 1a", 3) == {1: False, 0: True}
    for line in ("0", "7", "3-2", "1-99", "x", "1;2", "-1", "9" * 30):
        with pytest.raises(SettingError, match="The sheet has 1 to 6"):
            parse_thumbs(line, 6)
    for line in ("4a", "1", "1c", "a", "1a 1b"):
        with pytest.raises(SettingError, match="The sheet has 1 to 3"):
            parse_pairs(line, 3)


def test_a_sheet_is_answered_line_by_line(run: Path, run_cli: Any, answers: Any) -> None:
    answers("1,3", "9", "all", "u", "none", "q")
    code, printed, err = run_cli("rate", run, "--rater", "Ada", "--count", "4", "--device", "cpu")
    assert code == 0, err
    assert "The sheet has 1 to 4. Received: '9'" in printed and "4 answers taken back" in printed
    assert "8 new ratings" in printed
    with Image.open(run / "rate-Ada.png") as sheet:
        assert sheet.width == 4 * 96 + 3 * 4
    store = Store.of(run, open_generator(str(run), "cpu"))
    assert [each.liked for each in store.thumbs("Ada")] == [True, False, True, False] + [False] * 4
    assert len({each.seed for each in store.thumbs()}) == 8
    answers("1a,2b")  # And the input ends.
    code, printed, _ = run_cli(
        "rate", run, "--rater", "Bob B", "--pairs", "--count", "3", "-o", run / "p.png"
    )
    assert code == 0 and "2 new ratings" in printed and (run / "p.png").exists()
    first, second = store.pairs("Bob B")
    assert first.winner == first.seed and second.winner == second.other


def test_summary_export_and_import(run: Path, run_cli: Any, answers: Any, tmp_path: Path) -> None:
    code, printed, _ = run_cli("rate", run, "--summary")
    assert code == 0 and printed == f"Nothing was rated yet. Rate some images: gansmith rate {run}\n"
    answers("1")
    run_cli("rate", run, "--count", "2")
    code, printed, _ = run_cli("rate", run, "--summary")
    assert code == 0 and printed.startswith("2 images rated, 1 of them") and "Nothing was learnt" in printed
    answers("2")
    run_cli("rate", run, "--count", "2", "--rater", "Ada")
    code, printed, err = run_cli("rate", run, "--export", tmp_path / "all.csv", "--json")
    told = json.loads(printed)
    assert (code, told["raters"], told["disputed"]) == (0, {"Ada": 2, "me": 2}, 2) and "4 ratings in" in err
    assert told["alpha_thumbs"] == pytest.approx(1 - 3 * 4 / (16 - 4 - 4)) and told["preference"] is None
    (run / "ratings.sqlite").unlink()
    code, printed, _ = run_cli("rate", run, "--import", tmp_path / "all.csv", "--summary")
    assert code == 0 and "4 new ratings" in printed and "By Ada 2, me 2." in printed and "-0.50" in printed


def test_what_was_learnt_chooses_among_images(run: Path, run_cli: Any, tmp_path: Path) -> None:
    for words in (("rate", run, "--fit"), ("generate", run, "-o", tmp_path / "out", "--prefer", "2")):
        code, _, err = run_cli(*words)
        assert code == 2 and "gansmith rate" in err  # There are no ratings.
    generator = open_generator(str(run), "cpu")
    store = Store.of(run, generator)
    taste = redness(generator.make(Noise.of(*range(64)))).median()
    Simulated(redness, float(taste)).rate(generator, store, 170)
    code, printed, err = run_cli("rate", run, "--fit", "--json", "--device", "cpu")
    assert code == 0, err
    assert json.loads(printed)["auc"] > 0.6 and json.loads(printed)["ratings"] == 170
    out = tmp_path / "liked"
    code, printed, err = run_cli(
        "generate", run, "-o", out, "--seeds", "0-3", "--prefer", "8", "--device", "cpu"
    )
    assert code == 0 and "4 pictures" in printed, err
    look = open_preference(run, generator)
    bounds = look.lower_bound(generator.make(Noise.of(*range(32))))
    kept = [f"seed{seed:06d}.png" for seed in sorted(bounds.topk(4).indices.tolist())]
    assert sorted(path.name for path in out.glob("seed*.png")) == kept
    facts = read_facts(run)
    assert facts is not None
    text = (run / "preference.json").read_text().replace(str(facts.auc), "0.55")
    (run / "preference.json").write_text(text)
    code, _, err = run_cli("generate", run, "-o", out, "--seeds", "0-3", "--prefer", "8", "--device", "cpu")
    assert code == 2 and "0.55" in err and "0.5 is a guess" in err


@pytest.mark.parametrize("words", [("--rater", "<b>"), ("--import", "none.csv"), ("--count", "0")])
def test_mistakes_are_one_message(run: Path, run_cli: Any, words: tuple[str, ...]) -> None:
    code, _, err = run_cli("rate", run, *words)
    assert code == 2 and "Traceback" not in err and err.startswith("gansmith: ")


def test_a_model_that_is_no_run_or_makes_no_images_is_refused(run: Path, run_cli: Any) -> None:
    checkpoint = next((run / "checkpoints").glob("*.safetensors"))
    code, _, err = run_cli("rate", checkpoint)
    assert code == 2 and "A run directory holds recipe.json" in err
    (run / "ratings.sqlite").write_bytes(b"a diary" * 100)
    code, _, err = run_cli("rate", run, "--summary")
    assert code == 2 and "left as it is" in err


@pytest.mark.parametrize("words", [(), ("--summary",)])
def test_a_translator_is_refused_before_a_word(
    run: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("gansmith.cli.generate.open_model", lambda *model: negative())
    code, printed, err = run_cli("rate", run, *words)
    assert code == 2 and not printed and "makes images out of images (source)" in err
    assert not (run / "ratings.sqlite").exists()


def test_the_best_of_one_are_the_seeds_themselves(tmp_path: Path) -> None:
    generator = rated_generator()
    store = Store(tmp_path / "r.sqlite", str(generator.fingerprint), "0" * 16)
    Simulated(redness).rate(generator, store, 40)
    look = fit_preference(generator, store).preference
    assert best_of(generator, look, [5, 3], 1) == [5, 3]
    assert set(best_of(generator, look, [70, 3], 4)) <= {3, 70, *range(71, 77)}
    found, everyone = best_of(generator, look, range(8), 10), redness(generator.make(Noise.of(*range(80))))
    assert len(found) == 8 and found == sorted(found)
    assert float(everyone[found].mean()) > float(everyone.mean() + 0.7 * everyone.std())
    for seeds, times in (([1, 1], 2), ([1], 0), ([2**63 - 1], 2)):
        with pytest.raises(SettingError):
            best_of(generator, look, seeds, times)
