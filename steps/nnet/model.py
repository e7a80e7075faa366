"""A whole recogniser: normalisation, encoder, heads; and the folder it is kept in."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from steps.config.schema import CTC, FeaturesConfig, LoraConfig
from steps.features.cmvn import read_cmvn
from steps.features.deltas import delta_reach
from steps.features.settings import band_hz, feature_dim, frame_shift_ms, static_dim
from steps.heads.registry import FOUND, HIDING, SELF_SUPERVISED, head_class
from steps.heads.shape import HeadShape
from steps.nnet.normalisation import without_mean
from steps.nnet.output import ModelOutput, zero_padding
from steps.nnet.registry import encoder_class
from steps.nnet.rounding import load_weights
from steps.nnet.streaming import Past
from steps.nnet.subsampling import subsampled_lens
from steps.tokens.token_table import TokenTable
from utils.jobs.errors import DataError, StaleError, UsageError
from utils.jobs.files import sha256

Augment = Callable[[Tensor, Tensor], Tensor]
NOT_HEADS = ("inner_ctc", "error_rate", "blank_share")  # other figures of a training have these names


class Recogniser(nn.Module):
    """An encoder under one or several heads, on features that it normalises itself.

    Attributes:
        feature_shift_ms: Between two frames of the features.
        frame_shift_ms: Between two frames of the output.
        look_ahead_ms: What its encoder hears behind a frame; heads that attend to whole utterances wait for their end.
        chunk_frames: Features that a stream takes at a time; 0: it cannot stream.
    """

    def __init__(
        self,
        settings: dict,
        input_dim: int,
        num_tokens: int,
        frame_shift_ms: float,
        blank_id: int = 0,
        heads: dict[str, dict] | None = None,
    ):
        super().__init__()
        self.blank_id = blank_id
        self.static_dim = input_dim  # the features before their deltas
        self.band_hz = (0.0, 0.0)  # of the filterbank
        self.register_buffer("mean", torch.zeros(input_dim))
        self.register_buffer("inverse_sd", torch.ones(input_dim))
        inner = {key: value for key, value in settings.items() if key not in ("encoder", "mean_norm")}
        self.mean_norm = settings.get("mean_norm", "none")
        encoder = settings["encoder"]
        self.encoder = build_part(f"the {encoder}", encoder_class(encoder), input_dim, frame_shift_ms, **inner)
        subsampling = self.encoder.subsampling
        decoder = getattr(self.encoder, "decoder", (None,))[0]
        width = self.encoder.output_dim
        shape = HeadShape("", width, num_tokens, blank_id, input_dim, subsampling, frame_shift_ms, decoder)
        self.heads = build_heads(heads or {"ctc": {}}, shape)
        self.tokens_of = {name: table.get("tokens", "") for name, table in (heads or {"ctc": {}}).items()}
        corrupting = [name for name, head in self.heads.items() if hasattr(head, "corrupt")]
        if len(corrupting) > 1:
            raise UsageError(f"the heads {' and '.join(corrupting)} both hide frames from the encoder; leave one")
        self.corrupting = corrupting[0] if corrupting else ""  # the head that hides frames
        kinds = {table.get("type", name) for name, table in (heads or {}).items()}
        self.hides_at_rest = kinds <= set(SELF_SUPERVISED) or kinds.isdisjoint(HIDING)  # for the loss on dev
        self.feature_shift_ms = frame_shift_ms
        self.frame_shift_ms = frame_shift_ms * self.encoder.subsampling
        self.look_ahead_ms = frame_shift_ms * self.encoder.look_ahead_frames
        self.chunk_frames = self.encoder.chunk_frames
        if self.mean_norm == "utterance":
            self.look_ahead_ms, self.chunk_frames = math.inf, 0

    def set_cmvn(self, mean: np.ndarray, sd: np.ndarray) -> None:
        """Sets the normalisation from a mean and standard deviation of shape (F,)."""
        self.mean.copy_(torch.from_numpy(mean))
        self.inverse_sd.copy_(1.0 / torch.from_numpy(sd))
        self.set_drawn_cmvn(mean, sd)

    def set_drawn_cmvn(self, mean: np.ndarray, sd: np.ndarray) -> None:
        """Sets that of the features that heads draw, which may be others than the model hears."""
        for head in self.heads.values():
            if hasattr(head, "set_cmvn"):
                head.set_cmvn(torch.from_numpy(mean), 1.0 / torch.from_numpy(sd))

    def output_lens(self, feat_lens: Tensor) -> Tensor:
        """(B,) frames of the output."""
        return subsampled_lens(feat_lens, self.encoder.subsampling)

    def frames_needed(self, tokens: tuple[int, ...]) -> int:
        """The least frames of the output that all heads can spell tokens in, but for those with tokens of their own."""
        return max(head.frames_needed(tokens) for name, head in self.heads.items() if not self.tokens_of[name])

    def constrain(self) -> None:
        """Moves weights that have a constraint towards it; called after each step of the optimiser."""
        for part in self.modules():
            if hasattr(part, "constrain") and part is not self:
                part.constrain()

    def num_params(self) -> int:
        """Trained weights."""
        return sum(p.numel() for p in self.parameters())

    def forward(
        self, feats: Tensor, feat_lens: Tensor, augment: Augment | None = None, past: Past | None = None
    ) -> ModelOutput:
        """Runs a batch.

        Args:
            feats: (B, T, F) features.
            feat_lens: (B,) frames of each utterance.
            augment: Changes normalised features in training; padding must stay 0.
            past: Of a stream, whose chunks have `chunk_frames` frames, the last one as many or fewer.
        """
        x = zero_padding((feats - self.mean) * self.inverse_sd, feat_lens)
        x = without_mean(x, feat_lens, past, mean_norm=self.mean_norm)
        clean, hidden_frames = x, None
        if augment:
            x = augment(x, feat_lens)
        if self.corrupting and not (self.training or self.hides_at_rest):
            hidden_frames = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        elif self.corrupting:
            x, hidden_frames = self.heads[self.corrupting].corrupt(x, feat_lens)
            x = zero_padding(x, feat_lens)
        encoder_out, lengths, hidden = self.encoder(x, feat_lens, past)
        encoder_out = encoder_out.float()  # losses of heads are computed without autocast
        if past is not None:
            past.frames += encoder_out.size(1)
        logits = self.logits(encoder_out)
        if hidden_frames is None:
            return ModelOutput(encoder_out, lengths, logits, hidden)
        return ModelOutput(encoder_out, lengths, logits, hidden, clean, hidden_frames)

    def logits(self, encoder_out: Tensor) -> dict[str, Tensor]:
        """(B, U, D) -> (B, U, V) of each head that speaks on each frame."""
        return {name: head(encoder_out) for name, head in self.heads.items() if head.is_framewise}

    def inner_output(self, output: ModelOutput) -> ModelOutput:
        """What the head says of the states of the middle layer (Lee and Watanabe 2021, eq. 6).

        Raises: UsageError when the encoder has a single layer.
        """
        if not output.hidden:
            raise UsageError("train.inner_ctc_weight needs an encoder of at least two layers")
        inner = output.hidden[len(output.hidden) // 2]
        return ModelOutput(inner, output.lengths, self.logits(inner))


def build_heads(tables: dict[str, dict], shape: HeadShape) -> nn.ModuleDict:
    """The heads by their names."""
    found = nn.ModuleDict()
    for name, table in tables.items():
        if hasattr(found, name) or "." in name or name in NOT_HEADS:
            raise UsageError(f"a head cannot be called '{name}'; rename it")
        own = {key: value for key, value in table.items() if key not in ("type", "weight", "tokens", *FOUND)}
        size = len(table["classes"]) if "classes" in table else table.get("num_tokens", shape.num_tokens)
        cls = head_class(table.get("type", name))
        found[name] = build_part(f"the head {name}", cls, replace(shape, name=name, num_tokens=size), **own)
    return found


def build_part(what: str, cls: type, *args: object, **settings: object) -> nn.Module:
    """An encoder or a head. Raises: UsageError when it cannot be built."""
    try:
        return cls(*args, **settings)
    except (ValueError, AssertionError, ZeroDivisionError, RuntimeError) as e:
        told = ", ".join(f"{key} = {value}" for key, value in settings.items() if key != "config")  # that is pages long
        raise UsageError(f"{what} cannot be built from {told or 'its defaults'}: {e}") from None


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
    megabytes: float = 0.0  # 10^6 bytes of weights, those that were rounded in their few bits
    labelled_hours: float = 0.0
    unlabelled_hours: float = 0.0
    lora: dict = field(default_factory=dict)  # settings of adapters
    base: dict = field(default_factory=dict)  # of adapters: path and SHA-256 of the model they stand beside
    left_out: list[str] = field(default_factory=list)  # speakers of its training set whom a fold leaves out
    heads: dict = field(default_factory=lambda: {"ctc": CTC})

    def build(self) -> Recogniser:
        """A model with fresh weights from torch's default generator."""
        features = FeaturesConfig(**self.features)
        try:
            model = Recogniser(
                self.model, feature_dim(features), self.num_tokens, frame_shift_ms(features), self.blank_id, self.heads
            )
        except UsageError as e:
            raise UsageError(f"[{self.system}] {e}") from None
        model.static_dim, model.band_hz = static_dim(features), band_hz(features)
        model.look_ahead_ms += delta_reach(features.deltas) * model.feature_shift_ms
        if features.cmvn != "global" or features.type == "model":  # whose maker hears whole utterances
            model.look_ahead_ms, model.chunk_frames = math.inf, 0
        return model

    def to_dict(self) -> dict:
        """What config.json holds."""
        return asdict(self)


