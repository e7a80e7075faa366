"""The errors of a set: pooled, per speaker, and aligned utterance by utterance."""

import hashlib
from pathlib import Path

import numpy as np

from steps.scoring.errors import Errors, align, count_errors
from steps.scoring.intervals import speaker_interval
from steps.scoring.units import Units
from utils.jobs.errors import DataError

NOTHING = "***"  # stands in the place of a unit that one side lacks


def check_ids(ref: dict[str, str], hyp: dict[str, str], allow_missing: bool) -> list[str]:
    """The references without hypothesis. Raises: DataError when they are not allowed, or a hypothesis is extra."""
    missing, extra = [u for u in ref if u not in hyp], [u for u in hyp if u not in ref]
    if extra:
        raise DataError(f"{len(extra)} hypotheses without reference: {', '.join(extra[:5])}; decode this set again")
    if missing and not allow_missing:
        shown = ", ".join(missing[:5])
        raise DataError(f"{len(missing)} references without hypothesis: {shown}; decode again, or --allow-missing")
    return missing


def check_speakers(ref: dict[str, str], utt2spk: dict[str, str], data_dir: Path) -> None:
    """Raises DataError when a transcript belongs to no speaker."""
    lost = [utt_id for utt_id in ref if utt_id not in utt2spk]
    if lost:
        told = f"utterance '{lost[0]}' is not in utt2spk; run: python3 -m utils.fix_data_dir {data_dir}"
        raise DataError(f"{data_dir}/text: {told}")


def score_set(ref: dict[str, str], hyp: dict[str, str], utt2spk: dict[str, str], units: Units) -> tuple[dict, str]:
    """(the figures of score.json, the alignments as text). A missing hypothesis counts as empty.

    Raises: DataError when the references hold no unit at all: an error rate of them is undefined.
    """
    per_speaker: dict[str, Errors] = {}
    lines, said = [], []
    for utt_id, text in ref.items():
        wanted, found = units.split(text), units.split(hyp.get(utt_id, ""))
        speaker = utt2spk[utt_id]
        per_speaker[speaker] = per_speaker.get(speaker, Errors()) + count_errors(wanted, found)
        lines += alignment_lines(utt_id, wanted, found)
        said.append(f"{speaker} {' '.join(wanted)}\n")
    total = sum(per_speaker.values(), Errors())
    if total.ref_units == 0:
        raise DataError(f"the references hold no {units.name}: the error rate is undefined")
    speakers = list(per_speaker.values())
    interval = speaker_interval(np.array([e.errors for e in speakers]), np.array([e.ref_units for e in speakers]))
    figures = {
        "unit": units.name,
        "normalisation": units.normalisation,
        "references": hashlib.sha256("".join(sorted(said)).encode()).hexdigest(),  # whatever the utterances' ids
        **named(total),
        "error_rate": total.error_rate,
        "utterance_error_rate": 100.0 * total.wrong_utterances / total.utterances,
        "ci95": interval,
        "per_speaker": {speaker: named(per_speaker[speaker]) for speaker in sorted(per_speaker, key=str.encode)},
    }
    return figures, "".join(lines)


def named(errors: Errors) -> dict[str, int]:
    """Counts by the names of score.json."""
    return {
        "utterances": errors.utterances,
        "wrong_utterances": errors.wrong_utterances,
        "ref_units": errors.ref_units,
        "errors": errors.errors,
        "ins": errors.ins,
        "del": errors.dels,
        "sub": errors.sub,
    }


def to_cell(unit: str | None) -> str:
    """A unit in a column; one that looks like nothing gets one more asterisk."""
    return NOTHING if not unit else unit + "*" if is_starred(unit) else unit


def from_cell(cell: str) -> str | None:
    """What stands in a column."""
    return None if cell == NOTHING else cell[:-1] if is_starred(cell) else cell


def is_starred(text: str) -> bool:
    """Whether a text is made of as many asterisks as nothing is, or more."""
    return len(text) >= len(NOTHING) and not text.strip("*")


def alignment_lines(utt_id: str, ref: list[str], hyp: list[str]) -> list[str]:
    """Two lines for an utterance, the units in columns; `***` stands for nothing."""
    pairs = [(to_cell(r), to_cell(h)) for r, h in align(ref, hyp)]
    widths = [max(len(r), len(h)) for r, h in pairs]
    left = " ".join(r.ljust(w) for (r, _), w in zip(pairs, widths, strict=True))
    right = " ".join(h.ljust(w) for (_, h), w in zip(pairs, widths, strict=True))
    return [f"{utt_id} ref {left.rstrip()}\n", f"{utt_id} hyp {right.rstrip()}\n"]
