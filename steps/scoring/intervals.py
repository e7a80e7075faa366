"""Intervals of error rates and of their differences.

Utterances of one speaker fail together, so speakers are drawn, not utterances; and seeds differ, so a difference
must hold over both: a bootstrap alone calls a third of equal systems different. Each of these tests leaves out the
other's variance, so that it must hold with both added, too.
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


def num_heard(ref_units: np.ndarray) -> int:
    """The speakers whose references, (S,), hold something."""
    return int((ref_units > 0).sum())


def rates_drawn(errors: np.ndarray, ref_units: np.ndarray) -> np.ndarray | None:
    """(..., N) error rates in percent in bootstrap draws of speakers; None where fewer than two of them say something.

    A draw of speakers whose references hold nothing has no rate, and is left out.

    Args:
        errors: (..., S) of each speaker.
        ref_units: (S,) of each speaker.
    """
    if num_heard(ref_units) < MIN_SPEAKERS:
        return None
    weights = draws(len(ref_units))
    return pooled(errors, ref_units, weights[weights @ ref_units > 0])


def speaker_interval(errors: np.ndarray, ref_units: np.ndarray) -> list[float] | None:
    """95 % interval of an error rate over speakers; None with fewer than two who say something.

    Args:
        errors: (S,) of each speaker.
        ref_units: (S,) of each speaker.
    """
    drawn = rates_drawn(errors, ref_units)
    if drawn is None:
        return None
    low, high = of_speakers(drawn, num_heard(ref_units)).interval(100.0 * errors.sum() / ref_units.sum())
    return [round(max(0.0, low), 4), round(high, 4)]


@dataclass(frozen=True)
class Spread:
    """The variance of a mean, and the degrees of freedom that it was estimated with."""

    variance: float
    freedom: float

    def interval(self, value: float) -> tuple[float, float]:
        """95 % around a value, by Student's t."""
        from scipy.special import stdtrit

        reach = float(stdtrit(self.freedom, 0.975)) * math.sqrt(self.variance)
        return value - reach, value + reach

    def p_value(self, value: float) -> float:
        """Of 0, two-sided, by the t-test."""
        from scipy.special import stdtr

        if not self.variance:
            return float(value == 0)
        return float(2 * stdtr(self.freedom, -abs(value) / math.sqrt(self.variance)))

    def __add__(self, other: "Spread") -> "Spread":
        """That of the sum of two independent deviations (Satterthwaite 1946)."""
        total = self.variance + other.variance
        parts = self.variance**2 / self.freedom + other.variance**2 / other.freedom
        return Spread(total, total**2 / parts if parts else min(self.freedom, other.freedom))


def of_seeds(by_seed: np.ndarray) -> Spread:
    """Of the mean of (N,) figures, one for each seed."""
    return Spread(float(by_seed.var(ddof=1)) / len(by_seed), len(by_seed) - 1)


def of_speakers(by_draw: np.ndarray, num_speakers: int) -> Spread:
    """Of a figure, from its values in bootstrap draws, (NUM_DRAWS,).

    Draws from S speakers vary by (S - 1) / S of the variance that S drawn from all people have (Efron 1982), and their
    percentiles take it for known; with few speakers intervals would be much too narrow.
    """
    return Spread(float(by_draw.var()) * num_speakers / (num_speakers - 1), num_speakers - 1)


@dataclass(frozen=True)
class Estimate:
    """A figure with the variance that seeds and speakers give it.

    Attributes:
        value: The figure.
        seed_interval: Over seeds, paired t; None with one seed.
        speaker_interval: Over speakers, bootstrap and t; None with one speaker.
        num_seeds: How many there are.
        p_value: Of a figure of 0, two-sided: the greatest one of the tests over seeds, over speakers, and with both
            variances added; 1 where either is missing.
        interval: Both variances added; None if either is missing.
    """

    value: float
    seed_interval: tuple[float, float] | None
    speaker_interval: tuple[float, float] | None
    interval: list[float] | None
    num_seeds: int
    p_value: float = 1.0

    @property
    def is_decidable(self) -> bool:
        """Whether there are seeds and speakers enough for a verdict."""
        return self.num_seeds >= MIN_SEEDS and self.interval is not None

    def is_above_zero(self) -> bool:
        """Whether the seeds, the speakers, and both together say so."""
        return self.is_decidable and self.value > 0 and self.p_value < 0.05


def estimate(value: float, by_seed: np.ndarray, by_draw: np.ndarray | None, num_speakers: int) -> Estimate:
    """Joins what seeds and speakers say of a figure.

    Args:
        value: The figure.
        by_seed: (N,) of each seed.
        by_draw: (NUM_DRAWS,) of each bootstrap draw of speakers, averaged over seeds; None with one speaker.
        num_speakers: Whom the draws are from.
    """
    seeds = of_seeds(by_seed) if len(by_seed) > 1 else None
    speakers = of_speakers(by_draw, num_speakers) if by_draw is not None else None
    both = seeds + speakers if seeds and speakers else None
    return Estimate(
        value,
        seeds and seeds.interval(value),
        speakers and speakers.interval(value),
        both and [round(end, 4) for end in both.interval(value)],
        len(by_seed),
        max(part.p_value(value) if part else 1.0 for part in (seeds, speakers, both)),
    )


def holm(p_values: list[float]) -> list[float]:
    """The p-values corrected for their number, in the same order (Holm 1979)."""
    order, found, least = sorted(range(len(p_values)), key=p_values.__getitem__), [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = least
    return found
