"""The same audio under two ids, or in two data directories."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from utils.data_dir.audio import AudioInfo
from utils.data_dir.channel import Channel
from utils.data_dir.checked import Checked, scan, unusable
from utils.data_dir.tables import Fault
from utils.jobs.workers import map_in_threads

BLOCK = 2**20  # samples that are decoded at a time


class Heard(NamedTuple):
    """What an utterance holds of a recording, in seconds, and how it is heard."""

    recording: tuple
    start_s: float
    end_s: float
    speed: float
    channel: Channel

    def overlaps(self, other: "Heard") -> bool:
        """Whether a part of the recording is in both, at whatever speed and through whatever channel."""
        shared = max(self.start_s, other.start_s) < min(self.end_s, other.end_s)
        return self.recording == other.recording and shared


def repeated_audio(checked: Checked) -> Iterator[Fault]:
    """The same samples, segment, speed and channel under two ids, or beside; any part of the same samples, at any speed
    and through any channel, in a directory to be apart from.
    """
    groups = (checked.apart_from, checked.beside)
    apart, beside = ([Checked(path, scan(path)[0], looks=checked.looks) for path in group] for group in groups)
    keys = same_recordings([checked, *apart, *beside])
    foreign: dict[tuple, list[tuple[Heard, str]]] = {}  # by recording
    for other in apart:
        if unread := unread_recordings(other):
            text = f"{unread} cannot be read, so that nobody can tell what {checked.path} shares with it"
            yield Fault(str(other.path / "wav.scp"), text, "check that directory first")
        for _, utt_id, heard in pieces(other, keys):
            foreign.setdefault(heard.recording, []).append((heard, f"'{utt_id}' in {other.path}"))
    elsewhere: dict[Heard, str] = {}
    for other in beside:
        elsewhere |= {heard: f"'{utt_id}' in {other.path}" for _, utt_id, heard in pieces(other, keys)}
    here: dict[Heard, str] = {}
    for place, utt_id, heard in pieces(checked, keys):
        who = f"utterance '{utt_id}'"
        if shared := shares(heard, foreign.get(heard.recording, [])):
            yield Fault(place, f"{who} {shared}", "remove one of them", (utt_id,))
        elif same := elsewhere.get(heard):
            yield Fault(place, f"{who} is the same audio as {same}", "remove one of them", (utt_id,))
        elif same := here.get(heard):
            yield unusable(checked, place, utt_id, f"{who} is the same audio as {same}", "remove one of them")
        here.setdefault(heard, f"'{utt_id}'")


def unread_recordings(checked: Checked) -> str:
    """What cannot be read of a directory's audio; empty where nothing."""
    rows = list(checked.rows("wav.scp"))
    unread = [rec_id for _, rec_id, _ in rows if not isinstance(checked.audio.get(rec_id), AudioInfo)]
    if not unread:
        return "" if rows else "its table"
    return f"{len(unread):,} of its {len(rows):,} recordings, '{unread[0]}' for one,"


def shares(heard: Heard, others: list[tuple[Heard, str]]) -> str:
    """What is said of an utterance that holds audio of one of the others, which have names; empty for none."""
    for other, name in others:
        if heard.overlaps(other):
            is_whole = (heard.start_s, heard.end_s) == (other.start_s, other.end_s)
            return f"is {'' if is_whole else 'in part '}the same audio as {name}"
    return ""


def same_recordings(directories: list[Checked]) -> dict[str, tuple]:
    """A key for each file that can be read, the same for files of the same samples.

    Files of one rate and length are told apart by a piece of their middle, and decoded whole where that agrees too.
    """
    keys = {}
    for one in directories:
        for _, rec_id, file in one.rows("wav.scp"):
            info = one.audio.get(rec_id)
            if isinstance(info, AudioInfo):
                keys[file] = (info.sample_rate_hz, info.num_samples, info.middle)
    counts = Counter(keys.values())
    alike = [file for file, key in keys.items() if counts[key] > 1]
    for file, found in zip(alike, map_in_threads(digest_of_all, alike), strict=True):
        keys[file] = (*keys[file], found) if found else (file,)
    return keys


def digest_of_all(file: str) -> str:
    """The SHA-256 of all samples of a recording as float32; empty where they cannot be read."""
    import soundfile

    found = hashlib.sha256()
    try:
        with soundfile.SoundFile(file) as f:
            for block in f.blocks(BLOCK, dtype="float32"):
                found.update(block.tobytes())
    except (RuntimeError, OSError):  # soundfile's LibsndfileError is a RuntimeError
        return ""  # which another check reports
    return found.hexdigest()


def pieces(checked: Checked, keys: dict[str, tuple]) -> Iterator[tuple[str, str, Heard]]:
    """(place, utterance, what it hears to a hundredth of a second) of each utterance whose audio is there."""
    of_recording = {rec_id: keys.get(file) for _, rec_id, file in checked.rows("wav.scp")}
    for place, utt_id, rec_id, start_s, end_s in checked.segments():
        if of_recording.get(rec_id) is not None:
            whole_s = checked.duration_s(rec_id) or end_s or 0.0
            times = round(start_s, 2), round(min(end_s or whole_s, whole_s), 2)
            yield place, utt_id, Heard(of_recording[rec_id], *times, checked.speed(utt_id), checked.channel(utt_id))
