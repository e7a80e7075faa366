"""The state of a run: all that an interrupted one goes on from, bit by bit."""

import random
from dataclasses import dataclass, field

import torch
from torch import nn

from steps.nnet.lora import adapter_weights
from steps.training.batching import BatchSampler
from steps.training.checkpoints import Checkpoints, optimizer_tensors, restore_optimizer
from utils.jobs.errors import StaleError
from utils.jobs.job import first_change


@dataclass
class Progress:
    """All that a checkpoint holds besides tensors, and the places of generators."""

    update: int = 0
    looked_at: int = -1  # the last update that dev was looked at after
    bad_updates: int = 0  # in a row
    sums: dict[str, list[float]] = field(default_factory=dict)  # term -> [sum, count] since the last look
    history: list[dict] = field(default_factory=list)
    best: list[list] = field(default_factory=list)  # [error rate, loss, update] of the models kept
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass
class State:
    """What changes while a model is trained.

    Attributes:
        parts: All that has weights: the model, losses of terms, and averages of the model that teach it.
        optimizer: Of all that is trained.
        sampler: It has a place in the epoch.
        noise: Seeds dropout and masks.
        checkpoints: Where states go.
        identity: What a state belongs to; one of another run is refused.
        has_adapters: Whether these alone are saved of a model.
        progress: Everything else.
    """

    parts: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer
    sampler: BatchSampler
    noise: random.Random
    checkpoints: Checkpoints
    identity: dict
    has_adapters: bool
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.protected: set[int] = set()

    def save(self) -> None:
        """Saves what `resume` continues from."""
        tensors = {f"{part}.{name}": x for part in self.parts for name, x in self.kept(part).items()}
        tensors |= optimizer_tensors(self.optimizer)
        version, internal, gauss = self.noise.getstate()
        facts = {
            "identity": self.identity,
            "progress": vars(self.progress),
            "sampler": self.sampler.state(),
            "noise": [version, list(internal), gauss],
        }
        self.checkpoints.save(self.progress.update, tensors, facts)
        best = {update for _, _, update in self.progress.best}
        self.checkpoints.keep_models(best | self.protected)  # the state before this one still names its own
        self.protected = best

    def save_model(self) -> None:
        """Saves the model alone, to be averaged."""
        self.checkpoints.save_model(self.progress.update, self.kept("model"))

    def kept(self, part: str) -> dict[str, torch.Tensor]:
        """The weights of a part that are saved: all, or of whole models with adapters these alone."""
        weights = self.parts[part].state_dict()
        return adapter_weights(weights) if self.has_adapters and part != "terms" else weights

    def resume(self) -> None:
        """Continues from the latest checkpoint, if there is one. Raises: StaleError for one of another run."""
        found = self.checkpoints.latest()
        if found is None:
            return
        tensors, facts = found
        self.check_identity(facts["identity"])
        for part, module in self.parts.items():
            own = {k.removeprefix(f"{part}."): v for k, v in tensors.items() if k.startswith(f"{part}.")}
            module.load_state_dict(own, strict=not self.has_adapters)
        restore_optimizer(self.optimizer, {k: v for k, v in tensors.items() if k.startswith("optimizer.")})
        self.progress = Progress(**facts["progress"])
        self.restore_position(facts["sampler"])
        self.restore_noise(facts["noise"])
        self.protected = {update for _, _, update in self.progress.best}

    def restore_position(self, state: dict) -> None:
        """Puts the sampler where it was."""
        self.sampler.restore(state)

    def restore_noise(self, state: list) -> None:
        """Puts the generator of all noise where it was."""
        version, internal, gauss = state
        self.noise.setstate((version, tuple(internal), gauss))

    def check_identity(self, saved: dict) -> None:
        """Raises StaleError that tells in what a checkpoint's run differs from this one."""
        if changed := first_change(saved, self.identity):
            raise StaleError(
                f"{self.checkpoints.folder}: an unfinished run with other settings ({' '.join(changed)}); "
                "undo the change to go on, or train anew with --force"
            )
