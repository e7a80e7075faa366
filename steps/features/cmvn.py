"""Mean and variance of features: of a set, in Kaldi's text format of statistics, of a speaker, or of an utterance."""

from pathlib import Path

import numpy as np

from utils.data_dir.archive import read_feats
from utils.jobs.errors import DataError

MIN_VARIANCE = 1e-8
LEAST_SD = 0.1  # of the median bin's


def stats_of(feats: np.ndarray) -> np.ndarray:
    """Kaldi's CMVN statistics of a matrix (T, F): float64, shape (2, F + 1).

    Row 0 holds the sum of each feature and the number of frames, row 1 the sum of squares and 0.
    """
    x = feats.astype(np.float64)
    return np.stack([np.append(x.sum(0), len(x)), np.append((x * x).sum(0), 0.0)])


def apply_cmvn(feats: np.ndarray, stats: np.ndarray, norm_vars: bool) -> np.ndarray:
    """Features without the mean that statistics give, and with `norm_vars` of variance 1: float32, shape (T, F).

    A feature that never changes becomes 0.

    Source: Kaldi's apply-cmvn.
    """
    if not len(feats):
        return feats
    mean = stats[0, :-1] / stats[0, -1]
    x = feats - mean
    if norm_vars:
        x /= np.sqrt(np.maximum(stats[1, :-1] / stats[0, -1] - mean**2, MIN_VARIANCE))
    return x.astype(np.float32)


def accumulate(feats_scp: dict[str, str]) -> np.ndarray:
    """The statistics of a whole archive, float64, shape (2, F + 1)."""
    return np.asarray(sum(stats_of(read_feats(entry, utt_id)) for utt_id, entry in feats_scp.items()))


def write_cmvn(path: Path, stats: np.ndarray) -> None:
    """Writes statistics as a Kaldi text matrix."""
    rows = ["  " + " ".join(f"{x:.10g}" for x in row) for row in stats]
    path.write_text(" [\n" + "\n".join(rows) + " ]\n")


def read_cmvn(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each bin, float32, shape (F,). Raises: DataError when malformed."""
    try:
        text = path.read_text().replace("[", " ").replace("]", " ")
        stats = np.array([line.split() for line in text.splitlines() if line.strip()], np.float64)
        return moments(stats)
    except (OSError, ValueError, IndexError) as e:
        raise DataError(f"{path}: not a matrix of CMVN statistics ({e}); run steps.compute_cmvn --force") from None


def moments(stats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each bin from statistics (2, F + 1), float32, shape (F,).

    A bin that hardly changes, as those above the band of a telephone line, is not blown up: its deviation counts as
    at least a tenth of a usual bin's.
    """
    count = stats[0, -1]
    mean = stats[0, :-1] / count
    variance = stats[1, :-1] / count - mean**2
    sd = np.sqrt(np.maximum(variance, MIN_VARIANCE))
    return mean.astype(np.float32), np.maximum(sd, LEAST_SD * np.median(sd)).astype(np.float32)
