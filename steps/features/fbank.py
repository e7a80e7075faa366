"""Log mel filterbank energies of one utterance."""

import numpy as np

from steps.config.schema import FeaturesConfig


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
    import torch
    from torchaudio.compliance import kaldi

    min_samples = settings.sample_rate_hz * settings.frame_shift_ms / 2000
    window = int(settings.sample_rate_hz * settings.frame_length_ms / 1000)
    num_samples = len(samples)
    if num_samples < (window if settings.snip_edges else min_samples):
        return np.zeros((0, settings.num_mel_bins), np.float32)
    if num_samples < window:
        # torchaudio returns nothing for less than a window. Kaldi reflects the signal as often as it takes; no
        # frame that is kept reaches the end of this.
        samples = np.pad(samples, (0, window), mode="symmetric")
    feats = kaldi.fbank(
        torch.from_numpy(samples).unsqueeze(0),
        sample_frequency=settings.sample_rate_hz,
        num_mel_bins=settings.num_mel_bins,
        frame_length=settings.frame_length_ms,
        frame_shift=settings.frame_shift_ms,
        low_freq=settings.low_freq,
        high_freq=settings.high_freq,
        dither=settings.dither,
        snip_edges=settings.snip_edges,
        energy_floor=0.0,
    )
    if not settings.snip_edges:
        feats = feats[: num_frames(num_samples, settings)]
    return feats.numpy()  # (T, F)


def num_frames(num_samples: int, settings: FeaturesConfig) -> int:
    """How many frames Kaldi cuts a signal into without snipping its edges."""
    shift = int(settings.sample_rate_hz * settings.frame_shift_ms / 1000)
    return (num_samples + shift // 2) // shift
