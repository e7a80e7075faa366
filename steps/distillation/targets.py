"""Targets for distillation losses, padded into batches."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Posteriors:
    """The teacher's most probable tokens of each frame, at temperature 1; or of each token of a transcript.

    Attributes:
        log_probs: (B, U, K) natural logarithms.
        ids: (B, U, K) the tokens they belong to, or None when K = V and they stand in order.
        log_rest: (B, U) logarithm of the mass on the V - K other tokens, or None when K = V.
        lengths: (B,) frames; what lies behind is padding.
        num_tokens: V.
        blank_id: The teacher's blank.
        head: The student's head that is compared.
    """

    log_probs: Tensor
    ids: Tensor | None
    log_rest: Tensor | None
    lengths: Tensor
    num_tokens: int
    blank_id: int
    head: str = "ctc"

    def top(self) -> Tensor:
        """(B, U) the most probable token of each frame."""
        best = self.log_probs.argmax(-1)
        return best if self.ids is None else self.ids.gather(-1, best.unsqueeze(-1)).squeeze(-1)

    def best(self, count: int) -> "Posteriors":
        """The target with only the `count` most probable tokens of each frame; the others join the rest."""
        if count >= self.log_probs.size(-1):
            return self
        kept, places = self.log_probs.topk(count, dim=-1)  # (B, U, K)
        ids = places if self.ids is None else self.ids.gather(-1, places)
        left_out = torch.ones_like(self.log_probs, dtype=torch.bool).scatter_(-1, places, False)
        rest = self.log_probs.masked_fill(~left_out, -torch.inf).logsumexp(-1)  # (B, U)
        rest = rest if self.log_rest is None else torch.logaddexp(rest, self.log_rest)
        return replace(self, log_probs=kept, ids=ids, log_rest=rest)

    def shifted(self, frames: int) -> "Posteriors":
        """The target of a student that emits `frames` later: frame u holds what was in frame u - frames.

        The frames that nothing is known of are cut from the front; the student's output must be cut alike.
        """
        keep = max(self.log_probs.size(1) - frames, 0)

        def cut(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[:, :keep]

        lengths = (self.lengths - frames).clamp(min=0)
        return self._with(cut, lengths)

    def fitted(self, lengths: Tensor, max_len: int) -> "Posteriors":
        """The target on the frames that it shares with a student's output of other length, cut or padded to it."""
        change = max_len - self.log_probs.size(1)
        if change == 0 and bool((self.lengths <= lengths).all()):
            return self

        def fit(x: Tensor | None) -> Tensor | None:
            pads = (0, 0, 0, change) if x is not None and x.ndim == 3 else (0, change)
            return None if x is None else torch.nn.functional.pad(x, pads)

        return self._with(fit, torch.minimum(self.lengths, lengths))

    def _with(self, change: Callable[[Tensor | None], Tensor | None], lengths: Tensor) -> "Posteriors":
        """All that is known of each frame, changed alike."""
        parts = {name: change(getattr(self, name)) for name in ("log_probs", "ids", "log_rest")}
        return replace(self, **parts, lengths=lengths)

    def dense(self, temperature: float = 1.0) -> Tensor:
        """(B, U, V) log-probabilities at a temperature, what is not known token by token spread evenly."""
        known, rest = tempered(self, temperature)
        if self.ids is None:
            return known
        empty = rest if rest is not None else torch.full_like(known[..., 0], -torch.inf)
        return empty.unsqueeze(-1).repeat(1, 1, self.num_tokens).scatter(-1, self.ids, known)


def from_logits(logits: Tensor, lengths: Tensor, blank_id: int, head: str = "ctc") -> Posteriors:
    """The complete target of a live teacher's output (B, U, V)."""
    return Posteriors(logits.float().log_softmax(-1), None, None, lengths, logits.size(-1), blank_id, head)


@dataclass(frozen=True)
class Lattice:
    """What a transducer makes of a transcript (Panchapagesan et al. 2021): in each place the next label, or a blank.

    Attributes:
        log_probs: (B, U, L + 1, 3) of the next label, of blank, and of all other tokens together.
        lengths: (B,) frames.
        sizes: (B,) tokens of the transcripts.
        head: The student's head that is compared.
    """

    log_probs: Tensor
    lengths: Tensor
    sizes: Tensor
    head: str = "transducer"


@dataclass(frozen=True)
class HiddenStates:
    """The states of one of the teacher's layers.

    Attributes:
        states: (B, U, D).
        lengths: (B,) frames; what lies behind is padding.
        codes: (B, U, N) the entry of each codebook, where the states come from a store; else None.
    """

    states: Tensor
    lengths: Tensor
    codes: Tensor | None = None


def tempered(target: Posteriors, temperature: float) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities at a temperature: (B, U, K) of the known tokens, (B, U) of each single other token.

    The mass that is not known token by token is taken to be spread evenly.
    """
    known = target.log_probs / temperature
    if target.log_rest is None:
        return known.log_softmax(-1), None
    others = target.num_tokens - target.log_probs.size(-1)
    each = (target.log_rest - math.log(others)) / temperature  # (B, U)
    total = torch.logaddexp(known.logsumexp(-1), each + math.log(others))
    return known - total.unsqueeze(-1), each - total
