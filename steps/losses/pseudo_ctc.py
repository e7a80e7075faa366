"""CTC on what the teacher would write down: its best path as a transcript (pseudo-labels: Kahn et al. 2020)."""

import torch
from torch import Tensor

from steps.distillation.targets import FrameTopk
from steps.nnet.output import ModelOutput


def pseudo_ctc(output: ModelOutput, target: FrameTopk) -> tuple[Tensor, int]:
    """Sum of -ln p(pseudo-transcript) over utterances, in nats, and the number of their tokens.

    The control of soft labels: the same teacher on the same audio, without its doubts. The frame rates of both
    models are equal, so that every pseudo-transcript has a path. It is never 0, not even at equality.

    Args:
        output: The student's; its head `ctc`.
        target: The teacher's frames, as many as the student's.
    """
    labels = [collapse(path[:n], target.blank_id) for path, n in zip(target.top(), target.lengths, strict=True)]
    rows = [i for i, tokens in enumerate(labels) if len(tokens)]
    if not rows:
        return output.logits["ctc"].sum() * 0.0, 0
    sizes = torch.tensor([len(labels[i]) for i in rows])
    log_probs = output.log_probs("ctc")[rows].transpose(0, 1)  # (U, B, V)
    tokens = torch.cat([labels[i] for i in rows]).to(log_probs.device)
    lengths = output.lengths[rows].cpu()
    loss = torch.nn.functional.ctc_loss(log_probs, tokens, lengths, sizes, target.blank_id, reduction="sum")
    return loss, int(sizes.sum())


def collapse(path: Tensor, blank_id: int) -> Tensor:
    """The tokens of a best path, shape (U,): repeats merged, blanks removed."""
    tokens = torch.unique_consecutive(path)
    return tokens[tokens != blank_id]
