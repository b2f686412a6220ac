"""Work done beside training: encoding images and writing checkpoints, so that no step waits for a disk."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from gansmith.errors import StorageError

_MOST = 3  # Pieces that may wait: their images and weights are in memory meanwhile.


class Background:
    """A thread beside training that does one piece of work after the other, in order.

    What the disk refuses is kept and given out by ``troubles``; any other error is raised by the next call.

    Example:
        >>> background = Background()
        >>> background.do(lambda: write_text(Path("note.txt"), "saved"))
        >>> background.settle(); background.close()
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gansmith-writer")
        self._pending: list[Future[None]] = []
        self._troubles: list[StorageError] = []

    def do(self, work: Callable[[], None]) -> None:
        """Do this later; wait only where too much is waiting already."""
        self._collect(_MOST - 1)
        self._pending.append(self._thread.submit(work))

    def troubles(self) -> list[StorageError]:
        """What went wrong since the last call, of what is finished by now."""
        self._collect(_MOST)
        found, self._troubles = self._troubles, []
        return found

    def settle(self) -> None:
        """Wait until everything is done."""
        self._collect(0)

    def close(self) -> None:
        """Finish what was begun, and stop."""
        self._thread.shutdown(wait=True)

    def _collect(self, allowed: int) -> None:
        while self._pending and (len(self._pending) > allowed or self._pending[0].done()):
            try:
                self._pending.pop(0).result()
            except StorageError as error:
                self._troubles.append(error)
