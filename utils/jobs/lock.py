"""A lock on a directory, held until the process ends.

As a command, `python3 -m utils.jobs.lock FD` locks a file that the calling shell holds open, for as long as
the shell, or a program that it started, holds it: the lock belongs to the open file, not to the process.
"""

import fcntl
import sys
import time
from pathlib import Path

from utils.jobs.errors import InUseError

_HELD: list = []


def lock(path: Path, patience_s: float = 5.0) -> None:
    """Takes the lock file `path`, made with its folder, unless this process holds it already.

    Args:
        path: The file.
        patience_s: How long to wait for another holder: a job whose driver was killed needs a moment to end.

    Raises: InUseError when another process holds it all the time.
    """
    if any(held.name == str(path.absolute()) for held in _HELD):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    f = open(path.absolute(), "a")
    if not _is_taken(f.fileno(), patience_s):
        raise InUseError(f"{path.parent}: in use by another run")
    _HELD.append(f)


def _is_taken(fd: int, patience_s: float) -> bool:
    """Tries to lock an open file for some time."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)


if __name__ == "__main__":  # what a killed driver had started ends within a second
    sys.exit(0 if _is_taken(int(sys.argv[1]), patience_s=1.5) else InUseError.status)
