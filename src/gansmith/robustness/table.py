"""Robust accuracy: how often a target is still right after an attack, over epsilon, with intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gansmith.attacks.gradient import FGSM, PGD, PGDL2, RFGSM, Attack, Chance, gradient
from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures
from gansmith.data.loading.loader import to_float
from gansmith.images.grid import to_bytes
from gansmith.losses.classification import Logits, Truth, cross_entropy
from gansmith.metrics.math.intervals import Result, Value
from gansmith.metrics.scores.accuracy import accuracy
from gansmith.metrics.scores.critic_auc import critic_auc, roc
from gansmith.robustness.cells import Cell, shown, value_json
from gansmith.robustness.masking import findings
from gansmith.robustness.targets import Part, Target, roc_scores

SHOWN = 8  # Images on the page.
MOST_CLASSES = 12  # Whose accuracy is told one by one.


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """Images before and after one attack, and what was said of them.

    Example:
        >>> found = robustness(target, [FGSM()], [4 / 255])
        >>> found.examples.before.shape, found.examples.change.abs().max()
    """

    attack: str
    epsilon: float
    before: BytePictures
    after: BytePictures
    change: Tensor  # In units of the range of pixels.
    truth: Truth
    said: tuple[Logits, Logits]


@dataclass(frozen=True, eq=False, kw_only=True)
class Robustness:
    """A whole table, and what goes with it.

    Example:
        >>> found = robustness(target, usual_attacks("linf"), [2 / 255, 4 / 255])
        >>> print(found.clean.accuracy.value, found.findings)
    """

    target: Target
    norm: str
    clean: Cell
    cells: tuple[Cell, ...]
    probes: tuple[Cell, ...]  # Noise, and an epsilon that leaves nothing as it was.
    flat: Value  # The share of images whose gradient is exactly 0.
    examples: Examples
    curves: Mapping[str, list[tuple[float, float]]]  # ROC before and after.

    @property
    def findings(self) -> list[str]:
        """What speaks for masked gradients, in sentences; a sentence that nothing does."""
        return findings(self.clean, self.cells, self.probes, self.flat)

    def as_json(self) -> dict[str, Any]:
        """All numbers, for programs and for the page."""
        return {
            "target": self.target.kind,
            "name": self.target.name,
            "names": list(self.target.names),
            "images": self.target.count,
            "norm": self.norm,
            "note": self.target.note,
            "clean": self.clean.as_json(),
            "attacks": [cell.as_json() for cell in self.cells],
            "probes": [cell.as_json() for cell in self.probes],
            "zero_gradients": value_json(self.flat),
            "gradient_masking": self.findings,
            "roc": {name: [list(point) for point in curve] for name, curve in self.curves.items()},
        }


def usual_attacks(norm: str, restarts: int = 5) -> tuple[Attack, ...]:
    """The columns of the table: FGSM, R-FGSM, PGD-10, PGD-50 with restarts; of L2, both PGD."""
    if norm == "l2":
        return PGDL2(steps=10), PGDL2(steps=50, restarts=restarts)
    return FGSM(), RFGSM(), PGD(steps=10), PGD(steps=50, restarts=restarts)


def robustness(
    target: Target,
    attacks: Sequence[Attack],
    epsilons: Sequence[float],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Robustness:
    """Attack every image of a target with every attack at every epsilon.

    Args:
        target: the model and its images.
        attacks: of one norm, the strongest last; their own epsilon does not matter.
        epsilons: one or more.
        seed: of the random starts.
        progress: told (images done, images in all).

    Raises:
        SettingError: an epsilon means nothing, or the model cannot be differentiated.
        DataError: there are no images.
    """
    epsilons = sorted(epsilons)
    asked = [attack.at(epsilon) for epsilon in epsilons for attack in attacks]
    first = next(target.parts())
    probes = _probes(attacks[0].norm, epsilons[-1], first.images[0].numel())
    chosen = attacks[-1].at(epsilons[len(epsilons) // 2])
    tries = [_Try(attack) for attack in (*asked, *probes)]
    clean, flat, example = _Try(None), list[Tensor](), None
    done = 0
    for part in target.parts():
        noise = seeds(done, len(part.images), seed).to(part.images.device)
        slope = gradient(part.model, target.loss(part.truth), part.images)
        flat.append((slope.flatten(1).abs().amax(dim=1) == 0).cpu())
        clean.look(target, part, noise)
        for each in tries:
            changed = each.look(target, part, noise)
            if example is None and each.attack == chosen:
                example = _example(target, chosen, part, changed)
        done += len(part.images)
        if progress is not None:
            progress(done, target.count)
    assert example is not None
    cells = [each.cell(target) for each in tries]
    zero = torch.cat(flat)
    return Robustness(
        target=target,
        norm=attacks[0].norm,
        clean=clean.cell(target),
        cells=tuple(cells[: len(asked)]),
        probes=tuple(cells[len(asked) :]),
        flat=Value(float(zero.double().mean())),
        examples=example,
        curves={} if target.kind == "classifier" else _curves(clean, tries[: len(asked)]),
    )


def seeds(start: int, count: int, seed: int) -> Tensor:
    """The seed of each image's noise: its own, whatever images are attacked beside it."""
    return torch.arange(start, start + count) + (seed << 32)


