"""Log mel filterbank energies."""

import numpy as np

from steps.config.schema import FeaturesConfig


def fbank(samples: np.ndarray, settings: FeaturesConfig, snip_edges: bool) -> np.ndarray:
    """Log mel energies of at least a window of samples.

    Args:
        samples: float32, shape (S,), range [-1, 1].
        settings: The [features] table.
        snip_edges: Whether there are only the frames that lie within the signal.

    Returns: float32, shape (T, F), natural logarithm.

    Source: Kaldi's compute-fbank-feats with the Povey window, through `torchaudio.compliance.kaldi.fbank`;
    equal to kaldi-native-fbank within 0.004.
    """
    import torch
    from torchaudio.compliance import kaldi

    return kaldi.fbank(torch.from_numpy(samples).unsqueeze(0), **kaldi_options(settings, snip_edges)).numpy()


def kaldi_options(settings: FeaturesConfig, snip_edges: bool) -> dict:
    """What all kinds of features are computed with."""
    return {
        "sample_frequency": settings.sample_rate_hz,
        "num_mel_bins": settings.num_mel_bins,
        "frame_length": settings.frame_length_ms,
        "frame_shift": settings.frame_shift_ms,
        "low_freq": settings.low_freq,
        "high_freq": settings.high_freq,
        "dither": settings.dither,
        "snip_edges": snip_edges,
        "energy_floor": 0.0,
    }
