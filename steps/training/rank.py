"""One rank of a training, as torchrun starts it: job.json -> a trained model, and counts.json."""

import json
from pathlib import Path

from steps.training.run import TrainJob, train
from utils.jobs.cli import run
from utils.jobs.files import to_json


def main(argv: list[str]) -> None:
    """Trains on this rank."""
    order, counts = map(Path, argv)
    import torch.distributed as dist

    found = train(TrainJob(**json.loads(order.read_text())))
    if dist.get_rank() == 0:
        counts.write_text(to_json(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    run(main)
