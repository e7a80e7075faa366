"""Calibration: whether a recogniser is as often right as it is sure (Guo et al. 2017)."""

from dataclasses import dataclass

import numpy as np

from steps.reporting.outcomes import Pairs
from steps.tokens.token_table import SPACE

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Confidences against outcomes.

    Attributes:
        error: Expected calibration error, in percent: the mean over hypothesised units of |confidence - accuracy| of
            the bin that they fall into.
        confidence: Mean of each bin; nan where it is empty.
        accuracy: Share that is right in each bin.
        counts: Units in each bin.
        left_out: Utterances whose units could not be paired with confidences.
    """

    error: float
    confidence: list[float]
    accuracy: list[float]
    counts: list[int]
    left_out: int


def unit_confidences(hypothesis: dict, tokens_are: str, units_are: str) -> list[float]:
    """The confidence of each unit of errors: that of its least sure token. None are told where tokens are larger.

    Args:
        hypothesis: As nbest.jsonl holds it.
        tokens_are: char, word, phone or bpe.
        units_are: char, word or phone.
    """
    tokens, sure = hypothesis["tokens"], hypothesis.get("confidence", [])
    if len(tokens) != len(sure):
        return []
    if tokens_are == units_are:
        return [value for token, value in zip(tokens, sure, strict=True) if token != SPACE]
    if units_are != "word":
        return []
    words: list[list[float]] = [[]]
    for token, value in zip(tokens, sure, strict=True):
        if token == SPACE or token.startswith("▁"):
            words.append([])
        words[-1] += [value] if token not in (SPACE, "▁") else []
    return [min(word) for word in words if word]


def calibrate(
    entries: dict[str, dict], alignments: dict[str, Pairs], tokens_are: str, units_are: str
) -> Calibration | None:
    """The calibration of a system's best hypotheses; None where they carry no confidences.

    Args:
        entries: Lines of nbest.jsonl.
        alignments: Of the same set.
        tokens_are: char, word, phone or bpe.
        units_are: char, word or phone, which errors are counted in.
    """
    sure, right, left_out = [], [], 0
    for utt_id, pairs in alignments.items():
        units = [(ref, hyp) for ref, hyp in pairs if hyp is not None]
        found = unit_confidences(entries[utt_id]["nbest"][0], tokens_are, units_are) if utt_id in entries else []
        if len(found) != len(units):
            left_out += 1
            continue
        sure += found
        right += [ref == hyp for ref, hyp in units]
    if not sure:
        return None
    confidence, correct = np.array(sure), np.array(right, float)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, x, BINS) / counts for x in (confidence, correct)]
    gaps = np.abs(means[0] - means[1])
    error = 100.0 * float(np.nansum(gaps * counts) / counts.sum())
    return Calibration(error, means[0].tolist(), means[1].tolist(), counts.tolist(), left_out)
