"""Streams: an utterance that is heard chunk by chunk, with the same output as at once."""

import math
from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor


class Past:
    """What the layers of a model remember of the chunks before. A stream begins with a new one.

    Attributes:
        frames: Frames before this chunk, after subsampling.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.memory: dict[Hashable, object] = {}

    def extend(self, key: Hashable, x: Tensor, frames: int, dim: int = 1) -> Tensor:
        """x with as many frames of its past before it, along `dim`; 0 stands before the start of the stream."""
        shape = [*x.shape[:dim], frames, *x.shape[dim + 1 :]]
        joined = torch.cat((self.memory.get(key, x.new_zeros(shape)), x), dim)
        self.memory[key] = joined.narrow(dim, joined.size(dim) - frames, frames)
        return joined


def with_past(key: Hashable, x: Tensor, frames: int, past: Past | None, dim: int = 1) -> Tensor:
    """x with `frames` frames before it, along `dim`: those of the stream, or 0 where the utterance is whole."""
    return (past or Past()).extend(key, x, frames, dim)


@dataclass(frozen=True)
class Chunks:
    """How far attention sees: its own chunk and some frames before it, counted after subsampling.

    Attributes:
        frames: Of a chunk; 0: the whole utterance is one.
        left: Before the chunk, a multiple of `frames`.
    """

    frames: int = 0
    left: int = 0

    @classmethod
    def of(cls, chunk_ms: int, left_context_ms: int, frame_ms: float) -> "Chunks":
        """Chunks from their lengths. Raises: ValueError for lengths that are no whole number of frames or chunks."""
        if not chunk_ms:
            if left_context_ms:
                raise ValueError("left_context_ms needs chunk_ms, the length of a chunk")
            return cls()
        if chunk_ms % frame_ms:
            raise ValueError(f"chunk_ms {chunk_ms} is not a multiple of {frame_ms:g}, a frame after subsampling")
        if left_context_ms % chunk_ms:
            raise ValueError(f"left_context_ms {left_context_ms} is not a multiple of chunk_ms {chunk_ms}")
        return cls(round(chunk_ms / frame_ms), round(left_context_ms / frame_ms))

    def look_ahead_frames(self, subsampling: int) -> float:
        """Of the features, from the first of a chunk to its last."""
        return self.frames * subsampling - 1 if self.frames else math.inf

    def mask(self, lengths: Tensor, max_len: int, past: Past | None = None) -> Tensor:
        """(B, 1, 1 or U, K) bool: the keys that each frame may look at; in a stream, `left` keys stand before it."""
        if past is not None:
            k = torch.arange(-self.left, max_len, device=lengths.device)
            return ((k + past.frames >= 0) & (k < lengths.clamp(min=1)[:, None]))[:, None, None]
        u = torch.arange(max_len, device=lengths.device)
        heard = (u < lengths.clamp(min=1)[:, None])[:, None, None]  # (B, 1, 1, U)
        if not self.frames:
            return heard
        start = (u // self.frames * self.frames)[:, None]  # of the chunk of each query
        allowed = heard & (u >= start - self.left) & (u < start + self.frames)
        return allowed | ~allowed.any(-1, keepdim=True)  # a chunk of padding alone sees something, else it is nan
