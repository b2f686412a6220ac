"""What ratings teach, by simulated raters: AUC cross-validated and on fresh images, and the best of 8.

    python benchmarks/ratings.py runs/bilinear32 runs/judge smiling glasses --ratings 200 --orders 5

The first run makes images, the second is a classifier of attributes that says what a rater likes. A row for
each attribute and way of asking: at random, where the preference is least sure (from 50 ratings on, fitted
again every 50), by pairs, and answered by coin.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from gansmith.core.noise import Noise
from gansmith.models.classifier import open_classifier
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator
from gansmith.ratings.ask import Asker, candidates
from gansmith.ratings.best_of import best_of
from gansmith.ratings.preference import Fit, fit_preference
from gansmith.ratings.simulated import Simulated, Taste, attribute
from gansmith.ratings.store import Store

_FRESH = 1024  # Images that nobody rated.
_EACH = 64  # Images kept as the best of 8.


def asked(way: str, taste: Taste, generator: Generator, store: Store, count: int, order: int) -> Fit:
    """What was learnt from so many ratings, asked for in one way."""
    rater = Simulated(taste, noise=float(way == "coin"), seed=order)
    if way != "least sure":
        rater.rate(generator, store, count, Asker(generator, store, seed=order), pairs=way == "pairs")
        return fit_preference(generator, store)
    rater.rate(generator, store, 50, Asker(generator, store, seed=order))
    for _ in range(50, count, 50):
        fit = fit_preference(generator, store)
        rater.rate(generator, store, 50, Asker(generator, store, fit.preference, seed=order))
    return fit_preference(generator, store)


def main() -> None:
    """A table on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("judge")
    parser.add_argument("attributes", nargs="+")
    parser.add_argument("--ratings", type=int, default=200)
    parser.add_argument("--orders", type=int, default=5)
    given = parser.parse_args()
    generator, judge = open_generator(given.run, "cpu"), open_classifier(given.judge, "cpu")
    fresh = [seed for seed, _ in zip(candidates(12345), range(_FRESH), strict=False)]
    images = torch.cat([generator.make(Noise.of(*fresh[at : at + 64])) for at in range(0, _FRESH, 64)])
    print("attribute | asked | share | AUC held out | AUC fresh | best of 8")
    for name in given.attributes:
        taste = attribute(judge, name)
        has = taste(images) > 0
        for way in ("at random", "least sure", "pairs", "coin"):
            rows = []
            for order in range(given.orders):
                with tempfile.TemporaryDirectory() as folder:
                    store = Store(Path(folder) / "r.sqlite", str(generator.fingerprint), "0" * 16)
                    fit = asked(way, taste, generator, store, given.ratings, order)
                mean = fit.preference(generator.spec.to_network(images))[0]
                apart = mean[has][:, None] - mean[~has]
                seeds = best_of(
                    generator, fit.preference, range(_EACH * 8 * order, _EACH * (8 * order + 1)), 8
                )
                kept = float((taste(generator.make(Noise.of(*seeds))) > 0).float().mean())
                rows.append((fit.facts.auc, float((apart > 0).float().mean()), kept))
            told = [
                f"{statistics.mean(row):.2f} +- {statistics.stdev(row):.2f}"
                for row in zip(*rows, strict=True)
            ]
            print(f"{name} | {way} | {float(has.float().mean()):.2f} | {' | '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