@dataclass(frozen=True)
class LoadedModel:
    """A model folder in memory."""

    model: Recogniser
    config: ModelConfig
    tokens: TokenTable
    other_tokens: dict[str, TokenTable] = field(default_factory=dict)

    def tokens_of(self, head: str) -> TokenTable:
        """Those that a head writes."""
        return self.other_tokens.get(self.config.heads[head].get("tokens", ""), self.tokens)


def read_model_config(folder: Path) -> ModelConfig:
    """The config.json of a model folder.

    Raises: DataError when the folder is no model; StaleError when the file is malformed.
    """
    try:
        return ModelConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{folder}: not a model folder, config.json is missing; run steps.train") from None
    except (ValueError, TypeError) as e:
        raise StaleError(f"{folder}/config.json: cannot be read ({e}); run steps.train --force") from None


def load_model(folder: Path, device: str = "cpu", heads: dict[str, dict] | None = None) -> LoadedModel:
    """Loads a model folder for inference.

    Args:
        folder: Of the model.
        device: Where it goes.
        heads: Settings that stand for those of its own heads, such as those of adapters beside it.

    Raises: DataError when the folder is no model; StaleError when its files do not belong together.
    """
    config = read_model_config(folder)
    config = replace(config, heads=heads or config.heads)
    tokens = TokenTable.read(folder / "tokens.txt", config.unit)
    if tokens.sha256 != config.tokens_sha256:
        raise StaleError(f"{folder}/tokens.txt: not the tokens that the model was trained with; restore the file")
    tensors, facts = load_weights(folder / "model.safetensors")
    for name, expected in facts.get("files", {}).items():  # before anything is built as they say
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise StaleError(f"{folder}/{name}: not what the model was trained with; restore the file")
    model = with_base(config, folder) if config.base else config.build()
    try:
        unknown = model.load_state_dict(tensors, strict=not config.base).unexpected_keys
        if unknown:
            raise RuntimeError(f"{unknown[0]} is none of its weights")
    except RuntimeError as e:
        raise StaleError(f"{folder}/model.safetensors: weights of another model ({str(e).splitlines()[0]})") from None
    others = {
        table["tokens"]: TokenTable.read(folder / f"tokens_{table['tokens']}.txt", table["unit"])
        for table in config.heads.values()
        if table.get("tokens")
    }
    return LoadedModel(in_use(model).to(device), config, tokens, others)


