"""Targets for distillation losses, padded into batches."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameTopk:
    """The teacher's most probable tokens of each frame, at temperature 1.

    Attributes:
        log_probs: (B, U, K) natural logarithms.
        ids: (B, U, K) the tokens they belong to, or None when K = V and they stand in order.
        log_rest: (B, U) logarithm of the mass on the V - K other tokens, or None when K = V.
        lengths: (B,) frames; what lies behind is padding.
        num_tokens: V.
        blank_id: The teacher's blank.
    """

    log_probs: Tensor
    ids: Tensor | None
    log_rest: Tensor | None
    lengths: Tensor
    num_tokens: int
    blank_id: int

    def top(self) -> Tensor:
        """(B, U) the most probable token of each frame."""
        best = self.log_probs.argmax(-1)
        return best if self.ids is None else self.ids.gather(-1, best.unsqueeze(-1)).squeeze(-1)

    def best(self, count: int) -> "FrameTopk":
        """The target with only the `count` most probable tokens of each frame; the others join the rest."""
        if count >= self.log_probs.size(-1):
            return self
        kept, places = self.log_probs.topk(count, dim=-1)  # (B, U, K)
        ids = places if self.ids is None else self.ids.gather(-1, places)
        left_out = torch.ones_like(self.log_probs, dtype=torch.bool).scatter_(-1, places, False)
        rest = self.log_probs.masked_fill(~left_out, -torch.inf).logsumexp(-1)  # (B, U)
        rest = rest if self.log_rest is None else torch.logaddexp(rest, self.log_rest)
        return FrameTopk(kept, ids, rest, self.lengths, self.num_tokens, self.blank_id)

    def shifted(self, frames: int) -> "FrameTopk":
        """The target of a student that emits `frames` later: frame u holds what was in frame u - frames.

        The frames that nothing is known of are cut from the front; the student's output must be cut alike.
        """
        keep = max(self.log_probs.size(1) - frames, 0)

        def cut(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[:, :keep]

        lengths = (self.lengths - frames).clamp(min=0)
        return FrameTopk(
            cut(self.log_probs), cut(self.ids), cut(self.log_rest), lengths, self.num_tokens, self.blank_id
        )

    def fitted(self, lengths: Tensor, max_len: int) -> "FrameTopk":
        """The target on the frames that it shares with a student's output of other length, cut or padded to it."""
        change = max_len - self.log_probs.size(1)
        if change == 0 and bool((self.lengths <= lengths).all()):
            return self

        def fit(x: Tensor | None) -> Tensor | None:
            pads = (0, 0, 0, change) if x is not None and x.ndim == 3 else (0, change)
            return None if x is None else torch.nn.functional.pad(x, pads)

        shared = torch.minimum(self.lengths, lengths)
        return FrameTopk(fit(self.log_probs), fit(self.ids), fit(self.log_rest), shared, self.num_tokens, self.blank_id)


def from_logits(logits: Tensor, lengths: Tensor, blank_id: int) -> FrameTopk:
    """The complete target of a live teacher's output (B, U, V)."""
    log_probs = logits.float().log_softmax(-1)
    return FrameTopk(log_probs, None, None, lengths, logits.size(-1), blank_id)


def tempered(target: FrameTopk, temperature: float) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities at a temperature: (B, U, K) of the known tokens, (B, U) of each single other token.

    The mass that is not known token by token is taken to be spread evenly.
    """
    known = target.log_probs / temperature
    if target.log_rest is None:
        return known.log_softmax(-1), None
    others = target.num_tokens - target.log_probs.size(-1)
    each = (target.log_rest - torch.tensor(float(others)).log()) / temperature  # (B, U)
    total = torch.logaddexp(known.logsumexp(-1), each + torch.tensor(float(others)).log())
    return known - total.unsqueeze(-1), each - total
