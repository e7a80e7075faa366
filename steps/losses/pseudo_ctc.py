"""CTC on what the teacher writes down (pseudo-labels: Kahn et al. 2020)."""

from torch import Tensor

from steps.distillation.transcripts import Transcripts
from steps.heads.ctc import ctc_loss
from steps.nnet.output import ModelOutput

UNIT = "nats/token"


def pseudo_ctc(output: ModelOutput, target: Transcripts) -> tuple[Tensor, int]:
    """Sum of -ln p(pseudo-transcript) over utterances, in nats, and the number of their tokens.

    The control of soft labels: the same teacher on the same audio, without its doubts. Teacher and student may differ
    in tokens, frame rate and features. It is never 0, not even at equality. An empty transcript says nothing.

    Args:
        output: The student's; its head `ctc`.
        target: What the teacher wrote, in the student's tokens.
    """
    return ctc_loss(output, "ctc", [tokens or None for tokens in target.labels], target.blank_id)
