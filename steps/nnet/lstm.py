"""LSTM acoustic model: stacked frames, recurrent layers (Graves et al. 2013; Sak et al. 2015)."""

import math

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from steps.nnet.output import zero_padding
from steps.nnet.subsampling import FrameStacking, subsampled_lens


class LstmEncoder(nn.Module):
    """Frame stacking, then LSTM layers.

    Args:
        input_dim: Mel bins, F.
        dim: Width of each direction.
        num_layers: LSTM layers.
        bidirectional: Whether each layer reads both ways; then the look-ahead is the whole utterance.
        subsampling: Frames that become one.
        dropout: Between layers and behind the last.
    """

    input = "features"

    def __init__(
        self,
        input_dim: int,
        *,
        dim: int = 96,
        num_layers: int = 1,
        bidirectional: bool = False,
        subsampling: int = 4,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.subsampling = subsampling
        self.stack = FrameStacking(input_dim, dim, subsampling)
        self.lstm = nn.LSTM(
            dim,
            dim,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(dropout)
        self.output_dim = dim * (2 if bidirectional else 1)
        self.look_ahead_frames = math.inf if bidirectional else subsampling - 1

    def output_lens(self, feat_lens: Tensor) -> Tensor:
        """(B,) frames of the output."""
        return subsampled_lens(feat_lens, self.subsampling)

    def forward(self, feats: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> (B, U, D), (B,). Padding must be 0."""
        x, lengths = self.stack(feats, feat_lens)
        if self.lstm.bidirectional:  # the backward direction must start at the last frame, not in padding
            packed = pack_padded_sequence(x, lengths.cpu().clamp(min=1), batch_first=True, enforce_sorted=False)
            x, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.size(1))
        else:
            x, _ = self.lstm(x)
        return zero_padding(self.dropout(x), lengths), lengths
