"""Children die with the driver, and workers with their command, also when those were killed by SIGKILL."""

import os
import signal
import threading
import time
from pathlib import Path


def _alive(pid: int) -> bool:
    """Whether a process runs. One that has ended and was not waited for (state Z) does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:  # no /proc on this system
        return True
    except ProcessLookupError:
        return False
    except PermissionError:
        return True


def die_with(pid: int, signal_number: int = signal.SIGTERM, interval_s: float = 0.2) -> None:
    """Starts a thread that signals this process as soon as process `pid` is gone."""

    def wait() -> None:
        while _alive(pid):
            time.sleep(interval_s)
        os.kill(os.getpid(), signal_number)

    threading.Thread(target=wait, daemon=True).start()


def die_with_driver() -> None:
    """Ties this process to the driver named by RETORT_DRIVER_PID, if it runs under one."""
    pid = os.environ.get("RETORT_DRIVER_PID", "")
    if pid.isdigit():
        die_with(int(pid))


def start_worker() -> None:
    """Initialises a worker of a process pool: one thread, no signals of its own, gone with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with(os.getppid(), signal.SIGKILL)
