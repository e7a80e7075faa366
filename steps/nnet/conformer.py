"""Conformer (Gulati et al. 2020), with rotary positions (Su et al. 2021) and no statistic over the batch."""

from typing import Literal

from torch import Tensor, nn

from steps.config.types import Fraction, NaturalInt, PositiveInt
from steps.nnet.attention import SelfAttention
from steps.nnet.convolution import DepthwiseConv
from steps.nnet.dropout import Dropout
from steps.nnet.output import zero_padding
from steps.nnet.stacked import StackedEncoder
from steps.nnet.streaming import Chunks, Past


class ConvModule(nn.Module):
    """Gated pointwise, then depthwise convolution; LayerNorm stands for the paper's BatchNorm."""

    def __init__(self, dim: int, kernel_size: int, is_causal: bool):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.gated = nn.Linear(dim, 2 * dim)
        self.depthwise = DepthwiseConv(dim, kernel_size, is_causal)
        self.inner_norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, lengths: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, D), (B,) -> (B, U, D)"""
        x = nn.functional.glu(self.gated(self.norm(x)))
        x = self.depthwise(zero_padding(x, lengths), past)
        return self.out(nn.functional.silu(self.inner_norm(x)))


def feed_forward(dim: int, expansion: int, dropout: float) -> nn.Sequential:
    """The Conformer's feed-forward module, (B, U, D) -> (B, U, D)."""
    inner = dim * expansion
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, inner), nn.SiLU(), Dropout(dropout), nn.Linear(inner, dim))


class ConformerLayer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward."""

    def __init__(self, dim: int, num_heads: int, kernel_size: int, expansion: int, dropout: float, is_causal: bool):
        super().__init__()
        self.before = feed_forward(dim, expansion, dropout)
        self.attention = SelfAttention(dim, num_heads)
        self.conv = ConvModule(dim, kernel_size, is_causal)
        self.after = feed_forward(dim, expansion, dropout)
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, D), (B,), (B, 1, 1 or U, K) bool -> (B, U, D)"""
        x = x + 0.5 * self.dropout(self.before(x))
        x = x + self.dropout(self.attention(x, mask, past))
        x = x + self.dropout(self.conv(x, lengths, past))
        x = x + 0.5 * self.dropout(self.after(x))
        return self.norm(x)


class ConformerEncoder(StackedEncoder):
    """Convolutional subsampling, then Conformer layers.

    Args:
        input_dim: Features of a frame, F.
        frame_shift_ms: Of the features.
        dim: Width of the layers.
        num_layers: Conformer layers.
        num_heads: Attention heads; `dim` is a multiple of twice their number.
        kernel_size: Of the depthwise convolution, odd unless there are chunks.
        expansion: Of the feed-forward modules.
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
            ConformerLayer(dim, num_heads, kernel_size, expansion, dropout, self.is_causal) for _ in range(num_layers)
        )
