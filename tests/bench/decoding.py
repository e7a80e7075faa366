"""Decoding of the student against that of its teachers: features from an archive, model, greedy search."""

from pathlib import Path

from bench import systems
from bench.rows import Goal, Row, race, speed_row
from bench.speech import random_examples
from steps.decoding.decode_set import decode_set

REFERENCES = {"teacher, bidirectional LSTM": systems.TEACHER, "teacher, Conformer": systems.CONFORMER}


def rows(folder: Path) -> list[Row]:
    """A row for each teacher; above 1 the student is faster."""
    examples = random_examples(folder, 100, systems.NUM_TOKENS)
    feats, num_frames = {e.utt_id: e.feats for e in examples}, {e.utt_id: e.num_frames for e in examples}
    models = {"student": systems.loaded(systems.STUDENT)} | {k: systems.loaded(v) for k, v in REFERENCES.items()}
    runners = {name: (lambda m=m: decode_set(m, feats, num_frames, "cpu")) for name, m in models.items()}
    seconds = race(runners, 5)
    duration_s = sum(num_frames.values()) / 100
    return [
        speed_row(
            f"decoding, student, LSTM / {name}", duration_s, seconds["student"], seconds[name], Goal(), "x real time"
        )
        for name in REFERENCES
    ]
