import fcntl
import sys

from tests.support import error_of, execute

TAKE = """
import sys
from pathlib import Path
from utils.jobs.cli import run
from utils.jobs.lock import lock
run(lambda argv: lock(Path(argv[0])))
"""


def test_the_second_holder_ends_with_status_6(tmp_path):
    with open(tmp_path / "x.lock", "a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        result = execute([sys.executable, "-c", TAKE, tmp_path / "x.lock"], tmp_path)
    assert error_of(result, 6) == f"{tmp_path}: in use by another run"


def test_a_lock_ends_with_its_holder(tmp_path):
    for _ in range(2):
        assert execute([sys.executable, "-c", TAKE, tmp_path / "x.lock"], tmp_path).returncode == 0


def test_a_process_may_take_a_lock_that_it_holds(tmp_path):
    twice = TAKE.replace("lock(Path(argv[0])))", "[lock(Path(argv[0])) for _ in range(2)])")
    assert execute([sys.executable, "-c", twice, "x.lock"], tmp_path).returncode == 0


def test_the_shell_holds_a_lock_through_its_file_descriptor(tmp_path):
    script = f"exec 9>>x.lock; for i in 1 2; do (exec 8>>x.lock; {sys.executable} -m utils.jobs.lock 8; echo $?); done"
    with open(tmp_path / "x.lock", "a") as f:
        assert execute(["bash", "-c", script], tmp_path).stdout == "0\n0\n"
        fcntl.flock(f, fcntl.LOCK_EX)
        assert execute(["bash", "-c", script], tmp_path).stdout == "6\n6\n"


def test_the_shell_waits_a_moment_for_what_a_killed_driver_left(tmp_path):
    script = f"(exec 9>>x.lock; flock 9; sleep 0.7) & sleep 0.3; exec 8>>x.lock; {sys.executable} -m utils.jobs.lock 8"
    assert execute(["bash", "-c", script], tmp_path).returncode == 0
