"""Builds that are broken on purpose: the controls. A battery that does not notice them tests nothing."""

from collections.abc import Callable
from pathlib import Path


class Anything:
    """Equals whatever it is compared with."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return True


def believe_files() -> None:
    """Outputs are written in place, and taken as done where they exist: how recipes without manifests do it."""
    from utils.jobs.job import Job

    Job._work = lambda self, build: build(self.folder)
    Job.stale_reason = lambda self, verify=False: None if any(self.folder.glob("*.txt")) else "never made"
    Job._refresh = lambda self: None


def save_in_place() -> None:
    """Tensors are written under their final name, piece by piece."""
    from steps.nnet import tensor_file

    def write(path: Path, data: bytes) -> None:
        with open(path, "wb", buffering=0) as f:
            for start in range(0, len(data), 4096):
                f.write(data[start : start + 4096])

    tensor_file.write_atomic = write


def trust_tensors() -> None:
    """The SHA-256 of tensors is not looked at."""
    from steps.nnet import tensor_file

    tensor_file.digest_of = lambda tensors, facts: Anything()


def trust_soft_labels() -> None:
    """The CRC-32 of soft labels is not looked at."""
    from steps.distillation import records

    records.crc_of = lambda rows, utt_id, seed: Anything()


def forget() -> None:
    """A training that was interrupted begins anew, in silence."""
    from steps.training.checkpoints import Checkpoints

    Checkpoints.latest = lambda self: None


def lack_memory() -> None:
    """The machine has no memory for a model's output."""
    from steps.nnet.model import Recogniser

    def forward(self: object, *_: object) -> None:
        raise MemoryError

    Recogniser.forward = forward


BROKEN: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (believe_files, save_in_place, trust_tensors, trust_soft_labels, forget, lack_memory)
}
