"""An update of the trainer, from archives to weights, against the same model on batches that lie ready in memory."""

from collections.abc import Callable
from pathlib import Path

import torch

from bench import systems
from bench.rows import Goal, Row, race, speed_row
from bench.speech import random_examples
from steps.config.load import load
from steps.config.schema import SystemConfig
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser
from steps.training.batching import BatchSampler
from steps.training.examples import Example
from tests.support import ROOT
from utils.data_dir.archive import read_feats

GOAL = Goal(at_least=0.85)
NUM_BATCHES = 8
MODELS = {
    "student, LSTM": (systems.STUDENT, 850),
    "student, bidirectional LSTM": (systems.BIDIRECTIONAL_STUDENT, None),
    "teacher, bidirectional LSTM": (systems.TEACHER, 400),
    "teacher, Conformer": (systems.CONFORMER, None),
}  # with the speeds that a budget of 2 cores counts on, x real time
RECIPE = "speechocean762"  # whose systems are timed too


def models() -> dict[str, tuple[dict, float | None]]:
    """The settings of each model, by name, and the budget of its speed."""
    found = load(ROOT / "egs" / RECIPE / "conf.toml").systems
    own = {f"{RECIPE}, {name}": (s.model, None) for name, s in found.items() if not is_repeated(name, found)}
    return MODELS | own


def is_repeated(name: str, systems: dict[str, SystemConfig]) -> bool:
    """Whether an earlier system has the same model."""
    earlier = list(systems)[: list(systems).index(name)]
    return any(systems[other].model == systems[name].model for other in earlier)


def bare_update(model: Recogniser, batches: list[list[Example]]) -> Callable[[int], None]:
    """An update on the i-th of these batches: forward, CTC, backward, clip, step."""
    ready = []
    for batch in batches:
        feats, feat_lens = pad([read_feats(e.feats) for e in batch])
        labels = torch.cat([torch.tensor(e.tokens) for e in batch])
        ready.append((feats, feat_lens, labels, torch.tensor([len(e.tokens) for e in batch])))
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3, betas=(0.9, 0.98), fused=True)

    def update(i: int) -> None:
        feats, feat_lens, labels, sizes = ready[i]
        output = model(feats, feat_lens)
        log_probs = output.logits["ctc"].log_softmax(-1).transpose(0, 1)  # (U, B, V)
        loss = torch.nn.functional.ctc_loss(log_probs, labels, output.lengths, sizes, reduction="sum")
        optimizer.zero_grad()
        (loss / len(labels)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    return update


def race_batches(updates: dict[str, Callable[[int], None]], num_batches: int, repetitions: int) -> dict[str, float]:
    """Seconds of each way to update, summed over the batches; the ways take turns on each batch."""
    total = dict.fromkeys(updates, 0.0)
    for i in range(num_batches):
        runners = {name: (lambda update=update, i=i: update(i)) for name, update in updates.items()}
        for name, seconds in race(runners, repetitions).items():
            total[name] += seconds
    return total


def rows(folder: Path) -> list[Row]:
    """For each model the loop's share, and the speed against the budget."""
    examples = random_examples(folder, 400, systems.NUM_TOKENS)
    table = []
    for name, (settings, budget) in models().items():
        trainer = systems.new_trainer(systems.new_model(settings), examples, folder, terms=[])
        sampler: BatchSampler = trainer.sampler
        batches = [sampler.next() for _ in range(NUM_BATCHES)]
        bare = bare_update(systems.new_model(settings), batches)
        updates = {"ours": lambda i, t=trainer, b=batches: t.update(b[i]), "bare": bare}
        seconds = race_batches(updates, NUM_BATCHES, 5)
        frames = sum(e.num_frames for batch in batches for e in batch)
        label = f"training, {name}, {trainer.model.num_params():,} weights"
        table.append(speed_row(label, frames / 100, seconds["ours"], seconds["bare"], GOAL, "x real time"))
        if budget:
            speed = frames / 100 / seconds["ours"]
            table.append(Row(f"{label}: budget", speed, budget, speed / budget, Goal(), "x real time"))
    return table
