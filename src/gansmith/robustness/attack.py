"""An attack from the outside: names become a target, a table is made, and files are written."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.attacks.ball import checked
from gansmith.attacks.gradient import FGSM, PGD, PGDL2, RFGSM, Attack
from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json
from gansmith.core.files import whole_file, write_text
from gansmith.core.text import parse_number, short
from gansmith.data.open import open_data
from gansmith.errors import SettingError
from gansmith.images import grid
from gansmith.images.provenance import Provenance, software_version, write_png
from gansmith.methods.discriminative import DiscriminativeMethod
from gansmith.models.classifier import open_classifier
from gansmith.models.load import checkpoint_of, open_generator
from gansmith.robustness.cells import shown
from gansmith.robustness.detector import NAMES, real_and_generated
from gansmith.robustness.table import Examples, Robustness, robustness, usual_attacks
from gansmith.robustness.targets import Target, check_pictures, classifier_target, critic_target
from gansmith.runs.run import Run

RESULT, TABLE, ROC, PICTURES = "attack.json", "accuracy.png", "roc.png", "pictures.png"
METHODS = ("all", "fgsm", "r-fgsm", "pgd", "pgd-l2")
USUAL = {"linf": (2 / 255, 4 / 255, 8 / 255), "l2": (0.25, 0.5, 1.0)}
"""Epsilons where none is named."""

_MAGNIFIED = 128  # Pixels a side that small pictures are brought to on the sheet.


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for.

    Args:
        method: of `METHODS`.
        epsilons: empty for the usual ones.
        steps: of PGD; None: the usual ones.
        step: of PGD, in units of epsilon.
        restarts: of PGD.
        samples: images at most.
        seed: of random starts.
        against: the model whose pictures a detector was trained on.
        device: where networks run.

    Example:
        >>> found = attack("runs/digits", "mnist", Wanted(method="pgd", epsilons=(0.1, 0.3), restarts=5))
    """

    method: str = "all"
    epsilons: tuple[float, ...] = ()
    steps: int | None = None
    step: float | None = None
    restarts: int | None = None
    samples: int = 500
    seed: int = 0
    against: str | None = None
    device: str = "auto"

    def attacks(self) -> tuple[Attack, ...]:
        """Those of the table, the strongest last.

        Raises:
            SettingError: something is asked for that the method has not.
        """
        if self.method not in ("pgd", "pgd-l2"):
            for name in ("steps", "step"):
                if getattr(self, name) is not None:
                    raise SettingError(
                        f"--{name} is for --method pgd and pgd-l2. Received: --method {self.method}."
                    )
        if self.method == "all":
            return usual_attacks("linf", 5 if self.restarts is None else self.restarts)
        if self.method in ("fgsm", "r-fgsm"):
            return (FGSM(),) if self.method == "fgsm" else (RFGSM(),)
        kind = PGDL2 if self.method == "pgd-l2" else PGD
        if self.steps is None:
            few, many = kind(steps=10, step=self.step), kind(steps=50, step=self.step)
            return few, replace(many, restarts=5 if self.restarts is None else self.restarts)
        return (kind(steps=self.steps, step=self.step, restarts=self.restarts or 1),)


def parse_epsilons(text: str | None) -> tuple[float, ...]:
    """``2/255,4/255,0.1`` -> numbers; none for None.

    Raises:
        SettingError: something that is no epsilon.
    """
    found = []
    for part in [] if text is None else text.split(","):
        try:
            found.append(parse_number(part.strip()))
        except ValueError as error:
            raise SettingError(
                f"--epsilon is a number or several with commas between, such as 2/255,4/255,8/255. Received: "
                f"{short(part)}."
            ) from error
    return tuple(found)


def attack(
    model: str, place: str, wanted: Wanted, progress: Callable[[int, int], None] | None = None
) -> Robustness:
    """Attack a classifier, a detector or a run's critic on pictures it was not trained on.

    Args:
        model: a run or a checkpoint.
        place: DATA.
        wanted: how.
        progress: told (images done, images in all).

    Raises:
        SettingError: an epsilon, step or method means nothing, or there is no critic.
        DataError: the data lack labels, or nothing is there.
        CheckpointError, RunError: there is no such model.
    """
    attacks = wanted.attacks()
    norm = attacks[0].norm
    epsilons = wanted.epsilons or USUAL[norm]
    for epsilon in epsilons:
        checked(epsilon, norm)
    check_pictures(place)
    return robustness(target_of(model, place, wanted), attacks, epsilons, seed=wanted.seed, progress=progress)


