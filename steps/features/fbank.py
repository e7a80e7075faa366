"""Log mel filterbank energies of one utterance."""

import numpy as np

from steps.config.schema import FeaturesConfig

FRAMES_AT_ONCE = 30_000  # of which torchaudio holds several copies, each of a window a frame


def fbank(samples: np.ndarray, settings: FeaturesConfig) -> np.ndarray:
    """Log mel energies, as Kaldi computes them on samples in [-1, 1].

    Args:
        samples: float32, shape (S,), range [-1, 1], at `settings.sample_rate_hz`.
        settings: The [features] table.

    Returns: float32, shape (T, F), natural logarithm. T is 0 for less than half a frame shift of audio, or
        than a window when edges are snipped.

    Source: Kaldi's compute-fbank-feats with the Povey window, through `torchaudio.compliance.kaldi.fbank`;
    equal to kaldi-native-fbank within 0.004.
    """
    min_samples = settings.sample_rate_hz * settings.frame_shift_ms / 2000
    window = int(settings.sample_rate_hz * settings.frame_length_ms / 1000)
    num_samples = len(samples)
    if num_samples < (window if settings.snip_edges else min_samples):
        return np.zeros((0, settings.num_mel_bins), np.float32)
    if num_samples < window:
        # torchaudio returns nothing for less than a window. Kaldi reflects the signal as often as it takes; no
        # frame that is kept reaches the end of this.
        samples = np.pad(samples, (0, window), mode="symmetric")
    shift = int(settings.sample_rate_hz * settings.frame_shift_ms / 1000)
    if num_samples > FRAMES_AT_ONCE * shift:
        return _fbank_in_parts(samples, settings, window, shift)
    feats = _fbank(samples, settings, settings.snip_edges)
    return feats if settings.snip_edges else feats[: num_frames(num_samples, settings)]


def _fbank_in_parts(samples: np.ndarray, settings: FeaturesConfig, window: int, shift: int) -> np.ndarray:
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
        parts.append(_fbank(samples[first * shift : last * shift + window], settings, snip_edges=True))
    return np.concatenate(parts)


def _fbank(samples: np.ndarray, settings: FeaturesConfig, snip_edges: bool) -> np.ndarray:
    """Of at least a window of samples."""
    import torch
    from torchaudio.compliance import kaldi

    feats = kaldi.fbank(
        torch.from_numpy(samples).unsqueeze(0),
        sample_frequency=settings.sample_rate_hz,
        num_mel_bins=settings.num_mel_bins,
        frame_length=settings.frame_length_ms,
        frame_shift=settings.frame_shift_ms,
        low_freq=settings.low_freq,
        high_freq=settings.high_freq,
        dither=settings.dither,
        snip_edges=snip_edges,
        energy_floor=0.0,
    )
    return feats.numpy()  # (T, F)


def num_frames(num_samples: int, settings: FeaturesConfig) -> int:
    """How many frames Kaldi cuts a signal into without snipping its edges."""
    shift = int(settings.sample_rate_hz * settings.frame_shift_ms / 1000)
    return (num_samples + shift // 2) // shift
