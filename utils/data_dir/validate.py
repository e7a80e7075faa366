"""The faults of a data directory: formats, agreement between its files, audio and features that are not as they say.

Each function of `CHECKS` finds one kind of fault and yields its places; none needs another to have passed.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from utils.data_dir.audio import TOLERANCE_S, AudioInfo
from utils.data_dir.channel import CHANNELS, to_channel
from utils.data_dir.checked import REQUIRED, Checked, scan, unusable
from utils.data_dir.data_dir import COMPLETE, holds_text, is_of_speakers, is_of_utterances, spk2utt
from utils.data_dir.repeated_audio import repeated_audio
from utils.data_dir.tables import Fault, Table, fix_command, is_seen
from utils.data_dir.values import SPEED_RANGE, to_number, to_segment, to_speed
from utils.jobs.errors import DataError

ONE_WORD = ("utt2spk", "utt2speed", "utt2channel", "utt2uniq", "utt2dur", "utt2num_frames", "spk2gender")
RESERVED = {"<blk>", "<blank>", "<eps>", "<s>", "</s>", "<unk>", "<pad>", "<sos>", "<eos>", "#0"}
DURATION_TOLERANCE_S = 0.05


def columns(checked: Checked) -> Iterator[Fault]:
    """Values of more words than their table has columns."""
    for name in ONE_WORD:
        for place, key, value in checked.rows(name):
            if " " in value:
                text = f"'{key}' has {value.count(' ') + 1} values, not one: '{value[:60]}'"
                fault = unusable(checked, place, key, text)
                yield fault if name != "spk2gender" else Fault(place, text, "correct it")
    for place, utt_id, value in checked.rows("segments"):
        if to_segment(value) is None:
            text = f"utterance '{utt_id}': '{value}' is not '<recording> <start s> <end s>'"
            yield unusable(checked, place, utt_id, text)


def values(checked: Checked) -> Iterator[Fault]:
    """Numbers and codes that are none."""
    kinds = (
        ("utt2speed", to_speed, SPEED_RANGE),
        ("utt2channel", to_channel, CHANNELS),
        ("utt2dur", to_number, "a number of seconds above 0"),
    )
    for name, parse, kind in kinds:
        for place, utt_id, value in checked.rows(name):
            if parse(value) is None:
                yield unusable(checked, place, utt_id, f"utterance '{utt_id}': '{value}' is not {kind}")
    for place, utt_id, value in checked.rows("utt2num_frames"):
        if not (value.isascii() and value.isdigit()):
            yield unusable(checked, place, utt_id, f"utterance '{utt_id}': '{value}' is not a number of frames")
    for place, speaker, value in checked.rows("spk2gender"):
        if value not in ("m", "f"):
            yield Fault(place, f"speaker '{speaker}': '{value}' is neither m nor f", "correct it")


def same_utterances(checked: Checked) -> Iterator[Fault]:
    """Utterances and speakers that are in one table only. Most tables may lack some that utt2spk has."""
    reference, repair = checked.tables["utt2spk"], fix_command(checked.path)
    home = "segments" if "segments" in checked.tables else "wav.scp"
    for name in checked.tables:
        if name == "utt2spk" or not (name == home or is_of_utterances(name)):
            continue
        for place, utt_id, _ in checked.rows(name):
            if utt_id not in reference:
                yield Fault(place, f"utterance '{utt_id}' is not in utt2spk", repair, (utt_id,))
        if name in COMPLETE:
            for place, utt_id, _ in checked.rows("utt2spk"):
                if utt_id not in checked.tables[name]:
                    yield Fault(place, f"utterance '{utt_id}' is not in {name}", repair, (utt_id,))
    known = set(reference.values())
    for name in filter(is_of_speakers, checked.tables):
        for place, speaker, _ in checked.rows(name):
            if speaker not in known:
                yield Fault(place, f"speaker '{speaker}' is not in utt2spk", repair)


def speakers(checked: Checked) -> Iterator[Fault]:
    """Ids that do not begin with their speaker: sorting would tear speakers apart."""
    for place, utt_id, speaker in checked.rows("utt2spk"):
        if not utt_id.startswith(speaker):
            text = f"utterance '{utt_id}' does not begin with its speaker '{speaker}'"
            yield unusable(checked, place, utt_id, text, "rename it in all files")


def inverse(checked: Checked) -> Iterator[Fault]:
    """spk2utt that is not the inverse of utt2spk."""
    utt2spk, repair = checked.tables["utt2spk"], fix_command(checked.path)
    expected = spk2utt(utt2spk)
    for place, speaker, utts in checked.rows("spk2utt"):
        if expected.get(speaker) == utts:
            continue
        text = f"speaker '{speaker}': not the inverse of utt2spk"
        wrong = next((u for u in utts.split(" ") if utt2spk.get(u) != speaker), None)
        if wrong is not None:
            text += f", where '{wrong}' " + (
                f"has the speaker '{utt2spk[wrong]}'" if wrong in utt2spk else "is missing"
            )
        yield Fault(place, text, repair)
    for speaker in sorted(expected.keys() - checked.tables["spk2utt"].keys()):
        yield Fault(f"{checked.path}/spk2utt", f"speaker '{speaker}' of utt2spk is missing", repair)


def recordings(checked: Checked) -> Iterator[Fault]:
    """Entries of wav.scp that are no absolute path, and segments of recordings that are not there."""
    for place, rec_id, file in checked.rows("wav.scp"):
        if file.endswith("|"):
            text = f"recording '{rec_id}' is a pipe, which is never run; write its output to a file"
        elif not file.startswith("/"):
            text = f"recording '{rec_id}' has the relative path '{file}'; write an absolute one"
        else:
            continue
        yield Fault(place, text, fix_command(checked.path, "--drop-unusable"), checked.utterances_of(rec_id))
    for place, utt_id, value in checked.rows("segments"):
        rec_id = value.split(" ")[0]
        if rec_id not in checked.tables["wav.scp"]:
            text = f"utterance '{utt_id}': recording '{rec_id}' is not in wav.scp"
            yield Fault(place, text, fix_command(checked.path), (utt_id,))


def transcripts(checked: Checked) -> Iterator[Fault]:
    """Transcripts that are empty, or hold a symbol that models keep for themselves."""
    for name in filter(holds_text, checked.tables):
        for place, utt_id, text in checked.rows(name):
            if not text and name == "text" and not checked.allows_empty_text:  # other heads may learn nothing of some
                advice = "write one, or allow it with --allow-empty-text"
                yield unusable(checked, place, utt_id, f"utterance '{utt_id}' has an empty transcript", advice)
            if text and not is_seen(text):
                fault = f"utterance '{utt_id}' has a transcript that cannot be seen: {ascii(text[:20])}"
                yield unusable(checked, place, utt_id, fault)
            if unicodedata.normalize("NFC", text) != text:
                fault = f"utterance '{utt_id}': letters and accents are written apart (not Unicode's form NFC)"
                yield Fault(place, fault, fix_command(checked.path))
            if symbols := RESERVED.intersection(text.split(" ")):
                fault = f"utterance '{utt_id}' holds the reserved symbol '{min(symbols)}'"
                yield unusable(checked, place, utt_id, fault, "write it otherwise")


def audio_files(checked: Checked) -> Iterator[Fault]:
    """Recordings that cannot be read, or are not mono."""
    for place, rec_id, _ in checked.rows("wav.scp"):
        found = checked.audio.get(rec_id)
        if isinstance(found, DataError):
            yield Fault(place, str(found), fix_command(checked.path, "--drop-unusable"), checked.utterances_of(rec_id))


def sample_rates(checked: Checked) -> Iterator[Fault]:
    """Recordings of another rate than most have."""
    infos = {rec_id: info for rec_id, info in checked.audio.items() if isinstance(info, AudioInfo)}
    if checked.allows_any_rate or not infos:
        return
    usual = Counter(info.sample_rate_hz for info in infos.values()).most_common(1)[0][0]
    for place, rec_id, file in checked.rows("wav.scp"):
        if rec_id in infos and infos[rec_id].sample_rate_hz != usual:
            text = f"{file}: recording '{rec_id}' has {infos[rec_id].sample_rate_hz} Hz, most others {usual} Hz"
            remedy = f"convert it, set features.resample = true, or {fix_command(checked.path, '--drop-unusable')}"
            yield Fault(place, text, remedy, checked.utterances_of(rec_id))


def ends(checked: Checked) -> Iterator[Fault]:
    """Segments that begin or end behind their recording."""
    for place, utt_id, rec_id, start_s, end_s in checked.segments():
        duration_s = checked.duration_s(rec_id)
        if end_s is not None and duration_s is not None and end_s > duration_s + TOLERANCE_S:
            text = f"utterance '{utt_id}' ends at {end_s:g} s, its recording at {duration_s:.2f} s"
            yield unusable(checked, place, utt_id, text)
        elif end_s is not None and duration_s is not None and start_s >= duration_s:
            text = f"utterance '{utt_id}' begins at {start_s:g} s, where its recording has ended"
            yield unusable(checked, place, utt_id, text)


def durations(checked: Checked) -> Iterator[Fault]:
    """utt2dur that is not what audio, segment and speed give."""
    given = checked.tables.get("utt2dur", Table())
    for _, utt_id, rec_id, start_s, end_s in checked.segments():
        whole_s, told_s = checked.duration_s(rec_id), to_number(given.get(utt_id, ""))
        if whole_s is None or told_s is None:
            continue
        expected_s = (min(end_s or whole_s, whole_s) - start_s) / checked.speed(utt_id)
        if abs(expected_s - told_s) > DURATION_TOLERANCE_S + 1e-5 * expected_s:  # utt2dur has six digits
            place = f"{checked.path}/utt2dur:{given.line_of[utt_id]}"
            text = f"utterance '{utt_id}' takes {expected_s:.2f} s, not {told_s:g} s"
            yield unusable(checked, place, utt_id, text, "make the features anew")


def features(checked: Checked) -> Iterator[Fault]:
    """Entries of feats.scp that cannot be read, and matrices of another size than told."""
    from utils.data_dir.archive import read_feats

    frames, usual = checked.tables.get("utt2num_frames", {}), None
    for place, utt_id, entry in checked.rows("feats.scp"):
        file = re.sub(r":\d+$", "", entry)
        folders = [Path(), *checked.path.resolve().parents]  # an entry is named from the folder of the recipe
        home = next((folder for folder in folders if os.path.isfile(folder / file)), Path())
        try:
            size = read_feats(f"{home / file}{entry[len(file) :]}", utt_id).shape
        except DataError as e:
            yield Fault(place, str(e))
            continue
        if len(size) != 2:
            yield Fault(place, f"utterance '{utt_id}': not a matrix of frames and features", REMAKE)
            continue
        usual = usual or size[1]
        if size[1] != usual:
            yield Fault(place, f"utterance '{utt_id}' has {size[1]} features a frame, others {usual}", REMAKE)
        if frames.get(utt_id, str(size[0])) != str(size[0]):
            text = f"utterance '{utt_id}' has {size[0]} frames, utt2num_frames says {frames[utt_id]}"
            yield Fault(place, text, REMAKE)
    for place, utt_id, _ in checked.rows("utt2num_frames"):
        if utt_id not in checked.tables.get("feats.scp", {}):
            yield Fault(place, f"utterance '{utt_id}' is not in feats.scp", REMAKE)


REMAKE = "make the features anew: steps.make_feats --force"
CHECKS = (
    columns,
    values,
    same_utterances,
    speakers,
    inverse,
    recordings,
    transcripts,
    audio_files,
    sample_rates,
    ends,
    durations,
    repeated_audio,
    features,
)


def in_one_command(path: Path, faults: list[Fault], allowed: list[str]) -> list[Fault]:
    """The faults, whose commands have all options that one of them needs: one run repairs the directory.

    Args:
        path: The directory.
        faults: Of it.
        allowed: Options for what is no fault here, which the repair is not to drop either.
    """
    needed = [o for o in ("--keep first", "--drop-unusable") if any(fix_command(path, o) in f.remedy for f in faults)]
    whole = fix_command(path, *needed, *(allowed if "--drop-unusable" in needed else []))
    for options in ([], ["--keep first"], ["--drop-unusable"]):
        faults = [replace(fault, remedy=fault.remedy.replace(fix_command(path, *options), whole)) for fault in faults]
    return faults


def find_faults(path: Path, has_text: bool = False, has_feats: bool = True, **more: object) -> list[Fault]:
    """All faults of the data directory `path`.

    Args:
        path: The directory.
        has_text: Whether `text` must be there.
        has_feats: Whether to check the tables that go with features, if they are there.
        more: What else `Checked` allows or forbids.
    """
    if not path.is_dir():
        return [Fault(str(path), "not a data directory")]
    tables, faults = scan(path, has_text, has_feats)
    home = () if not (path / "segments").exists() else ("segments",)
    if all(name in tables for name in (*REQUIRED, *home)):
        checked = Checked(path, tables, **more)
        faults += [fault for check in CHECKS for fault in check(checked)]
    options = {"allows_empty_text": "--allow-empty-text", "allows_any_rate": "--any-rate"}
    return in_one_command(path, faults, [option for name, option in options.items() if more.get(name)])
