"""What the health watch costs beside the steps it watches.

    python benchmarks/health.py [--recipe rpgan64 dcgan64 wgan-gp32] [--seconds 10] [--quick]

Of a recipe on demo faces: seconds of a step as it is; of the gradients' norms, which some steps take; of a
look at a row of numbers, once for each row; and of the spread of samples and the critic's memory, once for
each grid. (Making the samples is the grid's cost.) What counts is their sum over the steps between two of
them.
"""

import argparse

import torch
from measuring import Row, our_trainer, print_table, stretch, with_settings

from gansmith.config.overrides import flat
from gansmith.data.open import open_data
from gansmith.engine import trainer as training
from gansmith.recipes import named
from gansmith.training.health import statistics
from gansmith.training.health.monitor import HealthMonitor
from gansmith.training.health.statistics import vital_signs
from gansmith.training.samples import samples

CPU = torch.device("cpu")
FACES = 1024


def measure(name: str, length: float, batch: int | None) -> Row:
    """The row of one recipe."""
    recipe = named(name) if batch is None else with_settings(named(name), batch=batch)
    data = open_data(f"demo-faces:{FACES}", recipe.data)
    images = data.fetch(torch.arange(FACES), ("images",))["images"]
    trainer = our_trainer(recipe, images, CPU)
    loader, train = trainer._loader, trainer.recipe.train
    stretch(trainer.step, 0.0, CPU)
    step = stretch(trainer.step, length, CPU)
    norms = sum(stretch(lambda w=w: training._norm(w), length / 10, CPU) for w in trainer._owned.values())
    moves = len(trainer._plan) / len(trainer._owned)  # Some players move several times a step.
    row = {"images": 0.0, **trainer.flush(), "health/spread": 0.5, "health/overfitting": 0.1}
    watch = HealthMonitor(train.images, train.picture_every, dict(flat(recipe)))
    look = stretch(lambda: watch.look(row), length / 10, CPU)
    made = samples(trainer, loader)
    trainer.images = statistics._JUDGED_EVERY  # Where the critic is asked, too.
    signs = stretch(lambda: vital_signs(trainer, loader, made), length / 10, CPU)
    loader.close()
    cost = (
        norms * moves / training._NORMS_EVERY
        + look * train.batch / train.log_every
        + signs * train.batch / max(train.picture_every, statistics._JUDGED_EVERY)
    )
    parts = f"norms {1e3 * norms:.1f} ms, a row {1e3 * look:.2f} ms, a grid {1e3 * signs:.0f} ms"
    return Row(
        f"health watch of {name}, batch {train.batch}",
        f"{1e3 * cost:.2f} ms a step, {100 * cost / step:.2f} % of it",
        f"a step: {1e3 * step:.0f} ms; {parts}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recipe", nargs="+", default=["rpgan64", "dcgan64", "wgan-gp32"])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    if asked.quick:
        asked.recipe, asked.seconds = ["rpgan28"], 0.0
    batch = 8 if asked.quick else None
    print_table([measure(name, asked.seconds, batch) for name in asked.recipe])


if __name__ == "__main__":
    main()
