"""SpecAugment (Park et al. 2019): masks over mel bins and frames, set to the mean. No time warping.

A bin is masked together with its deltas.
"""

import torch
from torch import Tensor

from steps.config.schema import SpecAugmentConfig


class SpecAugment:
    """Masks normalised features in place of 0, by torch's default generator on the CPU."""

    def __init__(self, settings: SpecAugmentConfig, num_bins: int = 0):
        self.settings, self.num_bins = settings, num_bins  # 0: all features are bins

    def __call__(self, feats: Tensor, feat_lens: Tensor) -> Tensor:
        """(B, T, F), (B,) -> (B, T, F)"""
        s, (_, T, F) = self.settings, feats.shape
        lengths = feat_lens.cpu()
        widest = torch.minimum(torch.full_like(lengths, s.max_time_frames), (lengths * s.max_time_share).long())
        mask_t = spans(lengths, widest, s.num_time_masks, T).unsqueeze(2)  # (B, T, 1)
        num_bins = self.num_bins or F
        bins, widest = torch.full_like(lengths, num_bins), torch.full_like(lengths, min(s.max_freq_bins, num_bins))
        mask_f = spans(bins, widest, s.num_freq_masks, num_bins).unsqueeze(1)  # (B, 1, bins)
        mask_f = mask_f.repeat(1, 1, F // num_bins)  # (B, 1, F)
        return feats * ~mask_t.to(feats.device) * ~mask_f.to(feats.device)


def spans(sizes: Tensor, widest: Tensor, count: int, width: int) -> Tensor:
    """(B, width) bool: for each row `count` random spans below its size, of 0 to `widest` places."""
    B = len(sizes)
    lengths = (torch.rand(B, count) * (widest + 1).unsqueeze(1)).long()
    starts = (torch.rand(B, count) * (sizes.unsqueeze(1) - lengths + 1).clamp(min=1)).long()
    place = torch.arange(width)
    inside = (place >= starts.unsqueeze(2)) & (place < (starts + lengths).unsqueeze(2))  # (B, count, width)
    return inside.any(1)
