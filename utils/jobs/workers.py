"""Work in parallel by process."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from utils.jobs.errors import MachineError
from utils.jobs.watch import start_worker


def map_in_processes(function: Callable, items: list, nj: int) -> list:
    """`[function(x) for x in items]` on `nj` processes. Raises: MachineError when one of them dies."""
    if nj == 1 or len(items) == 1:
        return [function(item) for item in items]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(min(nj, len(items)), get_context("fork"), initializer=start_worker) as pool:
        try:
            return list(pool.map(function, items))
        except BrokenProcessPool:
            raise MachineError("a worker process was killed, for want of memory perhaps; try fewer (--nj)") from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
