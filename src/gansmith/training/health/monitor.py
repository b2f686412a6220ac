"""Watches the numbers of a training run and says in plain words when it falls ill, and what to try.

It looks at rows of ``stats.jsonl`` and at nothing else, so it costs nothing beside a step, and a resumed run
that feeds it the old rows stands where it stood. ``docs/health.md`` has the measurements behind the numbers.
"""

import math
from bisect import insort
from collections.abc import Iterator, Mapping
from typing import Any

from gansmith.runs.logs import Alarm
from gansmith.training.health.advice import Advice

ROWS = 3  # An illness shows in so many rows in a row, a recovery too: one odd interval is no news.

# The discriminator has won: real images score above CERTAIN_REAL, generated ones below CERTAIN_MADE. Healthy
# runs come to 0.986 and 0.012 for a while at the start, and later to 0.95 and 0.03.
CERTAIN_REAL, CERTAIN_MADE = 0.99, 0.01
CERTAIN_SHARE = 0.1  # Of the run.
# It is winning: less certain, for much longer. Healthy runs: 0.27 of a run at most; failed ones 0.87.
WINNING_REAL, WINNING_MADE = 0.9, 0.01
WINNING_SHARE = 0.4
LOST_REAL, LOST_MADE = 0.85, 0.05  # Over when either is passed.

# A gradient has vanished below this share of its median norm. Those of healthy runs keep to a factor of 50.
VANISHED, RECOVERED = 1e-3, 1e-2
VANISHED_SHARE = 0.05

# Samples have collapsed when they are less spread than this share of real images and spread no further, or
# than a share of their own best. Healthy runs begin below 0.01, may rest at 0.06 to 0.08 for a fifth of a
# short run, losing a tenth or two, and end at 0.12 to 1.15; ill ones stayed below 0.024.
COLLAPSED, SPREAD_AGAIN = 0.04, 0.08
FALLEN, RISEN = 0.25, 0.4
WORTH = 0.2  # The best from which on a fall counts.
GROWING = 1.05  # Above its best before the last LOOK_BACK of the run by this factor, a spread still grows.
LOOK_BACK = 0.1

# Held-out images score this far down from training images to generated ones (0: not at all, 1: wholly).
OVERFITTED, FITTED = 0.6, 0.4

GREY = 0.2  # The first part of a run, when every generator is grey, and easily told from real images.
LONGEST = 200_000  # Images; in a long run nobody should wait for a share of it.


