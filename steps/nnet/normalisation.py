"""The mean of an utterance, or of what was heard of it so far, taken off its features: voices and rooms differ."""

from typing import Literal

import torch
from torch import Tensor

from steps.nnet.output import zero_padding
from steps.nnet.streaming import Past

PRIOR_FRAMES = 100  # that the training set's mean counts for at the start of an utterance


def without_mean(
    x: Tensor,
    feat_lens: Tensor,
    past: Past | None = None,
    *,
    mean_norm: Literal["none", "utterance", "running"] = "none",
) -> Tensor:
    """(B, T, F), (B,) -> (B, T, F): features of mean 0 over the training set, less a mean of their own.

    Args:
        x: Features; padding must be 0.
        feat_lens: Frames of each utterance.
        past: Of a stream.
        mean_norm: "utterance": over all its frames, so the look-ahead is the whole utterance. "running": over the
            frames up to and with each, and `PRIOR_FRAMES` more of 0; no look-ahead.

    Source: Kaldi's apply-cmvn and apply-cmvn-online, the latter without its window.
    """
    if mean_norm == "utterance":
        return zero_padding(x - x.sum(1, keepdim=True) / feat_lens.clamp(min=1).view(-1, 1, 1), feat_lens)
    if mean_norm == "running":
        total, frames = past.memory.get(without_mean, (0.0, PRIOR_FRAMES)) if past else (0.0, PRIOR_FRAMES)
        totals = total + x.cumsum(1)
        count = torch.arange(1, x.size(1) + 1, device=x.device).view(-1, 1) + frames
        if past:
            past.memory[without_mean] = totals[:, -1:], frames + x.size(1)
        return zero_padding(x - totals / count, feat_lens)
    return x
