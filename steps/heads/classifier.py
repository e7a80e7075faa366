"""Classification of whole utterances: speaker group, accent, intent, keyword (attentive pooling: Okabe et al. 2018)."""

import torch
from torch import Tensor, nn

from steps.config.types import Fraction
from steps.heads.shape import HeadShape
from steps.nnet.dropout import Dropout
from steps.nnet.output import ModelOutput, is_frame


class ClassifierHead(nn.Module):
    """A mean of the frames, weighted by attention, and a linear map of it to classes.

    Args:
        shape: Of the model; `num_tokens` is the number of classes.
        label: The classes are read from `utt2<label>` of a data directory, or `spk2<label>`; empty: the head's name.
        dropout: Before the linear map.
    """

    is_framewise = False
    unit = "nats/utterance"

    def __init__(self, shape: HeadShape, *, label: str = "", dropout: Fraction = 0.1):
        super().__init__()
        self.label = label or shape.name
        self.energy = nn.Sequential(
            nn.Linear(shape.input_dim, shape.input_dim), nn.Tanh(), nn.Linear(shape.input_dim, 1)
        )
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(shape.input_dim, shape.num_tokens)

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """None: no transcript is read."""
        return 0

    def scores(self, output: ModelOutput) -> Tensor:
        """(B, C) logits of classes."""
        heard = is_frame(output.lengths.clamp(min=1), output.encoder_out.size(1))
        energy = self.energy(output.encoder_out)[..., 0].float().masked_fill(~heard, -torch.inf)
        weights = energy.softmax(-1).to(output.encoder_out.dtype)
        return self.out(self.dropout((weights[:, None] @ output.encoder_out)[:, 0]))

    def loss(self, output: ModelOutput, labels: list[int | None], update: int = 0) -> tuple[Tensor, int]:
        """Sum of -ln p(class) over utterances that have one, in nats, and their number."""
        rows = [i for i, label in enumerate(labels) if label is not None]
        if not rows:
            return output.encoder_out.sum() * 0.0, 0
        targets = torch.tensor([labels[i] for i in rows], device=output.encoder_out.device)
        loss = nn.functional.cross_entropy(self.scores(output)[rows].float(), targets, reduction="sum")
        return loss, len(rows)
