"""The training image that is nearest to a result: what a generator copied, and what it made of its own."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gansmith.core.files import check_outside_data, write_text
from gansmith.core.tensors import BytePictures
from gansmith.data.loading.streams import split_of
from gansmith.data.open import open_data
from gansmith.data.sources.identity import is_same
from gansmith.errors import DataError, SettingError
from gansmith.images.grid import grid
from gansmith.images.provenance import write_png
from gansmith.metrics.features.base import FeatureNetwork
from gansmith.metrics.image_sets import COMPARED, DataPictures
from gansmith.metrics.scores.memorization import nearest
from gansmith.models.generator import Generator
from gansmith.runs.run import Run

_AT_A_TIME = 256
_HELD_OUT = 256  # Images that say how near is usual.
_CLOSE = 0.5  # Of the usual distance, below which a result is called close to its training image.


@dataclass(frozen=True, eq=False, kw_only=True)
class Neighbours:
    """Results and the training images nearest to them; images are uint8 [results, channels, height, width].

    Args:
        names: of the results.
        results: in the size of the training images.
        images: the nearest training images, mirrored where that one was nearer.
        rows: of the data, counted from 0.
        mirrored: whether the image was found as its mirror image.
        distance: Euclidean, of the features.
        usual: the median distance of held-out images to their nearest training image; None where none are.

    Example:
        >>> known = Training.of(Path("runs/one"))
        >>> found = nearest_training(images, ("seed 3",), known, open_features("pixels"))
        >>> found.rows, found.distance / found.usual
    """

    names: tuple[str, ...]
    results: BytePictures
    images: BytePictures
    rows: Int[Tensor, " results"]
    mirrored: Tensor
    distance: Float[Tensor, " results"]
    usual: float | None
    features: str

    @property
    def close(self) -> Tensor:
        """Which results lie nearer than half the usual distance: as copies do."""
        if self.usual is None:
            return torch.zeros(len(self.rows), dtype=torch.bool)
        return self.distance < _CLOSE * self.usual

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        told = zip(
            self.names,
            self.rows.tolist(),
            self.mirrored.tolist(),
            self.distance.tolist(),
            self.close.tolist(),
            strict=True,
        )
        return {
            "features": self.features,
            "usual": self.usual,
            "results": [
                {"name": name, "row": row, "mirrored": mirrored, "distance": distance, "close": close}
                for name, row, mirrored, distance, close in told
            ],
        }

    def sheet(self) -> BytePictures:
        """Result and nearest training image in turns, nearest pair first."""
        order = self.distance.argsort(stable=True)
        return torch.stack([self.results[order], self.images[order]], dim=1).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class Training:
    """The images that a run was trained on, and some that it held out.

    Args:
        training: in the form they were trained in.
        held_out: never trained on; may be none.
        mirror: whether their mirror images were trained on, too.
        place: where they are.

    Example:
        >>> Training.of(Path("runs/one")).place
        'my_pictures'
    """

    training: DataPictures
    held_out: DataPictures
    mirror: bool
    place: str

    @classmethod
    def of(cls, run_dir: Path, place: str | None = None) -> "Training":
        """Of a run; ``place`` where its data have moved.

        Raises:
            RunError: it is no run.
            DataError: the data are not there, or are others.
            SettingError: the run does not say where they are.
        """
        run = Run.open(run_dir)
        told, recipe = run.facts_of_data(), run.recipe
        where = place or _place(told, recipe.data.second)
        if where is None:
            raise SettingError(f"{run_dir} does not say what it was trained on. Name it: --data DATA.")
        try:
            data = open_data(where, recipe.data, fields=recipe.method.batch_type._fields)
        except DataError as error:
            hint = "" if place else f" {run_dir} was trained on it; say where it is now: --data DATA."
            raise DataError(f"{error}{hint}") from error
        if not is_same(told.get("fingerprint"), data.fingerprint):
            raise DataError(
                f"The training images of {run_dir} are wanted. Received: {where}, which holds others, or has "
                "changed since. Name the data that it was trained on: --data DATA."
            )
        column = next((name for name in COMPARED if name in data.columns), None)
        if column is None:
            raise DataError(
                f"Results are compared with training images. Received: {where}, which has "
                f"{', '.join(data.columns)}."
            )
        whole = DataPictures(data, where, data.fingerprint, torch.arange(len(data)), column)
        rows, held = split_of(data, recipe.method.batch_type._fields, recipe.data, recipe.train.seed)
        return cls(replace(whole, rows=rows), replace(whole, rows=held), recipe.data.mirror, where)


def _place(told: Mapping[str, Any], second: str | None) -> str | None:
    """DATA as it was given in training, of what a run keeps of it; None where it does not say.

    A drawn set is kept as ``demo-faces, pose``, its count in its fingerprint; two sets as ``one and other``.
    """
    name, fingerprint = told.get("name"), str(told.get("fingerprint"))
    if not isinstance(name, str):
        return None
    if second is not None:
        ends = [f" and {shown}" for shown in (second, Path(second).expanduser(), second.partition(":")[0])]
        end = next((end for end in ends if name.endswith(end)), None)
        name = name.rpartition(" and ")[0] if end is None else name.removesuffix(end)
    drawn = name.partition(",")[0] == "demo-faces" and fingerprint.startswith("demo-faces:")
    return fingerprint.partition(" ")[0] if drawn else name


def nearest_training(
    results: BytePictures,
    names: Sequence[str],
    known: Training,
    network: FeatureNetwork,
    progress: Callable[[int], object] | None = None,
) -> Neighbours:
    """The training image nearest to each result, by the features of a network.

    Args:
        results: uint8 [n, channels, height, width] in the size of the training images.
        names: of the results.
        known: what they are compared with.
        network: ``pixels``, or ``face`` for faces in line.
        progress: told how many more training images were looked at.

    Raises:
        DataError: no results, or some of another size.
    """
    shape = known.training.some(0, 1).shape[1:]
    if not len(results) or results.shape[1:] != shape:
        raise DataError(
            f"Results are compared with training images of {list(shape)}. Received: {list(results.shape)}."
        )
    features = _features(known.training, network, progress)
    asked = [results, results.flip(3)] if known.mirror else [results]
    found = [nearest(network(each).features, features) for each in asked]
    distance, which = torch.stack([each.distance for each in found]).min(dim=0)
    rows = torch.stack([each.index for each in found]).gather(0, which[None])[0]
    images = torch.cat([known.training.some(row, row + 1) for row in rows.tolist()])
    mirrored = which.bool()
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    usual = None
    if len(known.held_out):
        others = network(known.held_out.some(0, _HELD_OUT)).features
        usual = float(nearest(others, features).distance.median())
    return Neighbours(
        names=tuple(names),
        results=results,
        images=images,
        rows=known.training.rows[rows],
        mirrored=mirrored,
        distance=distance,
        usual=usual,
        features=network.name,
    )


def write_nearest(found: Neighbours, out: Path, generator: Generator, *places: str) -> list[Path]:
    """A sheet of pairs, and the numbers beside it.

    Args:
        found: what was found.
        out: a ``.png``; the numbers go to the same name with ``.json``.
        generator: for the mark.
        places: data that are never written to.

    Returns: the files.

    Raises:
        SettingError: OUT is no .png, or lies in the data.
        StorageError: the disk refused.
    """
    if out.suffix.lower() != ".png":
        raise SettingError(f"Pairs are written as one sheet, a .png. Received: {out}. Try -o nearest.png.")
    check_outside_data(out, *places)
    numbers = out.with_suffix(".json")
    note = "each result and the training image nearest to it"
    write_png(grid(found.sheet(), columns=min(8, 2 * len(found.names))), out, generator.provenance(note=note))
    write_text(numbers, json.dumps(found.as_json(), indent=2) + "\n")
    return [out, numbers]


def _features(
    pictures: DataPictures, network: FeatureNetwork, progress: Callable[[int], object] | None
) -> Tensor:
    parts = []
    for some in pictures.batches(_AT_A_TIME):
        parts.append(network(some).features)
        if progress is not None:
            progress(len(some))
    return torch.cat(parts)
