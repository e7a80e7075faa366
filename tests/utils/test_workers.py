import os
import signal
from functools import partial

import numpy as np
import pytest

from utils.data_dir.archive import read_feats, write_archive
from utils.jobs.errors import DataError, MachineError
from utils.jobs.workers import map_in_processes


def square(x):
    return x * x


def pid_of(_):
    return os.getpid()


def refuse(x):
    raise DataError(f"{x} is bad")


def sum_of(utt_id, places):
    return [float(read_feats(places[utt_id]).sum()) for _ in range(20)]


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


def test_processes_do_not_move_each_others_place_in_an_archive_that_was_open_before_them(tmp_path):
    feats = {f"u{i}": np.full((50, 40), i, np.float32) for i in range(100)}
    places = write_archive(tmp_path / "a.ark", tmp_path / "a.ark", feats.items(), compress=False)
    read_feats(places["u0"])
    found = map_in_processes(partial(sum_of, places=places), list(feats), 4)
    assert found == [[2000.0 * i] * 20 for i in range(100)]


def test_processes_read_archives_however_many_their_parent_has_open(tmp_path):
    places = {}
    for i in range(70):  # more than stay open
        path = tmp_path / f"{i}.ark"
        places |= write_archive(path, path, [(f"u{i}", np.full((2, 3), i, np.float32))], compress=False)
    for utt_id, entry in places.items():
        read_feats(entry, utt_id)
    found = map_in_processes(read_feats, list(places.values()), 2)
    assert [int(x[0, 0]) for x in found] == list(range(70))
