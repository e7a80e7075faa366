"""Systems side by side: what each scores, and how much of the gap to the teacher distillation closed."""

from dataclasses import dataclass, replace

import numpy as np

from steps.scoring.intervals import estimate, num_heard, rates_drawn
from utils.jobs.errors import DataError, StaleError


@dataclass(frozen=True)
class SystemScores:
    """The scores of one system on one set.

    Attributes:
        seeds: Of the runs, in order.
        errors: (N, S) of each seed and speaker.
        ref_units: (S,) of each speaker.
        speakers: Their names, in order.
        references: Of each fold, a hash of what is said and by whom, in the units that are counted.
    """

    seeds: list[int]
    errors: np.ndarray
    ref_units: np.ndarray
    speakers: list[str]
    references: list[str | None]

    @property
    def by_seed(self) -> np.ndarray:
        """(N,) error rate of each seed, in percent."""
        return 100.0 * self.errors.sum(1) / self.ref_units.sum()

    @property
    def num_speakers(self) -> int:
        """Those whose references hold something."""
        return num_heard(self.ref_units)

    def by_draw(self) -> np.ndarray | None:
        """(N,) error rate averaged over seeds, in each bootstrap draw of speakers; None with fewer than two of them."""
        drawn = rates_drawn(self.errors, self.ref_units)
        return None if drawn is None else drawn.mean(0)


def gather(scores: list[list[dict]]) -> SystemScores:
    """Joins score.json contents: one list for each seed, in it one for each fold of a rotated test set.

    Raises: StaleError where seeds were counted against other references.
    """
    references = [[fold.get("references") for fold in folds] for folds in scores]
    if other := next((folds[0] for folds, found in zip(scores, references, strict=True) if found != references[0]), {}):
        told = f"the references of {other['system']}/seed{other['seed']} are not those of its other seeds"
        raise StaleError(f"'{other['set']}': {told}; score again")
    merged = []
    for folds in scores:
        speakers: dict[str, tuple[int, int]] = {}
        for fold in folds:
            for name, counts in fold["per_speaker"].items():
                errors, units = speakers.get(name, (0, 0))
                speakers[name] = (errors + counts["errors"], units + counts["ref_units"])
        merged.append(speakers)
    names = sorted(merged[0], key=str.encode)
    return SystemScores(
        [folds[0]["seed"] for folds in scores],
        np.array([[speakers[name][0] for name in names] for speakers in merged]),
        np.array([merged[0][name][1] for name in names]),
        names,
        references[0],
    )


def describe(scores: SystemScores) -> dict:
    """The figures of one system: mean over seeds, its interval, each seed, standard deviation."""
    rates = scores.by_seed
    drawn = scores.by_draw()
    found = estimate(float(rates.mean()), rates, drawn, scores.num_speakers)
    interval = found.interval or (list(found.speaker_interval) if found.speaker_interval else None)
    return {
        "error_rate": round(float(rates.mean()), 4),
        "ci95": [max(0.0, round(x, 4)) for x in interval] if interval else None,  # no rate is below 0
        "seeds": [round(float(rate), 4) for rate in rates],
        "sd": round(float(rates.std(ddof=1)), 4) if len(rates) > 1 else None,
    }


def paired(a: SystemScores, b: SystemScores) -> tuple[np.ndarray, np.ndarray | None]:
    """a - b: (N,) of each seed, or of a's seeds against b's mean where these are others; (NUM_DRAWS,) of the draws."""
    if a.seeds == b.seeds:
        by_seed = a.by_seed - b.by_seed
    else:
        by_seed = a.by_seed - b.by_seed.mean()
    left, right = a.by_draw(), b.by_draw()
    return by_seed, None if left is None else left - right


def gap_closed(
    teacher: SystemScores, twin: SystemScores, gain: float, gain_by_seed: np.ndarray, gain_by_draw: np.ndarray | None
) -> tuple[float | None, list[float] | None]:
    """The share of the gap between twin and teacher that a gain closes, and its interval; None without a gap."""
    gap_by_seed, gap_by_draw = paired(twin, teacher)
    gap = estimate(float(twin.by_seed.mean() - teacher.by_seed.mean()), gap_by_seed, gap_by_draw, twin.num_speakers)
    if not gap.is_above_zero():
        return None, None
    closed = gain / gap.value
    # delta method: of the ratios themselves one draw with a gap near 0 would set the interval
    by_seed, by_draw = (
        closed + (gains - closed * gaps) / gap.value
        for gains, gaps in ((gain_by_seed, gap_by_seed), (gain_by_draw, gap_by_draw))
    )
    return round(closed, 4), estimate(closed, by_seed, by_draw, twin.num_speakers).interval


def on_seeds(scores: SystemScores, seeds: list[int]) -> SystemScores:
    """The runs of these seeds."""
    return replace(scores, seeds=seeds, errors=scores.errors[[scores.seeds.index(seed) for seed in seeds]])


def compare(teacher: SystemScores | None, twin: SystemScores, distilled: SystemScores) -> dict:
    """What distillation gained over the twin, and the share of the gap to the teacher that it closed.

    Twin and student are compared on the seeds that they share. There is no gap to a teacher that writes nothing.

    Raises: DataError when they share none.
    """
    shared = sorted(set(twin.seeds) & set(distilled.seeds))
    if not shared:
        raise DataError(f"seeds {twin.seeds} and {distilled.seeds} have none in common; run the same ones of both")
    twin, distilled = on_seeds(twin, shared), on_seeds(distilled, shared)
    gain_by_seed, gain_by_draw = paired(twin, distilled)
    mean_gain = float(twin.by_seed.mean() - distilled.by_seed.mean())
    gain = estimate(mean_gain, gain_by_seed, gain_by_draw, twin.num_speakers)
    closed, interval = gap_closed(teacher, twin, gain.value, gain_by_seed, gain_by_draw) if teacher else (None, None)
    return {
        "seeds": shared,
        "gap_closed": closed,
        "gap_closed_ci95": interval,
        "relative_reduction": round(gain.value / float(twin.by_seed.mean()), 4) if twin.by_seed.mean() else None,
        "absolute_gain": round(gain.value, 4),
        "absolute_gain_ci95": gain.interval,
        "p_value": round(gain.p_value, 5) if gain.is_decidable else None,
        "better": gain.is_above_zero(),
    }
