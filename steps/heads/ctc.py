"""Connectionist temporal classification (Graves et al. 2006)."""

import torch
from torch import Tensor, nn

from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels
from steps.nnet.output import ModelOutput


class CtcHead(nn.Module):
    """A linear map to tokens and blank in each frame.

    Args:
        shape: Of the model.
    """

    is_framewise = True
    unit = "nats/token"

    def __init__(self, shape: HeadShape):
        super().__init__()
        self.name = shape.name
        self.blank_id = shape.blank_id
        self.linear = nn.Linear(shape.input_dim, shape.num_tokens)

    def forward(self, encoder_out: Tensor) -> Tensor:
        """(B, U, D) -> (B, U, V) logits."""
        return self.linear(encoder_out)

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """The least frames that tokens can be spelt in: one each, and a blank between equal neighbours."""
        return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:], strict=False))

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Sum of -ln p(transcript) over utterances with a transcript, in nats, and the number of their tokens."""
        return ctc_loss(output, self.name, labels, self.blank_id)


def ctc_loss(output: ModelOutput, name: str, labels: Labels, blank_id: int) -> tuple[Tensor, int]:
    """Sum of -ln p(tokens) over utterances that have some, in nats, and the number of the tokens.

    Source: `torch.nn.functional.ctc_loss`. No infinite loss is zeroed: utterances with too few frames were sorted out
    before.

    Args:
        output: Of a model.
        name: Of its head.
        labels: The tokens of each utterance, or None.
        blank_id: Of the blank.
    """
    rows = [i for i, tokens in enumerate(labels) if tokens is not None]
    if not rows:
        return output.logits[name].sum() * 0.0, 0
    log_probs = output.log_probs(name)
    log_probs = (log_probs if len(rows) == len(labels) else log_probs[rows]).transpose(0, 1)  # (U, B, V)
    tokens = [torch.tensor(labels[i]) for i in rows]
    sizes = torch.tensor([len(t) for t in tokens])
    targets = torch.cat(tokens).to(log_probs.device)
    lengths = output.lengths[rows].cpu()
    loss = nn.functional.ctc_loss(log_probs, targets, lengths, sizes, blank_id, reduction="sum")
    return loss, int(sizes.sum())
