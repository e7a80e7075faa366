"""Joint decoding: what an attention decoder writes next, and what CTC hears there (Watanabe et al. 2017, sec. II-D)."""

import torch
from torch import Tensor

from steps.nnet.output import is_frame

NEVER = -1e30  # log-probability of what cannot be; finite, for differences of two are taken


class JointHead:
    """An attention decoder whose next tokens are scored by a CTC head of the same encoder too.

    A token's score is (1 - w) ln p(token | before) of the decoder + w ln (p(prefix with it) / p(prefix)) of CTC, where
    the probability of a prefix is that of all labellings that begin with it. The scores of a hypothesis add up to
    (1 - w) ln p of the decoder + w ln p of CTC.

    Args:
        head: With `start`, `step` and `end_id`.
        ctc: The CTC head, of the same tokens.
        weight: w, of CTC.
    """

    def __init__(self, head: torch.nn.Module, ctc: torch.nn.Module, weight: float):
        self.head, self.ctc, self.weight = head, ctc, weight
        self.end_id = head.end_id  # the blank's
        # of the utterances in a search, which leaves hypotheses among the rows of theirs
        self.log_probs, self.lengths = torch.zeros(0, 0, 0), torch.zeros(0, dtype=torch.long)  # (N, U, V), (N,)

    def start(self, encoder_out: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What `step` begins with, for N hypotheses.

        Of CTC these are the forward variables "label" and "blank", (N, U), and "prefixes", (N, V), of the last step.
        """
        log_probs = self.ctc(encoder_out).float().log_softmax(-1)
        self.log_probs = log_probs.masked_fill(~is_frame(lengths, log_probs.size(1))[..., None], NEVER)
        blank = self.log_probs[..., self.end_id].cumsum(1).clamp(min=NEVER)
        self.lengths = lengths
        own = {"label": torch.full_like(blank, NEVER), "blank": blank, "prefixes": torch.zeros_like(log_probs[:, 0])}
        return self.head.start(encoder_out, lengths) | own

    def step(self, tokens: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, L) tokens so far -> (N, V) scores of the next, and the new state."""
        attended, after = self.head.step(tokens, state)
        state = state | after
        prefix = attended.new_zeros(len(tokens), 1)
        if tokens.size(1):
            prefix = state["prefixes"].gather(1, tokens[:, -1:])
            state["label"], state["blank"] = self.advance(tokens, state["label"], state["blank"])
        heard = self.longer(tokens, state["label"], state["blank"])
        heard[:, self.end_id] = self.whole(state["label"], state["blank"])
        state["prefixes"] = heard
        scores = (1 - self.weight) * attended + self.weight * (heard - prefix)
        return scores.masked_fill(heard <= NEVER / 2, -torch.inf), state

    def whole(self, label: Tensor, blank: Tensor) -> Tensor:
        """(N,) ln p of the tokens so far, and no more; without a frame there is nothing to say."""
        found = torch.logaddexp(label, blank).gather(1, (self.lengths - 1).clamp(min=0)[:, None])[:, 0]
        return found.masked_fill(self.lengths == 0, 0.0)

    def longer(self, tokens: Tensor, label: Tensor, blank: Tensor) -> Tensor:
        """(N, V) ln p of all labellings that begin with the tokens so far and one more."""
        done = torch.logaddexp(label, blank)[..., None].expand_as(self.log_probs)  # (N, U, V) all tokens said
        if tokens.size(1):  # the last one again needs a blank between
            done = done.scatter(-1, tokens[:, None, -1:].expand(-1, done.size(1), 1), blank[..., None])
        done = in_frame_before(done, NEVER if tokens.size(1) else 0.0)
        return (done + self.log_probs).logsumexp(1).clamp(min=NEVER)

    def advance(self, tokens: Tensor, label: Tensor, blank: Tensor) -> tuple[Tensor, Tensor]:
        """The forward variables, (N, U) each, from those of the tokens without the last one."""
        U, last = self.log_probs.size(1), tokens[:, -1:]
        said = self.log_probs.gather(-1, last[:, None].expand(-1, U, 1))[..., 0]  # (N, U)
        silent = self.log_probs[..., self.end_id]
        is_same = last == tokens[:, -2:-1] if tokens.size(1) > 1 else torch.zeros_like(last, dtype=torch.bool)
        done = torch.where(is_same, blank, torch.logaddexp(label, blank))
        done = in_frame_before(done, NEVER if tokens.size(1) > 1 else 0.0)
        labels, blanks = [said[:, 0] + done[:, 0]], [torch.full_like(said[:, 0], NEVER)]
        for u in range(1, U):
            blanks.append((torch.logaddexp(labels[-1], blanks[-1]) + silent[:, u]).clamp(min=NEVER))
            labels.append((torch.logaddexp(labels[-1], done[:, u]) + said[:, u]).clamp(min=NEVER))
        return torch.stack(labels, 1), torch.stack(blanks, 1)


def in_frame_before(x: Tensor, first: float) -> Tensor:
    """(N, U, ...) moved by one frame, with `first` in front."""
    return torch.cat((torch.full_like(x[:, :1], first), x[:, :-1]), 1)
