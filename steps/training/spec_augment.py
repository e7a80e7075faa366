"""SpecAugment (Park et al. 2019): masks over mel bins and frames, set to the mean; and voices made higher or lower.

A bin is masked together with its deltas. There is no time warping.
"""

import torch
from torch import Tensor

from steps.config.schema import SpecAugmentConfig

LINEAR_SHARE = 0.6  # of the band, up to which a frequency warp is linear: 4800 Hz of 8000 in the paper


class SpecAugment:
    """Changes normalised features, by torch's default generator on the CPU.

    Args:
        settings: How much.
        num_bins: Of the mel filterbank, before deltas; 0: all features are bins.
        band_hz: Lower and upper end of the filterbank.
    """

    def __init__(self, settings: SpecAugmentConfig, num_bins: int = 0, band_hz: tuple[float, float] = (20.0, 7600.0)):
        self.settings, self.num_bins, self.band_hz = settings, num_bins, band_hz

    def __call__(self, feats: Tensor, feat_lens: Tensor) -> Tensor:
        """(B, T, F), (B,) -> (B, T, F)"""
        s, (_, T, F) = self.settings, feats.shape
        lengths = feat_lens.cpu()
        widest = torch.minimum(torch.full_like(lengths, s.max_time_frames), (lengths * s.max_time_share).long())
        mask_t = spans(lengths, widest, s.num_time_masks, T).unsqueeze(2)  # (B, T, 1)
        num_bins = self.num_bins or F
        if s.max_freq_warp:
            factors = 1 + s.max_freq_warp * (2 * torch.rand(len(lengths)) - 1)
            feats = warp(feats, warping(factors, num_bins, self.band_hz).to(feats))
        bins, widest = torch.full_like(lengths, num_bins), torch.full_like(lengths, min(s.max_freq_bins, num_bins))
        mask_f = spans(bins, widest, s.num_freq_masks, num_bins).unsqueeze(1)  # (B, 1, bins)
        mask_f = mask_f.repeat(1, 1, F // num_bins)  # (B, 1, F)
        return feats * ~mask_t.to(feats.device) * ~mask_f.to(feats.device)


def warping(factors: Tensor, num_bins: int, band_hz: tuple[float, float]) -> Tensor:
    """(B,) -> (B, bins, bins): what each bin takes of which when all frequencies are multiplied by a factor.

    Above `LINEAR_SHARE` of the band the factor goes to 1 at its upper end. Between two bins the value is interpolated.

    Source: vocal tract length perturbation, Jaitly and Hinton 2013, section 3.
    """
    low, high = (mel(torch.tensor(hz)) for hz in band_hz)
    step = (high - low) / (num_bins + 1)
    hz = 700 * torch.expm1((low + step * torch.arange(1, num_bins + 1)) / 1127)
    alpha, top = factors[:, None], band_hz[1]
    knee = LINEAR_SHARE * top * alpha.clamp(max=1.0) / alpha
    above = top - (top - knee * alpha) / (top - knee) * (top - hz)
    place = (mel(torch.where(hz <= knee, hz * alpha, above)) - low) / step - 1
    place = place.clamp(0, num_bins - 1)[..., None]  # (B, bins, 1)
    return (1 - (place - torch.arange(num_bins)).abs()).clamp(min=0)


def mel(hz: Tensor) -> Tensor:
    """Kaldi's mel scale."""
    return 1127 * torch.log1p(hz / 700)


def warp(feats: Tensor, weights: Tensor) -> Tensor:
    """(B, T, F), (B, bins, bins) -> (B, T, F), each order of deltas by itself."""
    parts = feats.unflatten(-1, (-1, weights.size(-1)))  # (B, T, orders, bins)
    return torch.einsum("ntob,ncb->ntoc", parts, weights).flatten(-2)


def spans(sizes: Tensor, widest: Tensor, count: int, width: int) -> Tensor:
    """(B, width) bool: for each row `count` random spans below its size, of 0 to `widest` places."""
    B = len(sizes)
    lengths = (torch.rand(B, count) * (widest + 1).unsqueeze(1)).long()
    starts = (torch.rand(B, count) * (sizes.unsqueeze(1) - lengths + 1).clamp(min=1)).long()
    place = torch.arange(width)
    inside = (place >= starts.unsqueeze(2)) & (place < (starts + lengths).unsqueeze(2))  # (B, count, width)
    return inside.any(1)
