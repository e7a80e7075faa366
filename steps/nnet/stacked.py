"""What encoders of equal attention layers share: subsampling before the layers, chunks, hidden states."""

from torch import Tensor, nn

from steps.nnet.dropout import Dropout
from steps.nnet.output import zero_padding
from steps.nnet.streaming import Chunks, Past
from steps.nnet.subsampling import ConvSubsampling


class StackedEncoder(nn.Module):
    """Convolutional subsampling, then `layers`, which the encoder itself makes.

    Args:
        input_dim: Features of a frame, F.
        dim: Width of the layers.
        subsampling: Frames that become one.
        channels: Of the subsampling convolutions.
        chunks: What attention sees; convolutions are causal where it is not the whole utterance.
        dropout: Before the layers.
    """

    input = "features"
    layers: nn.ModuleList

    def __init__(self, input_dim: int, dim: int, subsampling: int, channels: int, chunks: Chunks, dropout: float):
        super().__init__()
        self.chunks = chunks
        self.is_causal = chunks.frames > 0
        self.subsampling = subsampling
        self.subsample = ConvSubsampling(input_dim, dim, subsampling, channels, self.is_causal)
        self.dropout = Dropout(dropout)
        self.output_dim = dim
        self.look_ahead_frames = chunks.look_ahead_frames(subsampling)
        self.chunk_frames = chunks.frames * subsampling

    def enter(self, x: Tensor, past: Past | None) -> Tensor:
        """(B, U, D) -> (B, U, D), what the first layer gets."""
        return self.dropout(x)

    def leave(self, x: Tensor) -> Tensor:
        """(B, U, D) -> (B, U, D), what becomes of the last layer's output."""
        return x

    def forward(
        self, feats: Tensor, feat_lens: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, T, F), (B,) -> (B, U, D), (B,), and (B, U, D) behind each layer but the last. Padding must be 0."""
        x, lengths = self.subsample(feats, feat_lens, past)
        x, mask = self.enter(x, past), self.chunks.mask(lengths, x.size(1), past)
        hidden = []
        for layer in self.layers:
            x = layer(x, lengths, mask, past)
            hidden.append(x)
        return zero_padding(self.leave(x), lengths), lengths, hidden[:-1]
