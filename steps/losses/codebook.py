"""Codebook indices of the teacher's hidden states (MVQ-KD: Guo et al. 2023)."""

import math

from torch import Tensor, nn

from steps.config.types import NaturalInt
from steps.distillation.targets import HiddenStates
from steps.losses.shape import LossShape
from steps.nnet.output import ModelOutput, is_frame

UNIT = "nats/frame"


class Codebook(nn.Module):
    """A linear map from the student's states to the entries of each codebook, trained beside it and then thrown away.

    Args:
        shape: Of both.
        per_frame: How many codebooks are compared in each frame, in turn from frame to frame; 0: all, which is slow.
        teacher_layer: The layer that is shown, the lowest is 1; 0: the last.
        student_layer: The layer that learns from it; 0: the last.
    """

    def __init__(
        self,
        shape: LossShape,
        *,
        per_frame: NaturalInt = 2,
        teacher_layer: NaturalInt = 0,
        student_layer: NaturalInt = 0,
    ):
        super().__init__()
        N = shape.num_codebooks
        self.num_codebooks, self.student_layer = N, student_layer
        self.turns = math.ceil(N / per_frame) if per_frame else 1  # frames until all were compared
        self.maps = nn.ModuleList(nn.Linear(shape.student_dim, shape.codebook_size) for _ in range(N))

    def forward(self, output: ModelOutput, target: HiddenStates) -> tuple[Tensor, Tensor]:
        """Sum over frames of the mean over their codebooks of -ln q(entry), and the number of frames.

        It is 0 where the student is sure of each entry, and ln K per frame where it knows nothing.
        """
        states = output.layer(self.student_layer)
        mask = is_frame(target.lengths, target.states.size(1))
        total = states.sum() * 0.0
        for turn in range(self.turns):
            there = mask[:, turn :: self.turns]
            heard = states[:, turn :: self.turns][there]  # (frames, D)
            codes = target.codes[:, turn :: self.turns][there]  # (frames, N)
            chosen = range(turn, self.num_codebooks, self.turns)
            for n in chosen:
                loss = nn.functional.cross_entropy(self.maps[n](heard), codes[:, n], reduction="sum")
                total = total + loss / len(chosen)
        return total, mask.sum()
