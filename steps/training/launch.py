"""Starts the ranks of a training on this machine with torchrun's launcher, and ends all of them when one ends early."""

import json
import os
import signal
import sys
import uuid
from dataclasses import asdict
from pathlib import Path

from steps.training.run import TrainJob
from utils.jobs.errors import BY_STATUS, Interrupted, MachineError
from utils.jobs.files import to_json

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def train_in_ranks(job: TrainJob, processes: int) -> dict:
    """Trains in several processes; returns the main one's counts. Raises: the error of the rank that failed first."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    folder = Path(job.stage) / "ranks"
    folder.mkdir()
    (folder / "job.json").write_text(to_json(asdict(job)))
    os.environ["RETORT_DRIVER_PID"] = str(os.getpid())  # ranks end with this process, however it ends
    one_machine = {"min_nodes": 1, "max_nodes": 1, "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    config = LaunchConfig(nproc_per_node=processes, run_id=str(uuid.uuid4()), max_restarts=0, **one_machine)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        elastic_launch(config, sys.executable)("-m", "steps.training.rank", str(folder))
    except SignalException as e:
        raise Interrupted(f"stopped by {e.sigval.name}; run the same command again to go on") from None
    except ChildFailedError as e:
        raise error_of(e.failures, folder) from None
    finally:  # the launcher leaves its own
        for number, handler in handlers.items():
            signal.signal(number, handler)
    counts = json.loads((folder / "counts.json").read_text())
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return counts


def error_of(failures: dict, folder: Path) -> Exception:
    """What a rank said before it failed; one that said why comes before those it took along."""
    for path in sorted(folder.glob("error.*")):
        status, message = json.loads(path.read_text())
        return BY_STATUS[status](message)
    rank, failure = min(failures.items(), key=lambda pair: pair[1].timestamp)
    kind = BY_STATUS.get(failure.exitcode, MachineError)
    return kind(f"rank {rank} ended with status {failure.exitcode}")
