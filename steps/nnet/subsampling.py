"""Fewer frames: U = ceil(T / factor). Padding must be 0, and is 0 again in the output."""

from torch import Tensor, nn

from steps.nnet.output import is_frame, zero_padding


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
    """Convolutions of stride 2 over time and frequency, then a projection. `factor` is 1, 2, 4 or 8."""

    def __init__(self, input_dim: int, dim: int, factor: int, channels: int):
        super().__init__()
        self.factor = factor
        strides = [2] * (factor.bit_length() - 1) or [1]
        sizes = [1] + [channels] * len(strides)
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], 3, (stride, 2), padding=1) for i, stride in enumerate(strides)
        )
        for _ in strides:
            input_dim = (input_dim + 1) // 2
        self.linear = nn.Linear(channels * input_dim, dim)

    def forward(self, feats: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> (B, U, D), (B,)"""
        x, lengths = feats.unsqueeze(1), feat_lens  # (B, 1, T, F)
        for conv in self.convs:
            lengths = subsampled_lens(lengths, conv.stride[0])
            x = conv(x)  # (B, C, U, F')
            x = (x * is_frame(lengths, x.size(2))[:, None, :, None]).relu_()
        x = self.linear(x.transpose(1, 2).flatten(2))  # (B, U, D)
        return zero_padding(x, lengths), lengths
