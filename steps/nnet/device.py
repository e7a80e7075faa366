"""Where a model runs, and whether there is room for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from utils.jobs.errors import MachineError


def require_gpus(count: int) -> None:
    """Raises MachineError when the machine has fewer GPUs than asked for."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found < count:
        raise MachineError(f"--gpus {count}: PyTorch finds {found} here; use fewer, or none")


def device_of(gpus: int) -> str:
    """The device of a command that uses one GPU at most."""
    require_gpus(min(gpus, 1))
    return "cuda" if gpus else "cpu"


@contextmanager
def room_for(utt_ids: list[str], num_frames: int) -> Iterator[None]:
    """Raises MachineError that names a batch, the longest utterance first, when there is no memory for it."""
    try:
        yield
    except (MemoryError, RuntimeError) as e:
        if not isinstance(e, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(e):
            raise
        others = f" and {len(utt_ids) - 1} more" if len(utt_ids) > 1 else ""
        told = f"out of memory in a batch with utterance '{utt_ids[0]}'{others}, {num_frames:,} frames"
        raise MachineError(
            f"{told}; cut long recordings with segments, lower train.max_frames, or run fewer (--nj)"
        ) from None
