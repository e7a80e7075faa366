"""Which utterances of untranscribed audio a term keeps, by what the teacher writes (Kahn et al. 2020)."""

import math
from dataclasses import dataclass
from statistics import mean

from rapidfuzz.distance import Levenshtein

from steps.config.schema import FilterConfig
from steps.distillation.transcripts import TranscriptStore
from utils.jobs.errors import StaleError

LEAST = 1e-4  # probability of a token, which nbest.jsonl rounds


@dataclass(frozen=True)
class Told:
    """What a teacher's transcript of one utterance is judged by.

    Attributes:
        confidence: Geometric mean of the probabilities of its tokens, from 0 to 1.
        rate: Words or phones per second.
        difference: From a second transcript: errors per word or phone of the first; 0 without one.
    """

    confidence: float
    rate: float
    difference: float = 0.0


def confidence_of(hypothesis: dict) -> float:
    """Of a hypothesis as nbest.jsonl holds it: the geometric mean of the probabilities of its tokens.

    Where these are not told it is (its own probability) ^ (1 / (tokens + 1)); the end counts as one.
    """
    if sure := hypothesis.get("confidence"):
        return math.exp(mean(math.log(max(value, LEAST)) for value in sure))
    size = len(hypothesis["tokens"]) or len(hypothesis["text"].split())
    return math.exp(min(hypothesis["score"], 0.0) / (size + 1))


def difference_of(text: str, other: str) -> float:
    """Errors of one transcript against another, per unit of the first; two empty ones are equal."""
    units = text.split()
    return Levenshtein.distance(units, other.split()) / max(len(units), 1)


def second_transcripts(stores: list[TranscriptStore], settings: FilterConfig) -> dict[str, str] | None:
    """What the first teacher's transcripts must agree with: another's, or its own best paths; None for nothing.

    Raises: StaleError when one writes phones and the other words.
    """
    if len(stores) > 1:
        if stores[0].unit != stores[1].unit:
            told = f"{stores[0].unit}s, which cannot agree with {stores[1].unit}s of {stores[1].folders[0]}"
            raise StaleError(f"{stores[0].folders[0]}: holds {told}; choose another agree_with")
        return stores[1].texts
    return stores[0].greedy() if settings.agree_with else None


def judge(store: TranscriptStore, seconds: dict[str, float], other: dict[str, str] | None = None) -> dict[str, Told]:
    """All utterances that have a length.

    Args:
        store: What the teacher writes.
        seconds: Of each utterance.
        other: A second transcript of each.
    """
    found = {}
    for utt_id, nbest in store.read_nbest().items():
        if utt_id not in seconds:
            continue
        text = nbest[0]["text"]
        difference = difference_of(text, other.get(utt_id, "")) if other is not None else 0.0
        found[utt_id] = Told(confidence_of(nbest[0]), len(text.split()) / max(seconds[utt_id], 1e-9), difference)
    return found


def kept(told: dict[str, Told], settings: FilterConfig) -> set[str]:
    """The utterances that pass all filters, and of these the most confident share."""
    passing = [
        utt_id
        for utt_id, t in told.items()
        if t.confidence >= settings.min_confidence
        and t.difference <= settings.max_difference
        and settings.min_rate <= t.rate <= (settings.max_rate or math.inf)
    ]
    passing.sort(key=lambda utt_id: (-told[utt_id].confidence, utt_id))
    return set(passing[: math.ceil(round(settings.keep * len(passing), 6))])
