"""What encoders of samples share: each utterance alone, padded so that a frame is the middle of what it hears."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from steps.nnet.dropout import Dropout
from steps.nnet.output import zero_padding
from steps.nnet.streaming import Past
from steps.nnet.subsampling import subsampled_lens
from utils.jobs.errors import DataError

EPSILON = 1e-7  # of the variance, as transformers' feature extractor has it


class WaveformEncoder(nn.Module):
    """Runs each utterance by itself, for some pre-trained models look at padding.

    A subclass gives `layers`. It has as many frames as another encoder of its subsampling.

    Attributes:
        config: Of the model, as JSON; kept in a model folder, so that it needs nothing else.
        behind_layers: The parts, by name, that stand behind its layers.
    """

    input = "waveform"
    config = ""
    behind_layers: tuple[str, ...] = ()

    def __init__(self, output_dim: int, subsampling: int, dropout: float):
        super().__init__()
        self.output_dim, self.subsampling = output_dim, subsampling
        self.look_ahead_frames, self.chunk_frames = math.inf, 0
        self.dropout = Dropout(dropout)

    def forward(
        self, feats: Tensor, feat_lens: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, S, 1), (B,) -> (B, U, D), (B,), and (B, U, D) behind each layer but the last."""
        lengths = subsampled_lens(feat_lens, self.subsampling)
        outputs = [self.layers(x[:n, 0], int(u)) for x, n, u in zip(feats, feat_lens, lengths, strict=True)]
        layers = [nn.utils.rnn.pad_sequence(layer, batch_first=True) for layer in zip(*outputs, strict=True)]
        return zero_padding(self.dropout(layers[-1]), lengths), lengths, layers[:-1]

    def layers(self, samples: Tensor, num_frames: int) -> list[Tensor]:
        """(S,) -> (U, D) behind each layer; one frame for silence of no length."""
        raise NotImplementedError


def check_input(input_dim: int, frame_shift_ms: float, model: str, rate_hz: int) -> None:
    """Raises ValueError when what comes is not samples, at the rate that a model listens to."""
    if input_dim != 1:
        raise ValueError("it listens to samples; give its sets features of type 'waveform'")
    if abs(1000 / frame_shift_ms - rate_hz) > 1e-3:
        raise ValueError(f"{model} listens to {rate_hz} Hz; set features.sample_rate_hz and features.resample")


def reach_of(kernels: list[int], strides: list[int]) -> int:
    """Samples that a frame hears behind a stack of convolutions."""
    return 1 + sum((k - 1) * math.prod(strides[:i]) for i, k in enumerate(kernels))


def centred(samples: Tensor, num_frames: int, subsampling: int, reach: int) -> Tensor:
    """(S,) -> padded with 0 at both ends, for so many frames."""
    left = (reach - subsampling) // 2
    right = num_frames * subsampling + reach - subsampling - left - len(samples)
    return nn.functional.pad(samples, (left, right))


def normalised(samples: Tensor) -> Tensor:
    """(S,) of mean 0 and variance 1."""
    return (samples - samples.mean()) / (samples.var(unbiased=False) + EPSILON).sqrt()


def read_pretrained(load: Callable, model: str, package: str) -> object:
    """What a package loads. Raises: DataError in one line when a name or folder is wrong, or files are missing."""
    try:
        return load()
    except MemoryError:
        raise
    except Exception as e:  # a truncated file, or one of another kind, raises whatever its reader stumbles over
        why = " ".join(f"{type(e).__name__}: {e}".split())[:200]
        raise DataError(f"{model or 'model.model'}: no model of {package} can be loaded ({why})") from None
