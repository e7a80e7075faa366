"""CTC greedy decoding: the best token of each frame, repeats merged, blanks removed (Graves et al. 2006, eq. 4)."""

from dataclasses import dataclass

import numpy as np

from steps.nnet.output import ModelOutput


@dataclass(frozen=True)
class Hypothesis:
    """One hypothesis.

    Attributes:
        ids: Token ids.
        frames: The frame each token begins in.
        score: Log-probability in nats: of the path from greedy decoding, of the labelling from a beam search.
        text: Of a head whose tokens are not the recipe's.
        confidence: Of each token: its posterior in its surest frame, or, of heads that write token after token, when it
            was written.
    """

    ids: list[int]
    frames: list[int]
    score: float
    text: str | None = None
    confidence: list[float] | None = None


def greedy(output: ModelOutput, blank_id: int, head: str = "ctc") -> tuple[list[Hypothesis], list[np.ndarray]]:
    """(hypotheses, best paths): one of each per utterance; a path has shape (U,)."""
    scores, best = output.logits[head].float().log_softmax(-1).max(-1)  # (B, U)
    paths = [path[:n].cpu().numpy() for path, n in zip(best, output.lengths.tolist(), strict=True)]
    scores = [s[:n].cpu().numpy() for s, n in zip(scores, output.lengths.tolist(), strict=True)]
    return [collapse(path, s, blank_id) for path, s in zip(paths, scores, strict=True)], paths


def sureness(path: np.ndarray, scores: np.ndarray, blank_id: int) -> list[float]:
    """The greatest posterior among the frames of each label on a best path, from log-posteriors (U,)."""
    if not len(path):
        return []
    begins = np.flatnonzero(np.concatenate([[True], path[1:] != path[:-1]]))
    best = np.exp(np.maximum.reduceat(scores, begins))
    return [float(value) for value, first in zip(best, begins, strict=True) if path[first] != blank_id]


def spikes(path: np.ndarray, blank_id: int) -> list[tuple[int, int]]:
    """(token, frame) where each label of a best path of shape (U,) begins."""
    previous = np.concatenate([[blank_id], path[:-1]])
    frames = np.flatnonzero((path != blank_id) & (path != previous))
    return [(int(path[u]), int(u)) for u in frames]


def collapse(path: np.ndarray, scores: np.ndarray, blank_id: int) -> Hypothesis:
    """The hypothesis of a path, (U,), with log-posteriors (U,)."""
    found = spikes(path, blank_id)
    ids, frames = [token for token, _ in found], [frame for _, frame in found]
    return Hypothesis(ids, frames, float(scores.sum()), confidence=sureness(path, scores, blank_id))
