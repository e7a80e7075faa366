"""A lock on a directory, held until the process ends.

As a command, `python3 -m utils.jobs.lock FD` locks a file that the calling shell holds open, for as long as
the shell holds it: the lock belongs to the open file, not to the process.
"""

import fcntl
import sys
from pathlib import Path

from utils.jobs.errors import InUseError

_HELD: list = []


def lock(path: Path) -> None:
    """Takes the lock file `path`, made with its folder. Raises: InUseError when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    f = open(path, "a")
    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUseError(f"{path.parent}: in use by another run") from None
    _HELD.append(f)


if __name__ == "__main__":
    try:
        fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(InUseError.status)
