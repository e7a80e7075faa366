"""Archives of feature matrices: the one place that writes and reads them."""

from pathlib import Path

import kaldiio
import numpy as np

from utils.jobs.errors import DataError


def write_archive(path: Path, final: Path, feats: list[tuple[str, np.ndarray]], compress: bool) -> dict[str, str]:
    """Writes matrices to an ark file and returns their feats.scp entries.

    Args:
        path: The file to write.
        final: Where the file will lie in the end, as feats.scp names it.
        feats: Utterance ids with float32 matrices (T, F).
        compress: Kaldi's 8-bit compression.
    """
    scp = path.with_suffix(".scp")
    with kaldiio.WriteHelper(f"ark,scp:{path},{scp}", compression_method=3 if compress else None) as writer:
        for utt_id, matrix in feats:
            writer(utt_id, matrix)
    offsets = [line.rsplit(":", 1)[1] for line in scp.read_text().splitlines()]
    scp.unlink()
    return {utt_id: f"{final}:{offset}" for (utt_id, _), offset in zip(feats, offsets, strict=True)}


_OPEN = kaldiio.utils.LimitedSizeDict(64)  # archives that stay open, by path


def read_feats(entry: str, utt_id: str = "") -> np.ndarray:
    """The float32 matrix (T, F) of a feats.scp entry. Raises: DataError when it cannot be read."""
    try:
        return kaldiio.load_mat(entry, fd_dict=_OPEN)
    except (OSError, ValueError, AssertionError, RuntimeError, EOFError, IndexError) as e:
        raise DataError(f"{entry}: features of '{utt_id}' cannot be read ({e}); run steps.make_feats --force") from None
