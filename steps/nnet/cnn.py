"""Convolutional acoustic model: blocks of two 3 x 3 convolutions and pooling (VGG: Sercu et al. 2016)."""

from typing import Literal

from torch import Tensor, nn

from steps.config.types import Fraction, PositiveInt
from steps.nnet.dropout import Dropout
from steps.nnet.output import is_frame, zero_padding
from steps.nnet.streaming import Past, with_past
from steps.nnet.subsampling import STRIDES, subsampled_lens


class VggBlock(nn.Module):
    """Two convolutions, then the maximum over 2 bins and `stride` frames."""

    def __init__(self, channels: int, out_channels: int, num_bins: int, stride: int, is_causal: bool, dropout: float):
        super().__init__()
        self.is_causal, self.stride = is_causal, stride
        padding = (0 if is_causal else 1, 1)
        self.convs = nn.ModuleList(
            nn.Conv2d(size, out_channels, 3, padding=padding) for size in (channels, out_channels)
        )
        self.norm = nn.LayerNorm([out_channels, -(-num_bins // 2)])
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, past: Past | None = None) -> tuple[Tensor, Tensor]:
        """(B, C, T, F), (B,) -> (B, C', U, F / 2), (B,)"""
        for conv in self.convs:
            x = conv(with_past(conv, x, 2, past, dim=2) if self.is_causal else x)
            x = (x * is_frame(lengths, x.size(2))[:, None, :, None]).relu_()
        x = nn.functional.max_pool2d(x, (self.stride, 2), ceil_mode=True)
        lengths = subsampled_lens(lengths, self.stride)
        x = self.dropout(self.norm(x.transpose(1, 2))).transpose(1, 2)
        return x * is_frame(lengths, x.size(2))[:, None, :, None], lengths


class CnnEncoder(nn.Module):
    """VGG blocks, then a projection.

    Args:
        input_dim: Features of a frame, F.
        frame_shift_ms: Of the features.
        dim: Width of the output.
        num_blocks: Blocks of two convolutions; the first ones also pool over time, up to `subsampling`.
        channels: Of the first block; each further one has twice as many, up to 8 times.
        is_causal: Whether convolutions see only frames before; then they stream.
        subsampling: Frames that become one.
        dropout: Behind each block.
    """

    input = "features"

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        dim: PositiveInt = 256,
        num_blocks: PositiveInt = 4,
        channels: PositiveInt = 16,
        is_causal: bool = False,
        subsampling: Literal[1, 2, 3, 4, 6, 8] = 4,
        dropout: Fraction = 0.1,
    ):
        super().__init__()
        pooled = [stride for stride in STRIDES[subsampling] if stride > 1]
        if len(pooled) > num_blocks:
            raise ValueError(f"subsampling {subsampling} needs at least {len(pooled)} blocks")
        self.subsampling = subsampling
        strides = pooled + [1] * (num_blocks - len(pooled))
        blocks, size, num_bins = [], 1, input_dim
        for i, stride in enumerate(strides):
            out_channels = channels * 2 ** min(i, 3)
            blocks.append(VggBlock(size, out_channels, num_bins, stride, is_causal, dropout))
            size, num_bins = out_channels, -(-num_bins // 2)
        self.layers = nn.ModuleList(blocks)
        self.out = nn.Sequential(nn.Linear(size * num_bins, dim), nn.ReLU(), nn.LayerNorm(dim), Dropout(dropout))
        self.output_dim = dim
        self.look_ahead_frames = look_ahead(strides, 0 if is_causal else 2)
        self.chunk_frames = subsampling if is_causal else 0

    def forward(
        self, feats: Tensor, feat_lens: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, T, F), (B,) -> (B, U, D), (B,), and nothing between. Padding must be 0."""
        x, lengths = feats.unsqueeze(1), feat_lens
        for block in self.layers:
            x, lengths = block(x, lengths, past)
        x = self.out(x.transpose(1, 2).flatten(2))
        return zero_padding(x, lengths), lengths, []


def look_ahead(strides: list[int], right: int) -> int:
    """Input frames behind its own that an output sees, where each block looks `right` frames ahead and then pools."""
    frames = 0
    for stride in reversed(strides):
        frames = frames * stride + stride - 1 + right
    return frames
