"""Real pictures beside a model's, as a data set of two classes that a detector is trained on."""

from dataclasses import replace

import torch

from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet, DatasetInfo, MemoryDataSet, joined
from gansmith.errors import DataError
from gansmith.images.grid import to_bytes
from gansmith.metrics.image_sets import open_model, open_rows
from gansmith.models.load import open_generator

NAMES = ("generated", "real")
"""Of labels 0 and 1."""

MOST = 5_000  # Images of each kind.
_FIRST = 1_000_000  # Seed of the first one: others than anybody looks at.
_PART = 256


def real_and_generated(place: str, model: str, config: DataConfig, device: str = "auto") -> DataSet:
    """As many real pictures as generated ones, up to 5,000 of each, with labels that say which is which.

    The generated ones go through bytes, as a file would; they are made of the same seeds each time.

    Args:
        place: DATA.
        model: whose pictures are to be told from them.
        config: the form of both; sizes are the model's.
        device: where the generator runs.

    Raises:
        DataError: there is nothing of that name, or too little of it.
        SettingError: the model makes no pictures, or makes them of other pictures.
        CheckpointError, RunError: there is no such model.
    """
    real = open_rows(place, config, max_pictures=MOST)
    if len(real) < 2:
        raise DataError(f"A detector needs two real pictures at least. Received: {len(real)} in {place}.")
    made = open_model(model, len(real), device)
    shown = list(real.batches(_PART))
    for start in range(0, len(real), _PART):
        seeds = range(_FIRST + start, _FIRST + min(start + _PART, len(real)))
        shown.append(to_bytes(made.generator.make(Noise.of(*seeds))))
    labels = torch.ones(2 * len(real), dtype=torch.int64)
    labels[len(real) :] = 0
    return MemoryDataSet(
        f"{place} and {model}",
        {"images": joined(shown), "labels": labels},
        f"{real.fingerprint} beside {made.fingerprint}",
        info=DatasetInfo(label_names=NAMES, licence=real.data.info.licence),
    )


def config_of(model: str, config: DataConfig, device: str = "auto") -> DataConfig:
    """The form of a data set at the size, and with the channels, of a model's pictures."""
    spec = open_generator(model, device).spec
    return replace(config, size=Size(spec.width, spec.height), channels=spec.channels)
