"""Signs that an attack failed where the model did not hold: masked gradients (Athalye et al. 2018)."""

import itertools
from collections.abc import Iterator, Sequence

from gansmith.metrics.math.intervals import Value
from gansmith.robustness.cells import Cell

SURVIVES = 0.05  # Accuracy at an epsilon that turns any image into any other; nothing honest is above it.
FLAT = 0.01  # The share of images without any gradient from which on it is said.


def findings(clean: Cell, cells: Sequence[Cell], probes: Sequence[Cell], flat: Value) -> list[str]:
    """What speaks for masked gradients, one sentence each; that nothing does, where nothing does.

    Differences count where the intervals do not meet.

    Args:
        clean: without attack.
        cells: attacks at each epsilon, the weakest first.
        probes: noise, and an attack whose ball holds every image.
        flat: the share of images whose gradient is 0.
    """
    found = [
        *_weaker(cells),
        *_escaped(cells),
        *_rising(clean, cells),
        *_surviving(probes),
        *_beaten_by_noise(cells, probes),
        *_flat(flat),
    ]
    if found:
        return [*found, "Believe the lowest accuracy of all, and try attacks that need no gradient."]
    return [
        "No sign of masked gradients: no attack does less than a weaker one, and accuracy never rises with "
        "epsilon and falls to nothing where any image is allowed."
    ]


def _surely_above(one: Value, other: Value) -> bool:
    low = one.value if one.low is None else one.low
    high = other.value if other.high is None else other.high
    return low > high


def _weaker(cells: Sequence[Cell]) -> Iterator[str]:
    for epsilon in sorted({cell.epsilon for cell in cells}):
        row = [cell for cell in cells if cell.epsilon == epsilon]
        for place, weak in enumerate(row):
            for strong in (cell for cell in row[place + 1 :] if cell.attack.startswith("PGD")):
                if _surely_above(strong.accuracy, weak.accuracy):
                    yield (
                        f"{strong.attack} leaves {strong.accuracy.value:.1%} at epsilon {epsilon:.3g}, and "
                        f"the weaker {weak.attack} only {weak.accuracy.value:.1%}."
                    )


def _escaped(cells: Sequence[Cell]) -> Iterator[str]:
    """R-FGSM spends half of epsilon on chance: it does more only where the slope at the image misleads."""
    for random in (cell for cell in cells if cell.attack == "R-FGSM"):
        for plain in (cell for cell in cells if (cell.attack, cell.epsilon) == ("FGSM", random.epsilon)):
            if _surely_above(plain.accuracy, random.accuracy):
                yield (
                    f"FGSM leaves {plain.accuracy.value:.1%} at epsilon {plain.epsilon:.3g}, and R-FGSM, "
                    f"which steps aside first, only {random.accuracy.value:.1%}: the slope at the image is "
                    "no guide."
                )


def _rising(clean: Cell, cells: Sequence[Cell]) -> Iterator[str]:
    for name in dict.fromkeys(cell.attack for cell in cells):
        column = [clean, *(cell for cell in cells if cell.attack == name)]
        for before, after in itertools.pairwise(column):
            if _surely_above(after.accuracy, before.accuracy):
                yield (
                    f"{name}: accuracy rises from {before.accuracy.value:.1%} to {after.accuracy.value:.1%} "
                    f"as epsilon grows from {before.epsilon:.3g} to {after.epsilon:.3g}."
                )


def _surviving(probes: Sequence[Cell]) -> Iterator[str]:
    for probe in probes:
        if probe.attack != "noise" and probe.accuracy.value > SURVIVES:
            yield (
                f"At epsilon {probe.epsilon:.3g}, where every image may become any other, "
                f"{probe.accuracy.value:.1%} are still told right: the attack does not find what is there."
            )


def _beaten_by_noise(cells: Sequence[Cell], probes: Sequence[Cell]) -> Iterator[str]:
    for noise in (probe for probe in probes if probe.attack == "noise"):
        for cell in (cell for cell in cells if cell.epsilon == noise.epsilon):
            if _surely_above(cell.accuracy, noise.accuracy):
                yield f"Noise alone does more than {cell.attack} at epsilon {cell.epsilon:.3g}."


def _flat(flat: Value) -> Iterator[str]:
    if flat.value > FLAT:
        yield f"{flat.value:.1%} of the images have no gradient at all: answers are saturated or cut off."
