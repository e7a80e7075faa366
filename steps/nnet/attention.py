"""Multi-head self-attention (Vaswani et al. 2017), with positions by rotation (Su et al. 2021) or added sinusoids."""

import torch
from torch import Tensor, nn

from steps.nnet.streaming import Past


def rotate(x: Tensor) -> Tensor:
    """Rotary position embedding of queries or keys, (B, H, U, D) -> (B, H, U, D). Source: Su et al. 2021, eq. 34."""
    U, D = x.shape[-2:]
    rate = 10000 ** (-torch.arange(0, D, 2, device=x.device) / D)
    angle = torch.arange(U, device=x.device).unsqueeze(1) * rate  # (U, D / 2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def sinusoids(max_len: int, dim: int, start: int = 0) -> Tensor:
    """(U, D) positions from `start` on. Source: Vaswani et al. 2017, section 3.5."""
    rate = 10000 ** (-torch.arange(0, dim, 2) / dim)
    angle = torch.arange(start, start + max_len).unsqueeze(1) * rate
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(-2)[:, :dim]


class SelfAttention(nn.Module):
    """Each frame looks at those that a mask allows, after a LayerNorm."""

    def __init__(self, dim: int, num_heads: int, is_rotary: bool = True):
        super().__init__()
        if dim % (2 * num_heads):
            raise ValueError(f"dim {dim} is not a multiple of twice num_heads {num_heads}")
        self.num_heads = num_heads
        self.is_rotary = is_rotary
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def heads(self, x: Tensor, mask: Tensor, past: Past | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(B, U, D), (B, 1, 1 or U, K) bool -> queries (B, H, U, D / H), keys and values (B, H, K, D / H).

        In a stream K is more than U by the left context.
        """
        B, U, _ = x.size()
        qkv = self.qkv(self.norm(x)).view(B, U, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        if past is not None:
            qkv = past.extend(self, qkv, mask.size(-1) - U, dim=3)
        q, k, v = qkv
        if self.is_rotary:
            q, k = rotate(q), rotate(k)
        return q[:, :, -U:], k, v

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """(B, U, D), (B, 1, 1 or U, K) bool -> (B, U, D)"""
        found = nn.functional.scaled_dot_product_attention(*self.heads(x, mask, past), attn_mask=mask)
        return self.out(found.transpose(1, 2).reshape(x.size()))

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, U, D), (B, 1, 1 or U, U) bool -> (B, H, U, U): how much each frame, of the rows, looks at each other."""
        q, k, _ = self.heads(x, mask)
        scores = q @ k.transpose(-1, -2) / q.size(-1) ** 0.5
        return scores.masked_fill(~mask, -torch.inf).softmax(-1)
