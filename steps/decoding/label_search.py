"""Beam search for heads that write token after token (Chan et al. 2016, sec. 3.3), a batch at once."""

from dataclasses import replace

import torch
from torch import Tensor

from steps.decoding.greedy import Hypothesis
from steps.nnet.output import ModelOutput


def label_search(output: ModelOutput, head: torch.nn.Module, beam_size: int, nbest: int) -> list[list[Hypothesis]]:
    """The best hypotheses of each utterance, the best first.

    A hypothesis grows until its end is the best next token of all in the beam; it holds at most as many tokens as
    there are frames, or as the head can write. What is found does not depend on other utterances. Hypotheses are
    ordered by log-probability per token, end counted, lest short ones win.

    Args:
        output: Of the model; the encoder's states are used.
        head: With `start`, `step` and `end_id`, and `max_tokens` where it cannot write more.
        beam_size: Hypotheses of each utterance; 1 is greedy.
        nbest: Hypotheses returned, where so many are found.
    """
    B, K = len(output.lengths), beam_size
    lengths = output.lengths.repeat_interleave(K)
    state = head.start(output.encoder_out.repeat_interleave(K, 0), lengths)
    device = lengths.device
    tokens = torch.zeros(B * K, 0, dtype=torch.long, device=device)
    frames, sure = tokens, tokens.float()
    scores = torch.full((B, K), -torch.inf, device=device)
    scores[:, 0] = 0.0
    done: list[list[Hypothesis]] = [[] for _ in range(B)]
    limits = [min(n, getattr(head, "max_tokens", n)) for n in output.lengths.tolist()]
    full: set[int] = set()  # utterances that need no more hypotheses
    for length in range(max(limits, default=0) + 1):
        log_probs, state = head.step(tokens, state)  # (B * K, V)
        V = log_probs.size(-1)
        total = scores[..., None] + log_probs.view(B, K, V)
        ends = total[..., head.end_id].clone()
        total[..., head.end_id] = -torch.inf
        kept, places = total.flatten(1).topk(min(K, K * (V - 1)), -1)  # (B, K)
        grown = [part.view(B, K, -1) for part in (tokens, frames, sure)]
        collect(done, ends, kept, grown, limits, length, full)
        full |= {b for b, found in enumerate(done) if is_full(found, limits[b], length, K, kept[b])}
        if len(full) == B:
            break
        rows = (torch.arange(B, device=device)[:, None] * K + places // V).flatten()
        state = {key: value.index_select(0, rows) for key, value in state.items()}
        place = state["weights"].argmax(-1) if "weights" in state else torch.full_like(rows, -1)
        chosen = log_probs.view(B, -1).gather(1, places).exp()  # (B, K)
        tokens = torch.cat((tokens[rows], (places % V).flatten()[:, None]), 1)
        frames = torch.cat((frames[rows], place[:, None]), 1)
        sure = torch.cat((sure[rows], chosen.flatten()[:, None]), 1)
        scores = kept
    ordered = [sorted(found, key=lambda h: (-rank_of(h), h.ids))[:nbest] for found in done]
    if not hasattr(head, "spell"):
        return ordered
    return [[replace(hypothesis, text=head.spell(hypothesis.ids)) for hypothesis in found] for found in ordered]


def collect(
    done: list[list[Hypothesis]],
    ends: Tensor,
    kept: Tensor,
    grown: list[Tensor],
    limits: list[int],
    length: int,
    full: set[int],
) -> None:
    """Adds the hypotheses of `length` tokens whose end is among the best next steps, or that may grow no longer.

    Nothing is added to the utterances in `full`. `grown` holds their tokens, frames and confidences, (B, K, L) each.
    """
    K = ends.size(1)
    worst = kept[:, -1:]
    for b, k in ((ends > worst) & torch.isfinite(ends)).nonzero().tolist():
        if b not in full and length <= limits[b] and len(done[b]) < K * K:
            add(done[b], ends[b, k], *(part[b, k] for part in grown))
    for b, limit in enumerate(limits):
        if length == limit and not done[b]:
            add(done[b], ends[b, 0], *(part[b, 0] for part in grown))


def add(found: list[Hypothesis], score: Tensor, tokens: Tensor, frames: Tensor, sure: Tensor) -> None:
    """Adds a finished hypothesis."""
    places = [] if (frames < 0).any() else frames.tolist()
    found.append(Hypothesis(tokens.tolist(), places, float(score), confidence=sure.tolist()))


def rank_of(hypothesis: Hypothesis) -> float:
    """Log-probability per token, the end counted."""
    return hypothesis.score / (len(hypothesis.ids) + 1)


def is_full(found: list[Hypothesis], limit: int, length: int, beam_size: int, kept: Tensor) -> bool:
    """Whether the best one that still grows comes behind the finished ones, even if it ended at no cost.

    Those of one beam are enough. A heuristic: it could still gain rank by many sure tokens.
    """
    if length >= limit:
        return True
    return len(found) >= beam_size and float(kept[0]) / (length + 2) < rank_of(max(found, key=rank_of))
