"""Work in parallel, by process or by thread."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context

from utils.jobs.errors import MachineError
from utils.jobs.watch import start_worker

THREADS = 4  # for work that waits for a disk, or that libraries do outside Python's lock
BLOCK = 1000  # items that wait at a time: each takes memory


def map_in_processes(function: Callable, items: list, nj: int, is_fresh: bool = False) -> list:
    """`[function(x) for x in items]` on `nj` processes.

    Args:
        function: A function of a module, and what it returns, must be picklable.
        items: Its arguments.
        nj: How many processes work side by side.
        is_fresh: Whether each item gets a process of its own; else few items may be worked on in this one.

    Raises: MachineError when a process dies.
    """
    if not is_fresh and (nj == 1 or len(items) < 2):
        return [function(item) for item in items]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context, each = ("spawn", 1) if is_fresh else ("fork", None)
    workers = min(nj, len(items))
    with ProcessPoolExecutor(workers, get_context(context), start_worker, max_tasks_per_child=each) as pool:
        try:
            return list(pool.map(function, items))
        except BrokenProcessPool:
            raise MachineError("a worker process was killed, for want of memory perhaps; try fewer (--nj)") from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def map_in_threads(function: Callable, items: Iterable) -> Iterator:
    """`function(x)` for each of many items, in order, on some threads."""
    items = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        while block := list(islice(items, BLOCK)):
            yield from pool.map(function, block)
