import kaldi_native_fbank as knf
import numpy as np
import pytest

from steps.config.schema import FeaturesConfig
from steps.features import matrix as module
from steps.features.matrix import feature_matrix, num_frames
from tests.steps.kaldi_reference import kaldi_features


def reference(samples, settings):
    """The features of kaldi-native-fbank, which sherpa-onnx computes at run time."""
    options = knf.FbankOptions()
    frames = kaldi_features(options, knf.OnlineFbank, samples, settings)
    return np.array(frames, np.float32).reshape(-1, settings.num_mel_bins)


def signal(duration_s, rate):
    """Tones in noise."""
    time_s = np.arange(round(duration_s * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    return (0.3 * np.sin(2 * np.pi * 440 * time_s) + 0.05 * noise).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("bins", [23, 40, 80])
def test_fbank_equals_kaldi_native_fbank(rate, bins):
    settings = FeaturesConfig(sample_rate_hz=rate, num_mel_bins=bins)
    expected = reference(signal(1.2, rate), settings)
    found = feature_matrix(signal(1.2, rate), settings)
    assert found.shape == expected.shape == (120, bins)
    assert np.abs(found - expected).max() < 0.01


def test_fbank_equals_kaldi_native_fbank_with_snipped_edges():
    settings = FeaturesConfig(sample_rate_hz=8000, snip_edges=True)
    expected = reference(signal(0.5, 8000), settings)
    found = feature_matrix(signal(0.5, 8000), settings)
    assert found.shape == expected.shape == (48, 80)
    assert np.abs(found - expected).max() < 0.01


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(("duration_s", "frames"), [(0.001, 0), (0.005, 1), (0.02, 2), (0.025, 3), (0.03, 3)])
def test_short_signals_have_kaldis_frames(rate, duration_s, frames):
    settings = FeaturesConfig(sample_rate_hz=rate, num_mel_bins=40)
    found = feature_matrix(signal(duration_s, rate), settings)
    assert found.shape == reference(signal(duration_s, rate), settings).shape == (frames, 40)
    assert found.dtype == np.float32 and np.isfinite(found).all()


@pytest.mark.parametrize("duration_s", [0.005, 0.012, 0.02, 0.024])
def test_signals_shorter_than_a_window_equal_kaldi_native_fbank(duration_s):
    settings = FeaturesConfig(sample_rate_hz=8000, num_mel_bins=40)
    samples = signal(duration_s, 8000)
    assert np.abs(feature_matrix(samples, settings) - reference(samples, settings)).max() < 0.01


def test_a_short_signal_with_snipped_edges_has_no_frame():
    settings = FeaturesConfig(sample_rate_hz=8000, snip_edges=True)
    assert (
        feature_matrix(signal(0.02, 8000), settings).shape == reference(signal(0.02, 8000), settings).shape == (0, 80)
    )


def test_silence_is_finite():
    assert np.isfinite(feature_matrix(np.zeros(8000, np.float32), FeaturesConfig(sample_rate_hz=8000))).all()


@pytest.mark.parametrize("options", [{}, {"snip_edges": True}, {"frame_shift_ms": 30.0}, {"frame_length_ms": 32.0}])
@pytest.mark.parametrize("samples", [8000, 8039, 8040, 7999])
def test_a_long_signal_has_the_same_frames_in_parts(monkeypatch, options, samples):
    settings = FeaturesConfig(sample_rate_hz=8000, num_mel_bins=40, **options)
    whole = feature_matrix(signal(1.2, 8000)[:samples], settings)
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 7)
    found = feature_matrix(signal(1.2, 8000)[:samples], settings)
    assert found.shape == whole.shape and np.abs(found - whole).max() < 1e-4


@pytest.mark.parametrize("samples", [0, 39, 40, 119, 120, 8000, 8039, 8040])
def test_num_frames_is_what_the_features_have(samples):
    settings = FeaturesConfig(sample_rate_hz=8000, num_mel_bins=23)
    assert num_frames(samples, settings) == len(feature_matrix(np.full(samples, 0.1, np.float32), settings))
