"""What ratings do to a generator: simulated raters who like an attribute, and raters who answer at random.

    gansmith train demo-faces --recipe faces32 --run runs/faces --set train.images=120000
    gansmith classify demo-faces --recipe classifier-attributes32 --run runs/judge
    python benchmarks/prefer.py runs/faces runs/judge OUT [--likes "dark hair" glasses] [--seeds 5]

For each attribute and seed: a copy of the run is rated, half at random and half where the preference is least
sure; one answer in ten is a coin's. A preference is fitted and `prefer32` fine-tunes the generator. The
classifier that rated also counts: the share of 2,000 pictures, of seeds nobody rated, that show the attribute
before and after. Raters named "chance" answer by coin alone. "nobody" is the same fine-tuning with weight 0.
OUT keeps each result as it is done; the same command goes on from there.
"""

import argparse
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.data.dataset import DataSet
from gansmith.data.open import open_data
from gansmith.metrics.outputs import history
from gansmith.models.classifier import TrainedClassifier, open_classifier
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator
from gansmith.networks.preference_file import save_preference
from gansmith.ratings.ask import Asker
from gansmith.ratings.preference import Fit, fit_preference
from gansmith.ratings.simulated import Simulated, attribute
from gansmith.ratings.store import Store
from gansmith.recipes import named
from gansmith.runs.run import Run
from gansmith.training.session import train

COUNTED = 2_000  # Pictures, of seeds from 2^40 on, which nobody is asked about.
CHANCE, NOBODY = "chance", "nobody"


def answers(generator: Generator, judge: TrainedClassifier) -> Tensor:
    """What the classifier sees in fresh pictures: bool [pictures, attributes]."""
    seeds = torch.arange(COUNTED) + 2**40
    with torch.inference_mode():
        return torch.cat([judge.logits(generator.make(Noise(part))) > 0 for part in seeds.split(128)])


def lent(model: Path, place: Path) -> Path:
    """A copy of what a lender needs: a run rated by others must not be rated here, too."""
    newest = Run.open(model).checkpoint_files()[-1]
    (place / "checkpoints").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model / "recipe.json", place / "recipe.json")
    shutil.copyfile(newest, place / "checkpoints" / newest.name)
    return place


