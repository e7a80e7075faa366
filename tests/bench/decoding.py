"""Decoding of the student against that of its teachers: features from an archive, model, greedy search; and by a beam.

The weights are random, so that many hypotheses are close to one another: a beam is faster on speech.
"""

from pathlib import Path

from bench import systems
from bench.rows import Goal, Row, race, speed_row
from bench.speech import random_examples
from steps.config.schema import DecodeConfig
from steps.decoding.decode_set import decode_set

BEAM = DecodeConfig("beam")
REFERENCES = {"teacher, bidirectional LSTM": systems.TEACHER, "teacher, Conformer": systems.CONFORMER}


def rows(folder: Path) -> list[Row]:
    """A row for each teacher; above 1 the student is faster."""
    examples = random_examples(folder, 100, systems.NUM_TOKENS)
    feats, num_frames = {e.utt_id: e.feats for e in examples}, {e.utt_id: e.num_frames for e in examples}
    models = {"student": systems.loaded(systems.STUDENT)} | {k: systems.loaded(v) for k, v in REFERENCES.items()}
    runners = {name: (lambda m=m: decode_set(m, feats, num_frames, "cpu")) for name, m in models.items()}
    runners["beam"] = lambda: decode_set(models["student"], feats, num_frames, "cpu", BEAM)
    seconds = race(runners, 5)
    duration_s = sum(num_frames.values()) / 100
    compared = {f"/ {name}": ("student", name) for name in REFERENCES}
    compared[f"beam of {BEAM.beam_size} / greedy"] = ("beam", "student")
    return [
        speed_row(
            f"decoding, student, LSTM {name}",
            duration_s,
            seconds[ours],
            seconds[reference],
            Goal(),
            "x real time",
        )
        for name, (ours, reference) in compared.items()
    ]
