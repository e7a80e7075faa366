"""Codebook indices of the teacher's hidden states (MVQ-KD: Guo et al. 2023)."""

import math

import torch
from torch import Tensor, nn

from steps.config.types import NaturalInt
from steps.distillation.targets import HiddenStates
from steps.losses.shape import LossShape
from steps.nnet.output import ModelOutput, is_frame

UNIT = "nats/frame"
IGNORED = -100  # the code of what is not compared


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
        N, K, D = shape.num_codebooks, shape.codebook_size, shape.student_dim
        self.student_layer = student_layer
        self.turns = math.ceil(N / per_frame) if per_frame else 1  # frames until all were compared
        self.per_frame = math.ceil(N / self.turns)
        size = (self.turns, D, self.per_frame * K)  # the map of codebook n is in row n mod turns
        self.maps = nn.Parameter(torch.empty(size).uniform_(-(D**-0.5), D**-0.5))
        self.bias = nn.Parameter(torch.zeros(self.turns, 1, self.per_frame * K))

    def forward(self, output: ModelOutput, target: HiddenStates) -> tuple[Tensor, Tensor]:
        """Sum over frames of the mean over their codebooks of -ln q(entry), and the number of frames.

        It is 0 where the student is sure of each entry, and ln K per frame where it knows nothing.
        """
        states, mask = output.layer(self.student_layer), is_frame(target.lengths, target.states.size(1))
        codes = target.codes.masked_fill(~mask[..., None], IGNORED)  # (B, U, N)
        pad_frames, pad_codes = -mask.size(1) % self.turns, self.turns * self.per_frame - codes.size(2)
        states = nn.functional.pad(states, (0, 0, 0, pad_frames)).unflatten(1, (-1, self.turns))  # (B, F, turns, D)
        logits = torch.baddbmm(self.bias, states.flatten(0, 1).transpose(0, 1), self.maps)  # (turns, B * F, n * K)
        codes = nn.functional.pad(codes, (0, pad_codes, 0, pad_frames), value=IGNORED)
        codes = codes.unflatten(2, (self.per_frame, self.turns)).unflatten(1, (-1, self.turns))
        codes = codes.diagonal(dim1=2, dim2=4).permute(3, 0, 1, 2)  # (turns, B, F, n): those of each frame's turn
        each = nn.functional.cross_entropy(
            logits.view(codes.numel(), -1), codes.flatten(), ignore_index=IGNORED, reduction="none"
        )
        compared = (codes != IGNORED).sum(-1, keepdim=True).clamp(min=1)  # codebooks of a frame
        return (each.view_as(codes) / compared).sum(), mask.sum()
