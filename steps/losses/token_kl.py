"""Kullback-Leibler divergence of a decoder's next token from the teacher's (Kim and Rush 2016, section 3.1)."""

from torch import Tensor

from steps.config.types import PositiveFloat
from steps.distillation.targets import Posteriors
from steps.losses.frame_kl import forward_kl
from steps.nnet.output import ModelOutput, is_frame

UNIT = "nats/token"


def token_kl(output: ModelOutput, target: Posteriors, *, temperature: PositiveFloat = 1.0) -> tuple[Tensor, Tensor]:
    """Sum over tokens and ends of T^2 KL(p_T || q_T), both decoders having read the same transcript up to there.

    Args:
        output: The student's; its head of the target holds (B, L + 1, V) logits of the transcripts' tokens and ends.
        target: The teacher's posteriors in the same places.
        temperature: T.

    Returns: (sum in nats, number of tokens and ends). At equality the sum is 0, and its gradient too.
    """
    q = (output.logits[target.head].float() / temperature).log_softmax(-1)  # (B, L + 1, V)
    values = forward_kl(q, target, temperature)
    mask = is_frame(target.lengths, values.size(1))
    return temperature**2 * values.masked_fill(~mask, 0.0).sum(), mask.sum()
