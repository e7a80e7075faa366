"""The features of one utterance: a matrix of frames, short or long as the signal may be."""

import numpy as np

from steps.config.schema import FeaturesConfig
from steps.features.cmvn import apply_cmvn, stats_of
from steps.features.deltas import add_deltas
from steps.features.fbank import fbank
from steps.features.mfcc import mfcc
from steps.features.settings import static_dim

FRAMES_AT_ONCE = 30_000  # of which torchaudio holds several copies, each of a window a frame
KINDS = {"fbank": fbank, "mfcc": mfcc}


def feature_matrix(samples: np.ndarray, settings: FeaturesConfig) -> np.ndarray:
    """Features as Kaldi computes them on samples in [-1, 1], normalised by utterance and with deltas where asked for.

    Args:
        samples: float32, shape (S,), range [-1, 1], at `settings.sample_rate_hz`.
        settings: The [features] table.

    Returns: float32, shape (T, F). T is 0 for less than half a frame shift of audio, or than a window when edges are
        snipped.
    """
    feats = static_features(samples, settings)
    if settings.cmvn == "utterance":
        feats = apply_cmvn(feats, stats_of(feats), settings.norm_vars)
    return add_deltas(feats, settings.deltas)


def static_features(samples: np.ndarray, settings: FeaturesConfig) -> np.ndarray:
    """The features of each frame by itself, shape (T, F); of a waveform the samples, (S, 1)."""
    if settings.type == "waveform":
        return samples[:, None].astype(np.float32)
    min_samples = settings.sample_rate_hz * settings.frame_shift_ms / 2000
    window = int(settings.sample_rate_hz * settings.frame_length_ms / 1000)
    num_samples = len(samples)
    if num_samples < (window if settings.snip_edges else min_samples):
        return np.zeros((0, static_dim(settings)), np.float32)
    if num_samples < window:
        # torchaudio returns nothing for less than a window. Kaldi reflects the signal as often as it takes; no
        # frame that is kept reaches the end of this.
        samples = np.pad(samples, (0, window), mode="symmetric")
    shift = int(settings.sample_rate_hz * settings.frame_shift_ms / 1000)
    if num_samples > FRAMES_AT_ONCE * shift:
        return _in_parts(samples, settings, window, shift)
    feats = KINDS[settings.type](samples, settings, settings.snip_edges)
    return feats if settings.snip_edges else feats[: num_frames(num_samples, settings)]


def _in_parts(samples: np.ndarray, settings: FeaturesConfig, window: int, shift: int) -> np.ndarray:
    """The same for a long signal, whose edges are mirrored as torchaudio does it, and then cut into parts."""
    if settings.snip_edges:
        total = 1 + (len(samples) - window) // shift
    else:
        total, edge = num_frames(len(samples), settings), window // 2 - shift // 2
        before = samples[:edge][::-1] if edge > 0 else samples[:0]
        samples = np.concatenate([before, samples[max(-edge, 0) :], samples[: -window - 1 : -1]])
    parts = []
    for first in range(0, total, FRAMES_AT_ONCE):
        last = min(first + FRAMES_AT_ONCE, total) - 1
        part = samples[first * shift : last * shift + window]
        parts.append(KINDS[settings.type](part, settings, snip_edges=True))
    return np.concatenate(parts)


def num_frames(num_samples: int, settings: FeaturesConfig) -> int:
    """How many frames Kaldi cuts a signal into without snipping its edges."""
    shift = int(settings.sample_rate_hz * settings.frame_shift_ms / 1000)
    return (num_samples + shift // 2) // shift
