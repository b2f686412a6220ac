"""Pairs made of any pictures when they are asked for: what sources look like, and that nothing is copied."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, random_bytes
from PIL import Image, ImageDraw
from preparing import make

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet, DatasetInfo, MemoryDataSet
from gansmith.data.inspect.inspect import inspect
from gansmith.data.loading.augment import Augment
from gansmith.data.loading.loader import Loader
from gansmith.data.open import open_data
from gansmith.data.pair_views import MadePairs, SourceChannels, TwoSets
from gansmith.data.prepare.finish import small
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.prepare import Options
from gansmith.data.sources import made_pairs
from gansmith.data.sources import pairs as pair_kinds
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.named import How, named_source
from gansmith.data.sources.pairs import PairSource
from gansmith.errors import DataError, MissingPackageError, SettingError
from gansmith.methods.batches import ImageBatch, PairBatch
from gansmith.recipes import named

ROWS = torch.tensor([3, 0, 3])
pytest.importorskip("skimage", reason="edges need gansmith[pairs]")


def data(count: int = 5, size: int = 32, channels: int = 3) -> MemoryDataSet:
    columns = {
        "images": random_bytes(count, size, channels),
        "labels": torch.arange(count),
        "landmarks": torch.full((count, 5, 2), 8.5),
    }
    return MemoryDataSet("made up", columns, "made up", info=DatasetInfo(label_names=tuple("abcde")))


def square(size: int = 32) -> np.ndarray:
    """A white square of half the size in the middle of black: [3, size, size]."""
    image = Image.new("RGB", (size, size))
    low, high = size // 4, 3 * size // 4 - 1
    ImageDraw.Draw(image).rectangle((low, low, high, high), fill="white")
    return np.asarray(image).transpose(2, 0, 1)


@pytest.mark.parametrize("kind", made_pairs.MADE)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_is_a_view_whose_target_is_the_picture(kind: str, channels: int) -> None:
    pictures = data(channels=channels)
    pairs = MadePairs(pictures, kind)
    assert pairs.columns[:2] == ("source", "target") and "images" not in pairs.columns
    assert ("mask" in pairs.columns) == kind.startswith("hole:")
    fetched = pairs.fetch(ROWS)
    assert set(fetched) == set(pairs.columns) and all(len(column) == 3 for column in fetched.values())
    assert torch.equal(fetched["target"], pictures.fetch(ROWS)["images"])
    shrink = made_pairs.shrink_of(kind)
    assert fetched["source"].shape == (3, channels, 32 // shrink, 32 // shrink)
    assert torch.equal(fetched["source"][0], fetched["source"][2]), "a function of the row"
    assert torch.equal(fetched["source"], pairs.fetch(ROWS, ("source",))["source"])
    assert pairs.fingerprint != pictures.fingerprint and len(pairs) == len(pictures)
    assert fetched["labels"].tolist() == [3, 0, 3]


def test_edges_are_where_the_picture_changes() -> None:
    lines = made_pairs.edges(square())[0]
    assert set(np.unique(lines)) == {0, 255}, "black on white"
    rows, columns = np.nonzero(lines == 0)
    distance = np.minimum(np.abs(np.stack([rows, columns]) - 7.5), np.abs(np.stack([rows, columns]) - 23.5))
    assert len(rows) > 40 and (distance.min(axis=0) <= 1.5).all(), "all near the sides of the square"


def test_grey_is_luma_and_small_is_pillows_bicubic() -> None:
    picture = random_bytes(1, 32)[0].numpy()
    luma = np.asarray(Image.fromarray(picture.transpose(1, 2, 0)).convert("L"), np.int16)
    assert np.abs(made_pairs.grey(picture)[0].astype(np.int16) - luma).max() <= 1
    small = made_pairs.smaller(picture, 4)
    flat = made_pairs.smaller(np.full((1, 32, 32), 77, np.uint8), 4)
    assert small.shape == (3, 8, 8) and (flat == 77).all()
    smooth = torch.nn.functional.interpolate(
        torch.from_numpy(picture)[None].float(), (8, 8), mode="bicubic", antialias=True
    )
    assert np.abs(small - smooth[0].round().clamp(0, 255).numpy()).max() <= 1
    with pytest.raises(DataError, match=r"multiples of 4\. Received: 30x32\. Try data\.size=28x32"):
        made_pairs.smaller(picture[:, :, :30], 4)


def test_holes_are_filled_evenly_and_the_rest_is_the_picture() -> None:
    fetched = MadePairs(data(), "hole:centre").fetch(torch.arange(5))
    inside = fetched["mask"] > 0
    assert inside[:, :, 8:24, 8:24].all() and int(inside[0].sum()) == 16 * 16
    source, target = fetched["source"], fetched["target"]
    assert torch.equal(source[:, :, 10, 10], torch.tensor(made_pairs.FILL, dtype=torch.uint8).expand(5, 3))
    kept = ~inside.expand_as(source)
    assert torch.equal(source[kept], target[kept])


def test_random_holes_are_of_the_row_and_cover_about_a_quarter() -> None:
    masks = [made_pairs.random_hole(64, 48, row)[0] > 0 for row in range(200)]
    shares = np.array([mask.mean() for mask in masks])
    assert 0.15 < shares.mean() < 0.27 and shares.max() < 0.4 and shares.min() > 0.0
    assert np.array_equal(masks[7], made_pairs.random_hole(64, 48, 7)[0] > 0)
    assert not np.array_equal(masks[7], masks[8])


def test_landmarks_are_drawn_where_they_are_and_unknown_ones_are_not() -> None:
    points = np.array([[4.0, 4.0], [np.nan, np.nan]], np.float32)
    drawn = made_pairs.sketch(points, 32, 32)[0]
    rows, columns = np.nonzero(drawn < 128)
    assert len(rows) and np.abs(rows - 4).max() <= 1 and np.abs(columns - 4).max() <= 1
    far = np.array([[4.0, 4.0], [1e38, -1e9]], np.float32)  # Nothing is drawn for seconds, either.
    assert np.array_equal(made_pairs.sketch(far, 32, 32)[0], drawn)
    face = np.stack([np.linspace(4, 60, 68), np.linspace(10, 50, 68)], axis=1).astype(np.float32)
    lines, dots = made_pairs.sketch(face, 64, 64), made_pairs.sketch(face[:67], 64, 64)
    assert (lines < 128).sum() > (dots < 128).sum(), "the usual 68 are joined"


def test_edges_without_the_package_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    real = importlib.import_module

    def missing(name: str, *rest: object) -> object:
        if name.startswith("skimage"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingPackageError, match=r"gansmith\[pairs\]"):
        made_pairs.edges(square())


def test_sides_change_places_where_they_can() -> None:
    plain, swapped = MadePairs(data(), "grey").fetch(ROWS), MadePairs(data(), "grey", swap=True).fetch(ROWS)
    assert torch.equal(plain["source"], swapped["target"]) and torch.equal(plain["target"], swapped["source"])
    with pytest.raises(DataError, match="sides can change places"):
        MadePairs(data(), "small:4", swap=True)


def test_what_a_set_lacks_is_said() -> None:
    with pytest.raises(DataError, match=r"images and landmarks\. Received: bare, which has images"):
        MadePairs(MemoryDataSet("bare", {"images": random_bytes(3)}), "sketch")


def test_sources_have_channels_of_their_own(tmp_path: Path) -> None:
    assert MadePairs(data(), "grey", 1).fetch(ROWS)["source"].shape == (3, 1, 32, 32)
    columns = {"source": random_bytes(4), "target": random_bytes(4, seed=1)}
    stored = MemoryDataSet("pairs", columns)
    grey = SourceChannels(stored, 1).fetch(ROWS)
    assert grey["source"].shape == (3, 1, 16, 16) and torch.equal(grey["target"], columns["target"][ROWS])
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for row in range(4):
            Image.fromarray(np.full((16, 16, 3), 40 * row, np.uint8)).save(tmp_path / side / f"{row}.png")
    config = DataConfig(size=Size(16, 16), channels=3, source_channels=1)
    opened = open_data(str(tmp_path), config, fields=PairBatch._fields)
    assert {name: opened.fetch(ROWS)[name].shape[1] for name in ("source", "target")} == {
        "source": 1,
        "target": 3,
    }
    with pytest.raises(DataError, match=r"data\.source_channels is for methods that train on pairs"):
        open_data(str(tmp_path), config, fields=ImageBatch._fields)
    with pytest.raises(SettingError, match="source_channels must be 1"):
        DataConfig(source_channels=2)


def test_open_data_makes_pairs_of_a_builtin_set_and_jitter_is_the_same_on_both_sides() -> None:
    config = DataConfig(
        size=Size(32, 32), channels=1, pairs="grey", mirror=True, augment=Augment(crop=0.7), validation=0.2
    )
    faces = open_data("demo-faces:20", config, fields=PairBatch._fields)
    loader = Loader(faces, PairBatch, config, 0, CPU)
    batch = loader.batch(0, 8)
    loader.close()
    assert torch.equal(batch.source, batch.target), "grey of grey is itself, however it is cut and mirrored"
    assert not torch.equal(batch.target, loader._rows([loader._streams[0].rows(0, 8)]).target)


def test_the_recipe_knows_how_large_sources_are() -> None:
    from gansmith.config.overrides import override

    spec = override(named("pix2pix64"), "data.pairs=small:4", "data.source_channels=1").spec()
    assert spec.source == (1, 16, 16) and named("pix2pix64").spec().source == (3, 64, 64)


# ---- prepared, and inspected --------------------------------------------------------------------------


def pictures(place: Path, count: int = 6) -> Path:
    place.mkdir()
    for row in range(count):
        Image.fromarray(np.roll(square(), row, axis=2).transpose(1, 2, 0)).save(place / f"{row}.png")
    return place


@pytest.mark.parametrize("kind", made_pairs.PREPARED)
def test_prepared_pairs_are_those_of_the_view(kind: str, tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    points = {f"{row}.png": [[4.0 + row, 9.0], [20.5, 30.0]] for row in range(5)}  # The last one has none.
    (root / "landmarks.json").write_text(json.dumps(points))
    make(PairSource(FolderSource(root), kind), tmp_path / "set", Options(size=Size(32, 32), channels=3))  # type: ignore[arg-type]
    config = DataConfig(size=Size(32, 32), channels=3)
    stored = open_data(str(tmp_path / "set"), config, fields=PairBatch._fields)
    view = MadePairs(open_data(str(root), config), kind)
    rows = torch.arange(6)
    columns = ("source", "target", "landmarks") if kind == "sketch" else ("source", "target")
    for column in columns:
        torch.testing.assert_close(
            stored.fetch(rows)[column], view.fetch(rows)[column], rtol=0.0, atol=0.0, equal_nan=True
        )
    if kind == "sketch":
        sources = stored.fetch(rows)["source"]
        assert bool((sources[5] == 255).all()), "of unknown landmarks nothing is drawn"
        assert bool((sources[0, :, 9, 4] < 128).all()) and not torch.equal(sources[0], sources[1])
    assert PreparedFolder(tmp_path / "set").description["columns"]


@pytest.mark.parametrize("kind", pair_kinds.PairKind.__args__)  # type: ignore[attr-defined]
def test_every_kind_of_pairs_is_shown_side_by_side_and_prepared_or_refused_with_a_reason(
    kind: Any, tmp_path: Path
) -> None:
    faces, size = "demo-faces:4", Size(64, 64)
    if kind in pair_kinds.STORED:
        for refused in (lambda: named_source(faces, How(pairs=kind)), lambda: viewed(faces, kind)):
            with pytest.raises(
                DataError, match=f"kind {kind} are files .* Received: {faces}, a built-in set"
            ):
                refused()
        return
    rows = viewed(faces, kind).fetch(torch.arange(4))
    pairs = named_source(faces, How(pairs=kind, size=size))
    shown = np.stack(inspect(pairs).pictures)
    assert shown.shape == (4, 3, 48, 96)
    source, target = (rows[column].permute(0, 2, 3, 1).numpy() for column in ("source", "target"))
    sides = np.concatenate(
        [source.repeat(64 // source.shape[1], 1).repeat(64 // source.shape[2], 2), target], 2
    )
    wanted = np.stack([small(picture) for picture in sides])
    assert np.array_equal(shown, wanted), "what training takes"
    if kind in made_pairs.MADE and kind not in made_pairs.PREPARED:
        with pytest.raises(DataError, match=rf"train on them with --set data\.pairs={kind}"):
            make(pairs, tmp_path / "set", Options(size=size))
        return
    make(pairs, tmp_path / "set", Options(size=size))
    stored = open_data(str(tmp_path / "set"), DataConfig(size=size), fields=PairBatch._fields)
    assert ("landmarks" in stored.columns) == (kind in ("pose", "sketch"))
    for column in set(stored.columns) & {"source", "target", "landmarks"}:
        assert torch.equal(stored.fetch(torch.arange(4))[column], rows[column])


def viewed(data: str, kind: Any) -> DataSet:
    return open_data(data, DataConfig(pairs=kind, channels=3), fields=PairBatch._fields)


@pytest.mark.parametrize("kind", ["sketch", *pair_kinds.DRAWN])
def test_what_a_folder_cannot_give_is_one_message(kind: Any, tmp_path: Path) -> None:
    root = str(pictures(tmp_path / "pictures"))
    for refused in (lambda: named_source(root, How(pairs=kind)), lambda: viewed(root, kind)):
        with pytest.raises(
            DataError, match="landmarks" if kind == "sketch" else "drawn, of demo-faces alone"
        ):
            refused()


def test_inspect_shows_prepared_pairs_side_by_side(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    make(PairSource(FolderSource(root), "grey"), tmp_path / "set", Options(size=Size(32, 32), channels=3))
    prepared = inspect(named_source(str(tmp_path / "set")))
    assert all(picture.shape[2] == 2 * picture.shape[1] for picture in prepared.pictures)


# ---- two sets as two domains ----------------------------------------------------------------------------


def test_two_sets_are_two_labels_of_one() -> None:
    first, second = data(3), MemoryDataSet("other", {"images": random_bytes(4, 32, seed=9)}, "other")
    both = TwoSets(first, second)
    assert len(both) == 7 and both.columns == ("images", "labels")
    fetched = both.fetch(torch.tensor([5, 0, 6, 2]))
    assert fetched["labels"].tolist() == [1, 0, 1, 0] and both.info.label_names == ("a", "b")
    images = first.fetch(torch.arange(3))["images"], second.fetch(torch.arange(4))["images"]
    wanted = torch.stack([images[1][2], images[0][0], images[1][3], images[0][2]])
    assert torch.equal(fetched["images"], wanted)
    with pytest.raises(DataError, match="A domain is a set of pictures"):
        TwoSets(first, MadePairs(data(), "grey"))


def test_the_second_set_takes_the_form_of_the_first(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    config = DataConfig(size=Size(16, 16), second="demo-faces:4")
    both = open_data(str(root), config, fields=("a", "b"))
    assert len(both) == 10 and both.fetch(torch.tensor([0, 9]))["images"].shape == (2, 3, 16, 16)
    with pytest.raises(DataError, match=r"data\.second is for methods that translate"):
        open_data(str(root), config, fields=("images",))
