import os
import signal

import pytest

from utils.jobs.errors import DataError, MachineError
from utils.jobs.workers import map_in_processes


def square(x):
    return x * x


def pid_of(_):
    return os.getpid()


def refuse(x):
    raise DataError(f"{x} is bad")


def die(x):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("nj", [1, 2, 5])
def test_results_stand_in_the_order_of_the_items(nj):
    assert map_in_processes(square, list(range(7)), nj) == [0, 1, 4, 9, 16, 25, 36]


def test_nothing_gives_nothing():
    assert map_in_processes(square, [], 2) == []


def test_fresh_items_get_a_process_each():
    pids = map_in_processes(pid_of, [1, 2, 3], 2, is_fresh=True)
    assert len({*pids, os.getpid()}) == 4


def test_an_error_of_a_worker_is_raised_here():
    with pytest.raises(DataError, match="is bad"):
        map_in_processes(refuse, [1, 2, 3], 2)


def test_a_killed_worker_is_an_error_of_the_machine_and_no_hang():
    with pytest.raises(MachineError, match="a worker process was killed"):
        map_in_processes(die, [1, 2, 3], 2)
