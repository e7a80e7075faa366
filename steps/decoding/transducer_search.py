"""Search for transducers, frame after frame, with at most one token each (Graves 2012; Tripathi et al. 2019)."""

import math

import torch
from torch import Tensor

from steps.decoding.greedy import Hypothesis
from steps.nnet.output import ModelOutput

Path = list[tuple[int, float]]  # frame and probability of each token
Beam = dict[tuple[int, ...], tuple[float, Path]]  # tokens -> (log-probability, likeliest path)


def transducer_search(output: ModelOutput, head: torch.nn.Module, beam_size: int, nbest: int) -> list[list[Hypothesis]]:
    """The best hypotheses of each utterance, the best first; a score sums the alignments that met in the beam."""
    encoded = head.enter(output.encoder_out)
    return [search(x[:n], head, beam_size)[:nbest] for x, n in zip(encoded, output.lengths.tolist(), strict=True)]


def search(encoded: Tensor, head: torch.nn.Module, beam_size: int) -> list[Hypothesis]:
    """Hypotheses of one utterance, from (U, D)."""
    beam: Beam = {(): (0.0, [])}
    predicted: dict[tuple[int, ...], Tensor] = {}
    for u, frame in enumerate(encoded):
        new = [ids for ids in beam if ids not in predicted]
        predicted = {ids: predicted[ids] for ids in beam if ids in predicted} | predict(head, new)
        logits = head.join(frame, torch.stack([predicted[ids] for ids in beam]))
        log_probs = logits.float().log_softmax(-1)  # (K, V)
        beam = advance(beam, log_probs, u, head.blank_id, beam_size)
    ranked = sorted(beam.items(), key=lambda item: (-item[1][0], item[0]))
    return [
        Hypothesis(list(ids), [frame for frame, _ in path], score, confidence=[sure for _, sure in path])
        for ids, (score, path) in ranked
    ]


def predict(head: torch.nn.Module, hypotheses: list[tuple[int, ...]]) -> dict[tuple[int, ...], Tensor]:
    """The predictor's state after each hypothesis."""
    device = next(head.parameters()).device
    return {ids: head.predictor(torch.tensor([ids], dtype=torch.long, device=device))[0, -1] for ids in hypotheses}


def advance(beam: Beam, log_probs: Tensor, u: int, blank_id: int, beam_size: int) -> Beam:
    """The beam after a frame: each hypothesis as it was, or with one more token; equal ones become one."""
    best, tokens = log_probs.topk(min(beam_size + 1, log_probs.size(-1)), -1)
    grown: Beam = {}
    for k, (ids, (score, before)) in enumerate(beam.items()):
        choices = dict(zip(tokens[k].tolist(), best[k].tolist(), strict=True))
        choices[blank_id] = float(log_probs[k, blank_id])
        for token, gain in choices.items():
            longer = ids if token == blank_id else (*ids, token)
            path = before if token == blank_id else [*before, (u, math.exp(gain))]
            other = grown.get(longer)
            total = score + gain
            if other is not None:
                path = path if total > other[0] else other[1]
                total = float(torch.logaddexp(torch.tensor(total), torch.tensor(other[0])))
            grown[longer] = (total, path)
    return dict(sorted(grown.items(), key=lambda item: (-item[1][0], item[0]))[:beam_size])
