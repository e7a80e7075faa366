"""Counting the errors of 10,000 utterances, against rapidfuzz alone."""

import random
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from bench.rows import Goal, Row, race, time_row
from steps.scoring.errors import count_errors
from steps.scoring.score_set import score_set
from steps.scoring.units import Units

NUM_UTTS = 10_000
NUM_SPEAKERS = 100
ERROR_SHARE = 0.2


def pairs() -> tuple[dict[str, str], dict[str, str]]:
    """Reference and hypothesis of each utterance, five to fifteen words of a vocabulary of 5,000."""
    rng = random.Random(0)
    ref, hyp = {}, {}
    for i in range(NUM_UTTS):
        words = [f"w{rng.randrange(5000)}" for _ in range(rng.randint(5, 15))]
        heard = [f"w{rng.randrange(5000)}" if rng.random() < ERROR_SHARE else word for word in words]
        ref[f"utt{i:05}"], hyp[f"utt{i:05}"] = " ".join(words), " ".join(heard)
    return ref, hyp


def rows(folder: Path) -> list[Row]:
    """Counting alone, and all of score_set: splitting, counting, alignments, bootstrap."""
    ref, hyp = pairs()
    speakers = {utt_id: f"spk{i % NUM_SPEAKERS}" for i, utt_id in enumerate(ref)}
    split = [(ref[utt_id].split(), hyp[utt_id].split()) for utt_id in ref]
    runners = {
        "rapidfuzz": lambda: [Levenshtein.editops(r, h) for r, h in split],
        "count_errors": lambda: [count_errors(r, h) for r, h in split],
        "score_set": lambda: score_set(ref, hyp, speakers, Units("word")),
    }
    seconds = race(runners, 5)
    return [
        time_row(f"scoring, {name}, {NUM_UTTS:,} utterances", seconds[name], seconds["rapidfuzz"], Goal())
        for name in ("count_errors", "score_set")
    ]
