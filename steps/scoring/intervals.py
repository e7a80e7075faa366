"""Intervals of error rates and of their differences.

Utterances of one speaker fail together, so speakers are drawn, not utterances; and seeds differ, so a difference
must hold over both (DESIGN: a bootstrap alone calls a third of equal systems different, a paired t over seeds 5 %).
"""

import math
from dataclasses import dataclass

import numpy as np

NUM_DRAWS = 2000
MIN_SPEAKERS = 2
MIN_SEEDS = 3  # for a verdict


def draws(num_speakers: int) -> np.ndarray:
    """(NUM_DRAWS, S) how often each speaker is drawn. The same for the same number of speakers."""
    generator = np.random.default_rng(0)
    return generator.multinomial(num_speakers, np.full(num_speakers, 1 / num_speakers), NUM_DRAWS)


def pooled(errors: np.ndarray, ref_units: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Error rates in percent: (..., S) counts and (N, S) weights -> (..., N)."""
    return 100.0 * (errors @ weights.T) / np.maximum(ref_units @ weights.T, 1)


def speaker_bootstrap(errors: np.ndarray, ref_units: np.ndarray) -> list[float] | None:
    """95 % interval of an error rate by a bootstrap over speakers; None with fewer than two of them.

    Args:
        errors: (S,) of each speaker.
        ref_units: (S,) of each speaker.
    """
    if len(errors) < MIN_SPEAKERS:
        return None
    low, high = np.percentile(pooled(errors, ref_units, draws(len(errors))), [2.5, 97.5])
    return [round(float(low), 4), round(float(high), 4)]


@dataclass(frozen=True)
class Estimate:
    """A figure with the variance that seeds and speakers give it.

    Attributes:
        value: The figure.
        seed_interval: Over seeds, paired t; None with one seed.
        speaker_interval: Over speakers, bootstrap percentiles; None with one speaker.
        num_seeds: How many there are.
        p_value: Of a figure of 0, two-sided: the greater one of the paired t-test over seeds and of the bootstrap over
            speakers; 1 where either is missing.
        interval: Both variances added, with Satterthwaite's degrees of freedom; None if either is missing.
    """

    value: float
    seed_interval: tuple[float, float] | None
    speaker_interval: tuple[float, float] | None
    interval: list[float] | None
    num_seeds: int
    p_value: float = 1.0

    def is_above_zero(self) -> bool:
        """Whether the seeds and the speakers both say so."""
        both = (self.seed_interval, self.speaker_interval)
        return self.num_seeds >= MIN_SEEDS and all(part is not None and part[0] > 0 for part in both)


def estimate(value: float, by_seed: np.ndarray, by_draw: np.ndarray | None) -> Estimate:
    """Joins what seeds and speakers say of a figure.

    Args:
        value: The figure.
        by_seed: (N,) of each seed.
        by_draw: (NUM_DRAWS,) of each bootstrap draw of speakers, averaged over seeds; None with one speaker.
    """
    from scipy.stats import t

    seeds, speakers, both = None, None, None
    p_values = [1.0, 1.0]
    if len(by_seed) > 1:
        error = by_seed.std(ddof=1) / math.sqrt(len(by_seed))
        p_values[0] = float(2 * t.sf(abs(value) / error, len(by_seed) - 1)) if error else float(value == 0)
        reach = t.ppf(0.975, len(by_seed) - 1) * error
        seeds = (value - reach, value + reach)
    if by_draw is not None:
        low, high = np.percentile(by_draw, [2.5, 97.5])
        speakers = (float(low), float(high))
        tail = min((by_draw <= 0).sum(), (by_draw >= 0).sum())
        p_values[1] = min(1.0, float(2 * (1 + tail) / (1 + len(by_draw))))
    if seeds and speakers:
        parts = (error**2, float(by_draw.var()))
        total = sum(parts)
        freedom = total**2 / (parts[0] ** 2 / (len(by_seed) - 1)) if parts[0] else math.inf
        reach = t.ppf(0.975, freedom) * math.sqrt(total)
        both = [round(float(value - reach), 4), round(float(value + reach), 4)]
    return Estimate(value, seeds, speakers, both, len(by_seed), max(p_values))


def holm(p_values: list[float]) -> list[float]:
    """The p-values corrected for their number, in the same order (Holm 1979)."""
    order, found, least = sorted(range(len(p_values)), key=p_values.__getitem__), [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = least
    return found
