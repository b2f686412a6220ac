"""What a person sees while a run goes on: a progress bar at a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO, runtime_checkable

from tqdm import tqdm

from gansmith.core.launch import speaks
from gansmith.core.streams import clean, messages


@runtime_checkable
class Console(Protocol):
    """Where training reports its progress: ``Terminal``, ``Log``, ``Silent``, or a class of your own.

    Example:
        >>> isinstance(Silent(), Console)
        True
    """

    def say(self, message: str) -> None:
        """One line for the user."""
        ...

    def start(self, images: int, total: int) -> None:
        """Training goes from ``images`` to ``total``; again where that has changed."""
        ...

    def advance(self, images: int) -> None:
        """So many images further; cheap enough for every step."""
        ...

    def report(self, row: Mapping[str, float]) -> None:
        """New numbers."""
        ...

    def stop(self) -> None:
        """Training ended."""
        ...


def summary(row: Mapping[str, float]) -> str:
    """The numbers of a row as one line: each turn's loss, then its other parts.

    >>> summary({"images": 640, "discriminator/loss": 1.3, "discriminator/D(x)": 0.6, "seconds": 9})
    'discriminator 1.300 (D(x) 0.60)'
    """
    turns: dict[str, list[str]] = {}
    for name, value in row.items():
        turn, slash, part = name.partition("/")
        if not slash or turn == "health":
            continue
        if part == "loss":
            turns.setdefault(turn, []).insert(0, f"{turn} {value:.3f}")
        elif part != "gradient" and (not part.startswith("accuracy") or turn == "held-out"):
            turns.setdefault(turn, []).append(f"{part} {value:.2f}")
    lines = []
    for turn, parts in turns.items():
        head, rest = (parts[0], parts[1:]) if parts[0].startswith(turn) else (turn, parts)
        lines.append(f"{head} ({', '.join(rest)})" if rest else head)
    return " | ".join(lines)


def _waiting(row: Mapping[str, float]) -> str:
    """How much of the time training waited for images."""
    return f"data wait {100 * row.get('data_wait', 0.0):.0f} %"


class Terminal:
    """A progress bar with the newest numbers below it.

    Example:
        >>> bar = Terminal()
        >>> bar.start(images=0, total=200_000); bar.advance(64); bar.stop()
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file: Any = messages(file or sys.stderr).raw
        self._bar: tqdm[Any] | None = None
        self._numbers: tqdm[Any] | None = None

    def say(self, message: str) -> None:
        tqdm.write(clean(message), file=self._file)

    def start(self, images: int, total: int) -> None:
        if self._bar is not None:
            self._bar.total, self._bar.n = total, images
            self._bar.refresh()
            return
        self._bar = tqdm(
            total=total,
            initial=images,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            file=self._file,
            smoothing=0.05,
        )
        self._numbers = tqdm(total=0, bar_format="{desc}", position=1, dynamic_ncols=True, file=self._file)

    def advance(self, images: int) -> None:
        if self._bar is not None:
            self._bar.update(images)

    def report(self, row: Mapping[str, float]) -> None:
        if self._numbers is not None:
            self._numbers.set_description_str(clean(f"{summary(row)} | {_waiting(row)}"))

    def stop(self) -> None:
        for bar in (self._numbers, self._bar):
            if bar is not None:
                bar.close()
        self._bar = self._numbers = None


class Log:
    """One line of text for each report, for log files and batch systems.

    Example:
        >>> Log(sys.stdout).say("Resuming at 6,400 images.")
        Resuming at 6,400 images.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file: Any = messages(file or sys.stderr)
        self._total = 0

    def say(self, message: str) -> None:
        print(message, file=self._file, flush=True)

    def start(self, images: int, total: int) -> None:
        self._total = total

    def advance(self, images: int) -> None:
        pass

    def report(self, row: Mapping[str, float]) -> None:
        rate = row.get("images_per_second", 0.0)
        left = max(self._total - row["images"], 0) / rate if rate else 0.0
        clock = f"{int(left // 3600)}:{int(left // 60) % 60:02d}:{int(left) % 60:02d}"
        share = min(100 * row["images"] / max(self._total, 1), 100)
        self.say(
            f"{row['images']:.0f} images {share:.0f} % | {summary(row)} | "
            f"{rate:.1f} images/s, {_waiting(row)}, {clock} left"
        )

    def stop(self) -> None:
        pass


class Silent:
    """Prints nothing: for tests, and for programs that train.

    Example:
        >>> train(recipe, data, Path("runs/one"), console=Silent())
    """

    def say(self, message: str) -> None:
        pass

    def start(self, images: int, total: int) -> None:
        pass

    def advance(self, images: int) -> None:
        pass

    def report(self, row: Mapping[str, float]) -> None:
        pass

    def stop(self) -> None:
        pass


def console() -> Console:
    """A bar where a person watches, lines where nobody does."""
    return Terminal() if messages(sys.stderr).isatty() else Log()


def bar(what: str, total: int, unit: str = " pictures") -> "tqdm[Any]":
    """A progress bar for work that is not training, where there is a terminal; one process shows it."""
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        unit_scale=True,
        disable=None if speaks() else True,
        dynamic_ncols=True,
        leave=False,
        file=messages(sys.stderr).raw,
    )


def counter(what: str) -> Callable[[int, int], None]:
    """A callback (done, total) that shows a progress bar while work is under way."""
    shown: list[tqdm[Any]] = []

    def count(done: int, total: int) -> None:
        if not shown:
            shown.append(bar(what, total))
        shown[0].update(done - shown[0].n)
        if done >= total:
            shown[0].close()

    return count


class Stopwatch:
    """Measures the seconds of a run, and the images per second since the last reading.

    Example:
        >>> watch = Stopwatch(); watch.add(64)
        >>> watch.read()["images_per_second"]
    """

    def __init__(self, seconds_before: float = 0.0) -> None:
        self._start = time.perf_counter() - seconds_before
        self._last = time.perf_counter()
        self._images = 0
        self._waited = 0.0

    def add(self, images: int) -> None:
        """Count images."""
        self._images += images

    def read(self, waited: float = 0.0) -> dict[str, float]:
        """Seconds in all; the rate and the share of time waited for data since the last reading.

        Args:
            waited: seconds waited for data in all.
        """
        now = time.perf_counter()
        elapsed = max(now - self._last, 1e-9)
        reading = {
            "seconds": round(now - self._start, 3),
            "images_per_second": round(self._images / elapsed, 2),
            "data_wait": round((waited - self._waited) / elapsed, 4),
        }
        self._waited = waited
        self._last, self._images = now, 0
        return reading