def in_use(model: Recogniser) -> Recogniser:
    """A model that learns no more, and hears everything."""
    model.hides_at_rest = False
    return model.eval()


def with_base(config: ModelConfig, folder: Path) -> Recogniser:
    """The base model of adapters, with fresh ones. Raises: StaleError when it is not the one they were trained on."""
    from steps.nnet.lora import add_adapters

    base = folder / config.base["path"]
    file = base / "model.safetensors"
    if not file.is_file() or sha256(file) != config.base["sha256"]:
        why = "is another" if file.is_file() else "is missing"
        raise StaleError(f"{folder}: its base model {file} {why}; restore it, or train the adapters again")
    model = load_model(base, heads=config.heads).model.train()
    add_adapters(model, LoraConfig(**config.lora))
    return model


def new_model(config: ModelConfig, cmvn: Path, seed: int) -> Recogniser:
    """A model with weights that depend on the configuration and the seed alone."""
    torch.manual_seed(seed)
    model = config.build()
    if config.features.get("type") != "waveform":
        mean, sd = read_cmvn(cmvn)
        if len(mean) != len(model.mean):
            raise StaleError(f"{cmvn}: of {len(mean)} features a frame, and the model hears {len(model.mean)}")
        model.set_cmvn(mean, sd)
    return model
