"""Fewer frames: U = ceil(T / factor). Padding must be 0, and is 0 again in the output."""

from torch import Tensor, nn

from steps.nnet.output import is_frame, zero_padding
from steps.nnet.streaming import Past, with_past

STRIDES = {1: (1,), 2: (2,), 3: (3,), 4: (2, 2), 6: (2, 3), 8: (2, 2, 2)}  # of the convolutions, by their product


def subsampled_lens(feat_lens: Tensor, factor: int) -> Tensor:
    """(B,) frames after subsampling."""
    return (feat_lens + factor - 1) // factor


class FrameStacking(nn.Module):
    """Concatenates `factor` frames and projects them (low frame rate, Sak et al. 2015).

    Look-ahead: factor - 1 frames.
    """

    def __init__(self, input_dim: int, dim: int, factor: int):
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(input_dim * factor, dim)

    def forward(self, feats: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> (B, U, D), (B,)"""
        B, T, F = feats.size()
        feats = nn.functional.pad(feats, (0, 0, 0, -T % self.factor))
        x = self.linear(feats.reshape(B, -1, F * self.factor))  # (B, U, D)
        lengths = subsampled_lens(feat_lens, self.factor)
        return zero_padding(x, lengths), lengths


class ConvSubsampling(nn.Module):
    """Strided convolutions over time and frequency, then a projection.

    Args:
        input_dim: Features of a frame, F.
        dim: Width of the output, D.
        factor: Input frames that become one: 1, 2, 3, 4, 6 or 8.
        channels: Of the convolutions.
        is_causal: Whether kernels end at the last of the frames that become one; else they look 1 frame ahead each.
    """

    def __init__(self, input_dim: int, dim: int, factor: int, channels: int, is_causal: bool = False):
        super().__init__()
        self.factor = factor
        self.is_causal = is_causal
        sizes = [1] + [channels] * len(STRIDES[factor])
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], 3, (stride, 2), padding=(0 if is_causal else 1, 1))
            for i, stride in enumerate(STRIDES[factor])
        )
        for _ in self.convs:
            input_dim = (input_dim + 1) // 2
        self.linear = nn.Linear(channels * input_dim, dim)

    def forward(self, feats: Tensor, feat_lens: Tensor, past: Past | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> (B, U, D), (B,)"""
        # channels lie together in memory, which convolves and learns twice as fast on CPUs
        x, lengths = feats.unsqueeze(-1).permute(0, 3, 1, 2), feat_lens  # (B, 1, T, F)
        for conv in self.convs:
            lengths = subsampled_lens(lengths, conv.stride[0])
            x = conv(up_to_stride(conv, x, past) if self.is_causal else x)  # (B, C, U, F')
            x = x.mul_(is_frame(lengths, x.size(2))[:, None, :, None]).relu_()
        x = self.linear(x.transpose(1, 2).flatten(2))  # (B, U, D)
        return zero_padding(x, lengths), lengths


def up_to_stride(conv: nn.Conv2d, x: Tensor, past: Past | None) -> Tensor:
    """(B, C, T, F) padded so that each output ends at the last of the frames that it stands for."""
    stride = conv.stride[0]
    x = nn.functional.pad(x, (0, 0, 0, -x.size(2) % stride))
    return with_past(conv, x, conv.kernel_size[0] - stride, past, dim=2)
