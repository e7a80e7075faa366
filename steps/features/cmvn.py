"""Global mean and variance of features, in Kaldi's text format of statistics."""

from pathlib import Path

import numpy as np

from utils.data_dir.archive import read_feats
from utils.jobs.errors import DataError


def accumulate(feats_scp: dict[str, str]) -> np.ndarray:
    """Kaldi's global CMVN statistics of an archive: float64, shape (2, F + 1).

    Row 0 holds the sum of each bin and the number of frames, row 1 the sum of squares and 0.
    """
    total: np.ndarray | float = 0.0
    for utt_id, entry in feats_scp.items():
        x = read_feats(entry, utt_id).astype(np.float64)  # (T, F)
        total = total + np.stack([np.append(x.sum(0), len(x)), np.append((x * x).sum(0), 0.0)])
    return np.asarray(total)


def write_cmvn(path: Path, stats: np.ndarray) -> None:
    """Writes statistics as a Kaldi text matrix."""
    rows = ["  " + " ".join(f"{x:.10g}" for x in row) for row in stats]
    path.write_text(" [\n" + "\n".join(rows) + " ]\n")


def read_cmvn(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each bin, float32, shape (F,). Raises: DataError when malformed."""
    try:
        text = path.read_text().replace("[", " ").replace("]", " ")
        stats = np.array([line.split() for line in text.splitlines() if line.strip()], np.float64)
        count = stats[0, -1]
        mean = stats[0, :-1] / count
        variance = stats[1, :-1] / count - mean**2
    except (OSError, ValueError, IndexError) as e:
        raise DataError(f"{path}: not a matrix of CMVN statistics ({e}); run steps.compute_cmvn --force") from None
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1e-8)).astype(np.float32)
