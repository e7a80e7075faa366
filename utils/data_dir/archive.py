"""Archives of feature matrices: the one place that writes and reads them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import kaldiio
import numpy as np

from utils.jobs.errors import DataError

TWO_BYTES = 3  # Kaldi's number for 16 bits a value
SPEECH_FEATURE = 2  # Kaldi's number for 8 bits a value, on a scale of each column's own


def write_archive(
    path: Path, final: Path, feats: Iterable[tuple[str, np.ndarray]], compress: bool, method: int = SPEECH_FEATURE
) -> dict[str, str]:
    """Writes matrices to an ark file and returns their feats.scp entries.

    Args:
        path: The file to write.
        final: Where the file will lie in the end, as feats.scp names it.
        feats: Utterance ids with float32 matrices (T, F).
        compress: Whether to use Kaldi's compression.
        method: Kaldi's number of it.
    """
    places = {}
    with open(path, "wb") as f:
        for utt_id, matrix in feats:
            places[utt_id] = f"{final}:{f.tell() + len(utt_id.encode()) + 1}"
            kaldiio.save_ark(f, {utt_id: matrix}, compression_method=method if compress and len(matrix) else None)
    return places


def read_archive(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The utterance ids and matrices of an archive that was just written, one after another."""
    return kaldiio.load_ark(str(path))


_OPEN = kaldiio.utils.LimitedSizeDict(64)  # archives that stay open, by path
os.register_at_fork(after_in_child=_OPEN.data.clear)  # else processes would move each other's place in a file


def read_feats(entry: str, utt_id: str = "") -> np.ndarray:
    """The float32 matrix (T, F) of a feats.scp entry. Raises: DataError when it cannot be read."""
    if entry.rstrip().endswith("|") or entry.lstrip().startswith("|"):  # kaldiio would run it
        raise DataError(f"{entry}: features of '{utt_id}' come from a pipe, which is never run")
    try:
        return kaldiio.load_mat(entry, fd_dict=_OPEN)
    except (OSError, ValueError, AssertionError, RuntimeError, EOFError, IndexError) as e:
        raise DataError(f"{entry}: features of '{utt_id}' cannot be read ({e}); run steps.make_feats --force") from None
