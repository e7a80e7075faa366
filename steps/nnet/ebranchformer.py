"""E-Branchformer (Kim et al. 2022), with rotary positions (Su et al. 2021)."""

from typing import Literal

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, NaturalInt, PositiveInt
from steps.nnet.attention import SelfAttention
from steps.nnet.conformer import feed_forward
from steps.nnet.convolution import DepthwiseConv
from steps.nnet.dropout import Dropout
from steps.nnet.output import zero_padding
from steps.nnet.stacked import StackedEncoder
from steps.nnet.streaming import Chunks, Past


class GatedConvMlp(nn.Module):
    """The local branch: a multi-layer perceptron in which a convolution of one half gates the other."""

    def __init__(self, dim: int, expansion: int, kernel_size: int, dropout: float, is_causal: bool):
        super().__init__()
        inner = dim * expansion // 2
        self.norm = nn.LayerNorm(dim)
        self.widen = nn.Linear(dim, 2 * inner)
        self.gate_norm = nn.LayerNorm(inner)
        self.depthwise = DepthwiseConv(inner, kernel_size, is_causal)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(inner, dim)

    def forward(self, x: Tensor, lengths: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, D), (B,) -> (B, U, D)"""
        x, gate = nn.functional.gelu(self.widen(self.norm(x))).chunk(2, -1)
        gate = self.depthwise(zero_padding(self.gate_norm(gate), lengths), past)
        return self.out(self.dropout(x * gate))


class Merge(nn.Module):
    """Both branches, side by side under a depthwise convolution, projected to one."""

    def __init__(self, dim: int, kernel_size: int, is_causal: bool):
        super().__init__()
        self.depthwise = DepthwiseConv(2 * dim, kernel_size, is_causal)
        self.out = nn.Linear(2 * dim, dim)

    def forward(self, branches: tuple[Tensor, Tensor], lengths: Tensor, past: Past | None = None) -> Tensor:
        """two of (B, U, D), (B,) -> (B, U, D)"""
        x = zero_padding(torch.cat(branches, -1), lengths)
        return self.out(x + self.depthwise(x, past))


class EBranchformerLayer(nn.Module):
    """Half feed-forward, attention beside a gated convolution, half feed-forward."""

    def __init__(self, dim: int, num_heads: int, kernel_size: int, expansion: int, dropout: float, is_causal: bool):
        super().__init__()
        self.before = feed_forward(dim, expansion, dropout)
        self.attention = SelfAttention(dim, num_heads)
        self.local = GatedConvMlp(dim, expansion, kernel_size, dropout, is_causal)
        self.merge = Merge(dim, kernel_size, is_causal)
        self.after = feed_forward(dim, expansion, dropout)
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, D), (B,), (B, 1, 1 or U, K) bool -> (B, U, D)"""
        x = x + 0.5 * self.dropout(self.before(x))
        branches = self.dropout(self.attention(x, mask, past)), self.dropout(self.local(x, lengths, past))
        x = x + self.dropout(self.merge(branches, lengths, past))
        x = x + 0.5 * self.dropout(self.after(x))
        return self.norm(x)


class EBranchformerEncoder(StackedEncoder):
    """Convolutional subsampling, then E-Branchformer layers.

    Args:
        input_dim: Features of a frame, F.
        frame_shift_ms: Of the features.
        dim: Width of the layers.
        num_layers: E-Branchformer layers.
        num_heads: Attention heads; `dim` is a multiple of twice their number.
        kernel_size: Of the depthwise convolutions, odd unless there are chunks.
        expansion: Of the feed-forward modules and of the local branch, even.
        subsampling: Frames that become one.
        channels: Of the subsampling convolutions.
        chunk_ms: The piece of an utterance that a stream hears at a time; then convolutions are causal. 0: all of it.
        left_context_ms: What attention sees before its chunk.
        dropout: Behind each module.
    """

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        dim: PositiveInt = 144,
        num_layers: PositiveInt = 6,
        num_heads: PositiveInt = 4,
        kernel_size: PositiveInt = 15,
        expansion: PositiveInt = 4,
        subsampling: Literal[1, 2, 3, 4, 6, 8] = 4,
        channels: PositiveInt = 32,
        chunk_ms: NaturalInt = 0,
        left_context_ms: NaturalInt = 0,
        dropout: Fraction = 0.1,
    ):
        chunks = Chunks.of(chunk_ms, left_context_ms, frame_shift_ms * subsampling)
        super().__init__(input_dim, dim, subsampling, channels, chunks, dropout)
        self.layers = nn.ModuleList(
            EBranchformerLayer(dim, num_heads, kernel_size, expansion, dropout, self.is_causal)
            for _ in range(num_layers)
        )
