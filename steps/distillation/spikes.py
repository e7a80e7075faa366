"""How teacher and student line up in time: the offset of their spikes, and how often each is blank."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from steps.decoding.greedy import spikes


@dataclass(frozen=True)
class SpikeOffset:
    """Offsets of the student's spikes after the teacher's, in frames, over labels that both emit.

    Attributes:
        median: Above 0 when the student emits later; nan when they share no label.
        low: First quartile.
        high: Third quartile.
        labels: How many labels were compared.
        teacher_blank: Share of frames in which the teacher's best token is blank.
        student_blank: The same of the student.
    """

    median: float
    low: float
    high: float
    labels: int
    teacher_blank: float
    student_blank: float

    def __str__(self) -> str:
        return (
            f"student after teacher by {self.median:+.1f} frames (quartiles {self.low:+.1f}, {self.high:+.1f}; "
            f"{self.labels:,} labels), blank share: teacher {self.teacher_blank:.2f}, student {self.student_blank:.2f}"
        )


def offsets(teacher: list[tuple[int, int]], student: list[tuple[int, int]]) -> list[int]:
    """Frames from the teacher's to the student's spike, for labels that a Levenshtein alignment pairs."""
    blocks = Levenshtein.opcodes([t for t, _ in teacher], [t for t, _ in student])
    found = []
    for block in blocks:
        if block.tag == "equal":
            pairs = zip(
                teacher[block.src_start : block.src_end], student[block.dest_start : block.dest_end], strict=True
            )
            found += [s[1] - t[1] for t, s in pairs]
    return found


def compare_spikes(pairs: Iterable[tuple[np.ndarray, np.ndarray]], blank_id: int) -> SpikeOffset:
    """Lines up (teacher, student) best paths, each of shape (U,)."""
    found, blanks, frames = [], np.zeros(2), 0
    for teacher, student in pairs:
        found += offsets(spikes(teacher, blank_id), spikes(student, blank_id))
        blanks += [(teacher == blank_id).sum(), (student == blank_id).sum()]
        frames += len(teacher)
    low, median, high = np.percentile(found, [25, 50, 75]) if found else [float("nan")] * 3
    shares = blanks / max(frames, 1)
    return SpikeOffset(float(median), float(low), float(high), len(found), float(shares[0]), float(shares[1]))
