"""Pre-training without transcripts: the codes of hidden frames are predicted (BEST-RQ: Chiu et al. 2022)."""

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, PositiveFloat, PositiveInt
from steps.heads.masking import hidden_spans, stack_frames
from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels
from steps.nnet.output import ModelOutput

NOISE_SD = 0.1  # of what stands in hidden frames; features have variance 1


class BestRqHead(nn.Module):
    """A linear map to the codes that a random projection and a random codebook give to the features.

    Args:
        shape: Of the model.
        codebook_size: Codes.
        code_dim: Of the random projection.
        start_share: Chance that a frame begins a hidden span.
        span_ms: Of a hidden span.
    """

    is_framewise = True
    unit = "nats/frame"

    def __init__(
        self,
        shape: HeadShape,
        *,
        codebook_size: PositiveInt = 512,
        code_dim: PositiveInt = 16,
        start_share: Fraction = 0.02,
        span_ms: PositiveFloat = 200.0,
    ):
        super().__init__()
        self.name = shape.name
        self.factor = shape.subsampling
        self.start_share = start_share
        self.span_frames = max(round(span_ms / shape.frame_shift_ms), shape.subsampling)
        projection = nn.init.xavier_uniform_(torch.empty(shape.feat_dim * shape.subsampling, code_dim))
        self.register_buffer("projection", projection)
        self.register_buffer("codebook", nn.functional.normalize(torch.randn(codebook_size, code_dim), dim=-1))
        self.linear = nn.Linear(shape.input_dim, codebook_size)

    def forward(self, encoder_out: Tensor) -> Tensor:
        """(B, U, D) -> (B, U, C) logits of codes."""
        return self.linear(encoder_out)

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """None: no transcript is read."""
        return 0

    def corrupt(self, feats: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> features with noise in hidden spans, and which frames those are, (B, T) bool."""
        hidden = hidden_spans(feat_lens, feats.size(1), self.start_share, self.span_frames, self.training)
        noise = torch.randn_like(feats) * NOISE_SD if self.training else torch.zeros_like(feats)
        return torch.where(hidden[..., None], noise, feats), hidden

    def codes(self, feats: Tensor) -> Tensor:
        """(B, T, F) -> (B, U) the code nearest to each projected stack of frames."""
        projected = nn.functional.normalize(stack_frames(feats, self.factor) @ self.projection, dim=-1)
        return (projected @ self.codebook.T).argmax(-1)

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Sum of -ln p(code) over the states whose frames were all hidden, in nats, and their number."""
        hidden = stack_frames(output.hidden_frames[..., None].float(), self.factor).amin(-1) > 0  # (B, U)
        chosen = output.log_probs(self.name).gather(-1, self.codes(output.clean)[..., None])[..., 0]
        return -chosen.masked_fill(~hidden, 0.0).sum(), int(hidden.sum())
