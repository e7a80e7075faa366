"""Transformer encoder (Vaswani et al. 2017), normalised before each module (Xiong et al. 2020)."""

from typing import Literal

from torch import Tensor, nn

from steps.config.types import Fraction, NaturalInt, PositiveInt
from steps.nnet.attention import SelfAttention, sinusoids
from steps.nnet.dropout import Dropout
from steps.nnet.stacked import StackedEncoder
from steps.nnet.streaming import Chunks, Past


class TransformerLayer(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, dim: int, num_heads: int, expansion: int, dropout: float, is_rotary: bool):
        super().__init__()
        self.attention = SelfAttention(dim, num_heads, is_rotary)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, dim * expansion),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(dim * expansion, dim),
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, D), (B,), (B, 1, 1 or U, K) bool -> (B, U, D)"""
        x = x + self.dropout(self.attention(x, mask, past))
        return x + self.dropout(self.feed_forward(x))


class TransformerEncoder(StackedEncoder):
    """Convolutional subsampling, then Transformer layers.

    Args:
        input_dim: Features of a frame, F.
        frame_shift_ms: Of the features.
        dim: Width of the layers.
        num_layers: Transformer layers.
        num_heads: Attention heads; `dim` is a multiple of twice their number.
        expansion: Of the feed-forward modules.
        positions: Sinusoids added to the input, or rotation of queries and keys.
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
        expansion: PositiveInt = 4,
        positions: Literal["sinusoidal", "rotary"] = "rotary",
        subsampling: Literal[1, 2, 3, 4, 6, 8] = 4,
        channels: PositiveInt = 32,
        chunk_ms: NaturalInt = 0,
        left_context_ms: NaturalInt = 0,
        dropout: Fraction = 0.1,
    ):
        chunks = Chunks.of(chunk_ms, left_context_ms, frame_shift_ms * subsampling)
        super().__init__(input_dim, dim, subsampling, channels, chunks, dropout)
        self.has_sinusoids = positions == "sinusoidal"
        self.layers = nn.ModuleList(
            TransformerLayer(dim, num_heads, expansion, dropout, not self.has_sinusoids) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim)

    def enter(self, x: Tensor, past: Past | None) -> Tensor:
        """(B, U, D) -> (B, U, D) with sinusoids."""
        if self.has_sinusoids:
            x = x + sinusoids(x.size(1), x.size(2), past.frames if past else 0).to(x)
        return self.dropout(x)

    def leave(self, x: Tensor) -> Tensor:
        """(B, U, D) -> (B, U, D), normalised."""
        return self.norm(x)
