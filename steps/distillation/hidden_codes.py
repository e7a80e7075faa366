"""Stored hidden states: residual vector quantisation, one byte a codebook and frame (Guo et al. 2023).

The first codebook holds K mean states, each further one the means of what those before it left over. Half floats of a
192-wide layer at 25 Hz take 9,600 bytes a second, 8 codebooks 200. Beside the codes stands `codebooks.safetensors`.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from steps.distillation.records import RecordStore
from steps.distillation.targets import HiddenStates
from steps.nnet.tensor_file import load_tensors
from utils.jobs.errors import StaleError
from utils.jobs.files import sha256

SIZE = 256  # entries of a codebook: a byte
ROUNDS = 20  # of k-means
CODEBOOKS = "codebooks.safetensors"


@dataclass(frozen=True)
class CodeFormat:
    """How stored states are laid out.

    Attributes:
        num_codebooks: N.
        dim: D of the states.
        layer: Which it is, the lowest is 1; 0: the last.
        frame_shift_ms: Of the teacher's output.
        tokens_sha256: Of the teacher's tokens.txt.
        features: The settings of the features it heard.
        codebooks_sha256: Of codebooks.safetensors.
        lost: Share of the states' variance that the codes do not hold.
        offset_ms: Of the first frame.
        kind: Of the soft labels.
    """

    num_codebooks: int
    dim: int
    layer: int
    frame_shift_ms: float
    tokens_sha256: str
    features: dict
    codebooks_sha256: str
    lost: float
    offset_ms: float = 0.0
    kind: str = "hidden_codes"

    @property
    def bytes_per_row(self) -> int:
        """The room that one frame takes."""
        return self.num_codebooks

    def check(self) -> None:
        """Raises ValueError for values that no store has."""
        if self.num_codebooks < 1 or self.dim < 1:
            raise ValueError(f"{self.num_codebooks} codebooks for {self.dim} dimensions")


def train_codebooks(states: np.ndarray, num_codebooks: int) -> np.ndarray:
    """(frames, D) float32 -> (N, K, D) codebooks, the same for the same states.

    Source: `scipy.cluster.vq.kmeans2`.
    """
    from scipy.cluster.vq import kmeans2

    left, books = states.astype(np.float32), []
    for number in range(num_codebooks):
        chosen = np.random.default_rng(number).permutation(len(left))[: min(SIZE, len(left))]
        start = np.resize(left[chosen], (SIZE, left.shape[1]))  # repeated where there are fewer frames than entries
        with warnings.catch_warnings():  # of an entry that no state is next to, which stays where it is
            warnings.simplefilter("ignore")
            book, entry = kmeans2(left, start, ROUNDS, minit="matrix", missing="warn")
        books.append(book.astype(np.float32))
        left = left - books[-1][entry]
    return np.stack(books)


def encode_states(states: Tensor, books: Tensor) -> Tensor:
    """(U, D) states, (N, K, D) codebooks -> (U, N) uint8, the entry next to what is left by those before it."""
    left, codes = states, []
    for book in books:
        entry = (book.square().sum(-1) - 2 * left @ book.T).argmin(-1)  # (U,)
        codes.append(entry)
        left = left - book[entry]
    return torch.stack(codes, -1).to(torch.uint8)


def decode_states(codes: Tensor, books: Tensor) -> Tensor:
    """(..., N) codes, (N, K, D) codebooks -> (..., D) states."""
    N, K, _ = books.shape
    entries = (codes.long() + K * torch.arange(N, device=codes.device)).flatten(0, -2)
    return nn.functional.embedding_bag(entries, books.flatten(0, 1), mode="sum").unflatten(0, codes.shape[:-1])


def share_lost(states: Tensor, books: Tensor) -> float:
    """The share of the states' variance (U, D) that their codes do not hold."""
    left = states - decode_states(encode_states(states, books), books)
    return float(left.square().sum() / (states - states.mean(0)).square().sum().clamp(min=1e-12))


class CodeStore(RecordStore):
    """Reads the states of any utterance of one or several folders, whose ids differ."""

    def __init__(self, *folders: Path):
        super().__init__(CodeFormat, *folders)
        path = folders[0] / CODEBOOKS
        tensors, _ = load_tensors(path)
        if sha256(path) != self.layout.codebooks_sha256 or set(tensors) != {"books"}:
            raise StaleError(f"{path}: not what the codes were made with; run steps.make_soft_labels --force")
        self.books = tensors["books"]

    def batch(self, utt_ids: list[str], device: str) -> HiddenStates:
        """The padded target of a batch."""
        padded, lengths = self.padded(utt_ids)
        codes = torch.from_numpy(padded).to(device)
        self.books = self.books.to(device)
        return HiddenStates(decode_states(codes, self.books), torch.tensor(lengths).to(device), codes.long())
