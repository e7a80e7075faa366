"""The same audio under two ids, or in two data directories."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from utils.data_dir.checked import Checked, scan, unusable
from utils.data_dir.tables import Fault
from utils.jobs.files import sha256


def repeated_audio(checked: Checked) -> Iterator[Fault]:
    """The same samples, segment and speed under two ids, or in another directory."""
    others = [Checked(path, scan(path)[0]) for path in checked.apart_from]
    digests = Digests([row[2] for one in (checked, *others) for row in one.rows("wav.scp")])
    needs_ends = any("segments" in one.tables for one in (checked, *others))
    seen: dict[tuple, str] = {}
    for other in others:
        seen |= {key: f"'{utt_id}' in {other.path}" for _, utt_id, key in pieces(other, digests, needs_ends)}
    for place, utt_id, key in pieces(checked, digests, needs_ends):
        if key in seen:
            text = f"utterance '{utt_id}' is the same audio as {seen[key]}"
            yield unusable(checked, place, utt_id, text, "remove one of them")
        seen.setdefault(key, f"'{utt_id}'")


class Digests:
    """What tells the contents of files apart. Only files of one size are read."""

    def __init__(self, files: list[str]):
        self.sizes = {file: Path(file).stat().st_size for file in set(files) if os.path.isfile(file)}
        self.shared = {size for size, count in Counter(self.sizes.values()).items() if count > 1 and size}

    def of(self, file: str) -> str | None:
        """The same text for files of the same content; None for what is no file."""
        if file not in self.sizes:
            return None
        return sha256(Path(file)) if self.sizes[file] in self.shared else file


def pieces(checked: Checked, digests: Digests, needs_ends: bool) -> Iterator[tuple[str, str, tuple]]:
    """(place, utterance, what it hears to a hundredth of a second) of each utterance whose audio is there."""
    of_recording = {rec_id: digests.of(file) for _, rec_id, file in checked.rows("wav.scp")}
    for place, utt_id, rec_id, start_s, end_s in checked.segments():
        if of_recording.get(rec_id) is not None:
            if needs_ends:
                whole_s = checked.duration_s(rec_id) or end_s or 0.0
                end_s = round(min(end_s or whole_s, whole_s), 2)
            yield place, utt_id, (of_recording[rec_id], round(start_s, 2), end_s, checked.speed(utt_id))
