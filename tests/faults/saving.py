"""Checkpoints whose writer is killed. `python3 -m tests.faults.saving FOLDER` saves one after the other, for ever."""

import random
import sys
import time
from pathlib import Path

from steps.training.resume_files import resume_files
from tests.faults.faultio import CHANGE, KILL, WRITE, Fault, Forker

SIZE = 250_000  # numbers in each tensor: with two of them, 2 MB a checkpoint
LONGEST_S = 0.06  # from the first checkpoint to the kill: some checkpoints long


def state(update: int) -> tuple[dict, dict]:
    """(tensors, facts) that tell which update they belong to."""
    import torch

    return {name: torch.full((SIZE,), float(update)) for name in ("model.a", "optimizer.0.exp_avg")}, {"update": update}


def main(argv: list[str]) -> None:
    """Saves states after the latest one that is there, until the number `argv[1]` or a kill."""
    from steps.training.checkpoints import Checkpoints

    checkpoints = Checkpoints(Path(argv[0]))
    first = (checkpoints.latest() or ({}, {"update": 0}))[1]["update"] + 1
    for update in range(first, first + int(argv[1])):
        checkpoints.save(update, *state(update))


def fault_of(folder: Path) -> str:
    """What is wrong with the checkpoints of a killed writer, or nothing."""
    from steps.training.checkpoints import Checkpoints
    from utils.jobs.errors import StaleError

    try:
        found = Checkpoints(folder).latest()
    except StaleError as e:
        return str(e)
    if found is None:
        return "no checkpoint is left"
    tensors, facts = found
    expected = state(facts["update"])[0]
    return "" if all(tensors[name].equal(expected[name]) for name in expected) else "a checkpoint of mixed updates"


class Saver:
    """A folder of checkpoints and the writers that are killed in it."""

    def __init__(self, folder: Path):
        self.forker = Forker(folder / "forker")
        self.folder = folder / "checkpoints"
        self.places = {"cwd": folder, "below": self.folder}
        self.saved = self.in_flight = 0  # checkpoints, and writes that a kill cut off, of `kill_after`
        self.save(2)

    def save(self, number: int, fault: Fault | None = None, broken: str = "") -> int | None:
        """Saves some; returns the exit status."""
        arguments = ("tests.faults.saving", self.folder, number)
        return self.forker.run(*arguments, **self.places, fault=fault, broken=broken).status

    def begin_anew(self) -> None:
        """Replaces damaged checkpoints."""
        for path in self.folder.iterdir():
            path.unlink()
        assert self.save(2) == 0

    def calls(self) -> int:
        """How many I/O calls it takes to save three."""
        return self.forker.run(
            "tests.faults.saving", self.folder, 3, **self.places, fault=Fault(0, KILL, WRITE | CHANGE)
        ).calls

    def kill_at(self, call: int, broken: str = "") -> str:
        """Kills a writer at its n-th I/O call; returns what is wrong then."""
        assert self.save(3, Fault(call, KILL, WRITE | CHANGE), broken) == -9
        return self.verdict()

    def kill_after(self, seconds: float, broken: str = "") -> str:
        """Kills a writer that long after it saved its first checkpoint; returns what is wrong then."""
        before = self.newest()
        process = self.forker.start("tests.faults.saving", self.folder, 10**6, **self.places, broken=broken)
        while self.newest() == before:
            time.sleep(0.001)
        time.sleep(seconds)
        process.kill()
        process.join()
        self.in_flight += any(self.folder.glob(".*.tmp"))
        self.saved += self.newest() - before
        return self.verdict()

    def newest(self) -> int:
        """The update of the newest checkpoint."""
        return max(resume_files(self.folder), default=0)

    def verdict(self) -> str:
        """What is wrong with the checkpoints, which are then replaced."""
        fault = fault_of(self.folder)
        if fault:
            self.begin_anew()
        return fault


def kill_at_random(folder: Path, trials: int, seed: int = 0, broken: str = "") -> tuple[list[str], Saver]:
    """What is wrong after each of many kills at random moments, and the counts of what they hit."""
    saver, generator = Saver(folder), random.Random(seed)
    return [saver.kill_after(generator.uniform(0, LONGEST_S), broken) for _ in range(trials)], saver


if __name__ == "__main__":
    main(sys.argv[1:])
