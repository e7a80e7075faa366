"""wav2vec 2.0, HuBERT or WavLM of Hugging Face transformers as an encoder (Baevski et al. 2020; Hsu et al. 2021)."""

import json
import math
from types import ModuleType

import torch
from torch import Tensor, nn

from steps.config.types import Fraction
from steps.nnet.output import zero_padding
from steps.nnet.streaming import Past
from steps.nnet.subsampling import subsampled_lens
from utils.jobs.errors import DataError
from utils.jobs.packages import import_for

EPSILON = 1e-7  # of the variance, as the package's feature extractor has it
NEVER = -100.0  # logit of a token that a model does not have
KINDS = ("wav2vec2", "hubert", "wavlm")


def load_transformers() -> ModuleType:
    """The package. Raises: MachineError when it is not installed."""
    return import_for("model.encoder = 'huggingface'", "transformers", "transformers")


class HuggingFaceEncoder(nn.Module):
    """A pre-trained encoder of waveforms; each utterance runs alone, for some of these models look at padding.

    The signal is padded at both ends so that a frame is the middle of what its convolutions hear, and there are
    as many frames as another encoder of this subsampling has.

    Args:
        input_dim: 1, samples.
        frame_shift_ms: Of the samples.
        model: A name on huggingface.co, or a folder with config.json, preprocessor and weights.
        config: Of the model, as JSON; kept in a model folder, so that it needs nothing else. Leave it empty.
        freeze_convolutions: Whether the layers that listen to samples stay as they are.
        dropout: Behind the last layer.
    """

    input = "waveform"

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        model: str = "",
        config: str = "",
        freeze_convolutions: bool = True,
        dropout: Fraction = 0.0,
    ):
        super().__init__()
        if input_dim != 1:
            raise ValueError("it listens to samples; give its sets features of type 'waveform'")
        transformers = load_transformers()
        if config:
            found = json.loads(config)
            settings = transformers.AutoConfig.for_model(**found["model"])
            self.model = transformers.AutoModel.from_config(settings)
            self.is_normalised, rate_hz = found["is_normalised"], found["rate_hz"]
        else:
            self.model = read(lambda: transformers.AutoModel.from_pretrained(model), model)
            extractor = read(lambda: transformers.AutoFeatureExtractor.from_pretrained(model), model)
            self.is_normalised, rate_hz = bool(extractor.do_normalize), extractor.sampling_rate
        c = self.model.config
        if c.model_type not in KINDS:
            raise ValueError(f"{model} is a {c.model_type}; choose one of {', '.join(KINDS)}")
        if abs(1000 / frame_shift_ms - rate_hz) > 1e-3:
            raise ValueError(f"{model} listens to {rate_hz} Hz; set features.sample_rate_hz and features.resample")
        if freeze_convolutions:
            self.model.feature_extractor.requires_grad_(False)
        c.layerdrop = 0.0
        self.config = json.dumps({"model": c.to_dict(), "is_normalised": self.is_normalised, "rate_hz": rate_hz})
        self.subsampling = math.prod(c.conv_stride)
        reach = 1 + sum((k - 1) * math.prod(c.conv_stride[:i]) for i, k in enumerate(c.conv_kernel))
        self.edge = reach - self.subsampling  # samples that a frame hears beyond its own
        self.dropout = nn.Dropout(dropout)
        self.output_dim = c.hidden_size
        self.look_ahead_frames, self.chunk_frames = math.inf, 0

    def forward(
        self, feats: Tensor, feat_lens: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, S, 1), (B,) -> (B, U, D), (B,), and (B, U, D) behind each layer but the last."""
        lengths = subsampled_lens(feat_lens, self.subsampling)
        outputs = [self.one(x[:n, 0], int(u)) for x, n, u in zip(feats, feat_lens, lengths, strict=True)]
        layers = [nn.utils.rnn.pad_sequence(layer, batch_first=True) for layer in zip(*outputs, strict=True)]
        return zero_padding(self.dropout(layers[-1]), lengths), lengths, layers[:-1]

    def one(self, samples: Tensor, num_frames: int) -> list[Tensor]:
        """(S,) -> (U, D) behind each layer; one frame of 0 for silence of no length."""
        if num_frames == 0:
            return [samples.new_zeros(1, self.output_dim)] * self.model.config.num_hidden_layers
        if self.is_normalised:
            samples = (samples - samples.mean()) / (samples.var(unbiased=False) + EPSILON).sqrt()
        left = self.edge // 2
        right = num_frames * self.subsampling + self.edge - left - len(samples)
        padded = nn.functional.pad(samples, (left, right))
        return [x[0] for x in self.model(padded[None], output_hidden_states=True).hidden_states[1:]]


def read(load: object, model: str) -> object:
    """What the package loads. Raises: DataError in one line when a name or folder is wrong, or files are missing."""
    try:
        return load()
    except (OSError, ValueError) as e:
        why = " ".join(str(e).split())[:200]
        raise DataError(f"{model or 'model.model'}: no model of transformers can be loaded ({why})") from None


def ctc_head_of(model: str, tokens: tuple[str, ...], blank_id: int) -> tuple[Tensor, Tensor, list[str]]:
    """(weight, bias) of the model's own CTC head in the order of our tokens, and those of ours that it lacks.

    Letters are found in either case, and `|` is a space. A token that it lacks is never said.

    Raises: DataError when it has no such head, or none of our tokens but the blank.
    """
    transformers = load_transformers()
    found = read(lambda: transformers.AutoModelForCTC.from_pretrained(model), model)
    tokenizer = read(lambda: transformers.AutoTokenizer.from_pretrained(model), model)
    places = {spelt.lower(): i for spelt, i in tokenizer.get_vocab().items()}
    delimiter = (getattr(tokenizer, "word_delimiter_token", None) or "|").lower()
    rows = [places.get(delimiter if token in (" ", "<space>", "▁") else token.lower()) for token in tokens]
    rows[blank_id] = tokenizer.pad_token_id
    missing = [token for token, row in zip(tokens, rows, strict=True) if row is None]
    if len(missing) >= len(tokens) - 1:
        raise DataError(f"{model}: its tokens ({', '.join(list(places)[:8])}, ...) are none of ours")
    weight, bias = found.lm_head.weight.detach(), found.lm_head.bias.detach()
    silent = torch.tensor([row is None for row in rows])
    chosen = torch.tensor([row or 0 for row in rows])
    return weight[chosen].masked_fill(silent[:, None], 0.0), bias[chosen].masked_fill(silent, NEVER), missing
