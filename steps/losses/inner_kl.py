"""A lower layer learns to speak, from the student's own output (Zhang et al. 2019) or from a teacher."""

from typing import Literal

from torch import Tensor, nn

from steps.config.types import NaturalInt, PositiveFloat
from steps.distillation.targets import Posteriors
from steps.losses.frame_kl import compared_frames, forward_kl
from steps.losses.shape import LossShape
from steps.nnet.output import ModelOutput, is_frame

UNIT = "nats/frame"


class InnerKl(nn.Module):
    """A linear map from the states of a lower layer to tokens, trained beside the student and then thrown away.

    With source = "self" the student's own output is the teacher.

    Args:
        shape: Of the layer.
        student_layer: The lowest is 1; 0: the last, which has nothing to learn from itself.
        temperature: Of both softmaxes.
        blank: The frames compared, as in `frame_kl`.
    """

    def __init__(
        self,
        shape: LossShape,
        *,
        student_layer: NaturalInt = 1,
        temperature: PositiveFloat = 1.0,
        blank: Literal["keep", "drop"] = "keep",
    ):
        super().__init__()
        self.student_layer, self.temperature, self.blank = student_layer, temperature, blank
        self.linear = nn.Linear(shape.student_dim, shape.num_tokens)

    def forward(self, output: ModelOutput, target: Posteriors) -> tuple[Tensor, Tensor]:
        """Sum over frames of T^2 KL(p_T || q_T) in nats, with q what the map says, and the number of frames.

        At equality the sum is 0, and its gradient too.
        """
        logits = self.linear(output.layer(self.student_layer)).float()
        q = (logits / self.temperature).log_softmax(-1)
        values = forward_kl(q, target, self.temperature)
        mask = is_frame(target.lengths, values.size(1)) & compared_frames(logits, target, self.blank)
        return self.temperature**2 * values.masked_fill(~mask, 0.0).sum(), mask.sum()
