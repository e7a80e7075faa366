"""The faults of a data directory: formats, agreement between its files, audio that cannot be read."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from utils.data_dir.audio import TOLERANCE_S, audio_info, check_mono
from utils.data_dir.data_dir import SPK_TABLES, UTT_TABLES, spk2utt
from utils.data_dir.tables import Fault, scan_table
from utils.jobs.errors import DataError

REQUIRED = ("wav.scp", "utt2spk", "spk2utt")

Tables = dict[str, dict[str, str]]

FEATS_TABLES = ("feats.scp", "utt2num_frames", "utt2dur")


def find_faults(path: Path, check_audio: bool = True, has_text: bool = False, has_feats: bool = True) -> list[Fault]:
    """All faults of the data directory `path`.

    Args:
        path: The directory.
        check_audio: Whether to open every recording.
        has_text: Whether `text` must be there.
        has_feats: Whether to check the tables that go with features, if they are there.
    """
    if not path.is_dir():
        return [Fault(str(path), "not a data directory")]
    tables, faults = _scan_all(path, has_text, has_feats)
    if any(name not in tables for name in REQUIRED):
        return faults
    faults += [*_utterance_faults(path, tables), *_speaker_faults(path, tables), *_recording_faults(path, tables)]
    faults += _speed_faults(path, tables)
    if check_audio and not faults:
        faults += _audio_faults(path, tables)
    return faults


def _scan_all(path: Path, has_text: bool, has_feats: bool) -> tuple[Tables, list[Fault]]:
    tables, faults = {}, []
    for name in ("spk2utt", "wav.scp", *UTT_TABLES, *SPK_TABLES):
        file = path / name
        if name in FEATS_TABLES and not has_feats:
            continue
        if not file.exists():
            if name in REQUIRED or (has_text and name == "text"):
                faults.append(Fault(str(file), "missing"))
            continue
        try:
            tables[name], found = scan_table(file, has_value=name != "text")
        except DataError as e:
            faults.append(Fault(*str(e).split(": ", 1)))
            continue
        faults += found
        if not tables[name]:
            faults.append(Fault(str(file), "empty"))
    return tables, faults


def _fix(path: Path) -> str:
    return f"run: python3 -m utils.fix_data_dir {path}"


def _utterance_faults(path: Path, tables: Tables) -> Iterator[Fault]:
    """Utterances that are in one table only. feats.scp may lack utterances that were dropped."""
    name = "segments" if "segments" in tables else "wav.scp"
    reference = tables["utt2spk"]
    for other in (name, *UTT_TABLES):
        if other not in tables or other == "utt2spk":
            continue
        for number, utt_id in enumerate(tables[other], start=1):
            if utt_id not in reference:
                yield Fault(f"{path / other}:{number}", f"utterance '{utt_id}' is not in utt2spk", _fix(path))
        partial = other in (*FEATS_TABLES, "utt2speed", "utt2uniq")
        for number, utt_id in enumerate(() if partial else reference, start=1):
            if utt_id not in tables[other]:
                yield Fault(f"{path}/utt2spk:{number}", f"utterance '{utt_id}' is not in {other}", _fix(path))


def _speaker_faults(path: Path, tables: Tables) -> Iterator[Fault]:
    inverse = spk2utt(tables["utt2spk"])
    for number, (utt_id, speaker) in enumerate(tables["utt2spk"].items(), start=1):
        place = f"{path}/utt2spk:{number}"
        if " " in speaker:
            yield Fault(place, f"utterance '{utt_id}' has more than one speaker: '{speaker}'")
        elif not utt_id.startswith(speaker):
            yield Fault(place, f"utterance '{utt_id}' does not begin with its speaker '{speaker}'")
    for number, (speaker, utts) in enumerate(tables["spk2utt"].items(), start=1):
        if inverse.get(speaker) != utts:
            yield Fault(f"{path}/spk2utt:{number}", f"speaker '{speaker}': not the inverse of utt2spk", _fix(path))
    for speaker in inverse.keys() - tables["spk2utt"].keys():
        yield Fault(f"{path}/spk2utt", f"speaker '{speaker}' of utt2spk is missing", _fix(path))


def _recording_faults(path: Path, tables: Tables) -> Iterator[Fault]:
    for number, (rec_id, file) in enumerate(tables["wav.scp"].items(), start=1):
        place = f"{path}/wav.scp:{number}"
        if file.endswith("|"):
            yield Fault(place, f"recording '{rec_id}' is a pipe, which is never run; write the path of a file")
        elif not file.startswith("/"):
            yield Fault(place, f"recording '{rec_id}' has the relative path '{file}'; write an absolute path")
    for number, (utt_id, place_of) in enumerate(tables.get("segments", {}).items(), start=1):
        yield from _segment_faults(f"{path}/segments:{number}", utt_id, place_of.split(" "), tables["wav.scp"])


def _segment_faults(place: str, utt_id: str, fields: list[str], recordings: dict[str, str]) -> Iterator[Fault]:
    try:
        rec_id, start_s, end_s = fields[0], float(fields[1]), float(fields[2])
        is_valid = len(fields) == 3 and 0 <= start_s < end_s < float("inf")
    except (IndexError, ValueError):
        is_valid = False
    if not is_valid:
        yield Fault(place, f"utterance '{utt_id}': '{' '.join(fields)}' is not '<recording> <start s> <end s>'")
    elif rec_id not in recordings:
        yield Fault(place, f"utterance '{utt_id}': recording '{rec_id}' is not in wav.scp")


def _speed_faults(path: Path, tables: Tables) -> Iterator[Fault]:
    for number, (utt_id, speed) in enumerate(tables.get("utt2speed", {}).items(), start=1):
        try:
            is_valid = 0 < float(speed) < float("inf")
        except ValueError:
            is_valid = False
        if not is_valid:
            yield Fault(f"{path}/utt2speed:{number}", f"utterance '{utt_id}': '{speed}' is not a factor above 0")


def _audio_faults(path: Path, tables: Tables) -> list[Fault]:
    """Opens every recording, and compares segments with its length."""

    def check(item: tuple[int, tuple[str, str]]) -> tuple[str, float, Fault | None]:
        number, (rec_id, file) = item
        try:
            info = audio_info(file, rec_id)
            check_mono(file, rec_id, info.num_channels)
            return rec_id, info.duration_s, None
        except DataError as e:
            return rec_id, 0.0, Fault(f"{path}/wav.scp:{number}", str(e))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(check, enumerate(tables["wav.scp"].items(), start=1)))
    faults = [fault for _, _, fault in found if fault]
    durations = {rec_id: duration_s for rec_id, duration_s, fault in found if not fault}
    for number, (utt_id, fields) in enumerate(tables.get("segments", {}).items(), start=1):
        rec_id, _, end_s = fields.split(" ")
        if rec_id in durations and float(end_s) > durations[rec_id] + TOLERANCE_S:
            text = f"utterance '{utt_id}' ends at {end_s} s, its recording at {durations[rec_id]:.2f} s"
            faults.append(Fault(f"{path}/segments:{number}", text))
    return faults
