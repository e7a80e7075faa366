"""A lock on a directory, held until the process ends.

As a command, `python3 -m utils.jobs.lock FD` locks a file that the calling shell holds open, for as long as
the shell holds it: the lock belongs to the open file, not to the process.
"""

import fcntl
import sys
import time
from pathlib import Path

from utils.jobs.errors import InUseError

_HELD: list = []


def lock(path: Path, patience_s: float = 5.0) -> None:
    """Takes the lock file `path`, made with its folder.

    Args:
        path: The file.
        patience_s: How long to wait for another holder: a job whose driver was killed needs a moment to end.

    Raises: InUseError when another process holds it all the time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    f = open(path, "a")
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise InUseError(f"{path.parent}: in use by another run") from None
            time.sleep(0.1)
    _HELD.append(f)


if __name__ == "__main__":
    try:
        fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(InUseError.status)