def target_of(model: str, place: str, wanted: Wanted) -> Target:
    """The target a MODEL is, with pictures of DATA.

    Raises:
        As ``attack``.
    """
    recipe: Recipe = from_json(checkpoint_of(Path(model)).facts["recipe"], Recipe)
    run = Path(model)
    fingerprint = Run.open(run).facts_of_data().get("fingerprint") if Run.is_run(run) else None
    if not isinstance(recipe.method, DiscriminativeMethod):
        if wanted.against is not None:
            raise SettingError(
                f"--against is for a detector. Received: {model}, by {recipe.name}, which has a critic of "
                "its own. Train one with: gansmith classify DATA --against MODEL --run DIR"
            )
        data = open_data(place, recipe.data, fields=recipe.method.batch_type._fields)
        generator = open_generator(model, wanted.device)
        return critic_target(generator, data, recipe.data, recipe.train.seed, wanted.samples)
    classifier = open_classifier(model, wanted.device)
    if classifier.names == NAMES:
        if wanted.against is None:
            raise SettingError(
                f"{model} tells real from generated pictures, so both kinds are needed. Name the model it "
                "was trained against with --against."
            )
        data = real_and_generated(place, wanted.against, recipe.data, wanted.device)
    else:
        if wanted.against is not None:
            raise SettingError(f"--against is for a detector. Received: {model}, by {recipe.name}.")
        data = open_data(place, recipe.data, fields=recipe.method.batch_type._fields)
    return classifier_target(classifier, data, wanted.samples, fingerprint)


# ---- what is written ------------------------------------------------------------------------------------


def as_text(found: Robustness) -> str:
    """The table for a terminal."""
    clean = found.clean.accuracy
    lines = [f"{found.target.kind} {found.target.name}, {found.target.count} pictures, {found.norm}"]
    lines.append(f"{'clean':16}{'':10}{_percent(clean)}")
    lines += [f"{cell.attack:16}{shown(cell.epsilon):10}{_percent(cell.accuracy)}" for cell in found.cells]
    return "\n".join([*lines, *([found.target.note] if found.target.note else []), *found.findings])


def _percent(value: Any) -> str:
    between = "" if value.low is None else f" ({value.low:.1%} to {value.high:.1%})"
    return f"{value.value:.1%}{between}"


def write(found: Robustness, folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write numbers, curves and pictures into a folder.

    Returns: what stands in ``attack.json``, from which the page is made.

    Raises:
        StorageError: the disk refuses.
    """
    tree = {**about, "software": software_version(), **found.as_json(), "examples": _examples(found)}
    write_text(folder / RESULT, json.dumps(tree, indent=2) + "\n")
    _draw_accuracy(found, folder / TABLE)
    (folder / ROC).unlink(missing_ok=True)
    if found.curves:
        _draw_roc(found, folder / ROC)
    mark = Provenance(found.target.name, "attack", None, None, software_version(), found.examples.attack)
    write_png(sheet(found.examples), folder / PICTURES, replace(mark, composite=True))
    return tree


def sheet(examples: Examples) -> Tensor:
    """Three rows in one picture: before, the change magnified to the full range, after."""
    scale = 0.5 / max(float(examples.change.abs().max()), 1e-9)
    change = ((examples.change * scale + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)
    rows = torch.cat([examples.before, change, examples.after])
    times = max(1, _MAGNIFIED // max(rows.shape[2:]))
    rows = rows.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)
    return grid.grid(rows, columns=len(examples.before))


def magnified(examples: Examples) -> float:
    """How many times the change is magnified on the sheet."""
    return 0.5 / max(float(examples.change.abs().max()), 1e-9)


def _examples(found: Robustness) -> dict[str, Any]:
    made = found.examples
    before, after = made.said
    names = found.target.names
    rows = []
    for truth, one, other in zip(made.truth, before, after, strict=True):
        if made.truth.dim() == 1:
            shares = one.softmax(0), other.softmax(0)
            told = [f"{names[int(share.argmax())]} {float(share.max()):.0%}" for share in shares]
            rows.append([names[int(truth)], *told])
        else:
            turned = ((one > 0) != (other > 0)).nonzero().flatten().tolist()
            rows.append([
                ", ".join(name for name, is_so in zip(names, truth, strict=True) if is_so) or "none",
                ", ".join(f"{names[i]} {float(one[i].sigmoid()):.0%}" for i in turned) or "-",
                ", ".join(f"{names[i]} {float(other[i].sigmoid()):.0%}" for i in turned) or "nothing turned",
            ])  # fmt: skip
    times = magnified(made)
    return {"attack": made.attack, "epsilon": made.epsilon, "magnified": times, "rows": rows}


def _draw_accuracy(found: Robustness, path: Path) -> None:
    """Accuracy over epsilon, a line for each attack."""
    figure, axes = _figure()
    clean = found.clean.accuracy
    for name in dict.fromkeys(cell.attack for cell in found.cells):
        cells = [cell for cell in found.cells if cell.attack == name]
        places = [0.0, *(cell.epsilon for cell in cells)]
        values = [clean, *(cell.accuracy for cell in cells)]
        axes.plot(places, [value.value for value in values], marker="o", markersize=3, label=name)
        bounds = [
            (v.value if v.low is None else v.low, v.value if v.high is None else v.high) for v in values
        ]
        axes.fill_between(places, [low for low, _ in bounds], [high for _, high in bounds], alpha=0.12)
    axes.set(ylim=(-0.02, 1.02), xlabel="epsilon, in units of the range of pixels", ylabel="accuracy")
    axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _draw_roc(found: Robustness, path: Path) -> None:
    figure, axes = _figure()
    for name, curve in found.curves.items():
        axes.plot([x for x, _ in curve], [y for _, y in curve], label=name)
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.6, linestyle=":")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="generated called real", ylabel="real called real")
    axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    raw = io.BytesIO()
    figure.savefig(raw, format="png", metadata={"Software": None})
    with whole_file(path) as part:
        part.write_bytes(raw.getvalue())
