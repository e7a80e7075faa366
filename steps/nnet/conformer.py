"""Conformer (Gulati et al. 2020), with rotary positions (Su et al. 2021) and no statistic over the batch."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, PositiveInt
from steps.nnet.output import is_frame, zero_padding
from steps.nnet.subsampling import ConvSubsampling, subsampled_lens


def rotate(x: Tensor) -> Tensor:
    """Rotary position embedding of queries or keys, (B, H, U, D) -> (B, H, U, D). Source: Su et al. 2021, eq. 34."""
    U, D = x.shape[-2:]
    rate = 10000 ** (-torch.arange(0, D, 2, device=x.device) / D)
    angle = torch.arange(U, device=x.device).unsqueeze(1) * rate  # (U, D / 2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the frames of each utterance."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, U, D), (B, U) bool -> (B, U, D)"""
        B, U, D = x.size()
        q, k, v = self.qkv(self.norm(x)).view(B, U, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)  # (B, H, U, D / H)
        x = nn.functional.scaled_dot_product_attention(rotate(q), rotate(k), v, attn_mask=mask[:, None, None])
        return self.out(x.transpose(1, 2).reshape(B, U, D))


class ConvModule(nn.Module):
    """Gated pointwise, then depthwise convolution; LayerNorm stands for the paper's BatchNorm."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.gated = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.inner_norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, U, D), (B,) -> (B, U, D)"""
        x = nn.functional.glu(self.gated(self.norm(x)))
        x = zero_padding(x, lengths).transpose(1, 2)  # (B, D, U)
        x = self.depthwise(x).transpose(1, 2)  # (B, U, D)
        return self.out(nn.functional.silu(self.inner_norm(x)))


def feed_forward(dim: int, expansion: int, dropout: float) -> nn.Sequential:
    """The Conformer's feed-forward module, (B, U, D) -> (B, U, D)."""
    inner = dim * expansion
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, inner), nn.SiLU(), nn.Dropout(dropout), nn.Linear(inner, dim)
    )


class ConformerLayer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward."""

    def __init__(self, dim: int, num_heads: int, kernel_size: int, expansion: int, dropout: float):
        super().__init__()
        self.before = feed_forward(dim, expansion, dropout)
        self.attention = SelfAttention(dim, num_heads)
        self.conv = ConvModule(dim, kernel_size)
        self.after = feed_forward(dim, expansion, dropout)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        """(B, U, D), (B,), (B, U) bool -> (B, U, D)"""
        x = x + 0.5 * self.dropout(self.before(x))
        x = x + self.dropout(self.attention(x, mask))
        x = x + self.dropout(self.conv(x, lengths))
        x = x + 0.5 * self.dropout(self.after(x))
        return self.norm(x)


class ConformerEncoder(nn.Module):
    """Convolutional subsampling, then Conformer layers.

    Args:
        input_dim: Features of a frame, F.
        dim: Width of the layers.
        num_layers: Conformer layers.
        num_heads: Attention heads; `dim` is a multiple of twice their number.
        kernel_size: Of the depthwise convolution, odd.
        expansion: Of the feed-forward modules.
        subsampling: Frames that become one.
        channels: Of the subsampling convolutions.
        dropout: Behind each module.
    """

    input = "features"
    look_ahead_frames = math.inf

    def __init__(
        self,
        input_dim: int,
        *,
        dim: PositiveInt = 144,
        num_layers: PositiveInt = 6,
        num_heads: PositiveInt = 4,
        kernel_size: PositiveInt = 15,
        expansion: PositiveInt = 4,
        subsampling: Literal[1, 2, 4, 8] = 4,
        channels: PositiveInt = 32,
        dropout: Fraction = 0.1,
    ):
        super().__init__()
        if dim % (2 * num_heads):
            raise ValueError(f"dim {dim} is not a multiple of twice num_heads {num_heads}")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {kernel_size} is not odd")
        self.subsampling = subsampling
        self.subsample = ConvSubsampling(input_dim, dim, subsampling, channels)
        self.layers = nn.ModuleList(
            ConformerLayer(dim, num_heads, kernel_size, expansion, dropout) for _ in range(num_layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.output_dim = dim

    def output_lens(self, feat_lens: Tensor) -> Tensor:
        """(B,) frames of the output."""
        return subsampled_lens(feat_lens, self.subsampling)

    def forward(self, feats: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, T, F), (B,) -> (B, U, D), (B,), and (B, U, D) behind each layer but the last. Padding must be 0."""
        x, lengths = self.subsample(feats, feat_lens)
        x, mask = self.dropout(x), is_frame(lengths.clamp(min=1), x.size(1))
        hidden = []
        for layer in self.layers:
            x = layer(x, lengths, mask)
            hidden.append(x)
        return zero_padding(x, lengths), lengths, hidden[:-1]
