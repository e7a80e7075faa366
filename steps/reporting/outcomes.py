"""What distillation fixed: each unit of the references, as teacher, twin and distilled student heard it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from steps.scoring.score_set import from_cell
from utils.data_dir.tables import read_lines
from utils.jobs.errors import DataError, StaleError

Pairs = list[tuple[str | None, str | None]]  # (reference, hypothesis) as aligned; None stands for nothing
LENGTHS = ((1, 5), (6, 10), (11, 20), (21, 40), (41, None))  # units of a reference
CLASSES = tuple(f"{low}–{high}" if high else f"{low} or more" for low, high in LENGTHS)
STATES = ("fixed", "broken", "both wrong", "both right")
TAUGHT = "teacher right"  # counted beside the states


def read_alignments(path: Path) -> dict[str, Pairs]:
    """The content of alignments.txt, as steps.score writes it. Raises: StaleError when it has another form."""
    lines, found = [line.split() for line in read_lines(path)], {}
    for ref, hyp in zip(lines[::2], lines[1::2], strict=False):
        if ref[:1] != hyp[:1] or ref[1:2] != ["ref"] or hyp[1:2] != ["hyp"] or len(ref) != len(hyp):
            raise StaleError(f"{path}: '{' '.join(ref[:4])}' is no alignment; run steps.score --force")
        found[ref[0]] = [(from_cell(r), from_cell(h)) for r, h in zip(ref[2:], hyp[2:], strict=True)]
    return found


def check_counts(path: Path, alignments: dict[str, Pairs], score: dict) -> None:
    """Raises DataError when the alignments do not hold the errors that were scored."""
    pairs = [pair for found in alignments.values() for pair in found]
    counts = {
        "ins": sum(ref is None for ref, _ in pairs),
        "del": sum(hyp is None for _, hyp in pairs),
        "sub": sum(None not in pair and pair[0] != pair[1] for pair in pairs),
    }
    if any(counts[key] != score[key] for key in counts):
        scored = {key: score[key] for key in counts}
        raise DataError(f"{path}: holds {counts}, and {scored} were scored; run steps.score --force")


def heard(pairs: Pairs) -> list[tuple[str, str | None]]:
    """Each unit of the reference, and what was heard in its place."""
    return [(ref, hyp) for ref, hyp in pairs if ref is not None]


def num_insertions(pairs: Pairs) -> int:
    """Units that the reference does not have."""
    return sum(ref is None for ref, _ in pairs)


@dataclass
class Outcomes:
    """How many units of the references distillation fixed, broke, or left as they were.

    Attributes:
        total: By state.
        by_teacher: By state, of the units that the teacher has right, and of those that it has wrong.
        by_word: By state, of each unit; and how many of it the teacher has right.
        by_speaker: The same of each speaker.
        by_length: The same by the length of the reference.
        insertions: Of teacher, twin and distilled student.
        agreement: Share of the references' units where twin, and distilled student, heard what the teacher heard.
        gain_of: Errors less in each utterance, insertions counted.
    """

    total: Counter = field(default_factory=Counter)
    by_teacher: dict[str, Counter] = field(default_factory=lambda: {"right": Counter(), "wrong": Counter()})
    by_word: dict[str, Counter] = field(default_factory=dict)
    by_speaker: dict[str, Counter] = field(default_factory=dict)
    by_length: dict[str, Counter] = field(default_factory=dict)
    insertions: list[int] = field(default_factory=lambda: [0, 0, 0])
    agreement: tuple[float, float] = (0.0, 0.0)
    gain_of: dict[str, int] = field(default_factory=dict)


def compare_outcomes(
    teacher: dict[str, Pairs], twin: dict[str, Pairs], distilled: dict[str, Pairs], utt2spk: dict[str, str]
) -> Outcomes:
    """Puts the alignments of three systems on one set side by side.

    Raises: DataError when they are not of the same references.
    """
    found, agreeing = Outcomes(), [0, 0]
    if not teacher.keys() == twin.keys() == distilled.keys():
        raise DataError("teacher, twin and distilled student were not scored on the same utterances")
    for utt_id, pairs in twin.items():
        three = [heard(x) for x in (teacher[utt_id], pairs, distilled[utt_id])]
        refs = [[ref for ref, _ in units] for units in three]
        if refs[0] != refs[1] or refs[1] != refs[2]:
            raise DataError(f"teacher, twin and distilled student were not scored on the same text of '{utt_id}'")
        extra = [num_insertions(x) for x in (teacher[utt_id], pairs, distilled[utt_id])]
        found.insertions = [a + b for a, b in zip(found.insertions, extra, strict=True)]
        gain, speaker = extra[1] - extra[2], utt2spk.get(utt_id, "?")
        for (ref, by_teacher), (_, before), (_, after) in zip(*three, strict=True):
            state = state_of(before == ref, after == ref)
            found.total[state] += 1
            found.by_teacher["right" if by_teacher == ref else "wrong"][state] += 1
            groups = (found.by_word, ref), (found.by_speaker, speaker), (found.by_length, length_of(len(refs[0])))
            for group, name in groups:
                group.setdefault(name, Counter())[state] += 1
                group[name][TAUGHT] += by_teacher == ref
            agreeing = [agreeing[0] + (before == by_teacher), agreeing[1] + (after == by_teacher)]
            gain += (state == "fixed") - (state == "broken")
        found.gain_of[utt_id] = gain
    units = max(sum(found.total.values()), 1)
    found.agreement = (agreeing[0] / units, agreeing[1] / units)
    return found


def state_of(was_right: bool, is_right: bool) -> str:
    """What became of a unit."""
    if was_right:
        return "both right" if is_right else "broken"
    return "fixed" if is_right else "both wrong"


def length_of(size: int) -> str:
    """The class of a reference's length."""
    return next(name for name, (_, high) in zip(CLASSES, LENGTHS, strict=True) if high is None or size <= high)
