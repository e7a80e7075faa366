"""Attention transfer: in which frames the states are large (Zagoruyko and Komodakis 2017, section 3.1)."""

from torch import Tensor

from steps.config.types import NaturalInt
from steps.distillation.targets import HiddenStates
from steps.nnet.output import ModelOutput, zero_padding

UNIT = "per utterance"


def attention_transfer(
    output: ModelOutput, target: HiddenStates, *, teacher_layer: NaturalInt = 0, student_layer: NaturalInt = 0
) -> tuple[Tensor, int]:
    """Sum over utterances of |a_s / |a_s| - a_t / |a_t||^2, with a(u) the sum of the squares of the states in frame u.

    It needs no weights of its own: the widths of the layers may differ.

    Args:
        output: The student's.
        target: The teacher's states.
        teacher_layer: The layer that is shown, the lowest is 1; 0: the last.
        student_layer: The layer that learns from it; 0: the last.

    Returns: (sum, from 0 to 2 each, number of utterances). At equality the sum is 0, and its gradient too.
    """
    student = energy(output.layer(student_layer), target.lengths)
    teacher = energy(target.states, target.lengths)
    return ((student - teacher) ** 2).sum(), int((target.lengths > 0).sum())


def energy(states: Tensor, lengths: Tensor) -> Tensor:
    """(B, U, D) -> (B, U) sums of squares, scaled to length 1."""
    found = (zero_padding(states, lengths) ** 2).sum(-1)
    return found / found.norm(dim=1, keepdim=True).clamp(min=1e-12)
