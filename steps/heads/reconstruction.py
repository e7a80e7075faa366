"""Pre-training without transcripts: hidden frames are drawn anew (Mockingjay: Liu et al. 2020)."""

from torch import Tensor, nn

from steps.config.types import Fraction, PositiveFloat
from steps.heads.masking import hidden_spans
from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels
from steps.nnet.output import ModelOutput


class ReconstructionHead(nn.Module):
    """Two layers to the features of the frames that a state stands for.

    Args:
        shape: Of the model.
        start_share: Chance that a frame begins a hidden span.
        span_ms: Of a hidden span.
    """

    is_framewise = True
    unit = "error/frame"

    def __init__(self, shape: HeadShape, *, start_share: Fraction = 0.02, span_ms: PositiveFloat = 200.0):
        super().__init__()
        self.name = shape.name
        self.factor = shape.subsampling
        self.start_share = start_share
        self.span_frames = max(round(span_ms / shape.frame_shift_ms), shape.subsampling)
        dim = shape.input_dim
        self.layers = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, shape.feat_dim * shape.subsampling))

    def forward(self, encoder_out: Tensor) -> Tensor:
        """(B, U, D) -> (B, U, factor * F) features."""
        return self.layers(encoder_out)

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """None: no transcript is read."""
        return 0

    def corrupt(self, feats: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> features with 0 in hidden spans, and which frames those are, (B, T) bool."""
        hidden = hidden_spans(feat_lens, feats.size(1), self.start_share, self.span_frames, self.training)
        return feats.masked_fill(hidden[..., None], 0.0), hidden

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Sum of the mean absolute error of the hidden frames' features, which have variance 1, and their number."""
        hidden = output.hidden_frames  # (B, T)
        B, T, F = output.clean.size()
        drawn = output.logits[self.name].float().reshape(B, -1, F)[:, :T]
        error = (drawn - output.clean).abs().mean(-1)
        return error.masked_fill(~hidden, 0.0).sum(), int(hidden.sum())
