"""What to try against an illness, in the settings of the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Advice:
    """Words what to try against an illness as ``--set`` options that the recipe has.

    Example:
        >>> Advice({"optimizers.critic.lr": 2e-4}).calmer("critic")
    """

    settings: Mapping[str, Any]

    def calmer(self, turn: str) -> str:
        """Smaller steps of the player of this turn, or of all, and a stronger penalty."""
        own = f"optimizers.{turn}.lr"
        rates = [own] if own in self.settings else self._rates()
        return self._try(self._halved(rates), self._penalty())

    def weaker_critic(self, turn: str) -> str:
        """Smaller steps of the critic, and a stronger penalty."""
        rates = [name for name in self._rates() if name.split(".")[1] in ("discriminator", "critic", turn)]
        critic = [name for name in rates if "generator" not in name] or self._rates()
        return self._try(self._halved(critic), self._penalty())

    def more_data(self) -> str:
        """More images in fact or in effect."""
        mirror = [] if self.settings.get("data.mirror", False) else ["--set data.mirror=true"]
        augment = ["--set data.augment.crop=0.9"] if self.settings.get("data.augment.crop") == 1.0 else []
        best = "more pictures, or keep an earlier checkpoint"
        return self._try([*mirror, *augment], self._penalty(), [best])

    def _rates(self) -> list[str]:
        return [n for n in self.settings if n.startswith("optimizers.") and n.endswith(".lr")]

    def _halved(self, rates: list[str]) -> list[str]:
        told = [f"{name}={_times(self.settings[name], 0.5)}" for name in rates]
        words = " ".join(f"--set {one}" for one in told)
        return [f"{words} (half)" if told else "smaller learning rates"]

    def _penalty(self) -> list[str]:
        for name in ("method.gamma", "method.penalty"):
            value = self.settings.get(name)
            if isinstance(value, int | float) and value > 0:
                return [f"--set {name}={_times(value, 2.0)} (double)"]
        return []

    @staticmethod
    def _try(*ways: list[str]) -> str:
        every = [way for some in ways for way in some]
        return f"Try a new --run with {', or '.join(every)}."


def _times(value: Any, factor: float) -> str:
    return f"{float(value) * factor:.3g}"
