"""The models that are timed: a student, and two that are like teachers, with trainers around them."""

from collections.abc import Callable
from pathlib import Path

import torch

from bench.speech import NUM_MEL_BINS
from steps.config.schema import FeaturesConfig, SystemConfig, TrainConfig
from steps.nnet.model import LoadedModel, ModelConfig, Recogniser
from steps.tokens.token_table import BLANK, TokenTable
from steps.training.batching import BatchSampler
from steps.training.checkpoints import Checkpoints
from steps.training.examples import Example
from steps.training.loop import Trainer
from steps.training.ranks import Ranks
from steps.training.terms import DistillTerm

NUM_TOKENS = 42
STUDENT = {"encoder": "lstm", "dim": 112, "num_layers": 1}
BIDIRECTIONAL_STUDENT = {"encoder": "lstm", "dim": 48, "num_layers": 1, "bidirectional": True}
TEACHER = {"encoder": "lstm", "dim": 128, "num_layers": 2, "bidirectional": True}
CONFORMER = {"encoder": "conformer", "dim": 96, "num_layers": 4}


def new_model(settings: dict, num_tokens: int = NUM_TOKENS) -> Recogniser:
    """A model with weights from seed 0."""
    torch.manual_seed(0)
    return Recogniser(settings, NUM_MEL_BINS, num_tokens, frame_shift_ms=10.0)


def loaded(settings: dict, num_tokens: int = NUM_TOKENS) -> LoadedModel:
    """A model as `load_model` returns it."""
    model, table = new_model(settings, num_tokens).eval(), TokenTable((BLANK, *map(str, range(1, num_tokens))), "word")
    features = FeaturesConfig(num_mel_bins=NUM_MEL_BINS).__dict__
    config = ModelConfig("bench", 0, settings, features, "word", num_tokens, table.sha256, 0, {})
    return LoadedModel(model, config, table)


def new_trainer(model: Recogniser, examples: list[Example], folder: Path, terms: list[DistillTerm]) -> Trainer:
    """A trainer with the default settings, that neither looks at dev nor saves."""
    train = TrainConfig(updates=1_000_000)
    nothing: Callable = lambda *_: None  # noqa: E731
    return Trainer(
        model.train(),
        SystemConfig("bench", {}, train=train),
        BatchSampler(examples, train.max_frames, seed=0),
        terms,
        nothing,
        Checkpoints(folder / "checkpoints"),
        {},
        Ranks(),
        0,
        report=nothing,
        should_stop=lambda: False,
        tick=nothing,
    )
