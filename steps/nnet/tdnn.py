"""Time-delay network (Waibel et al. 1989; Peddinti et al. 2015), also factorised (Povey et al. 2018)."""

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, NaturalInt, PositiveInt
from steps.nnet.dropout import Dropout
from steps.nnet.output import zero_padding
from steps.nnet.streaming import Past, with_past
from steps.nnet.subsampling import FrameStacking

BYPASS = 0.66  # share of a layer's input that is added to its output, as in Kaldi's TDNN-F


class Delays(nn.Module):
    """A linear map of several frames, `dilation` apart: a dilated convolution. Source: Waibel et al. 1989.

    Args:
        input_dim: Width of a frame.
        dim: Width of the output.
        before: Frames before, 0 or 1.
        behind: Frames behind, 0 or 1; a causal map has them before, too.
        dilation: Distance of the frames.
        is_causal: Whether it sees only the past.
    """

    def __init__(self, input_dim: int, dim: int, before: int, behind: int, dilation: int, is_causal: bool):
        super().__init__()
        self.reach = (before + behind) * dilation
        self.right = 0 if is_causal else behind * dilation
        self.conv = nn.Conv1d(input_dim, dim, before + 1 + behind, dilation=dilation)

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, C) -> (B, U, D). Padding must be 0."""
        x = with_past(self, x, self.reach - self.right, past)
        x = nn.functional.pad(x, (0, 0, 0, self.right))
        return self.conv(x.transpose(1, 2)).transpose(1, 2)


@torch.no_grad()
def towards_semi_orthogonal(weight: Tensor) -> None:
    """Moves a matrix (or convolution) of D rows, in place, towards a multiple of one with orthonormal rows.

    Source: Povey et al. 2018, section 2.3, with a floating scale.
    """
    M = weight.flatten(1)
    P = M @ M.T
    scale = (P * P).sum() / P.trace()
    P.diagonal().sub_(scale)
    M.sub_(P @ M, alpha=0.5 / float(scale))


class TdnnLayer(nn.Module):
    """Frames before and behind, rectified, normalised, with a bypass of the input.

    With a bottleneck the map is a product of two: the first, semi-orthogonal, takes a frame and one before it, the
    second a frame and one behind it.
    """

    def __init__(self, dim: int, bottleneck: int, dilation: int, is_causal: bool, dropout: float):
        super().__init__()
        self.factor = Delays(dim, bottleneck, 1, 0, dilation, is_causal) if bottleneck else None
        before = 0 if bottleneck else 1
        self.affine = Delays(bottleneck or dim, dim, before, 1, dilation, is_causal)
        self.rest = nn.Sequential(nn.ReLU(), nn.LayerNorm(dim), Dropout(dropout))

    def constrain(self) -> None:
        """Takes a step towards the constraint of the first factor, where it is trained."""
        if self.factor and self.factor.conv.weight.requires_grad:
            towards_semi_orthogonal(self.factor.conv.weight)

    def forward(self, x: Tensor, lengths: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, D), (B,) -> (B, U, D)"""
        y = x
        if self.factor:
            y = zero_padding(self.factor(y, past), lengths)
        return zero_padding(x * BYPASS + self.rest(self.affine(y, past)), lengths)


class TdnnEncoder(nn.Module):
    """Frame stacking, then layers that each see one frame before and one behind, farther apart higher up.

    Args:
        input_dim: Features of a frame, F.
        frame_shift_ms: Of the features.
        dim: Width of the layers.
        num_layers: Time-delay layers.
        dilation: Distance of the frames that the upper half of the layers sees; the lower half sees neighbours.
        bottleneck: Width between the two factors of each layer; 0: not factorised.
        is_causal: Whether layers see only frames before; then they stream.
        subsampling: Frames that become one.
        dropout: Behind each layer.
    """

    input = "features"

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        dim: PositiveInt = 256,
        num_layers: PositiveInt = 8,
        dilation: PositiveInt = 3,
        bottleneck: NaturalInt = 0,
        is_causal: bool = False,
        subsampling: PositiveInt = 4,
        dropout: Fraction = 0.1,
    ):
        super().__init__()
        self.subsampling = subsampling
        self.stack = FrameStacking(input_dim, dim, subsampling)
        dilations = [1] * (num_layers // 2) + [dilation] * (num_layers - num_layers // 2)
        self.layers = nn.ModuleList(TdnnLayer(dim, bottleneck, d, is_causal, dropout) for d in dilations)
        self.output_dim = dim
        right = 0 if is_causal else sum(dilations)
        self.look_ahead_frames = right * subsampling + subsampling - 1
        self.chunk_frames = subsampling if is_causal else 0

    def forward(
        self, feats: Tensor, feat_lens: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, T, F), (B,) -> (B, U, D), (B,), and (B, U, D) behind each layer but the last. Padding must be 0."""
        x, lengths = self.stack(feats, feat_lens)
        hidden = []
        for layer in self.layers:
            x = layer(x, lengths, past)
            hidden.append(x)
        return x, lengths, hidden[:-1]
