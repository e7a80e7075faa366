"""Hints: the teacher's hidden states (FitNets: Romero et al. 2015; by cosine: DistilHuBERT, Chang et al. 2022)."""

from typing import Literal

import torch
from torch import Tensor, nn

from steps.config.types import NaturalInt
from steps.distillation.targets import HiddenStates
from steps.losses.shape import LossShape
from steps.nnet.output import ModelOutput, is_frame

UNIT = "per frame"


class Hint(nn.Module):
    """A linear map from the student's states to the teacher's, trained beside the student and then thrown away.

    Args:
        shape: Of both.
        distance: "l2" is the squared error, averaged over the teacher's dimensions, after each of its states was scaled
            to mean 0 and variance 1 (data2vec: Baevski et al. 2022); "cosine" is 1 - cos of the angle.
        teacher_layer: The layer that is shown, the lowest is 1; 0: the last.
        student_layer: The layer that learns from it; 0: the last.
    """

    def __init__(
        self,
        shape: LossShape,
        *,
        distance: Literal["l2", "cosine"] = "l2",
        teacher_layer: NaturalInt = 0,
        student_layer: NaturalInt = 0,
    ):
        super().__init__()
        self.distance, self.student_layer = distance, student_layer
        self.linear = nn.Linear(shape.student_dim, shape.teacher_dim)

    def forward(self, output: ModelOutput, target: HiddenStates) -> tuple[Tensor, Tensor]:
        """Sum over frames of the distance between W h + b and the teacher's state, and the number of frames.

        At equality the sum is 0, and its gradient too: of W h + b with the teacher's state as it is scaled, or, of
        cosines, with any multiple of it.
        """
        mask = is_frame(target.lengths, target.states.size(1))
        guess = self.linear(output.layer(self.student_layer))  # (B, U, D)
        if self.distance == "cosine":
            values = 1.0 - torch.cosine_similarity(guess, target.states, dim=-1)
        else:
            scaled = nn.functional.layer_norm(target.states, target.states.shape[-1:])
            values = ((guess - scaled) ** 2).sum(-1) / guess.size(-1)
        return values.masked_fill(~mask, 0.0).sum(), mask.sum()
