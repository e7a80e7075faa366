"""Checkpoints: the latest two to resume from, and the best models on dev to average."""

from pathlib import Path

import torch
from torch import Tensor

from steps.nnet.tensor_file import load_tensors, save_tensors
from steps.training.resume_files import resume_file, resume_files
from utils.jobs.errors import StaleError


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts, flat."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{key}": value for i, entry in state.items() for key, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        _, i, key = name.split(".", 2)
        state.setdefault(int(i), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class Checkpoints:
    """The folder `checkpoints/` of a system."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, update: int, tensors: dict[str, Tensor], facts: dict) -> None:
        """Saves a state to resume from, then removes what neither of the latest two needs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_tensors(resume_file(self.folder, update), tensors, facts)
        for path in list(resume_files(self.folder).values())[:-2]:
            path.unlink()

    def latest(self) -> tuple[dict[str, Tensor], dict] | None:
        """The newest state, or None when there is none.

        Raises: StaleError when it cannot be read: training never starts anew by itself.
        """
        files = list(resume_files(self.folder).values())
        if not files:
            return None
        try:
            return load_tensors(files[-1])
        except StaleError as e:
            text = str(e).split("; run ")[0]
            other = f"delete it to go on from {files[-2].name}, or " if len(files) > 1 else ""
            raise StaleError(f"{text}; {other}train anew with --force") from None

    def belong_to(self, identity: dict) -> bool:
        """Whether the newest state was saved by the run of this identity. Raises: StaleError as `latest` does."""
        found = self.latest()
        return found is not None and found[1]["identity"] == identity

    def save_model(self, update: int, tensors: dict[str, Tensor]) -> None:
        """Saves the weights of one update."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.folder / f"model-{update}.safetensors", tensors)

    def keep_models(self, updates: set[int]) -> None:
        """Removes the models of all other updates."""
        for path in self.folder.glob("model-*.safetensors"):
            if int(path.stem.split("-")[1]) not in updates:
                path.unlink()

    def average(self, updates: list[int]) -> dict[str, Tensor]:
        """The mean of the models of these updates."""
        loaded = [load_tensors(self.folder / f"model-{update}.safetensors")[0] for update in sorted(updates)]
        return {
            name: torch.stack([t[name].double() for t in loaded]).mean(0).to(loaded[0][name].dtype)
            for name in loaded[0]
        }

    def clear(self) -> None:
        """Removes everything."""
        for path in self.folder.glob("*.safetensors"):
            path.unlink()