class HealthMonitor:
    """Reads rows of numbers in order and reports each illness when it begins, and again if it comes back.

    Args:
        total_images: of the run.
        picture_every: images between two looks at images.
        settings: the recipe with dotted names (``{"optimizers.generator.lr": 2e-4}``), so that an alarm can
            name settings that exist, with values; without it the advice is general.

    Example:
        >>> monitor = HealthMonitor(total_images=200_000, picture_every=5_000)
        >>> monitor.look({"images": 6_400, "generator/loss": 0.7})
        []
    """

    def __init__(
        self, total_images: int, picture_every: int, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._total, self._picture_every = total_images, picture_every
        self._advice = Advice(settings or {})
        self._on: set[str] = set()
        self._debounced: dict[str, _Debounced] = {}
        self._usual: dict[str, list[float]] = {}  # Norms of healthy gradients, sorted, by turn.
        self._spreads: list[tuple[float, float]] = []  # Images, and the best spread so far.

    def look(self, row: Mapping[str, float]) -> list[Alarm]:
        """The illnesses that begin with this row, which follows those already looked at.

        A row of earlier images than the last takes the run up from there, as after a roll back.
        """
        images = row["images"]
        finite = {name: value for name, value in row.items() if math.isfinite(value)}
        found = [
            *self._not_a_number(images, row),
            *self._saturated(images, finite),
            *self._vanished(images, finite),
            *self._collapse(images, finite),
            *self._overfitting(images, finite),
        ]
        begun = [
            Alarm(key.partition(" ")[0], words) for key, ill, words in found if ill and key not in self._on
        ]
        self._on = (self._on - {key for key, _, _ in found}) | {key for key, ill, _ in found if ill}
        return begun

    # ---- illnesses: a key (the name, and whose it is), whether it is so, and words -------------------------

    def _not_a_number(self, images: float, row: Mapping[str, float]) -> "Iterator[_Finding]":
        bad = {name: value for name, value in row.items() if not math.isfinite(value)}
        name, value = next(iter(bad.items()), ("", 0.0))
        yield (
            "not_a_number",
            bool(bad),
            f"{name} became {value} by image {images:,.0f}. Usually a learning rate is too high or a penalty "
            f"too weak. {self._advice.calmer(name.partition('/')[0])}",
        )

    def _saturated(self, images: float, row: Mapping[str, float]) -> "Iterator[_Finding]":
        fakes = [value for name, value in row.items() if name.endswith("/D(G(z))")]
        for turn in _turns_with(row, "D(x)"):
            if not fakes or f"{turn}/D(G(z))" not in row:
                continue
            real, fake = row[f"{turn}/D(x)"], min(fakes)  # The generator's turn meets the newer judge.
            lost = real < LOST_REAL or fake > LOST_MADE
            certain = self._debounced_for(f"certain {turn}", CERTAIN_SHARE)
            winning = self._debounced_for(f"winning {turn}", WINNING_SHARE)
            grown = self._grown(images)
            certain.look(images, grown and real > CERTAIN_REAL and fake < CERTAIN_MADE, lost)
            winning.look(images, grown and real > WINNING_REAL and fake < WINNING_MADE, lost)
            yield (
                f"saturated {turn}",
                certain.on or winning.on,
                f"The {turn} has won: for a long time it has told real pictures from generated ones almost "
                f"without fail (D(x) {real:.3f}, D(G(z)) {fake:.2g}), so the generator learns little. "
                f"Usually it learns too fast for the generator. {self._advice.weaker_critic(turn)}",
            )

    def _vanished(self, images: float, row: Mapping[str, float]) -> "Iterator[_Finding]":
        for turn in _turns_with(row, "gradient"):
            norm, usual = row[f"{turn}/gradient"], self._usual.setdefault(turn, [])
            middle = usual[len(usual) // 2] if usual else 0.0
            ill = norm == 0.0 or norm < VANISHED * middle
            lasting = self._debounced_for(f"vanished {turn}", VANISHED_SHARE)
            lasting.look(images, ill, norm > RECOVERED * middle and norm > 0.0)
            if not ill:
                insort(usual, norm)
            against = f", where {middle:.2g} is usual" if usual else ""
            yield (
                f"vanished {turn}",
                lasting.on,
                f"The gradient of the {turn} has vanished: its norm is {norm:.2g}{against}, so its weights "
                "hardly move. Usually the discriminator is so sure that the loss is flat, or the loss does "
                f"not depend on these weights. {self._advice.weaker_critic(turn)}",
            )

    def _collapse(self, images: float, row: Mapping[str, float]) -> "Iterator[_Finding]":
        spread = row.get("health/spread")
        if spread is None:
            return
        back = max(min(LOOK_BACK * self._total, LONGEST), (ROWS - 1) * self._picture_every)
        while self._spreads and self._spreads[-1][0] >= images:  # The run has gone back.
            self._spreads.pop()
        best = next((best for at, best in reversed(self._spreads) if at <= images - back), None)
        self._spreads.append((images, max(spread, self._spreads[-1][1] if self._spreads else spread)))
        grows = best is None or spread > GROWING * best
        highest = self._spreads[-1][1]
        fallen = highest > WORTH and spread < FALLEN * highest
        ill = (spread < COLLAPSED and not grows and self._grown(images)) or fallen
        lasting = self._debounced_for("collapse", 0.0)
        lasting.look(images, ill, spread > SPREAD_AGAIN and (highest <= WORTH or spread > RISEN * highest))
        beaten = any(key.startswith("saturated") for key in self._on)
        advice = (
            "The discriminator has won, so cure that first."
            if beaten
            else f"Usually one player is too strong for the other. {self._advice.calmer('')}"
        )
        yield (
            "collapse",
            lasting.on,
            f"The samples look alike: their spread is {spread:.2g} of that of real pictures (1 is equal) and "
            f"does not grow, so the generator shows few pictures or has learnt none. {advice}",
        )

    def _overfitting(self, images: float, row: Mapping[str, float]) -> "Iterator[_Finding]":
        share = row.get("health/overfitting")
        if share is None:
            return
        lasting = self._debounced_for("overfitting", 0.0)
        lasting.look(images, share > OVERFITTED, share < FITTED)
        yield (
            "overfitting",
            lasting.on,
            "The discriminator knows its training pictures by heart: held-out pictures score "
            f"{share:.0%} of the way from training pictures down to generated ones, so samples will hardly "
            "improve from here. Usually there are too few pictures for so long a training. "
            f"{self._advice.more_data()}",
        )

    @property
    def calmer(self) -> str:
        """What to try where a run breaks off."""
        return self._advice.calmer("")

    def _grown(self, images: float) -> bool:
        return images >= min(GREY * self._total, LONGEST)

    def _debounced_for(self, key: str, share: float) -> "_Debounced":
        return self._debounced.setdefault(key, _Debounced(min(share * self._total, LONGEST)))


_Finding = tuple[str, bool, str]


class _Debounced:
    """A state that turns on, or off, only once it has been seen, or not seen, for long enough.

    ``span`` is in images; besides, it takes ``ROWS`` rows. What is neither one nor the other changes nothing
    but has to be waited for anew.
    """

    def __init__(self, span: float) -> None:
        self.on = False
        self._span, self._since, self._rows = span, 0.0, 0
        self._last = 0.0

    def look(self, images: float, ill: bool, well: bool) -> None:
        change = well if self.on else ill
        if not change:
            self._rows = 0
        elif self._rows == 0:
            self._since, self._rows = min(self._last, images), 1  # A row speaks of the time since the last.
        else:
            self._since, self._rows = min(self._since, images), self._rows + 1
        self._last = images
        if self._rows >= ROWS and images - self._since >= self._span:
            self.on, self._rows = not self.on, 0


def _turns_with(row: Mapping[str, float], part: str) -> list[str]:
    return [name.removesuffix(f"/{part}") for name in row if name.endswith(f"/{part}")]
