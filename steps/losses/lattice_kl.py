"""Divergence of a transducer's lattice from the teacher's (Panchapagesan et al. 2021)."""

from torch import Tensor

from steps.distillation.targets import Lattice
from steps.nnet.output import ModelOutput, is_frame

UNIT = "nats/place"


def lattice_kl(output: ModelOutput, target: Lattice) -> tuple[Tensor, Tensor]:
    """Sum over the places (u, l) of a transcript's lattice of KL(p || q), p and q three probabilities each.

    In frame u after l tokens of the transcript a transducer emits token l + 1, or a blank, or something else: all other
    tokens are taken together, so that a place takes 3 numbers in place of V.

    Args:
        output: The student's; its head of the target holds (B, U, L + 1, 3) log-probabilities.
        target: The teacher's in the same places.

    Returns: (sum in nats, number of places). At equality the sum is 0, and its gradient too.
    """
    p, q = target.log_probs, output.log_probs(target.head)
    values = (p.exp() * (p - q)).sum(-1)  # (B, U, L + 1)
    frames, tokens = is_frame(target.lengths, values.size(1)), is_frame(target.sizes + 1, values.size(2))
    mask = frames[:, :, None] & tokens[:, None]
    return values.masked_fill(~mask, 0.0).sum(), mask.sum()
