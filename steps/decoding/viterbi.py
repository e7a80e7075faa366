"""Viterbi decoding of hidden Markov models: the best way through a loop of all tokens, with silence between them."""

from dataclasses import replace

import torch
from torch import Tensor

from steps.decoding.greedy import Hypothesis
from steps.nnet.output import ModelOutput


def viterbi_search(output: ModelOutput, head: torch.nn.Module) -> list[list[Hypothesis]]:
    """The best hypothesis of each utterance; its score is that of the path, bigram counted."""
    log_probs, bigram = output.log_probs(head.name), head.lm_scale * head.log_bigram
    likelihoods = head.acoustic_scale * (log_probs - head.log_prior)
    tokens = torch.tensor([t for t in range(len(bigram)) if t != head.blank_id], device=likelihoods.device)
    rest = (bigram, tokens, head.first_state(tokens), head.num_states, head.blank_id)
    lengths = output.lengths.tolist()
    found = [search(x[:n], *rest) for x, n in zip(likelihoods, lengths, strict=True)]
    sure = [sureness(h, x[:n].exp(), head) for h, x, n in zip(found, log_probs, lengths, strict=True)]
    return [[replace(h, confidence=values)] for h, values in zip(found, sure, strict=True)]


def sureness(hypothesis: Hypothesis, posteriors: Tensor, head: torch.nn.Module) -> list[float]:
    """The greatest posterior of one of each token's states before the next token begins, from (U, S)."""
    ends = [*hypothesis.frames, len(posteriors)][1:]
    firsts = head.first_state(torch.tensor(hypothesis.ids, dtype=torch.long)).tolist()
    spans = zip(firsts, hypothesis.frames, ends, strict=True)
    return [float(posteriors[begin:end, first : first + head.num_states].max()) for first, begin, end in spans]


def search(
    likelihoods: Tensor, bigram: Tensor, tokens: Tensor, first_state: Tensor, num_states: int, blank_id: int
) -> Hypothesis:
    """The best way through one utterance.

    Args:
        likelihoods: (U, S) of states, silence first.
        bigram: (V, V) log-probability of a token after another; the blank is start and end.
        tokens: (W,) all but the blank.
        first_state: (W,) of each token.
        num_states: Of each token.
        blank_id: Of the blank.
    """
    U, W = len(likelihoods), len(tokens)
    if U == 0:
        return Hypothesis([], [], 0.0)
    states = first_state[:, None] + torch.arange(num_states, device=tokens.device)  # (W, n)
    follows, begins, ends = bigram[tokens][:, tokens], bigram[blank_id, tokens], bigram[tokens, blank_id]
    lowest = torch.finfo(likelihoods.dtype).min / 4
    inside = likelihoods.new_full((W, num_states), lowest)
    paused = likelihoods.new_full((W + 1,), lowest)  # in silence after each token; the last: before any
    inside[:, 0], paused[W] = begins + likelihoods[0, first_state], likelihoods[0, 0]
    trace = []
    for x in likelihoods[1:]:
        left = torch.cat((torch.maximum(inside[:, -1], paused[:W]), paused[W:]))  # (W + 1,) done with each token
        entry, origin = (left[:, None] + torch.cat((follows, begins[None]))).max(0)  # (W,)
        before = torch.cat((entry[:, None], inside[:, :-1]), 1)
        moved = before > inside
        fell_silent = inside[:, -1] > paused[:W]
        trace.append((moved, origin, inside[:, -1] >= paused[:W], fell_silent))
        paused = torch.cat((torch.maximum(paused[:W], inside[:, -1]), paused[W:])) + x[0]
        inside = torch.maximum(inside, before) + x[states]
    finals = torch.cat((inside[:, -1] + ends, paused[:W] + ends, paused[W:] + bigram[blank_id, blank_id]))
    return trace_back([tuple(t.tolist() for t in step) for step in trace], finals, tokens.tolist(), num_states)


def trace_back(trace: list, finals: Tensor, tokens: list[int], num_states: int) -> Hypothesis:
    """The tokens on the path that ends in the best of `finals` (2 W + 1): in a token, in silence after it, in none."""
    W = len(tokens)
    score, place = finals.max(0)
    place = int(place)
    is_silent, w = place >= W, place % W if place < 2 * W else W
    state = num_states - 1
    ids: list[int] = []
    frames: list[int] = []
    for u in range(len(trace), 0, -1):
        moved, origin, was_inside, fell_silent = trace[u - 1]
        if is_silent:
            is_silent = w == W or not fell_silent[w]
        elif moved[w][state] and state:
            state -= 1
        elif moved[w][state]:
            ids.append(tokens[w])
            frames.append(u)
            w = origin[w]
            is_silent, state = w == W or not was_inside[w], num_states - 1
    if w < W:
        ids.append(tokens[w])
        frames.append(0)
    return Hypothesis(ids[::-1], frames[::-1], float(score))
