"""One at a time at the model: who waits, who is displaced, who is sent away."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gansmith.errors import GansmithError

T = TypeVar("T")


class BusyError(GansmithError):
    """So many requests wait for the model that another one would wait too long.

    Example:
        >>> raise BusyError("The model is busy with 12 requests. Try again in a second.")
    """


class DisplacedError(GansmithError):
    """A newer request of the same tab took the place of one that waited.

    Example:
        >>> raise DisplacedError("A newer request of this tab took its place.")
    """


class Desk:
    """One thread that works, and a short queue in which each tab has one place: its latest wish.

    A slider that is dragged asks faster than a slow model answers. What waits is then out of date, and only
    the newest is worth making.

    Args:
        most: how many may wait.

    Example:
        >>> image = await desk.work("tab 1", lambda: generator.make(Noise.of(0)))
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._waiting: OrderedDict[str, asyncio.Future[None]] = OrderedDict()
        self._working = False

    async def work(self, who: str, task: Callable[[], T]) -> T:
        """What ``task`` gives, made when it is its turn.

        Raises:
            DisplacedError: ``who`` asked again meanwhile.
            BusyError: too many wait.
        """
        if self._working:
            await self._queue(who)
        self._working = True
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, task)
        finally:
            self._next()

    async def _queue(self, who: str) -> None:
        older = self._waiting.pop(who, None)
        if older is not None and not older.done():
            older.set_exception(DisplacedError("A newer request of this tab took the place of this one."))
        if len(self._waiting) >= self._most:
            raise BusyError(f"The model is busy: {self._most} requests wait for it. Try again in a second.")
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[who] = mine
        try:
            await mine
        except (
            asyncio.CancelledError
        ):  # The browser has gone: its place is free, and if it was next, the turn.
            if self._waiting.get(who) is mine:
                del self._waiting[who]
            elif mine.done() and not mine.cancelled() and mine.exception() is None:
                self._next()
            raise

    def _next(self) -> None:
        """Let the one that has waited longest begin."""
        while self._waiting:
            _, first = self._waiting.popitem(last=False)
            if not first.done():
                first.set_result(None)
                return
        self._working = False

    def close(self) -> None:
        """Let the thread end after what it does now."""
        self._thread.shutdown(wait=False, cancel_futures=True)
