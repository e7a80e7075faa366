"""Starts the ranks of a training on this machine, and ends all of them when one ends early."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from steps.training.run import TrainJob
from utils.jobs import lock
from utils.jobs.errors import BY_STATUS, MachineError
from utils.jobs.files import to_json

PATIENCE_S = 30.0  # for ranks that were asked to stop to finish their update and save


def train_in_ranks(job: TrainJob, processes: int) -> dict:
    """Trains in several processes; returns the main one's counts. Raises: the error of the first rank that failed."""
    folder = Path(job.stage) / "ranks"
    folder.mkdir()
    (folder / "job.json").write_text(to_json(asdict(job)))
    ranks = [start(folder, rank, processes) for rank in range(processes)]
    try:
        failed = first_failure(ranks, folder)
    finally:
        stop(ranks)
    if failed is not None:
        message = folder / f"error.{failed}"
        status = ranks[failed].returncode
        kind = BY_STATUS.get(status, MachineError)
        raise kind(message.read_text() if message.exists() else f"{job.out}: rank {failed} ended with status {status}")
    counts = json.loads((folder / "counts.json").read_text())
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return counts


def start(folder: Path, rank: int, world: int) -> subprocess.Popen:
    """One rank. It ends with this process, and holds its lock until then."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "RETORT_DRIVER_PID": os.getpid()}
    env = os.environ | {name: str(number) for name, number in numbers.items()}
    command = [sys.executable, "-m", "steps.training.rank", str(folder)]
    return subprocess.Popen(command, env=env, pass_fds=lock.held())


def first_failure(ranks: list[subprocess.Popen], folder: Path) -> int | None:
    """Waits for all ranks, or until one fails: its number. One that said why comes before those it took along."""
    while True:
        states = [rank.poll() for rank in ranks]
        failed = [number for number, status in enumerate(states) if status]
        if failed:
            return min(failed, key=lambda number: not (folder / f"error.{number}").exists())
        if None not in states:
            return None
        time.sleep(0.1)


def stop(ranks: list[subprocess.Popen]) -> None:
    """Asks the ranks that still run to stop, and makes them."""
    deadline = time.monotonic() + PATIENCE_S
    for rank in ranks:
        if rank.poll() is None:
            rank.terminate()
    for rank in ranks:
        try:
            rank.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            rank.kill()
            rank.wait()
