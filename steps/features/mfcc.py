"""Mel-frequency cepstral coefficients."""

import numpy as np

from steps.config.schema import FeaturesConfig
from steps.features.fbank import kaldi_options


def mfcc(samples: np.ndarray, settings: FeaturesConfig, snip_edges: bool) -> np.ndarray:
    """Cepstra of at least a window of samples: float32, shape (T, num_ceps), C0 or the log energy first.

    Args:
        samples: float32, shape (S,), range [-1, 1].
        settings: The [features] table.
        snip_edges: Whether there are only the frames that lie within the signal.

    Source: Kaldi's compute-mfcc-feats with the Povey window, through `torchaudio.compliance.kaldi.mfcc`; equal to
    kaldi-native-fbank within 0.001.
    """
    import torch
    from torchaudio.compliance import kaldi

    return kaldi.mfcc(
        torch.from_numpy(samples).unsqueeze(0),
        num_ceps=settings.num_ceps,
        cepstral_lifter=settings.cepstral_lifter,
        use_energy=settings.use_energy,
        **kaldi_options(settings, snip_edges),
    ).numpy()
