"""Recordings, each of which is opened once: for its header, its hash, and some samples to know it again by.

A validated directory keeps what was seen in `.recordings`: `<recording> <rate> <samples> <channels> <digest>` a line.
"""

import os
from pathlib import Path

from utils.data_dir.audio import AudioInfo, audio_info, audio_info_and_hash
from utils.data_dir.tables import read_table, write_table
from utils.jobs.errors import DataError
from utils.jobs.files import sha256

FILE = ".recordings"


class Looks:
    """What is known of recordings, by file."""

    def __init__(self, rec_ids: dict[str, str] | None = None):
        """Args: rec_ids: The recordings that are looked at when they are hashed, by file."""
        self.rec_ids = rec_ids or {}
        self.found: dict[str, AudioInfo | DataError] = {}
        self.hashes: dict[str, str] = {}

    def info(self, file: str, rec_id: str) -> AudioInfo:
        """The header of a recording, with the digest of its middle. Raises: as `audio_info`."""
        if file not in self.found:
            self.found[file] = audio_info(file, rec_id, with_middle=True)
        if isinstance(self.found[file], DataError):
            raise self.found[file]
        return self.found[file]

    def sha256(self, path: Path) -> str:
        """The SHA-256 of a file's bytes, in hex. A recording is looked at on this occasion, and hashed once only."""
        file = str(path)
        if file not in self.rec_ids:
            return sha256(path)
        if file not in self.hashes:
            try:
                self.found[file], self.hashes[file] = audio_info_and_hash(file, self.rec_ids[file])
            except DataError as e:
                self.found[file], self.hashes[file] = e, sha256(path)
        return self.hashes[file]

    def recall(self, folder: Path) -> None:
        """Takes what was seen of a directory's recordings, those that are still there, when it was validated."""
        files = read_table(folder / "wav.scp")
        for rec_id, seen in read_table(folder / FILE).items():
            rate, num_samples, num_channels, *middle = seen.split(" ")
            if rec_id in files and os.path.isfile(files[rec_id]):
                self.found[files[rec_id]] = AudioInfo(int(rate), int(num_samples), int(num_channels), *middle)

    def write(self, folder: Path, files: dict[str, str]) -> None:
        """Keeps what was seen for `recall`. `files` are those of recordings, all of which were looked at."""
        seen = ((rec_id, self.found[file]) for rec_id, file in files.items())
        write_table(
            folder / FILE, ((r, f"{a.sample_rate_hz} {a.num_samples} {a.num_channels} {a.middle}") for r, a in seen)
        )
