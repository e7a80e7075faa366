"""Decoupled knowledge distillation (Zhao et al. 2022): the teacher's best token, and its doubts, with own weights."""

from typing import Literal

import torch
from torch import Tensor

from steps.config.types import NaturalFloat, NaturalInt, PositiveFloat
from steps.distillation.targets import Posteriors
from steps.losses.frame_kl import compared_frames
from steps.nnet.output import ModelOutput, is_frame

UNIT = "nats/frame"


def decoupled_kl(
    output: ModelOutput,
    target: Posteriors,
    *,
    best_weight: NaturalFloat = 1.0,
    others_weight: NaturalFloat = 1.0,
    temperature: PositiveFloat = 1.0,
    blank: Literal["keep", "drop", "either"] = "keep",
    delay_frames: NaturalInt = 0,
) -> tuple[Tensor, Tensor]:
    """Sum over frames of T^2 (a KL(b_p || b_q) + b KL(o_p || o_q)), at temperature T.

    b_p = (p(t), 1 - p(t)) with t the teacher's best token, and o_p the teacher's posteriors of the other tokens, scaled
    to sum to 1; b_q and o_q are the student's. With b = 1 - p(t), a = 1 it is KL(p || q): a sure teacher's doubts
    are hardly heard there, and here as loud as b says.

    Args:
        output: The student's; its head of the target is compared.
        target: The teacher's frames, as many as the student's.
        best_weight: a.
        others_weight: b; Zhao et al. take 1 to 8.
        temperature: T.
        blank: The frames compared, as in `frame_kl`.
        delay_frames: How many frames later than the teacher the student shall emit.

    Returns: (sum in nats, number of frames). At equality the sum is 0, and its gradient too.
    """
    logits = output.logits[target.head][:, delay_frames:]
    target = target.shifted(delay_frames)
    q = (logits.float() / temperature).log_softmax(-1)
    p = target.dense(temperature)  # (B, U, V)
    is_best = torch.nn.functional.one_hot(p.argmax(-1), p.size(-1)).bool()
    (p_best, p_sum, p_others), (q_best, q_sum, q_others) = split(p, is_best), split(q, is_best)
    best = p_best.exp() * (p_best - q_best) + p_sum.exp() * (p_sum - q_sum)  # (B, U)
    others = (p_others.exp() * (p_others - q_others)).masked_fill(is_best, 0.0).sum(-1)
    values = best_weight * best + others_weight * others
    mask = is_frame(target.lengths, values.size(1)) & compared_frames(logits, target, blank)
    return temperature**2 * values.masked_fill(~mask, 0.0).sum(), mask.sum()


def split(log_probs: Tensor, is_best: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(..., V) -> (...) the best token, (...) all others together, (..., V) each other, scaled to sum to 1."""
    best = log_probs.masked_fill(~is_best, 0.0).sum(-1)
    together = log_probs.masked_fill(is_best, -torch.inf).logsumexp(-1)
    return best, together, (log_probs - together.unsqueeze(-1)).masked_fill(is_best, 0.0)
