"""LSTM acoustic model: stacked frames, recurrent layers (Graves et al. 2013; Sak et al. 2015)."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, PositiveInt
from steps.nnet.dropout import Dropout
from steps.nnet.output import zero_padding
from steps.nnet.streaming import Past
from steps.nnet.subsampling import FrameStacking


class LstmEncoder(nn.Module):
    """Frame stacking, then LSTM layers.

    Args:
        input_dim: Features of a frame, F.
        frame_shift_ms: Of the features.
        dim: Width of each direction.
        num_layers: LSTM layers.
        bidirectional: Whether each layer reads both ways; then the look-ahead is the whole utterance.
        subsampling: Frames that become one.
        layer_norm: Whether the input of each layer is normalised (Ba et al. 2016); deep stacks leave the all-blank
            plateau of CTC sooner.
        dropout: Between layers and behind the last.
    """

    input = "features"
    cell = nn.LSTM

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        dim: PositiveInt = 96,
        num_layers: PositiveInt = 1,
        bidirectional: bool = False,
        subsampling: PositiveInt = 4,
        layer_norm: bool = False,
        dropout: Fraction = 0.1,
    ):
        super().__init__()
        self.subsampling = subsampling
        self.stack = FrameStacking(input_dim, dim, subsampling)
        directions = 2 if bidirectional else 1
        sizes = [dim] + [directions * dim] * (num_layers - 1)
        self.norms = nn.ModuleList(nn.LayerNorm(size) if layer_norm else nn.Identity() for size in sizes)
        self.layers = nn.ModuleList(nn.ModuleList(self.cell(size, dim) for _ in range(directions)) for size in sizes)
        self.dropout = Dropout(dropout)
        self.output_dim = dim * (2 if bidirectional else 1)
        self.look_ahead_frames = math.inf if bidirectional else subsampling - 1
        self.chunk_frames = 0 if bidirectional else subsampling

    def forward(
        self, feats: Tensor, feat_lens: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, T, F), (B,) -> (B, U, D), (B,), and (B, U, D) behind each layer but the last. Padding must be 0."""
        x, lengths = self.stack(feats, feat_lens)
        x = x.transpose(0, 1)  # (U, B, D)
        turn = partial(reverse_frames, rows=reversed_rows(lengths, x.size(0)))
        hidden = []
        for i, (forwards, *backwards) in enumerate(self.layers):
            x = self.norms[i](x)
            inputs = self.dropout(x) if i else x
            heard, state = forwards(inputs, past.memory.get(forwards) if past else None)
            if past:
                past.memory[forwards] = state
            outputs = [heard] + [turn(lstm(turn(inputs))[0]) for lstm in backwards]
            x = torch.cat(outputs, -1)
            hidden.append(x.transpose(0, 1))
        return zero_padding(self.dropout(hidden[-1]), lengths), lengths, hidden[:-1]


def reversed_rows(lengths: Tensor, max_len: int) -> Tensor:
    """(U * B,) rows of a flattened (U, B) that reverse the frames of each utterance; padding stays in place."""
    u = torch.arange(max_len, device=lengths.device).unsqueeze(1)
    turned = torch.where(u < lengths, lengths - 1 - u, u)  # (U, B)
    return (turned * len(lengths) + torch.arange(len(lengths), device=lengths.device)).flatten()


def reverse_frames(x: Tensor, rows: Tensor) -> Tensor:
    """(U, B, D) with the frames of each utterance in reverse order."""
    return x.flatten(0, 1).index_select(0, rows).view_as(x)
