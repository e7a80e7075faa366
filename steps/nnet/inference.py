"""Running a model over the utterances of a feats.scp, in batches of near-equal length."""

from collections.abc import Iterator

import numpy as np
import torch

from steps.nnet.device import room_for
from steps.nnet.model import Recogniser
from steps.nnet.output import ModelOutput
from utils.data_dir.archive import read_feats
from utils.jobs.errors import DataError

MAX_FRAMES = 8000  # of a batch, padding counted


def pad(matrices: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices (T_i, F) -> (B, T, F) padded with 0, and (B,) lengths. T is at least 1."""
    lengths = torch.tensor([len(m) for m in matrices])
    padded = np.zeros((len(matrices), max(1, int(lengths.max())), matrices[0].shape[1]), np.float32)
    for row, matrix in zip(padded, matrices, strict=True):
        row[: len(matrix)] = matrix
    return torch.from_numpy(padded), lengths


def batches_by_length(num_frames: dict[str, int], max_frames: int = MAX_FRAMES) -> list[list[str]]:
    """Utterance ids in batches of at most `max_frames` with padding, the longest first."""
    ordered = sorted(num_frames, key=lambda u: (-num_frames[u], u))
    batches: list[list[str]] = []
    for utt_id in ordered:
        longest = num_frames[batches[-1][0]] if batches else 0
        if batches and longest * (len(batches[-1]) + 1) <= max_frames:
            batches[-1].append(utt_id)
        else:
            batches.append([utt_id])
    return batches


def check_lengths(model: Recogniser, num_frames: dict[str, int]) -> None:
    """Raises DataError naming the first utterance that is longer than the encoder hears."""
    limit = getattr(model.encoder, "max_samples", None)
    for utt_id, frames in num_frames.items() if limit else ():
        if frames > limit:
            seconds = limit * model.feature_shift_ms / 1000
            told = f"of {frames * model.feature_shift_ms / 1000:.1f} s, and the encoder hears {seconds:g} s at once"
            cut = "cut it, run: python3 -m utils.resegment_data_dir --help"
            raise DataError(f"utterance '{utt_id}': {told}; {cut}")


@torch.inference_mode()
def run_model(
    model: Recogniser, feats_scp: dict[str, str], num_frames: dict[str, int], device: str = "cpu"
) -> Iterator[tuple[list[str], ModelOutput]]:
    """Yields (utterance ids, output) for each batch. The batches depend on the utterances alone.

    Raises: DataError when the encoder cannot hear one, for it is too long.
    """
    check_lengths(model, num_frames)
    for utt_ids in batches_by_length(num_frames):
        with room_for(utt_ids, sum(num_frames[utt_id] for utt_id in utt_ids)):
            feats, lengths = pad([read_feats(feats_scp[utt_id], utt_id) for utt_id in utt_ids])
            output = model(feats.to(device), lengths.to(device))
        yield utt_ids, output
