"""What manifests, hashes and fsync cost in a run of the demo: a copy of the code takes the time of its own bookkeeping.

Whatever a command does to be sure of its files is counted: hashing of inputs, outputs, tensors and soft labels, fsync
and rename, reading and writing of manifests, the look at all commands before it.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.faults.kills import DemoRun, copy_code, copy_demo

TIMERS = '''"""Takes the time of functions, the outermost of each call only."""

import atexit
import os
import time

BEGUN, DEPTH, SPENT = time.perf_counter(), [0], [0.0]


def timed(function):
    def call(*args, **more):
        DEPTH[0] += 1
        started = time.perf_counter()
        try:
            return function(*args, **more)
        finally:
            DEPTH[0] -= 1
            if not DEPTH[0]:
                SPENT[0] += time.perf_counter() - started

    return call


def report():
    with open(os.path.join(os.environ["RETORT_COST"], str(os.getpid())), "w") as f:
        f.write(f"{SPENT[0]} {time.perf_counter() - BEGUN}")


atexit.register(report)
'''
LIMIT_PERCENT = 3
METHODS = ("stale_reason", "_refuse_to_mix", "_read_inputs", "_commit", "_refresh", "_check_upstream", "_forced")
TIMED = {  # file -> what is added to it
    "utils/jobs/files.py": "sha256, fsync, flush, write_atomic = map(timed, (sha256, fsync, flush, write_atomic))",
    "utils/jobs/manifest.py": "Manifest.write = timed(Manifest.write)",
    "utils/jobs/job.py": "\n".join(f"Job.{name} = timed(Job.{name})" for name in METHODS),
    "steps/nnet/tensor_file.py": "digest_of = timed(digest_of)",
    "steps/distillation/records.py": "crc_of = timed(crc_of)",
}


def timed_tree(folder: Path) -> Path:
    """A copy of the code that takes the time of its bookkeeping."""
    copy_code(folder)
    (folder / "utils" / "timers.py").write_text(TIMERS)
    for name, lines in TIMED.items():
        with open(folder / name, "a") as f:
            f.write(f"\n\nfrom utils.timers import timed  # noqa: E402\n\n{lines}\n")
    return folder


@dataclass(frozen=True)
class Cost:
    """Seconds that all commands of a run spent on bookkeeping, and in all; how many they were."""

    spent_s: float
    total_s: float
    commands: int

    @property
    def share(self) -> float:
        """In percent."""
        return 100 * self.spent_s / self.total_s


def measure(folder: Path, *options: str) -> Cost:
    """Runs the demo once."""
    folder.mkdir(parents=True, exist_ok=True)
    tree, times = timed_tree(folder / "tree"), folder / "times"
    times.mkdir()
    DemoRun(copy_demo(folder / "demo"), tree, *options, RETORT_COST=str(times)).succeed()
    found = [tuple(map(float, path.read_text().split())) for path in times.iterdir()]
    return Cost(sum(spent for spent, _ in found), sum(total for _, total in found), len(found))