def _probes(norm: str, epsilon: float, numbers: int) -> list[Attack]:
    """Noise at the largest epsilon, and so much of everything that any image becomes any other."""
    if norm == "l2":
        return [PGDL2(epsilon=math.sqrt(numbers), steps=20)]
    return [Chance(epsilon=epsilon), PGD(epsilon=1.0, steps=20)]


class _Try:
    """What a target says after one attack; None for no attack."""

    def __init__(self, attack: Attack | None) -> None:
        self.attack = attack
        self.said: list[Logits] = []
        self.rounded: list[Logits] = []
        self.truth: list[Truth] = []

    def look(self, target: Target, part: Part, noise: Tensor) -> Tensor:
        changed = part.images
        if self.attack is not None:
            truth = part.truth
            changed = self.attack(
                part.model, target.loss(truth), part.images, Noise(noise), target.worst(truth)
            )
        with torch.no_grad():
            self.said.append(part.model(changed).float().cpu())
            as_file = to_float(to_bytes(changed)).to(changed.device)
            self.rounded.append(part.model(as_file).float().cpu())
        self.truth.append(part.truth.cpu())
        return changed

    def cell(self, target: Target) -> Cell:
        logits, truth = torch.cat(self.said), torch.cat(self.truth)
        told = accuracy(logits, truth, target.names)
        rounded = accuracy(torch.cat(self.rounded), truth, target.names)
        parts = {name.removeprefix("accuracy "): value for name, value in told.items() if name != "accuracy"}
        scores: Result = {}
        if target.kind != "classifier":
            scores = {"auc": critic_auc(*roc_scores(self.said, truth))["auc"]}
        return Cell(
            attack="clean" if self.attack is None else self.attack.title,
            epsilon=0.0 if self.attack is None else self.attack.epsilon,
            accuracy=told["accuracy"],
            as_file=rounded["accuracy"],
            loss=float(cross_entropy(logits, truth).mean()),
            parts=parts if len(parts) <= MOST_CLASSES else {},
            scores=scores,
        )

    def curve(self) -> list[tuple[float, float]]:
        """The ROC curve, thinned out."""
        found = roc(*roc_scores(self.said, torch.cat(self.truth)))
        points = list(zip(found.false_positive.tolist(), found.true_positive.tolist(), strict=True))
        return [*points[:: max(1, len(points) // 200)], points[-1]]


def _curves(clean: _Try, tries: Sequence[_Try]) -> dict[str, list[tuple[float, float]]]:
    """ROC before, and after the last attack of each epsilon."""
    last = {each.attack.epsilon: each for each in tries if each.attack is not None}
    after = {f"{each.attack.title} {shown(e)}": each.curve() for e, each in last.items() if each.attack}
    return {"clean": clean.curve(), **after}


def _example(target: Target, attack: Attack, part: Part, changed: Tensor) -> Examples:
    few, truth = slice(0, SHOWN), part.truth[:SHOWN]
    if target.kind == "critic":  # Half of a part is real, half of it made.
        half = len(part.images) // 2
        rows = torch.cat([torch.arange(half)[: SHOWN // 2], torch.arange(half, 2 * half)[: SHOWN // 2]])
    else:
        rows = torch.arange(len(part.images))[few]
    with torch.no_grad():
        said = tuple(
            part.model(images)[rows.to(images.device)].float().cpu() for images in (part.images, changed)
        )
    rows, truth = rows.to(part.images.device), part.truth
    before, after = part.images[rows], changed[rows]
    return Examples(
        attack=attack.title,
        epsilon=attack.epsilon,
        before=to_bytes(before),
        after=to_bytes(after),
        change=((after - before) / 2).cpu(),
        truth=truth[rows].cpu(),
        said=(said[0], said[1]),
    )
