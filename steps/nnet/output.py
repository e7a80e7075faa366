"""What a model returns, and the masks that lengths stand for."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from utils.jobs.errors import UsageError


@dataclass(frozen=True)
class ModelOutput:
    """The output of a model for a batch.

    Attributes:
        encoder_out: (B, U, D) states of the encoder.
        lengths: (B,) frames of each utterance after subsampling; what lies behind is padding.
        logits: (B, U, V) scores before softmax, by the name of the head.
        hidden: (B, U, D) states behind each layer but the last; undefined on padding.
        clean: (B, T, F) normalised features before all masks, where a head hides some from the encoder.
        hidden_frames: (B, T) bool, which those are.
    """

    encoder_out: Tensor
    lengths: Tensor
    logits: dict[str, Tensor]
    hidden: list[Tensor] = field(default_factory=list)
    clean: Tensor | None = None
    hidden_frames: Tensor | None = None
    _log_probs: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def log_probs(self, head: str) -> Tensor:
        """(B, U, V) float32 log-softmax of a head's logits, computed once for all losses that need it."""
        if head not in self._log_probs:
            self._log_probs[head] = self.logits[head].float().log_softmax(-1)
        return self._log_probs[head]

    def layer(self, number: int) -> Tensor:
        """(B, U, D) float32 states behind a layer: 1 is the lowest, 0 stands for the last.

        Raises: UsageError when there are not so many.
        """
        layers = [*self.hidden, self.encoder_out]
        if number > len(layers):
            raise UsageError(f"there is no layer {number}; the encoder has {len(layers)}, and 0 is the last")
        return layers[number - 1].float()

    def select(self, rows: list[int]) -> "ModelOutput":
        """The output of some utterances of the batch, without the padding that only the others need."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        return ModelOutput(
            self.encoder_out[rows, :longest],
            lengths,
            {name: x[rows, :longest] for name, x in self.logits.items()},
            [x[rows, :longest] for x in self.hidden],
        )


def is_frame(lengths: Tensor, max_len: int) -> Tensor:
    """(B, U) bool: True on the frames of each utterance, False on padding."""
    return torch.arange(max_len, device=lengths.device) < lengths.unsqueeze(1)


def zero_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, U, D) with padding set to 0."""
    return x * is_frame(lengths, x.size(1)).unsqueeze(-1)
