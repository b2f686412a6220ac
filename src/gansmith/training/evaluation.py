"""Evaluation while a run goes on: its pictures are measured now and then, and the best weights kept."""

from typing import Any

import torch

from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.data.dataset import DataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer
from gansmith.errors import SettingError
from gansmith.methods.latent import NoiseToImage
from gansmith.metrics.evaluate import Evaluation, contribute, evaluate
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import DataPictures, ModelPictures
from gansmith.metrics.outputs import history, remember, write_outputs
from gansmith.metrics.registry import needs_network, parse_metrics
from gansmith.metrics.statistics import EvaluationOptions, Statistics
from gansmith.models.generator import from_method
from gansmith.runs.run import Run

_MOST_REAL = 50_000  # Training pictures that are compared with.
_SMALLER = frozenset(("fid", "fid_infinity", "kid", "repeated"))


class Examiner:
    """Measures a run's pictures as `train.evaluate` asks for.

    Args:
        run: where numbers and the best weights are kept.
        data: what the run trains on.
        loader: knows which pictures are for training.
        world: the processes that train together; each has an examiner and looks at its share of the pictures.

    Raises:
        SettingError: an unknown metric or feature network, or a method whose pictures need more than a seed.
        DataError: the feature network's weights are not there.
    """

    def __init__(self, run: Run, data: DataSet, loader: Loader[Any], world: World = SINGLE_PROCESS) -> None:
        self._run, self._config, self._options = (
            run,
            run.recipe.train.evaluate,
            EvaluationOptions(world=world),
        )
        self._metrics = parse_metrics(self._config.metrics)
        if "memorization" in self._metrics:
            raise SettingError(
                "Memorization is measured of a finished run. Received: it among train.evaluate.metrics. "
                "Use gansmith evaluate RUN DATA --metrics memorization."
            )
        if not isinstance(run.recipe.method, NoiseToImage):
            raise SettingError(
                "train.evaluate is for methods that make pictures of seeds alone. "
                f"Received: {type(run.recipe.method).__name__}. Use --set train.evaluate.every=0."
            )
        self._network = open_features(self._config.features if needs_network(self._metrics) else "pixels")
        order = torch.randperm(len(loader.training), generator=torch.Generator().manual_seed(0))
        rows = loader.training.cpu()[order[:_MOST_REAL]].sort().values
        self._real: DataPictures | Statistics | None = DataPictures(data, data.name, data.fingerprint, rows)

    def look(self, trainer: Trainer[Any, Any, Any]) -> Evaluation | None:
        """Measure the pictures as they are now, and put the numbers into the run's history.

        The first process alone has the numbers; the others are given None.

        Raises:
            StorageError: the disk refuses.
        """
        recipe = self._run.recipe
        generator = from_method(
            recipe.method,
            trainer.networks_for_pictures(),
            trainer.spec,
            name=self._run.path.name,
            recipe_name=recipe.name,
            images_seen=trainer.images,
            device=trainer.device,
        )
        made = ModelPictures(generator, self._run.path.name, f"after {trainer.images}", self._config.samples)
        sides = [made] if self._real is None else [made, self._real]
        if not self._options.world.is_main:
            contribute(sides, self._network, self._options)
            self._real = None  # The first process has its statistics now.
            return None
        found = evaluate(sides[0], sides[1], self._network, self._metrics, options=self._options)
        self._real = found.real
        write_outputs(found, self._run.path / "evaluation")
        remember(self._run.path, trainer.images, found)
        return found

    def is_best(self, images: int) -> bool:
        """Whether the numbers at a position are the best so far, by the first metric."""
        name = self._deciding()
        values = {row["images"]: row[name]["value"] for row in history(self._run.path) if name in row}
        if images not in values:
            return False
        sign = 1.0 if name in _SMALLER else -1.0
        return all(sign * values[images] <= sign * other for other in values.values())

    def summary(self, found: Evaluation) -> str:
        """One line for the console."""
        parts = []
        for name, value in found.values.items():
            known = value.low is not None and value.high is not None
            between = f" ({value.low:.3g} to {value.high:.3g})" if known else ""
            parts.append(f"{name} {value.value:.4g}{between}")
        return f"After {found.about['images']} images: {', '.join(parts)}."

    def _deciding(self) -> str:
        first = self._metrics[0]
        return {"pr": "precision", "prdc": "coverage", "prd": "prd_f_8"}.get(first, first)
