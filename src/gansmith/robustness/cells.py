"""One cell of a table of robust accuracy, and how it is written."""

from dataclasses import dataclass, field
from typing import Any

from gansmith.metrics.math.intervals import Result, Value


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is left after one attack.

    Args:
        attack: its name.
        epsilon: 0 for no attack; in units of the range of pixels.
        accuracy: the share that is still told right.
        parts: the same of each class or attribute.
        as_file: the share after rounding to the 256 levels of a file.
        loss: mean cross-entropy.
        scores: ``auc`` of a detector or critic, else nothing.

    Example:
        >>> Cell(attack="FGSM", epsilon=4 / 255, accuracy=Value(0.4, 0.3, 0.5), as_file=Value(0.4), loss=2.1)
    """

    attack: str
    epsilon: float
    accuracy: Value
    as_file: Value
    loss: float
    parts: Result = field(default_factory=dict)
    scores: Result = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        tree: dict[str, Any] = {"attack": self.attack, "epsilon": self.epsilon, "loss": self.loss}
        tree["accuracy"], tree["as_file"] = value_json(self.accuracy), value_json(self.as_file)
        tree["parts"] = {name: value_json(value) for name, value in self.parts.items()}
        tree["scores"] = {name: value_json(value) for name, value in self.scores.items()}
        return tree


def shown(epsilon: float) -> str:
    """An epsilon as people write it: ``4/255`` where it is a whole number of levels, else ``0.3``.

    51/255 is 0.2, and no other: what two decimals can say is said with them.
    """
    levels = epsilon * 255
    if abs(epsilon - round(epsilon, 2)) < 1e-9:
        return f"{epsilon:.3g}"
    if epsilon < 1 and abs(levels - round(levels)) < 1e-6 and round(levels) < 64:
        return f"{round(levels)}/255"
    return f"{epsilon:.3g}"


def value_json(value: Value) -> dict[str, Any]:
    """A number with its interval and its note."""
    return {"value": value.value, "low": value.low, "high": value.high, "note": value.note}
