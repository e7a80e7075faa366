"""One rank of a training, as `steps.training.launch` starts it: job.json -> a trained model, and counts.json."""

import json
import os
from pathlib import Path

from steps.training.run import TrainJob, train
from utils.jobs import log
from utils.jobs.cli import run
from utils.jobs.errors import RetortError
from utils.jobs.files import to_json
from utils.jobs.lock import lock


def main(argv: list[str]) -> None:
    """Trains on this rank."""
    folder = Path(argv[0])
    import torch.distributed as dist

    job, rank = TrainJob(**json.loads((folder / "job.json").read_text())), int(os.environ["RANK"])
    log.set_command("train")
    if rank == 0:
        log.add_file(job.out / "train.log")
    else:
        log.silence()
    try:
        if rank == 0:  # the launcher may be dead already while its ranks still save
            lock(job.out / ".ranks.lock")
        found = train(job)
    except RetortError as e:
        (folder / f"error.{rank}").write_text(json.dumps([e.status, str(e)]))
        raise
    if rank == 0:
        (folder / "counts.json").write_text(to_json(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    run(main)
