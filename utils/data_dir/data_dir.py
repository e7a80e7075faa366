"""A data directory in memory: which utterances it holds, where their audio is, what is said."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from utils.data_dir.channel import CHANNELS, DIRECT, Channel, to_channel
from utils.data_dir.tables import fix_command, read_table, write_table
from utils.data_dir.values import SPEED_RANGE, to_segment, to_speed
from utils.jobs import log
from utils.jobs.errors import DataError, UsageError
from utils.jobs.files import fsync

# Tables keyed by utterance, and by recording or speaker, that the tools keep consistent.
UTT_TABLES = ("text", "utt2spk", "utt2speed", "utt2channel", "utt2uniq")
UTT_TABLES += ("utt2dur", "utt2num_frames", "feats.scp", "segments")
SPK_TABLES = ("spk2gender",)
FEATS_TABLES = ("feats.scp", "utt2num_frames", "utt2dur")
NEEDED = ("wav.scp", "utt2spk")
AUDIO_TABLES = ("wav.scp", "segments", "utt2speed", "utt2channel")  # which say what is heard
COMPLETE = ("wav.scp", "segments", "utt2spk", "text")  # may not lack utterances
FURTHER = re.compile(r"(utt2|spk2|text_)\w+", re.ASCII)  # told by their prefix, such as spk2age and text_letters
OF_STAGES = re.compile(r"cmvn|(.*\.)?manifest\.json|\..*|spk2utt")


def is_of_utterances(name: str) -> bool:
    """Whether a table is keyed by utterance."""
    return name in UTT_TABLES or name.startswith("utt2") or holds_text(name)


def holds_text(name: str) -> bool:
    """Whether the values of a table are transcripts, which may be empty."""
    return name == "text" or name.startswith("text_")


def is_of_speakers(name: str) -> bool:
    """Whether a table is keyed by speaker; spk2utt follows from utt2spk, and is none of them."""
    return name.startswith("spk2") and name != "spk2utt"


def table_names(path: Path) -> list[str]:
    """The tables that a folder has and the tools keep consistent: the known ones, and those told by their prefix."""
    files = sorted(path.iterdir()) if path.is_dir() else []
    known = [n for n in ("wav.scp", *UTT_TABLES, *SPK_TABLES) if path / n in files]
    more = [f.name for f in files if FURTHER.fullmatch(f.name) and f.name not in (*known, "spk2utt") and f.is_file()]
    return known + more


def warn_of_files_left(path: Path) -> None:
    """Names the files of a data directory that the tools do not know, and leave behind."""
    known = table_names(path)
    left = [f.name for f in sorted(path.iterdir()) if f.is_file() and not OF_STAGES.fullmatch(f.name)]
    if left := [name for name in left if name not in known]:
        log.warn(f"{path}: left behind, because their keys are not known: {', '.join(left)}")


@dataclass(frozen=True)
class Utterance:
    """Where the samples of one utterance are. `end_s` is None for the end of the recording."""

    utt_id: str
    rec_id: str
    path: str
    start_s: float = 0.0
    end_s: float | None = None
    speed: float = 1.0
    channel: Channel = DIRECT


@dataclass
class DataDir:
    """The tables of one directory, by file name. Missing optional tables are absent."""

    path: Path
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, *names: str) -> "DataDir":
        """Reads all known tables that exist, or only `names`, which must exist.

        Raises: DataError for a malformed table, and without `names` for one that is needed and missing, for an empty
        one, and for an utterance without a speaker or without audio.
        """
        if not path.is_dir():
            raise DataError(f"{path}: not a data directory; run stage 1")
        known = names or dict.fromkeys((*NEEDED, *table_names(path)))
        found = cls(path, {name: read_table(path / name, has_value=not holds_text(name)) for name in known})
        if not names:
            found._check()
        return found

    def _check(self) -> None:
        for name, rows in self.tables.items():
            if not rows:
                raise DataError(f"{self.path / name}: empty; write it anew, or delete it where it is not needed")
        home = "segments" if "segments" in self.tables else "wav.scp"
        for name, other in ((home, "utt2spk"), ("utt2spk", home)):
            for utt_id in self.tables[name]:
                if utt_id not in self.tables[other]:
                    text = f"utterance '{utt_id}' is not in {other}; {fix_command(self.path)}"
                    raise DataError(f"{self.path / name}:{self.tables[name].line_of[utt_id]}: {text}")

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
        """Where each utterance's samples are. Raises: DataError for an unknown recording, speed or channel."""
        speeds, channels = self.tables.get("utt2speed", {}), self.tables.get("utt2channel", {})
        recordings = self.tables["wav.scp"]
        found = []
        for utt_id in self.utt_ids:
            rec_id, start_s, end_s = self._place(utt_id)
            if rec_id not in recordings:
                raise DataError(f"{self.path}/wav.scp: no recording '{rec_id}' for utterance '{utt_id}'")
            speed = to_speed(speeds.get(utt_id, "1"))
            if speed is None:
                text = f"utterance '{utt_id}': '{speeds[utt_id]}' is not {SPEED_RANGE}"
                raise DataError(f"{self.path}/utt2speed: {text}")
            channel = to_channel(channels.get(utt_id, "direct"))
            if channel is None:
                text = f"utterance '{utt_id}': '{channels[utt_id]}' is not {CHANNELS}"
                raise DataError(f"{self.path}/utt2channel: {text}")
            found.append(Utterance(utt_id, rec_id, recordings[rec_id], start_s, end_s, speed, channel))
        return found

    def _place(self, utt_id: str) -> tuple[str, float, float | None]:
        if "segments" not in self.tables:
            return utt_id, 0.0, None
        value = self.tables["segments"][utt_id]
        place = to_segment(value)
        if place is None:
            text = f"utterance '{utt_id}': '{value}' is not '<recording> <start s> <end s>'"
            raise DataError(f"{self.path}/segments: {text}")
        return place

    def select(self, utt_ids: set[str]) -> "DataDir":
        """The same directory with only these utterances, and only the recordings and speakers they need."""
        tables = {}
        for name, rows in self.tables.items():
            if is_of_utterances(name):
                tables[name] = {key: value for key, value in rows.items() if key in utt_ids}
        places = tables.get("segments")
        recordings = utt_ids if places is None else {place.split(" ")[0] for place in places.values()}
        speakers = set(tables.get("utt2spk", {}).values())
        for name, rows in self.tables.items():
            if name == "wav.scp":
                tables[name] = {key: value for key, value in rows.items() if key in recordings}
            if is_of_speakers(name):
                tables[name] = {key: value for key, value in rows.items() if key in speakers}
        return DataDir(self.path, tables)

    def write(self, path: Path) -> None:
        """Writes all tables, and spk2utt made from utt2spk; takes away those that a directory there had besides.

        A table that may lack utterances, and has none, is left out.

        Raises: UsageError where a file has the name of the folder, DataError where a folder has that of a table.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UsageError(f"{path}: a file has this name, or one above it") from None
        names = dict.fromkeys((*self.tables, *table_names(path)))
        for name in (*names, "spk2utt"):
            if (path / name).is_dir():
                raise DataError(f"{path / name}: not a file; take the folder away")
        tables = {name: rows for name, rows in self.tables.items() if rows or name in COMPLETE}
        if "utt2spk" in self.tables:
            tables["spk2utt"] = spk2utt(self.tables["utt2spk"])
        with TemporaryDirectory(prefix=".writing.", dir=path) as stage:
            # here the disk may fill up: all stays as it was
            for name, rows in tables.items():
                write_table(Path(stage) / name, rows)
            for name in tables:
                os.replace(Path(stage) / name, path / name)
            fsync(path)
        for name in names:
            if name not in tables:
                (path / name).unlink(missing_ok=True)


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
