"""The transcripts of a batch, as the losses of heads take them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from steps.nnet.output import ModelOutput

Labels = list[tuple[int, ...] | None]  # the tokens of each utterance; None where its transcript is not used


@dataclass(frozen=True)
class Transcribed:
    """The utterances of a batch that have a transcript.

    Attributes:
        rows: Their places in the batch.
        encoder_out: (N, U, D).
        lengths: (N,) frames.
        tokens: (N, L), padded with 0.
        sizes: (N,) tokens.
    """

    rows: list[int]
    encoder_out: Tensor
    lengths: Tensor
    tokens: Tensor
    sizes: Tensor


def transcribed(output: ModelOutput, labels: Labels) -> Transcribed | None:
    """The utterances with a transcript; None where no one has."""
    rows = [i for i, tokens in enumerate(labels) if tokens is not None]
    if not rows:
        return None
    device = output.encoder_out.device
    tokens = [torch.tensor(labels[i], dtype=torch.long) for i in rows]
    whole = len(rows) == len(labels)
    return Transcribed(
        rows,
        output.encoder_out if whole else output.encoder_out[rows],
        output.lengths if whole else output.lengths[rows],
        pad_sequence(tokens, batch_first=True).to(device),
        torch.tensor([len(t) for t in tokens], device=device),
    )


def label_cross_entropy(logits: Tensor, found: Transcribed, end_id: int, label_smoothing: float) -> tuple[Tensor, int]:
    """Sum of the cross-entropy of tokens and end, each after those before it, in nats, and their number.

    Args:
        logits: (N, L + 1, V) after the start and after each token.
        found: The transcripts.
        end_id: Of the token that ends a transcript.
        label_smoothing: Share of the target that is spread over all tokens (Szegedy et al. 2016, section 7).
    """
    N, length = found.tokens.shape
    place = torch.arange(length + 1, device=logits.device)
    targets = torch.nn.functional.pad(found.tokens, (0, 1))
    targets = torch.where(place == found.sizes[:, None], end_id, targets)
    targets = targets.masked_fill(place > found.sizes[:, None], -100)  # (N, L + 1)
    loss = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), reduction="sum", label_smoothing=label_smoothing
    )
    return loss, int(found.sizes.sum()) + N
