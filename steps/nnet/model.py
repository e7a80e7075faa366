"""A whole recogniser: normalisation, encoder, CTC head; and the folder it is kept in."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from steps.config.schema import FeaturesConfig
from steps.features.cmvn import read_cmvn
from steps.features.settings import band_hz, feature_dim, static_dim
from steps.nnet.normalisation import without_mean
from steps.nnet.output import ModelOutput, zero_padding
from steps.nnet.registry import encoder_class
from steps.nnet.tensor_file import load_tensors
from steps.tokens.token_table import TokenTable
from utils.jobs.errors import DataError, StaleError, UsageError
from utils.jobs.files import sha256

Augment = Callable[[Tensor, Tensor], Tensor]


class CtcModel(nn.Module):
    """An encoder under a CTC head (Graves et al. 2006), on features that it normalises itself."""

    def __init__(self, settings: dict, input_dim: int, num_tokens: int, frame_shift_ms: float, blank_id: int = 0):
        super().__init__()
        self.blank_id = blank_id
        self.static_dim = input_dim  # the features before their deltas
        self.band_hz = (0.0, 0.0)  # of the filterbank
        self.register_buffer("mean", torch.zeros(input_dim))
        self.register_buffer("inverse_sd", torch.ones(input_dim))
        inner = {key: value for key, value in settings.items() if key not in ("encoder", "mean_norm")}
        self.mean_norm = settings.get("mean_norm", "none")
        try:
            self.encoder = encoder_class(settings["encoder"])(input_dim, **inner)
        except (ValueError, AssertionError, ZeroDivisionError, RuntimeError) as e:
            raise UsageError(f"the {settings['encoder']} cannot be built from {inner}: {e}") from None
        self.ctc = nn.Linear(self.encoder.output_dim, num_tokens)
        self.frame_shift_ms = frame_shift_ms * self.encoder.subsampling
        self.look_ahead_ms = frame_shift_ms * self.encoder.look_ahead_frames
        if self.mean_norm == "utterance":
            self.look_ahead_ms = math.inf

    def set_cmvn(self, mean: np.ndarray, sd: np.ndarray) -> None:
        """Sets the normalisation from a mean and standard deviation of shape (F,)."""
        self.mean.copy_(torch.from_numpy(mean))
        self.inverse_sd.copy_(1.0 / torch.from_numpy(sd))

    def output_lens(self, feat_lens: Tensor) -> Tensor:
        """(B,) frames of the output."""
        return self.encoder.output_lens(feat_lens)

    def num_params(self) -> int:
        """Trained weights."""
        return sum(p.numel() for p in self.parameters())

    def forward(self, feats: Tensor, feat_lens: Tensor, augment: Augment | None = None) -> ModelOutput:
        """Runs a batch.

        Args:
            feats: (B, T, F) features.
            feat_lens: (B,) frames of each utterance.
            augment: Changes normalised features in training; padding must stay 0.
        """
        x = zero_padding((feats - self.mean) * self.inverse_sd, feat_lens)
        x = without_mean(x, feat_lens, mean_norm=self.mean_norm)
        if augment:
            x = augment(x, feat_lens)
        encoder_out, lengths, hidden = self.encoder(x, feat_lens)
        return ModelOutput(encoder_out, lengths, {"ctc": self.ctc(encoder_out)}, hidden)

    def inner_output(self, output: ModelOutput) -> ModelOutput:
        """What the head says of the states of the middle layer (Lee and Watanabe 2021, eq. 6).

        Raises: UsageError when the encoder has a single layer.
        """
        if not output.hidden:
            raise UsageError("train.inner_ctc_weight needs an encoder of at least two layers")
        inner = output.hidden[len(output.hidden) // 2]
        return ModelOutput(inner, output.lengths, {"ctc": self.ctc(inner)})


@dataclass(frozen=True)
class ModelConfig:
    """config.json of a model folder: all that is needed to build the model and feed it."""

    system: str
    seed: int
    model: dict
    features: dict
    unit: str
    num_tokens: int
    tokens_sha256: str
    blank_id: int
    train: dict
    params: int = 0
    labelled_hours: float = 0.0
    unlabelled_hours: float = 0.0

    def build(self) -> CtcModel:
        """A model with fresh weights from torch's default generator."""
        features = FeaturesConfig(**self.features)
        model = CtcModel(self.model, feature_dim(features), self.num_tokens, features.frame_shift_ms, self.blank_id)
        model.static_dim, model.band_hz = static_dim(features), band_hz(features)
        if features.cmvn != "global":
            model.look_ahead_ms = math.inf
        return model

    def to_dict(self) -> dict:
        """What config.json holds."""
        return asdict(self)


@dataclass(frozen=True)
class LoadedModel:
    """A model folder in memory."""

    model: CtcModel
    config: ModelConfig
    tokens: TokenTable


def load_model(folder: Path, device: str = "cpu") -> LoadedModel:
    """Loads a model folder for inference.

    Raises: DataError when the folder is no model; StaleError when its files do not belong together.
    """
    try:
        config = ModelConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{folder}: not a model folder, config.json is missing; run steps.train") from None
    except (ValueError, TypeError) as e:
        raise StaleError(f"{folder}/config.json: cannot be read ({e}); run steps.train --force") from None
    tokens = TokenTable.read(folder / "tokens.txt", config.unit)
    if tokens.sha256 != config.tokens_sha256:
        raise StaleError(f"{folder}/tokens.txt: not the tokens that the model was trained with; restore the file")
    model = config.build()
    tensors, facts = load_tensors(folder / "model.safetensors")
    for name, expected in facts.get("files", {}).items():
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise StaleError(f"{folder}/{name}: not what the model was trained with; restore the file")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as e:
        raise StaleError(f"{folder}/model.safetensors: weights of another model ({str(e).splitlines()[0]})") from None
    return LoadedModel(model.eval().to(device), config, tokens)


def new_model(config: ModelConfig, cmvn: Path, seed: int) -> CtcModel:
    """A model with weights that depend on the configuration and the seed alone."""
    torch.manual_seed(seed)
    model = config.build()
    model.set_cmvn(*read_cmvn(cmvn))
    return model
