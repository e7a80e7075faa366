"""The store of soft labels of kind `frame_topk`: a teacher's posteriors in about one byte a token.

A log-probability x in [-30, 0] is kept as round(sqrt(-x / 30) * (2^bits - 1)): fine where a token is probable,
coarse where it is not. Where all V tokens take no more room than the best k with their ids, all are kept; a target
at a temperature above 1 needs all, because it raises what is not known.
A folder holds `soft_labels.json` (how to read it), `soft_labels.scp` (`<utt_id> <shard>:<first frame> <frames>
<CRC-32>`) and `frame_topk.<shard>.bin`, the frames one after the other. The CRC is over soft_labels.json, the
utterance id and its frames, so that a flipped bit in any of them is noticed when the frames are used.
"""

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from steps.distillation.targets import FrameTopk
from utils.data_dir.tables import read_table
from utils.jobs.errors import StaleError
from utils.jobs.files import to_json

FLOOR = 30.0  # nats
MAX_BYTES_PER_S = 600  # of speech, where top_k = 0 leaves the choice


@dataclass(frozen=True)
class FrameTopkFormat:
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
        kind: Always "frame_topk".
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
    def bytes_per_frame(self) -> int:
        """The room that one frame takes."""
        if self.is_dense:
            return self.num_tokens * self.value_type.itemsize
        return self.top_k * (self.value_type.itemsize + self.id_type.itemsize) + self.value_type.itemsize


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


def encode_frames(log_probs: np.ndarray, layout: FrameTopkFormat) -> np.ndarray:
    """Log-posteriors float32 (U, V) -> uint8 (U, bytes_per_frame)."""
    if layout.is_dense:
        return quantise(log_probs, layout.bits).view(np.uint8).reshape(len(log_probs), layout.bytes_per_frame)
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


def write_frames(folder: Path, shard: int, frames: dict[str, np.ndarray], layout: FrameTopkFormat) -> dict[str, str]:
    """Writes one shard of encoded frames, uint8 (U, bytes_per_frame); returns their values in soft_labels.scp."""
    places, first = {}, 0
    seed = zlib.crc32(layout_text(layout).encode())
    with open(folder / f"frame_topk.{shard}.bin", "wb") as f:
        for utt_id, rows in frames.items():
            f.write(rows.tobytes())
            places[utt_id] = f"{shard}:{first} {len(rows)} {crc_of(rows, utt_id, seed)}"
            first += len(rows)
    return places


def crc_of(rows: np.ndarray, utt_id: str, seed: int) -> str:
    """CRC-32 of an utterance's frames, after that of the layout in `seed`, in hex."""
    return f"{zlib.crc32(np.ascontiguousarray(rows), zlib.crc32(utt_id.encode(), seed)):08x}"


@dataclass(frozen=True)
class Place:
    """Where the frames of an utterance are: file, first frame, number of frames; and their CRC-32."""

    path: Path
    first: int
    count: int
    crc: str
    seed: int  # the CRC-32 of soft_labels.json

    @classmethod
    def parse(cls, folder: Path, value: str, seed: int) -> "Place":
        """From a value of soft_labels.scp."""
        try:
            shard, first, count, crc = value.replace(":", " ").split(" ")
            return cls(folder / f"frame_topk.{shard}.bin", int(first), int(count), crc, seed)
        except ValueError:
            told = f"{folder}/soft_labels.scp: '{value}' is no place of frames"
            raise StaleError(f"{told}; run steps.make_soft_labels --force") from None


class SoftLabelStore:
    """Reads the frames of any utterance of one or several folders, whose ids differ.

    Raises: StaleError when a file is missing or cannot be read, or the folders are laid out differently.
    """

    def __init__(self, *folders: Path):
        self.places: dict[str, Place] = {}
        self.layout = read_layout(folders[0])
        self.table = dequantise_table(self.layout.bits)
        self.shards: dict[Path, np.ndarray] = {}
        for folder in folders:
            if read_layout(folder) != self.layout:
                raise StaleError(f"{folder}: not laid out as {folders[0]}; run steps.make_soft_labels on both")
            seed = zlib.crc32((folder / "soft_labels.json").read_bytes())
            for utt_id, value in read_table(folder / "soft_labels.scp").items():
                self.places[utt_id] = Place.parse(folder, value, seed)

    def __contains__(self, utt_id: str) -> bool:
        return utt_id in self.places

    def num_frames(self, utt_id: str) -> int:
        """How many frames are stored of an utterance."""
        return self.places[utt_id].count

    def frames(self, utt_id: str) -> np.ndarray:
        """uint8 (U, bytes_per_frame), mapped from the file. Raises: StaleError when they are not what was written."""
        place = self.places[utt_id]
        if place.path not in self.shards:
            try:
                data = np.memmap(place.path, np.uint8, "r") if place.path.stat().st_size else np.zeros(0, np.uint8)
                self.shards[place.path] = data.reshape(-1, self.layout.bytes_per_frame)
            except (OSError, ValueError) as e:
                raise StaleError(f"{place.path}: cannot be read ({e}); run steps.make_soft_labels --force") from None
        rows = self.shards[place.path][place.first : place.first + place.count]
        if len(rows) != place.count:
            raise StaleError(f"{place.path}: ends within '{utt_id}'; run steps.make_soft_labels --force")
        if crc_of(rows, utt_id, place.seed) != place.crc:
            told = f"{place.path}: the soft labels of '{utt_id}' are not what was written (CRC-32)"
            raise StaleError(f"{told}; run steps.make_soft_labels --force")
        return rows

    def batch(self, utt_ids: list[str], device: str) -> FrameTopk:
        """The padded target of a batch."""
        layout, rows = self.layout, [self.frames(utt_id) for utt_id in utt_ids]
        lengths = torch.tensor([len(row) for row in rows])
        padded = np.zeros((len(rows), int(lengths.max()), layout.bytes_per_frame), np.uint8)
        for i, row in enumerate(rows):
            padded[i, : len(row)] = row
        values, ids = padded, None
        if not layout.is_dense:
            split = layout.top_k * layout.id_type.itemsize
            ids = torch.from_numpy(padded[..., :split].copy().view(layout.id_type).astype(np.int64)).to(device)
            values = padded[..., split:].copy()
        log_probs = torch.from_numpy(self.table[values.view(layout.value_type)]).to(device)  # (B, U, K [+ 1])
        rest = None if layout.is_dense else log_probs[..., -1]
        kept = log_probs if layout.is_dense else log_probs[..., :-1]
        return FrameTopk(kept, ids, rest, lengths.to(device), layout.num_tokens, layout.blank_id)


def read_layout(folder: Path) -> FrameTopkFormat:
    """Reads soft_labels.json. Raises: StaleError when it is missing or malformed."""
    try:
        layout = FrameTopkFormat(**json.loads((folder / "soft_labels.json").read_text(encoding="utf-8")))
        if layout.bits not in (8, 16):
            raise ValueError(f"{layout.bits} bits")
        return layout
    except (OSError, ValueError, TypeError) as e:
        raise StaleError(f"{folder}: no soft labels that can be read ({e}); run steps.make_soft_labels") from None


def layout_text(layout: FrameTopkFormat) -> str:
    """The content of soft_labels.json."""
    return to_json(asdict(layout))


def write_layout(folder: Path, layout: FrameTopkFormat) -> None:
    """Writes soft_labels.json."""
    (folder / "soft_labels.json").write_text(layout_text(layout), encoding="utf-8")
