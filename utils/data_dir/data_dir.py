"""A data directory in memory: which utterances it holds, where their audio is, what is said."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from utils.data_dir.tables import read_table, write_table
from utils.jobs.errors import DataError

# Tables keyed by utterance, and by recording or speaker, that the tools keep consistent.
UTT_TABLES = ("text", "utt2spk", "utt2speed", "utt2uniq", "utt2dur", "utt2num_frames", "feats.scp", "segments")
SPK_TABLES = ("spk2gender",)
FEATS_TABLES = ("feats.scp", "utt2num_frames", "utt2dur")
OPTIONAL = ("utt2speed", "utt2uniq", *FEATS_TABLES)  # may lack utterances


@dataclass(frozen=True)
class Utterance:
    """Where the samples of one utterance are. `end_s` is None for the end of the recording."""

    utt_id: str
    rec_id: str
    path: str
    start_s: float = 0.0
    end_s: float | None = None
    speed: float = 1.0


@dataclass
class DataDir:
    """The tables of one directory, by file name. Missing optional tables are absent."""

    path: Path
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, *names: str) -> "DataDir":
        """Reads all known tables that exist, or only `names`, which must exist."""
        if not path.is_dir():
            raise DataError(f"{path}: not a data directory; run stage 1")
        known = names or [n for n in ("wav.scp", *UTT_TABLES, *SPK_TABLES) if (path / n).is_file()]
        return cls(path, {name: read_table(path / name, has_value=name != "text") for name in known})

    @property
    def utt2spk(self) -> dict[str, str]:
        """The table of that name. Raises: DataError when it is missing."""
        if "utt2spk" not in self.tables:
            raise DataError(f"{self.path}/utt2spk: missing")
        return self.tables["utt2spk"]

    @property
    def utt_ids(self) -> list[str]:
        """All utterances, sorted in C order."""
        return list(self.tables.get("segments") or self.tables.get("utt2spk") or self.tables["wav.scp"])

    def utterances(self) -> list[Utterance]:
        """Where each utterance's samples are. Raises: DataError when an utterance names no recording."""
        speeds, recordings = self.tables.get("utt2speed", {}), self.tables["wav.scp"]
        found = []
        for utt_id in self.utt_ids:
            rec_id, start_s, end_s = self._place(utt_id)
            if rec_id not in recordings:
                raise DataError(f"{self.path}/wav.scp: no recording '{rec_id}' for utterance '{utt_id}'")
            try:
                speed = float(speeds.get(utt_id, 1.0))
            except ValueError:
                text = f"utterance '{utt_id}': '{speeds[utt_id]}' is not a factor"
                raise DataError(f"{self.path}/utt2speed: {text}") from None
            found.append(Utterance(utt_id, rec_id, recordings[rec_id], start_s, end_s, speed))
        return found

    def _place(self, utt_id: str) -> tuple[str, float, float | None]:
        if "segments" in self.tables:
            try:
                rec_id, start_s, end_s = self.tables["segments"][utt_id].split(" ")
                if not 0 <= float(start_s) < float(end_s) < math.inf:
                    raise ValueError
            except (ValueError, KeyError):
                text = f"'{self.tables['segments'].get(utt_id)}' is not '<recording> <start s> <end s>'"
                raise DataError(f"{self.path}/segments: utterance '{utt_id}': {text}") from None
            return rec_id, float(start_s), float(end_s)
        return utt_id, 0.0, None

    def select(self, utt_ids: set[str]) -> "DataDir":
        """The same directory with only these utterances, and only the recordings and speakers they need."""
        tables = {}
        for name, rows in self.tables.items():
            if name in UTT_TABLES:
                tables[name] = {key: value for key, value in rows.items() if key in utt_ids}
        places = tables.get("segments")
        recordings = utt_ids if places is None else {place.split(" ")[0] for place in places.values()}
        speakers = set(tables.get("utt2spk", {}).values())
        for name, rows in self.tables.items():
            if name == "wav.scp":
                tables[name] = {key: value for key, value in rows.items() if key in recordings}
            if name in SPK_TABLES:
                tables[name] = {key: value for key, value in rows.items() if key in speakers}
        return DataDir(self.path, tables)

    def write(self, path: Path) -> None:
        """Writes all tables, and spk2utt made from utt2spk; takes away those that a directory there had besides.

        A table that may lack utterances, and has none, is left out.
        """
        path.mkdir(parents=True, exist_ok=True)
        for name in ("wav.scp", *UTT_TABLES, *SPK_TABLES):
            rows = self.tables.get(name)
            if rows or (rows is not None and name not in OPTIONAL):
                write_table(path / name, rows)
            else:
                (path / name).unlink(missing_ok=True)
        if "utt2spk" in self.tables:
            write_table(path / "spk2utt", spk2utt(self.tables["utt2spk"]))


def recording_files(data_dir: Path) -> list[Path]:
    """The files that wav.scp names, as inputs of a job; none where it cannot be read, which the work itself reports."""
    try:
        return [Path(file) for file in read_table(data_dir / "wav.scp").values()]
    except DataError:
        return []


def spk2utt(utt2spk: dict[str, str]) -> dict[str, str]:
    """The inverse of utt2spk: each speaker with its utterances in C order."""
    by_speaker: dict[str, list[str]] = {}
    for utt_id in sorted(utt2spk, key=str.encode):
        by_speaker.setdefault(utt2spk[utt_id], []).append(utt_id)
    return {speaker: " ".join(utts) for speaker, utts in by_speaker.items()}
