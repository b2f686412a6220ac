"""Evaluating as a person does: models, folders and saved statistics, good and bad."""

import json
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from helpers import small_named
from PIL import Image

from gansmith.cli.main import cli
from gansmith.config.overrides import override
from gansmith.core.image_size import Size
from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.data.config import DataConfig
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader, to_float
from gansmith.data.open import open_data
from gansmith.errors import DataError, GansmithError, SettingError
from gansmith.images.provenance import read_provenance
from gansmith.methods.batches import DomainBatch, PairBatch
from gansmith.metrics.compute import compute
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import DataPictures, open_rows, training_and_held_out
from gansmith.metrics.outputs import history, remember
from gansmith.metrics.registry import METRICS, ExtraInputs, parse_metrics
from gansmith.metrics.statistics import EvaluationOptions, gather, is_statistics, load, save
from gansmith.training.session import train

PIXELS = open_features("pixels")
CONFIG = DataConfig(size=Size(16, 16), channels=3)


def noise(count: int, seed: int = 0, level: int = 128) -> DataPictures:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 2 * level, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    data = MemoryDataSet("noise", {"images": images}, f"noise {count} {seed} {level}")
    return DataPictures(data, f"noise {seed}", data.fingerprint, torch.arange(count))


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANSMITH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Sixty pictures in a folder."""
    folder = tmp_path / "faces"
    folder.mkdir()
    data = open_data("demo-faces:60", CONFIG).fetch(torch.arange(60))["images"]
    for number, picture in enumerate(data):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture
def trained(tmp_path: Path, faces: Path) -> Path:
    recipe = override(
        small_named("dcgan64", images=16, checkpoint_every=16, picture_every=16), "data.validation=0.2"
    )
    train(recipe, open_data(str(faces), recipe.data), tmp_path / "run", device="cpu")
    return tmp_path / "run"


def test_equal_sets_are_equal_by_every_metric() -> None:
    names = [name for name in METRICS if name in ("fid", "fid_infinity", "kid", "pr", "prdc", "prd", "swd")]
    found = compute(noise(60), noise(60), PIXELS, names)
    assert found.values["fid"].value == pytest.approx(0.0, abs=1e-6)
    for name in ("precision", "recall", "density", "coverage"):
        assert found.values[name].value == pytest.approx(1.0)
    assert found.curves["prd"]
    json.dumps(found.as_json(), allow_nan=False)


def test_the_batch_changes_no_number_and_other_pictures_do() -> None:
    made, real = noise(70, 1), noise(50, 2)
    one = compute(made, real, PIXELS, ("fid", "kid"), options=EvaluationOptions(batch=7))
    other = compute(made, real, PIXELS, ("fid", "kid"), options=EvaluationOptions(batch=64))
    assert one.values == other.values
    worse = compute(noise(70, 1, level=60), real, PIXELS, ("fid",))
    assert worse.values["fid"].value > 1.1 * one.values["fid"].value


def test_statistics_are_kept_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = gather(noise(40), PIXELS, keep=True, options=EvaluationOptions(cache=tmp_path))
    seen: list[int] = []

    def look(_: DataPictures, start: int, stop: int) -> torch.Tensor:
        seen.append(stop - start)
        raise DataError("looked at")

    monkeypatch.setattr(DataPictures, "some", look)
    again = gather(noise(40), PIXELS, keep=True, options=EvaluationOptions(cache=tmp_path))
    assert not seen
    assert again.features is not None and first.features is not None
    assert torch.equal(again.features, first.features)
    assert torch.equal(again.moments.covariance, first.moments.covariance)
    with pytest.raises(DataError, match="looked at"):  # Other pictures are looked at anew.
        gather(noise(40, seed=1), PIXELS, keep=True, options=EvaluationOptions(cache=tmp_path))
    assert seen == [40]


def test_a_damaged_cache_is_no_cache(tmp_path: Path) -> None:
    first = gather(noise(40), PIXELS, keep=True, options=EvaluationOptions(cache=tmp_path))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    again = gather(noise(40), PIXELS, keep=True, options=EvaluationOptions(cache=tmp_path))
    assert torch.equal(again.moments.mean, first.moments.mean)


def test_saved_statistics_stand_for_their_pictures(tmp_path: Path) -> None:
    real = gather(noise(40), PIXELS, keep=False)
    save(real, tmp_path / "real.safetensors")
    assert is_statistics(tmp_path / "real.safetensors")
    kept = load(tmp_path / "real.safetensors")
    assert kept.about == {"channels": 3, "height": 16, "width": 16}
    made = noise(40, 1)
    assert compute(made, kept, PIXELS, ("fid",)).values == compute(made, noise(40), PIXELS, ("fid",)).values
    with pytest.raises(DataError, match="holds only their mean and covariance"):
        compute(made, kept, PIXELS, ("kid",))
    other = replace(kept, network="another")
    with pytest.raises(DataError, match="of one feature network"):
        compute(made, other, PIXELS, ("fid",))


@pytest.mark.parametrize("raw", [b"", b"not this", b"\x10\0\0\0\0\0\0\0{}"])
def test_damaged_statistics_are_told(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(raw)
    assert not is_statistics(tmp_path / "x.safetensors")
    with pytest.raises(DataError, match="does not hold statistics"):
        load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", ["mean", "covariance", "sample", "features"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.int64])
def test_saved_statistics_of_another_type_are_told(tmp_path: Path, name: str, kind: torch.dtype) -> None:
    path = tmp_path / "real.safetensors"
    save(gather(noise(40), PIXELS, keep=True), path)
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors | {name: tensors[name].to(kind)}, metadata)
    with pytest.raises(DataError, match=f"{name} are numbers of type {kind}"):
        load(path)


def test_one_picture_or_constant_pictures() -> None:
    with pytest.raises(DataError, match="Two pictures or more"):
        compute(noise(1), noise(40), PIXELS, ("fid",))
    flat = MemoryDataSet("flat", {"images": torch.full((40, 3, 16, 16), 9, dtype=torch.uint8)})
    constant = DataPictures(flat, "flat", "flat", torch.arange(40))
    found = compute(constant, noise(40), PIXELS, ("fid", "kid", "prdc"))
    assert all(math.isfinite(value.value) for value in found.values.values())
    assert found.values["recall"].value == 0.0


def test_names_of_metrics() -> None:
    assert parse_metrics(" FID, kid,fid ") == ("fid", "kid")
    with pytest.raises(SettingError, match="Did you mean 'kid'"):
        parse_metrics("kdi")
    with pytest.raises(SettingError, match="one or more of"):
        parse_metrics(" , ")


def test_the_verb_on_a_run_and_on_a_folder_of_its_pictures(
    trained: Path, faces: Path, tmp_path: Path
) -> None:
    words = ("--features", "pixels", "--metrics", "fid,pr,prd", "--samples", 40)
    told = run("evaluate", trained, faces, *words)
    assert "fid" in told.stdout and "intervals" in told.stdout and "16x16 in colour" in told.stdout
    assert (trained / "evaluation" / "prd.png").exists()
    kept = json.loads((trained / "evaluation" / "evaluation.json").read_text())
    assert kept["about"]["images"] == 16 and kept["about"]["versions"]["torch"] == torch.__version__
    run("evaluate", trained, faces, *words[:2], "--metrics", "fid", "--samples", 40)
    assert not (trained / "evaluation" / "prd.png").exists()  # Of another evaluation than the newest.
    assert len((trained / "evaluation" / "evaluations.jsonl").read_text().splitlines()) == 2
    run("generate", trained, "-o", tmp_path / "made", "--seeds", "0-39")
    numbers = [
        json.loads(run("evaluate", place, faces, *words, "--json", "-o", tmp_path / "out").stdout)["values"]
        for place in (trained, tmp_path / "made")
    ]
    assert numbers[0] == numbers[1]


def test_memorization_of_a_run_uses_its_own_split(trained: Path, faces: Path) -> None:
    words = ("--features", "pixels", "--metrics", "memorization", "--samples", 30)
    told = run("evaluate", trained, faces, *words)
    assert "copying_z" in told.stdout and "copying" in told.stdout
    mark = read_provenance(trained / "evaluation" / "nearest.png")
    assert mark is not None and mark.composite and mark.recipe == "dcgan64"  # Real images are in it, too.


@pytest.mark.parametrize(("batch_type", "shown"), [(DomainBatch, "b"), (PairBatch, "target")])
def test_memorization_of_two_folders_uses_the_split_of_the_loader(
    faces: Path, tmp_path: Path, batch_type: Any, shown: str
) -> None:
    """By number alone other rows would be held out, those of the first folder among them."""
    for number, path in enumerate(sorted(faces.iterdir())):
        place = tmp_path / "domains" / "ab"[number % 2] / f"{number // 2:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    config, where = replace(CONFIG, validation=0.2), str(tmp_path / "domains")
    training, held_out = training_and_held_out(where, config, 3, batch_type._fields)
    data = open_data(where, config, fields=batch_type._fields)
    loader = Loader(data, batch_type, config, 3, torch.device("cpu"))
    count = len(held_out)
    assert count >= 2 and len(training) + count == 30
    assert torch.equal(to_float(held_out.some(0, count)), loader.held_out_rows(0, count)[shown])
    batches = [getattr(loader.batch(at, 1), shown) for at in range(len(training))]
    assert torch.equal(
        torch.cat(batches).flatten(1).unique(dim=0),
        to_float(training.some(0, len(training))).flatten(1).unique(dim=0),
    )


def test_without_held_out_pictures_copying_cannot_be_told(faces: Path, tmp_path: Path) -> None:
    recipe = small_named("dcgan64", images=16)
    train(recipe, open_data(str(faces), recipe.data), tmp_path / "all", device="cpu")
    with pytest.raises(DataError, match="held-out pictures"):
        run("evaluate", tmp_path / "all", faces, "--features", "pixels", "--metrics", "memorization")


def test_copies_are_told(faces: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, validation=0.3)
    training, _ = training_and_held_out(str(faces), config, 0)
    (tmp_path / "copies").mkdir()
    for row in training.rows.tolist():
        (tmp_path / "copies" / f"{row}.png").write_bytes((faces / f"{row:03d}.png").read_bytes())
    made = open_rows(str(tmp_path / "copies"), config)
    parts = training_and_held_out(str(faces), config, 0)
    found = compute(made, open_rows(str(faces), config), PIXELS, ("memorization",), extra=ExtraInputs(parts))
    assert found.values["copying_z"].value < -3 and "It copies" in found.values["copying_z"].note
    assert found.values["copying_ratio"].value == 0.0
    assert len(found.pairs) == 16 and all(np.array_equal(*pair) for pair in found.pairs)


def test_save_and_evaluate_against_what_was_saved(trained: Path, faces: Path, tmp_path: Path) -> None:
    words = ("--features", "pixels", "--metrics", "fid", "--samples", 40, "--json")
    first = run("evaluate", trained, faces, *words, "--save", tmp_path / "real.safetensors")
    second = run("evaluate", trained, tmp_path / "real.safetensors", *words)
    assert json.loads(first.stdout)["values"] == json.loads(second.stdout)["values"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing-there", "FACES"), "does not exist"),
        (("RUN", "FACES", "--metrics", "fud"), "Did you mean 'fid'"),
        (("RUN", "FACES", "--features", "pixel"), "Did you mean 'pixels'"),
        (("RUN", "FACES", "--size", "32"), "have their own size"),
        (("RUN", "EMPTY"), "No pictures"),
        (("FACES", "FACES", "--metrics", "is"), "network that tells classes apart"),
    ],
)
def test_mistakes_are_told(trained: Path, faces: Path, tmp_path: Path, words: Any, message: str) -> None:
    (tmp_path / "empty").mkdir()
    known = {"RUN": str(trained), "FACES": str(faces), "EMPTY": str(tmp_path / "empty")}
    given = [known.get(word, word) for word in words]
    if "--features" not in given:
        given += ["--features", "pixels"]
    with pytest.raises(GansmithError, match=message):
        run("evaluate", *given)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nothing-there", "nothing-there, which does not exist"),
        ("nothing.safetensors", "nothing.safetensors, which does not exist"),
        ("demo-face", "Did you mean 'demo-faces'"),
        ("damaged.safetensors", "a damaged file .* statistics are made again with --save"),
        ("cut.safetensors", "a damaged file"),
        ("run/checkpoints", "the checkpoints of a run. Give the run: run"),
        ("run/recipe.json", "a file of another kind"),
        ("faces/000.png", "a single picture. Give the folder it lies in: faces"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_and_b_are_told_what_they_can_be(
    trained: Path,
    faces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    message: str,
    first: bool,
) -> None:
    assert trained.name == "run"
    save(gather(noise(40), PIXELS, keep=False), tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:300])
    (tmp_path / "damaged.safetensors").write_bytes(b"not this at all")
    monkeypatch.chdir(tmp_path)
    sides = (place, "faces") if first else ("faces", place)
    with pytest.raises(DataError, match=f"^A and B are a run, a checkpoint.*{message}"):
        run("evaluate", *sides, "--features", "pixels", "--metrics", "fid")


def test_a_folder_without_pictures_is_told(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"it is empty\. Give a folder"):
        run("evaluate", tmp_path / "empty", faces, "--features", "pixels", "--metrics", "fid")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--save", "FACES/000.png"), "never written to"),
        (("--save", "faces.zip"), r"a \.safetensors file"),
        (("-o", "FACES"), "never written to"),
        (("-o", "FACES/new"), "never written to"),
        (("-o", "FILE"), "which is a file"),
    ],
)
def test_nothing_of_the_users_is_overwritten(
    trained: Path, faces: Path, tmp_path: Path, words: tuple[str, str], message: str
) -> None:
    (tmp_path / "file").write_text("mine")
    before = {path.name: path.read_bytes() for path in faces.iterdir()}
    option, place = words
    place = place.replace("FACES", str(faces)).replace("FILE", str(tmp_path / "file"))
    with pytest.raises(SettingError, match=message):
        run("evaluate", trained, faces, "--features", "pixels", "--metrics", "fid", option, place)
    assert {path.name: path.read_bytes() for path in faces.iterdir()} == before


def test_statistics_of_another_size_are_refused_and_targets_of_pairs_are_compared(
    faces: Path, tmp_path: Path
) -> None:
    words = ("--features", "pixels", "--metrics", "fid")
    run("evaluate", faces, faces, *words, "--size", 8, "--save", tmp_path / "small.safetensors")
    with pytest.raises(DataError, match=r"16x16 .* and 8x8"):
        run("evaluate", faces, tmp_path / "small.safetensors", *words)
    (tmp_path / "pairs").mkdir()
    for side in ("a", "b"):
        (tmp_path / "pairs" / side).mkdir()
        for name in ("000.png", "001.png", "002.png"):
            (tmp_path / "pairs" / side / name).write_bytes((faces / name).read_bytes())
    run("prepare", tmp_path / "pairs", tmp_path / "set", "--pairs", "folders", "--workers", 1)
    # Of pairs, what results are like is compared: the targets, which are copies of the first three faces.
    targets = run("evaluate", tmp_path / "set", tmp_path / "pairs" / "b", *words, "--json")
    assert json.loads(targets.stdout)["values"]["fid"]["value"] == pytest.approx(0.0, abs=1e-6)


def test_history_keeps_the_newest_numbers_of_each_position(tmp_path: Path) -> None:
    first = compute(noise(40, 1), noise(40), PIXELS, ("fid",))
    second = compute(noise(40, 2), noise(40), PIXELS, ("fid",))
    other = compute(noise(40, 2), noise(40, 3), PIXELS, ("fid",))
    remember(tmp_path, 20, first)
    remember(tmp_path, 10, first)
    remember(tmp_path, 20, second)
    file = tmp_path / "metrics.jsonl"
    file.write_text(file.read_text() + "damaged")
    rows = history(tmp_path)
    assert [row["images"] for row in rows] == [10, 20]
    assert rows[1]["fid"]["value"] == second.values["fid"].value
    remember(tmp_path, 30, other)  # Against other pictures: not to be mixed with the rest.
    assert [row["images"] for row in history(tmp_path)] == [30]
    assert len(list(tmp_path.glob("metrics-*.jsonl"))) == 1


def test_metrics_of_pictures_models_and_critics(trained: Path, faces: Path) -> None:
    if find_spec("torchmetrics") is None:  # To import it here would start torchvision the wrong way.
        pytest.skip("torchmetrics is not installed")
    words = ("--features", "pixels", "--metrics", "swd,ms_ssim,ppl,separation", "--samples", 20, "--json")
    found = json.loads(run("evaluate", trained, faces, *words).stdout)["values"]
    for name in ("swd", "swd_16", "ms_ssim", "ppl", "accuracy", "auc"):
        assert math.isfinite(found[name]["value"]), name
    assert 0 <= found["auc"]["value"] <= 1
    assert (trained / "evaluation" / "roc.png").exists()
    told = run("evaluate", faces, faces, *words[:2], "--metrics", "swd,ssim,psnr", "--json").stdout
    same = json.loads(told)["values"]
    assert same["swd"]["value"] == pytest.approx(0.0, abs=1e-4)
    assert same["ssim"]["value"] == pytest.approx(1.0, abs=1e-6)
    assert same["psnr"]["value"] is None  # Infinite: JSON has no word for it.
    with pytest.raises(DataError, match="first picture of A with the first of B"):
        run("evaluate", "demo-faces:9", faces, *words[:2], "--metrics", "ssim", "--size", 16)


@pytest.mark.parametrize(("metric", "message"), [("ppl", "Give a run"), ("critic_auc", "Give a run as A")])
def test_metrics_of_models_need_a_model(faces: Path, metric: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        run("evaluate", faces, faces, "--features", "pixels", "--metrics", metric)


@pytest.mark.parametrize("metric", ["swd", "ms_ssim", "ssim"])
def test_metrics_of_pictures_need_pictures(tmp_path: Path, metric: str) -> None:
    statistics = gather(noise(40), PIXELS, keep=True)
    with pytest.raises(DataError, match="looks at pictures"):
        compute(statistics, statistics, PIXELS, (metric,))


def test_metrics_of_version_0_1_are_still_known() -> None:
    assert parse_metrics("memorisation,fid,separation,critic_auc") == ("memorization", "fid", "critic_auc")


@pytest.mark.parametrize("method", ["cyclegan256", "unit256"])
def test_a_run_of_two_domains_by_names_is_measured_on_built_in_data_and_on_a_folder(
    method: str, tmp_path: Path
) -> None:
    from promises import RECIPES

    recipe = override(override(RECIPES[method], "train.images=8"), "data.domains=smiling,glasses")
    data = open_data("demo-faces:200", recipe.data, fields=("a", "b"))
    train(recipe, data, tmp_path / "run", device="cpu")
    config = replace(CONFIG, size=recipe.data.size)
    images = open_data("demo-faces:24", config).fetch(torch.arange(24))["images"]
    for number, picture in enumerate(images):
        folder = tmp_path / "two" / ("smiling", "glasses")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
    for place in ("demo-faces:200", tmp_path / "two"):
        words = ("--metrics", "swd", "--json", "-o", tmp_path / "out")
        found = json.loads(run("evaluate", tmp_path / "run", place, *words).stdout)
        assert found["values"]["swd"]["value"] > 0 and found["about"]["a_pictures"] > 1
    with pytest.raises(DataError, match=r"labels or attributes named by data\.domains\. Received: digits"):
        run("evaluate", tmp_path / "run", "digits", "--metrics", "swd")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("metrics", ["swd", "fid"])
def test_a_path_that_is_not_there_is_told_and_not_the_hubs_error(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool, metrics: str
) -> None:
    asked: list[str] = []

    def nothing(name: str) -> Path:
        asked.append(name)
        raise DataError("ConnectError: Name or service not known")

    monkeypatch.setattr("gansmith.metrics.image_sets.fetch", nothing)
    monkeypatch.chdir(tmp_path)
    sides = ("missing/run", "faces") if first else ("faces", "missing/run")
    with pytest.raises(
        DataError, match=r"^A and B are a run.*missing/run, which does not exist: no run"
    ) as told:
        run("evaluate", *sides, "--metrics", metrics)
    assert "ConnectError" not in str(told.value) and asked == ["missing/run"]


def test_a_published_name_still_works(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    rows = [{"bytes": file.read_bytes(), "path": file.name} for file in sorted(faces.iterdir())]
    snapshot = tmp_path / "home" / "hub" / "datasets--owner--faces" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    tables.write_table(arrow.table({"image": rows}), snapshot / "faces.parquet")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    unreachable = lambda hub, name, revision: (None, "no network")  # noqa: E731
    monkeypatch.setattr("gansmith.data.sources.huggingface._snapshot", unreachable)
    monkeypatch.chdir(tmp_path)
    for name in ("owner/faces", "hf:owner/faces"):
        found = json.loads(run("evaluate", name, "faces", "--metrics", "psnr", "--json").stdout)
        assert found["about"]["a_pictures"] == 60 and "equal" in found["values"]["psnr"]["note"]
    with pytest.raises(
        DataError, match=r"owner/others does not exist here and could not be fetched.*no network"
    ):
        run("evaluate", "hf:owner/others", "faces", "--metrics", "psnr")
