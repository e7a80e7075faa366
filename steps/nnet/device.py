"""Where a model runs."""

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
