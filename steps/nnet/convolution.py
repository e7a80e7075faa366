"""Depthwise convolution over time, centred or causal."""

import torch
from torch import Tensor, nn

from steps.nnet.streaming import Past, with_past


class DepthwiseConv(nn.Module):
    """One kernel per channel. A causal one sees only the past, and can stream.

    Args:
        dim: Channels.
        kernel_size: Frames, odd unless causal.
        is_causal: Whether the kernel ends at its frame, or is centred on it.
    """

    def __init__(self, dim: int, kernel_size: int, is_causal: bool = False):
        super().__init__()
        if kernel_size % 2 == 0 and not is_causal:
            raise ValueError(f"kernel_size {kernel_size} is not odd")
        self.is_causal = is_causal
        self.conv = nn.Conv1d(dim, dim, kernel_size, padding=0 if is_causal else kernel_size // 2, groups=dim)

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, D) -> (B, U, D). Padding must be 0."""
        if self.is_causal:
            x = with_past(self, x, self.conv.kernel_size[0] - 1, past)
        x = x.float().unsqueeze(1).permute(0, 3, 1, 2)  # (B, D, 1, U), of which channels lie together in memory
        weight, pad = self.conv.weight.unsqueeze(2), (0, self.conv.padding[0])
        with torch.autocast(x.device.type, enabled=False):  # in bf16, CPUs with AMX may never come back
            x = nn.functional.conv2d(x, weight, self.conv.bias, padding=pad, groups=self.conv.groups)
        return x.permute(0, 2, 3, 1).squeeze(1)