def rated(lender: Path, judge: TrainedClassifier, likes: str, seed: int, options: Any) -> Fit:
    """The lender with ratings and a preference."""
    generator = open_generator(str(lender))
    store = Store.of(lender, generator)
    taste = attribute(judge, judge.names[0] if likes in (CHANCE, NOBODY) else likes)
    noise = 1.0 if likes == CHANCE else options.noise
    rater = Simulated(taste, noise=noise, seed=seed)
    rater.rate(generator, store, options.ratings // 2, Asker(generator, store, seed=seed))
    first = fit_preference(generator, store, seed=seed).preference
    rater.rate(generator, store, options.ratings - options.ratings // 2, Asker(generator, store, first, seed))
    fit = fit_preference(generator, store, seed=seed)
    save_preference(fit.preference, fit.facts, lender)
    return fit


def one(data: DataSet, likes: str, seed: int, options: Any) -> dict[str, Any]:
    """One rater, one fine-tuning."""
    place = options.out / f"{likes.replace(' ', '-')}-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    judge = open_classifier(str(options.judge))
    lender = lent(options.model, place / "lender")
    fit = rated(lender, judge, likes, seed, options)
    found: dict[str, Any] = {"likes": likes, "seed": seed, "auc": fit.facts.auc}
    before = answers(open_generator(str(lender)), judge)
    named_shares = dict(zip(judge.names, before.float().mean(dim=0).tolist(), strict=True))
    found |= {"before": named_shares.get(likes), "refused": not fit.facts.known and likes != NOBODY}
    if found["refused"]:
        return found
    if likes == NOBODY:  # The preference is of no consequence; only that there is one.
        save_preference(fit.preference, replace(fit.facts, auc=1.0), lender)
    settings = [f"borrow.generator={lender}", f"train.seed={seed}", *options.set]
    recipe = override(named("prefer32"), *settings, *(["method.weight=0"] if likes == NOBODY else []))
    began = time.perf_counter()
    outcome = train(recipe, data, place / "run", device="cpu")
    after = answers(open_generator(str(place / "run")), judge)
    shares = dict(zip(judge.names, after.float().mean(dim=0).tolist(), strict=True))
    rows = {row["images"]: row for row in history(place / "run")}
    measured = {
        name: [rows[at][name]["value"] for at in (min(rows), outcome.images)]
        for name in ("recall", "precision", "swd")
    }
    spreads = [row["health/spread"] for row in outcome.run.rows() if "health/spread" in row]
    kinds = [float(_entropy(each)) for each in (before, after)]
    stopped = [alarm["message"] for alarm in outcome.run.alarms() if alarm["alarm"] == "guard"]
    return found | {
        "after": shares.get(likes),
        "images": outcome.images,
        "stopped": stopped[-1] if stopped else None,
        "seconds": time.perf_counter() - began,
        "measured": measured,
        "spread": [spreads[0], spreads[-1]] if spreads else None,
        "entropy": kinds,
        "shares": [named_shares, shares],
    }


def _entropy(seen: Tensor) -> Tensor:
    """Bits per picture that the attributes, each by itself, tell."""
    share = seen.double().mean(dim=0).clamp(1e-6, 1 - 1e-6)
    return -(share * share.log2() + (1 - share) * (1 - share).log2()).sum()


def table(results: list[dict[str, Any]]) -> str:
    """A line for each kind of rater: means over seeds, and the least and the greatest."""
    lines = [
        "| raters like | AUC | share before | and after | recall | spread | swd | stopped by a guard |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for likes in dict.fromkeys(each["likes"] for each in results):
        rows = [each for each in results if each["likes"] == likes]
        ran = [each for each in rows if not each["refused"]]
        auc = _span([each["auc"] for each in rows])
        if not ran:
            lines.append(f"| {likes} | {auc} | | refused, {len(rows)} of {len(rows)} | | | | |")
            continue
        before, after = ([each[when] for each in ran] for when in ("before", "after"))
        shown = ["-", "-"] if None in before else [_span(before), _span(after)]
        moved = [
            " -> ".join(f"{sum(each['measured'][name][i] for each in ran) / len(ran):.3g}" for i in (0, 1))
            for name in ("recall", "swd")
        ]
        spread = " -> ".join(f"{sum(each['spread'][i] for each in ran) / len(ran):.2f}" for i in (0, 1))
        stops = sum(each["stopped"] is not None for each in ran)
        lines.append(
            f"| {likes} | {auc} | {shown[0]} | {shown[1]} | {moved[0]} | {spread} | {moved[1]} | "
            f"{stops} of {len(ran)}; {len(rows) - len(ran)} refused |"
        )
    return "\n".join(lines)


def _span(values: list[float]) -> str:
    return f"{sum(values) / len(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, help="a run of 32 px on demo-faces")
    parser.add_argument("judge", type=Path, help="a run by classifier-attributes32")
    parser.add_argument("out", type=Path)
    parser.add_argument("--likes", nargs="+", default=["dark hair", "glasses", CHANCE, NOBODY])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ratings", type=int, default=200)
    parser.add_argument("--noise", type=float, default=0.1, help="share of answers that are a coin's")
    parser.add_argument("--set", action="append", default=[], help="of the recipe prefer32")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "results.json"
    results: list[dict[str, Any]] = json.loads(kept.read_text("utf-8")) if kept.exists() else []
    done = {(each["likes"], each["seed"]) for each in results}
    data = open_data("demo-faces", named("prefer32").data)
    for seed in range(options.seeds):
        for likes in options.likes:
            if (likes, seed) not in done:
                results.append(one(data, likes, seed, options))
                kept.write_text(json.dumps(results, indent=1), "utf-8")
                last = {key: value for key, value in results[-1].items() if key != "shares"}
                print(json.dumps(last), flush=True)
    print(table(sorted(results, key=lambda each: (each["likes"] in (CHANCE, NOBODY), each["likes"]))))


if __name__ == "__main__":
    main()
