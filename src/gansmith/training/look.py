"""What is measured with each grid: held-out numbers, samples, and how healthy both are."""

from typing import Any

from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer
from gansmith.training.health.statistics import vital_signs
from gansmith.training.samples import Samples, samples

HELD_OUT = 256  # Held-out images that are measured with each grid.


def held_out(trainer: Trainer[Any, Any, Any], loader: Loader[Any]) -> dict[str, float]:
    """The method's numbers on held-out images, in batches of the size the networks know.

    Every process measures all of them: shared batch norms need the others' company.

    Returns: by name, with ``held-out/`` before it; nothing where nothing is held out.
    """
    sums: dict[str, float] = {}
    batches = list(loader.held_out_batches(trainer.recipe.train.batch, HELD_OUT))
    for batch in batches:
        for name, value in trainer.validation_metrics(batch).items():
            sums[f"held-out/{name}"] = sums.get(f"held-out/{name}", 0.0) + value / len(batches)
    return sums


def look(trainer: Trainer[Any, Any, Any], loader: Loader[Any]) -> tuple[Samples | None, dict[str, float]]:
    """Samples of the networks as they stand, None of what makes no images, and the health of both."""
    made = samples(trainer, loader)
    return made, {} if made is None else vital_signs(trainer, loader, made)
