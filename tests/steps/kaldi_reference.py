"""Features of kaldi-native-fbank, which sherpa-onnx computes at run time, as the reference of ours."""

from collections.abc import Callable

import numpy as np

from steps.config.schema import FeaturesConfig


def kaldi_features(options: object, online: Callable, samples: np.ndarray, settings: FeaturesConfig) -> list:
    """The frames that an online computer gives for samples (S,), with what its options share set from ours."""
    options.frame_opts.samp_freq = settings.sample_rate_hz
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = settings.snip_edges
    options.frame_opts.frame_length_ms = settings.frame_length_ms
    options.frame_opts.frame_shift_ms = settings.frame_shift_ms
    options.mel_opts.num_bins = settings.num_mel_bins
    options.mel_opts.low_freq = settings.low_freq
    options.mel_opts.high_freq = settings.high_freq
    options.energy_floor = 0.0
    computer = online(options)
    computer.accept_waveform(settings.sample_rate_hz, samples.tolist())
    computer.input_finished()
    return [computer.get_frame(i) for i in range(computer.num_frames_ready)]
