"""From pictures on disk to FID, KID, the Inception score, precision and recall: torch-fidelity's own run."""

from pathlib import Path

import pytest
import torch
from fidelity import theirs
from PIL import Image
from torch import Tensor

from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.data.open import open_data
from gansmith.metrics.compute import compute
from gansmith.metrics.features import extractor
from gansmith.metrics.features.inception import random_inception
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import DataPictures, open_rows

SIDE = 32
CONFIG = DataConfig(size=Size(SIDE, SIDE), channels=3)
ALL = ("fid", "kid", "is", "pr")
NAMES = {
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance_mean",
    "is": "inception_score_mean",
    "precision": "precision",
    "recall": "recall",
}


def written(folder: Path, pictures: Tensor) -> Path:
    """Pictures [n, 3, h, w] as PNG files."""
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{number:04d}.png")
    return folder


def two_sets(folder: Path, made: int, real: int) -> list[Path]:
    """Drawn faces, and others of which two in three are turned to their negative: alike, and far apart."""
    data = open_data(f"demo-faces:{made + real}", CONFIG)
    pictures = data.fetch(torch.arange(made + real), ("images",))["images"]
    ours = pictures[:made].clone()
    ours[::3], ours[1::3] = 255 - ours[::3], 255 - ours[1::3] // 2
    return [written(folder / "made", ours), written(folder / "real", pictures[made:])]


def expected(folders: list[Path], weights: Path, count: int, metrics: tuple[str, ...]) -> dict[str, float]:
    """torch-fidelity reads, looks and measures by itself."""
    found = theirs("metrics").calculate_metrics(
        input1=str(folders[0]),
        input2=str(folders[1]),
        feature_extractor="inception-v3-compat",
        feature_layer_prc="2048",  # Left alone it would load VGG.
        feature_extractor_weights_path=str(weights),
        fid="fid" in metrics,
        kid="kid" in metrics,
        isc="is" in metrics,
        prc="pr" in metrics,
        kid_subset_size=count,
        prc_neighborhood=3,
        cuda=False,
        batch_size=4,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
    )
    return {name: float(found[key]) for name, key in NAMES.items() if key in found}


def compared(
    folder: Path, made: int, real: int, metrics: tuple[str, ...] = ALL
) -> tuple[dict[str, float], dict[str, float]]:
    """The numbers of gansmith, and those of torch-fidelity, which must agree."""
    folders = two_sets(folder, made, real)
    weights = folder / "weights.pth"
    torch.save(random_inception(0), weights)
    other = expected(folders, weights, min(made, real), metrics)
    sides: list[DataPictures] = [open_rows(str(place), CONFIG) for place in folders]
    network = open_features("inception", weights="random:0", resize="legacy")
    values = compute(sides[0], sides[1], network, metrics).values
    ours = {name: values[name].value for name in other}
    assert other["kid"] > 1e-3  # Near 0 their sums in float32 have no digits left.
    assert ours == pytest.approx(other, rel=1e-4)
    # Random weights tell few classes apart, so all of the score is in what it has above 1.
    assert ours["is"] - 1 == pytest.approx(other["is"] - 1, rel=1e-4)
    return ours, other


def test_few_pictures_give_torch_fidelity_s_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs("metrics")
    monkeypatch.setattr(extractor, "_RUN", 4)  # Padding costs as much as pictures.
    ours, _ = compared(tmp_path, 20, 6, ("kid", "is", "pr"))  # FID takes seconds for its 2048 features.
    assert ours.keys() == {"kid", "is", "precision", "recall"}


@pytest.mark.slow
def test_pictures_give_torch_fidelity_s_numbers(tmp_path: Path) -> None:
    _, other = compared(tmp_path, 112, 96)
    assert "fid" in other
    assert 0 < other["precision"] < 1 and 0 < other["recall"] < 1  # Else they would agree too easily.
