"""Feed-forward acoustic model on spliced frames (Hinton et al. 2012)."""

from torch import Tensor, nn

from steps.config.types import Fraction, NaturalInt, PositiveInt
from steps.nnet.dropout import Dropout
from steps.nnet.output import zero_padding
from steps.nnet.streaming import Past, with_past
from steps.nnet.subsampling import subsampled_lens


class DnnEncoder(nn.Module):
    """Each frame with its neighbours, then feed-forward layers.

    Args:
        input_dim: Features of a frame, F.
        frame_shift_ms: Of the features.
        dim: Width of the layers.
        num_layers: Feed-forward layers.
        left_frames: Neighbours before the frame.
        right_frames: Neighbours behind it; a stream needs as many as fit between two frames after subsampling.
        subsampling: Frames that become one.
        dropout: Behind each layer.
    """

    input = "features"

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        dim: PositiveInt = 512,
        num_layers: PositiveInt = 4,
        left_frames: NaturalInt = 10,
        right_frames: NaturalInt = 10,
        subsampling: PositiveInt = 4,
        dropout: Fraction = 0.1,
    ):
        super().__init__()
        self.subsampling = subsampling
        self.left_frames, self.right_frames = left_frames, right_frames
        sizes = [input_dim * (left_frames + 1 + right_frames)] + [dim] * (num_layers - 1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(size, dim), nn.ReLU(), nn.LayerNorm(dim), Dropout(dropout)) for size in sizes
        )
        self.output_dim = dim
        self.look_ahead_frames = max(right_frames, subsampling - 1)
        self.chunk_frames = subsampling if right_frames < subsampling else 0

    def forward(
        self, feats: Tensor, feat_lens: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, T, F), (B,) -> (B, U, D), (B,), and (B, U, D) behind each layer but the last. Padding must be 0."""
        lengths = subsampled_lens(feat_lens, self.subsampling)
        x = with_past(self, feats, self.left_frames, past)
        x = nn.functional.pad(x, (0, 0, 0, self.right_frames))
        x = x.unfold(1, self.left_frames + 1 + self.right_frames, self.subsampling)  # (B, U, F, frames)
        x = x.transpose(2, 3).flatten(2)
        hidden = []
        for layer in self.layers:
            x = layer(x)
            hidden.append(x)
        return zero_padding(x, lengths), lengths, hidden[:-1]
