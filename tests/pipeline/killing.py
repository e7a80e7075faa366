"""Trainings that are killed: processes forked from one that has torch loaded, so that a trial costs a second."""

import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

from steps.training.resume_files import resume_files

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["steps.training.run", "tests.pipeline.killing"])


def train(folder: Path, arguments: list[str], without: str) -> None:
    """Is steps.train, run in `folder`; the method of State named `without` does nothing."""
    from steps import train as module
    from steps.training.state import State
    from utils.jobs.cli import run

    with open(folder / "stderr.log", "a") as f:
        os.dup2(f.fileno(), 2)
    os.chdir(folder)
    sys.argv = ["train.py", *arguments]
    if without:
        assert hasattr(State, without)
        setattr(State, without, lambda self, state: None)
    run(module.main)


class Training:
    """One training of the tiny recipe in a folder, in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, system: str = "student", without: str = ""):
        self.out = folder / "exp" / system / "seed0"
        self.folder = folder
        arguments = ["--system", system, *arguments]
        self.process = CONTEXT.Process(target=train, args=(folder, arguments, without))
        self.process.start()

    def wait(self, timeout_s: float = 120) -> int:
        """The exit status, below 0 for a signal."""
        self.process.join(timeout_s)
        assert self.process.exitcode is not None, "the training hangs"
        return self.process.exitcode

    def succeed(self) -> "Training":
        """Waits for the end, which must be a good one."""
        assert self.wait() == 0, (self.folder / "stderr.log").read_text()
        return self

    def checkpoints(self) -> list[int]:
        """The updates of the states that can be resumed."""
        return list(resume_files(self.out / "checkpoints"))

    def wait_for_checkpoint(self, update: int) -> None:
        """Waits until a state of this update or a later one is there."""
        while max(self.checkpoints(), default=0) < update:
            assert self.process.is_alive(), (self.folder / "stderr.log").read_text()
            time.sleep(0.002)

    def signal(self, number: int) -> int:
        """Sends a signal; returns the exit status."""
        os.kill(self.process.pid, number)
        return self.wait()

    def kill(self) -> int:
        """Kills it; returns the last update that was saved before."""
        assert self.signal(signal.SIGKILL) == -signal.SIGKILL
        return self.checkpoints()[-1]

    def updates(self) -> int:
        """The update of the last line of metrics.jsonl."""
        return json.loads((self.out / "metrics.jsonl").read_text().splitlines()[-1])["update"]
