"""Spans of frames that are hidden from an encoder, which then has to say what they held."""

import torch
from torch import Tensor

from steps.nnet.output import is_frame


def hidden_spans(lengths: Tensor, max_len: int, start_share: float, span_frames: int, is_training: bool) -> Tensor:
    """(B, T) bool: frames that are hidden; each begins a span of `span_frames` with a chance of `start_share`.

    In training the spans come from torch's default generator; else from one that depends on the length alone, so
    that an utterance has the same ones at each look, in any batch.
    """
    if is_training:
        chances = torch.rand(len(lengths), max_len, device=lengths.device)
    else:
        rows = [torch.rand(n, generator=torch.Generator().manual_seed(n)) for n in lengths.tolist()]
        chances = torch.stack([torch.nn.functional.pad(row, (0, max_len - len(row)), value=1.0) for row in rows])
        chances = chances.to(lengths.device)
    begins = (chances < start_share).float()
    spans = torch.nn.functional.max_pool1d(
        torch.nn.functional.pad(begins[:, None], (span_frames - 1, 0)), span_frames, stride=1
    )
    return (spans[:, 0] > 0) & is_frame(lengths, max_len)


def stack_frames(x: Tensor, factor: int) -> Tensor:
    """(B, T, F) -> (B, U, factor * F): the frames that each state of an encoder stands for; 0 behind the last."""
    B, T, F = x.size()
    return torch.nn.functional.pad(x, (0, 0, 0, -T % factor)).reshape(B, -1, F * factor)
