"""Commands that one command runs side by side: when one of them fails, or it is told to stop, all are stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Lock

from utils.jobs.errors import BY_STATUS, Interrupted, MachineError

STOPPED = "stopped; run the same command again to go on"


class Commands:
    """Those that run now."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen] = set()
        self.is_stopped = False
        self.lock = Lock()

    def call(self, log_file: Path, command: list[str]) -> None:
        """Runs a Python module with its options; what it says is added to a log.

        Raises: the error that its exit status stands for, with its line.
        """
        environment = os.environ | {"RETORT_DRIVER_PID": str(os.getpid()), "OMP_NUM_THREADS": "1"}
        with open(log_file, "ab") as out:
            start = out.tell()
            with self.lock:
                if self.is_stopped:
                    raise Interrupted(STOPPED)
                job = subprocess.Popen([sys.executable, "-m", *command], stdout=out, stderr=out, env=environment)
                self.running.add(job)
            status = job.wait()
            with self.lock:
                self.running.discard(job)
        if status == Interrupted.status:
            raise Interrupted(STOPPED)
        if status < 0:
            name = signal.Signals(-status).name
            why = "; is there memory for so many side by side (--nj)?" if -status == signal.SIGKILL else ""
            raise MachineError(f"{command[0]} was ended by {name}{why}; its log: {log_file}")
        if status:
            with open(log_file, "rb") as f:
                f.seek(start)
                lines = f.read().decode(errors="replace").splitlines()
            told = next((line for line in reversed(lines) if "error: " in line), lines[-1] if lines else "")
            kind = BY_STATUS.get(status, MachineError)
            raise kind(f"{command[0]} failed: {told.partition('error: ')[2] or told}; its log: {log_file}")

    def side_by_side(self, work: Callable[[object], None], items: Iterable[object], nj: int) -> None:
        """Works on items in threads. Raises: the first error, once all commands have ended."""
        with ThreadPoolExecutor(nj) as pool:
            try:
                for done in as_completed([pool.submit(work, item) for item in items]):
                    done.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.stop()
                raise

    def stop(self) -> None:
        """Stops those that run, and lets no other begin."""
        with self.lock:
            self.is_stopped = True
            for job in self.running:
                job.terminate()
