"""Stored posteriors: of each frame (`frame_topk`), of each token of a transcript (`token_topk`), or of each place of a
transducer's lattice (`lattice`: the next label, blank, all others).

A log-probability x in [-30, 0] is kept as round(sqrt(-x / 30) * (2^bits - 1)): fine where a token is probable,
coarse where it is not. Where all V tokens take no more room than the best k with their ids, all are kept; a target
at a temperature above 1 needs all, because it raises what is not known.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from steps.distillation.records import RecordStore
from steps.distillation.targets import Posteriors

FLOOR = 30.0  # nats
MAX_BYTES_PER_S = 400  # of speech, where top_k = 0 leaves the choice


@dataclass(frozen=True)
class PosteriorFormat:
    """How the frames of a store are laid out.

    Attributes:
        num_tokens: V.
        top_k: Tokens kept of each frame; V when all are.
        bits: Of each log-probability, 8 or 16.
        blank_id: The teacher's blank.
        frame_shift_ms: Of the teacher's output.
        offset_ms: Of its first frame.
        tokens_sha256: Of the teacher's tokens.txt.
        features: The settings of the features it heard.
        kind: Of the soft labels.
        temperature: Always 1.
    """

    num_tokens: int
    top_k: int
    bits: int
    blank_id: int
    frame_shift_ms: float
    tokens_sha256: str
    features: dict
    offset_ms: float = 0.0
    kind: str = "frame_topk"
    temperature: float = 1.0

    @property
    def is_dense(self) -> bool:
        """Whether all tokens are kept, in order and without ids."""
        return self.top_k == self.num_tokens

    @property
    def value_type(self) -> np.dtype:
        """Of a stored log-probability."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def id_type(self) -> np.dtype:
        """Of a stored token id."""
        return np.dtype(np.uint8 if self.num_tokens <= 256 else np.uint16 if self.num_tokens <= 65536 else np.uint32)

    @property
    def bytes_per_row(self) -> int:
        """The room that one frame, token or place takes."""
        if self.is_dense:
            return self.num_tokens * self.value_type.itemsize
        return self.top_k * (self.value_type.itemsize + self.id_type.itemsize) + self.value_type.itemsize

    def check(self) -> None:
        """Raises ValueError for values that no store has."""
        if self.bits not in (8, 16):
            raise ValueError(f"{self.bits} bits")


def choose_top_k(top_k: int, num_tokens: int, bits: int, frame_shift_ms: float) -> int:
    """How many tokens are kept: `top_k`, or with 0 as many as fit; V where keeping all takes no more room."""
    value, token_id = bits // 8, 1 if num_tokens <= 256 else 2 if num_tokens <= 65536 else 4
    room = top_k * (value + token_id) + value if top_k else int(MAX_BYTES_PER_S * frame_shift_ms / 1000)
    if num_tokens <= top_k or num_tokens * value <= room:
        return num_tokens
    return max(1, (room - value) // (value + token_id))


def quantise(log_probs: np.ndarray, bits: int) -> np.ndarray:
    """Log-probabilities, any shape, as integers."""
    scale = (1 << bits) - 1
    codes = np.rint(np.sqrt(np.clip(-log_probs, 0.0, FLOOR) / FLOOR) * scale)
    return codes.astype(np.uint8 if bits == 8 else np.uint16)


def dequantise_table(bits: int) -> np.ndarray:
    """float32, shape (2^bits,): the log-probability of each code."""
    scale = (1 << bits) - 1
    return (-FLOOR * (np.arange(scale + 1) / scale) ** 2).astype(np.float32)


def encode_posteriors(log_probs: np.ndarray, layout: PosteriorFormat) -> np.ndarray:
    """Log-posteriors float32 (U, V) -> uint8 (U, bytes_per_row)."""
    if layout.is_dense:
        return quantise(log_probs, layout.bits).view(np.uint8).reshape(len(log_probs), layout.bytes_per_row)
    others = layout.num_tokens - layout.top_k
    best = np.sort(np.argpartition(log_probs, others, axis=-1)[:, others:], axis=-1)
    order = np.argsort(-np.take_along_axis(log_probs, best, -1), axis=-1, kind="stable")
    kept = np.take_along_axis(best, order, -1)
    probs = np.exp(log_probs)
    np.put_along_axis(probs, kept, 0.0, -1)
    rest = np.log(np.maximum(probs.sum(-1), np.exp(-FLOOR)))
    parts = [
        kept.astype(layout.id_type),
        quantise(np.take_along_axis(log_probs, kept, -1), layout.bits),
        quantise(rest[:, None], layout.bits),
    ]
    rows = [
        np.ascontiguousarray(part).view(np.uint8).reshape(len(log_probs), part.shape[1] * part.itemsize)
        for part in parts
    ]
    return np.concatenate(rows, axis=1)


class PosteriorStore(RecordStore):
    """Reads the posteriors of any utterance of one or several folders, whose ids differ."""

    def __init__(self, *folders: Path):
        super().__init__(PosteriorFormat, *folders)
        self.table = dequantise_table(self.layout.bits)

    def batch(self, utt_ids: list[str], device: str) -> Posteriors:
        """The padded target of a batch."""
        layout = self.layout
        padded, lengths = self.padded(utt_ids)
        values, ids = padded, None
        if not layout.is_dense:
            split = layout.top_k * layout.id_type.itemsize
            ids = torch.from_numpy(padded[..., :split].copy().view(layout.id_type).astype(np.int64)).to(device)
            values = padded[..., split:].copy()
        log_probs = torch.from_numpy(self.table[values.view(layout.value_type)]).to(device)  # (B, U, K [+ 1])
        rest = None if layout.is_dense else log_probs[..., -1]
        kept = log_probs if layout.is_dense else log_probs[..., :-1]
        return Posteriors(kept, ids, rest, torch.tensor(lengths).to(device), layout.num_tokens, layout.blank_id)
