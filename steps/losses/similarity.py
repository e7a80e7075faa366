"""Similarity-preserving distillation: which frames of an utterance are alike (Tung and Mori 2019)."""

import torch
from torch import Tensor

from steps.config.types import NaturalInt
from steps.distillation.targets import HiddenStates
from steps.nnet.output import ModelOutput, zero_padding

UNIT = "per utterance"


def similarity(
    output: ModelOutput, target: HiddenStates, *, teacher_layer: NaturalInt = 0, student_layer: NaturalInt = 0
) -> tuple[Tensor, int]:
    """Sum over utterances of |G_s - G_t|^2 / U, with G(u, v) the product of the states of frames u and v.

    Each row of G is scaled to length 1, so that it says to which frames frame u is similar, and how much. Tung and
    Mori compare the images of a batch, this the frames of an utterance. It needs no weights of its own.

    Args:
        output: The student's.
        target: The teacher's states.
        teacher_layer: The layer that is shown, the lowest is 1; 0: the last.
        student_layer: The layer that learns from it; 0: the last.

    Returns: (sum, from 0 to 4 each, number of utterances). At equality the sum is 0, and its gradient too.
    """
    student = alike(output.layer(student_layer), target.lengths)
    teacher = alike(target.states, target.lengths)
    by_utterance = ((student - teacher) ** 2).sum((1, 2)) / target.lengths.clamp(min=1)
    return by_utterance.sum(), int((target.lengths > 0).sum())


def alike(states: Tensor, lengths: Tensor) -> Tensor:
    """(B, U, D) -> (B, U, U) products of states, each row scaled to length 1; 0 on padding."""
    x = zero_padding(states, lengths)
    products = torch.bmm(x, x.transpose(1, 2))
    return products / products.norm(dim=2, keepdim=True).clamp(min=1e-12)
