"""What the teacher writes down, as if it were the transcript (Kim and Rush 2016, section 3.2; Kahn et al. 2020)."""

from torch import Tensor

from steps.config.types import PositiveInt
from steps.distillation.transcripts import Transcripts
from steps.nnet.output import ModelOutput

UNIT = "nats/token"


def pseudo_labels(output: ModelOutput, target: Transcripts, *, nbest: PositiveInt = 1) -> tuple[Tensor, int]:
    """Sum of -ln p(pseudo-transcript) over utterances, in nats, and the number of their tokens.

    The control of soft labels: the same teacher on the same audio, without its doubts. Teacher and student may differ
    in tokens, frame rate and features. It is never 0, not even at equality. An empty transcript says nothing.

    Args:
        output: The student's; its head learns as from a transcript: by CTC, attention decoder or transducer.
        target: What the teacher wrote, in the student's tokens.
        nbest: Of so many hypotheses one is drawn in each epoch, by its probability among them (Takashima et al. 2018
            sum over them); 1: the best. The teacher must write as many: see [<teacher>.soft_labels] decode.
    """
    return target.learn(output, [tokens or None for tokens in target.labels])
