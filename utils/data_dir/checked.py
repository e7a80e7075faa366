"""A data directory under examination: its tables with their lines, its recordings, and the faults of its formats."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from utils.data_dir.audio import AudioInfo, check_mono
from utils.data_dir.channel import DIRECT, Channel, to_channel
from utils.data_dir.data_dir import COMPLETE, FEATS_TABLES, holds_text, table_names
from utils.data_dir.looks import Looks
from utils.data_dir.tables import BLANK_LINE, Fault, Table, fix_command, scan_table
from utils.data_dir.values import to_segment, to_speed
from utils.jobs.errors import DataError
from utils.jobs.workers import map_in_threads

REQUIRED = ("wav.scp", "utt2spk", "spk2utt")


@dataclass
class Checked:
    """A data directory under examination.

    Attributes:
        path: The directory.
        tables: Those that could be read, by file name.
        allows_empty_text: Whether a transcript may be empty.
        allows_any_rate: Whether recordings may differ in sample rate.
        apart_from: Directories that must not hold any of the same audio.
        beside: Directories that may hold it, at another speed or through another channel.
        looks: What is known of recordings.
    """

    path: Path
    tables: dict[str, Table] = field(default_factory=dict)
    allows_empty_text: bool = False
    allows_any_rate: bool = False
    apart_from: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    looks: Looks = field(default_factory=Looks)

    def rows(self, name: str) -> Iterator[tuple[str, str, str]]:
        """(place, key, value) of each row of a table that is there."""
        table = self.tables.get(name, Table())
        for key, value in table.items():
            yield f"{self.path / name}:{table.line_of[key]}", key, value

    def segments(self) -> Iterator[tuple[str, str, str, float, float | None]]:
        """(place, utterance, recording, start s, end s) of each utterance whose place in its recording is known."""
        if "segments" not in self.tables:
            for place, rec_id, _ in self.rows("wav.scp"):
                yield place, rec_id, rec_id, 0.0, None
        for place, utt_id, value in self.rows("segments"):
            if segment := to_segment(value):
                yield place, utt_id, *segment

    def utterances_of(self, rec_id: str) -> tuple[str, ...]:
        """The utterances that lie in a recording."""
        if "segments" not in self.tables:
            return (rec_id,)
        return tuple(u for u, value in self.tables["segments"].items() if value.split(" ")[0] == rec_id)

    def speed(self, utt_id: str) -> float:
        """The factor of utt2speed; 1 where it is not there or wrong."""
        return to_speed(self.tables.get("utt2speed", {}).get(utt_id, "1")) or 1.0

    def channel(self, utt_id: str) -> Channel:
        """The channel of utt2channel; direct where it is not there or wrong."""
        return to_channel(self.tables.get("utt2channel", {}).get(utt_id, "direct")) or DIRECT

    @cached_property
    def audio(self) -> dict[str, AudioInfo | DataError]:
        """The header of each recording that is a file, or why it cannot be read."""

        def look(row: tuple[str, str, str]) -> tuple[str, AudioInfo | DataError]:
            _, rec_id, file = row
            try:
                info = self.looks.info(file, rec_id)
                check_mono(file, rec_id, info.num_channels)
                return rec_id, info
            except DataError as e:
                return rec_id, e
            except OSError as e:  # such as a path that is too long
                if e.errno in (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM):  # which is no fault of the data
                    raise
                return rec_id, DataError(f"{file[:60]}…: recording '{rec_id}' is not readable ({e.strerror})")

        return dict(map_in_threads(look, (row for row in self.rows("wav.scp") if not row[2].endswith("|"))))

    def duration_s(self, rec_id: str) -> float | None:
        """Seconds of a recording; None when it cannot be read."""
        info = self.audio.get(rec_id)
        return info.duration_s if isinstance(info, AudioInfo) else None


def unusable(checked: Checked, place: str, utt_id: str, text: str, advice: str = "correct it") -> Fault:
    """A fault of one utterance, which can be corrected by hand or dropped."""
    return Fault(place, text, f"{advice}, or {fix_command(checked.path, '--drop-unusable')}", (utt_id,))


def scan(path: Path, has_text: bool = True, has_feats: bool = True) -> tuple[dict[str, Table], list[Fault]]:
    """The tables of a directory, and the faults of their format."""
    tables, faults = {}, []
    names = [*(["spk2utt"] if (path / "spk2utt").exists() else []), *table_names(path)]
    for name in names:
        file = path / name
        if name in FEATS_TABLES and not has_feats:
            continue
        try:
            tables[name], found = scan_table(file, has_value=not holds_text(name))
        except DataError as e:
            faults.append(Fault(*str(e).split(": ", 1)))
            continue
        if not tables[name] and all(fault.text == BLANK_LINE for fault in found):
            remedy = "write it anew, or delete it where it is not needed" if name in COMPLETE else fix_command(path)
            found = [Fault(str(file), "empty", remedy)]
            del tables[name]
        faults += found
    for name in (*REQUIRED, "text") if has_text else REQUIRED:
        if name not in names:
            remedy = fix_command(path) if name == "spk2utt" else ""
            faults.append(Fault(str(path / name), "missing", remedy))
    return tables, faults
