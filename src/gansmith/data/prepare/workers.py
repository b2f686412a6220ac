"""Every core works on pictures; the blocks come back in the order of the source, whoever made them."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice

from gansmith.data.prepare.worker import Block, Job, Maker, Task, start_worker, work
from gansmith.data.sources.folder import Source
from gansmith.errors import DataError, GansmithError

_CHUNK = 32  # Pictures a worker is given at a time, at most;
_CHUNK_BYTES = 2**21  # fewer where they are large, so that they stay in the processor's cache.
_AHEAD = 4  # Chunks under way per worker; bounds the memory whatever the number of pictures.


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blocks(source: Source, job: Job, start: int, workers: int) -> Iterator[tuple[int, Block]]:
    """(pictures of the source done, what became of the last few), in order, from picture ``start`` on.

    Raises:
        GansmithError: something that is wrong for all pictures, or a worker that was killed.
    """
    size = job.form.size.width * job.form.size.height * job.form.channels
    chunk_size = max(1, min(_CHUNK, _CHUNK_BYTES // size))
    chunks = _chunks(source, start, chunk_size)
    left = len(source.names) - start
    if workers == 1 or (left <= 2 * chunk_size and job.faces is None):  # Not worth starting processes.
        maker = Maker(job)
        for chunk in chunks:
            yield chunk[-1].index + 1, maker.block(chunk)
        return
    try:
        with _pool(job, min(workers, -(-left // chunk_size))) as pool:
            yield from _pooled(pool, chunks, _AHEAD * workers)
    except BrokenProcessPool as error:
        raise DataError(
            "A worker process was ended from outside, most often for want of memory. What is prepared so far "
            "is kept: the same command goes on. Use fewer with --workers."
        ) from error


def _pooled(
    pool: ProcessPoolExecutor, chunks: Iterator[list[Task]], max_waiting: int
) -> Iterator[tuple[int, Block]]:
    """The blocks in order, ``max_waiting`` of them under way at a time."""
    waiting: deque[tuple[int, Future[Block | GansmithError]]] = deque()
    for chunk in chunks:
        waiting.append((chunk[-1].index + 1, pool.submit(work, chunk)))
        if len(waiting) >= max_waiting:
            done, future = waiting.popleft()
            yield done, _result(future)
    while waiting:
        done, future = waiting.popleft()
        yield done, _result(future)


def _chunks(source: Source, start: int, size: int) -> Iterator[list[Task]]:
    landmarks = source.facts.landmarks
    tasks = (
        Task(index, source.names[index], source.key(index), None if landmarks is None else landmarks[index])
        for index in range(start, len(source.names))
    )
    return iter(lambda: list(islice(tasks, size)), [])


def _result(future: "Future[Block | GansmithError]") -> Block:
    result = future.result()
    if isinstance(result, GansmithError):
        raise result
    return result


@contextmanager
def _pool(job: Job, workers: int) -> Iterator[ProcessPoolExecutor]:
    # Fresh processes: a fork of one that has threads (torch, tqdm) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker, initargs=(job,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
