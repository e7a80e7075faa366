"""The store of soft labels: rows of bytes for each utterance, as many as the teacher has frames, say.

A folder holds `soft_labels.json` (the layout: how to read the rows), `soft_labels.scp` (`<utt_id> <shard>:<first row>
<rows> <CRC-32>`) and `<kind>.<shard>.bin`, the rows one after the other. The CRC is over soft_labels.json, the
utterance id and its rows, so that a flipped bit in any of them is noticed when they are used.
"""

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from utils.data_dir.tables import read_table
from utils.jobs.errors import StaleError
from utils.jobs.files import to_json


class Layout(Protocol):
    """What soft_labels.json says: a dataclass of plain values."""

    kind: str
    frame_shift_ms: float
    tokens_sha256: str
    features: dict

    @property
    def bytes_per_row(self) -> int:
        """The room that one row takes."""

    def check(self) -> None:
        """Raises ValueError for values that no store has."""


L = TypeVar("L", bound=Layout)


def layout_text(layout: Layout) -> str:
    """The content of soft_labels.json."""
    return to_json(asdict(layout))


def write_layout(folder: Path, layout: Layout) -> None:
    """Writes soft_labels.json."""
    (folder / "soft_labels.json").write_text(layout_text(layout), encoding="utf-8")


def read_layout(folder: Path, cls: type[L]) -> L:
    """Reads soft_labels.json. Raises: StaleError when it is missing or malformed."""
    try:
        layout = cls(**json.loads((folder / "soft_labels.json").read_text(encoding="utf-8")))
        layout.check()
        return layout
    except (OSError, ValueError, TypeError) as e:
        raise StaleError(f"{folder}: no soft labels that can be read ({e}); run steps.make_soft_labels") from None


def write_records(folder: Path, shard: int, rows: dict[str, np.ndarray], layout: Layout) -> dict[str, str]:
    """Writes one shard of rows, uint8 (U, bytes_per_row); returns their values in soft_labels.scp."""
    places, first = {}, 0
    seed = zlib.crc32(layout_text(layout).encode())
    with open(folder / f"{layout.kind}.{shard}.bin", "wb") as f:
        for utt_id, found in rows.items():
            f.write(found.tobytes())
            places[utt_id] = f"{shard}:{first} {len(found)} {crc_of(found, utt_id, seed)}"
            first += len(found)
    return places


def crc_of(rows: np.ndarray, utt_id: str, seed: int) -> str:
    """CRC-32 of an utterance's rows, after that of the layout in `seed`, in hex."""
    return f"{zlib.crc32(np.ascontiguousarray(rows), zlib.crc32(utt_id.encode(), seed)):08x}"


@dataclass(frozen=True)
class Place:
    """Where the rows of an utterance are: file, first row, number of rows; and their CRC-32."""

    path: Path
    first: int
    count: int
    crc: str
    seed: int  # the CRC-32 of soft_labels.json

    @classmethod
    def parse(cls, folder: Path, kind: str, value: str, seed: int) -> "Place":
        """From a value of soft_labels.scp."""
        try:
            shard, first, count, crc = value.replace(":", " ").split(" ")
            return cls(folder / f"{kind}.{shard}.bin", int(first), int(count), crc, seed)
        except ValueError:
            told = f"{folder}/soft_labels.scp: '{value}' is no place of frames"
            raise StaleError(f"{told}; run steps.make_soft_labels --force") from None


class RecordStore:
    """Reads the rows of any utterance of one or several folders, whose ids differ.

    Raises: StaleError when a file is missing or cannot be read, or the folders are laid out differently.
    """

    def __init__(self, layout_class: type[Layout], *folders: Path):
        self.folders = folders
        self.places: dict[str, Place] = {}
        self.layout = read_layout(folders[0], layout_class)
        self.shards: dict[Path, np.ndarray] = {}
        for folder in folders:
            if read_layout(folder, layout_class) != self.layout:
                raise StaleError(f"{folder}: not laid out as {folders[0]}; run steps.make_soft_labels on both")
            seed = zlib.crc32((folder / "soft_labels.json").read_bytes())
            for utt_id, value in read_table(folder / "soft_labels.scp").items():
                self.places[utt_id] = Place.parse(folder, self.layout.kind, value, seed)

    def __contains__(self, utt_id: str) -> bool:
        return utt_id in self.places

    def num_rows(self, utt_id: str) -> int:
        """How many rows are stored of an utterance."""
        return self.places[utt_id].count

    def rows(self, utt_id: str) -> np.ndarray:
        """uint8 (U, bytes_per_row), mapped from the file. Raises: StaleError when they are not what was written."""
        place = self.places[utt_id]
        if place.path not in self.shards:
            try:
                data = np.memmap(place.path, np.uint8, "r") if place.path.stat().st_size else np.zeros(0, np.uint8)
                self.shards[place.path] = data.reshape(-1, self.layout.bytes_per_row)
            except (OSError, ValueError) as e:
                raise StaleError(f"{place.path}: cannot be read ({e}); run steps.make_soft_labels --force") from None
        found = self.shards[place.path][place.first : place.first + place.count]
        if len(found) != place.count:
            raise StaleError(f"{place.path}: ends within '{utt_id}'; run steps.make_soft_labels --force")
        if crc_of(found, utt_id, place.seed) != place.crc:
            told = f"{place.path}: the soft labels of '{utt_id}' are not what was written (CRC-32)"
            raise StaleError(f"{told}; run steps.make_soft_labels --force")
        return found

    def padded(self, utt_ids: list[str]) -> tuple[np.ndarray, list[int]]:
        """(uint8 (B, U, bytes_per_row) padded with 0, the rows of each)."""
        rows = [self.rows(utt_id) for utt_id in utt_ids]
        lengths = [len(found) for found in rows]
        padded = np.zeros((len(rows), max(lengths), self.layout.bytes_per_row), np.uint8)
        for i, found in enumerate(rows):
            padded[i, : len(found)] = found
        return padded, lengths
