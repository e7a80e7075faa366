import kaldi_native_fbank as knf
import numpy as np
import pytest

from steps.config.schema import FeaturesConfig
from steps.features import matrix as module
from steps.features.matrix import feature_matrix
from tests.steps.kaldi_reference import kaldi_features

RATE = 8000


def reference(samples, settings):
    """The cepstra of kaldi-native-fbank."""
    options = knf.MfccOptions()
    options.num_ceps = settings.num_ceps
    options.cepstral_lifter = settings.cepstral_lifter
    options.use_energy = settings.use_energy
    frames = kaldi_features(options, knf.OnlineMfcc, samples, settings)
    return np.array(frames, np.float32).reshape(-1, settings.num_ceps)


def signal(duration_s, rate=RATE):
    """Tones in noise."""
    time_s = np.arange(round(duration_s * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    return (0.3 * np.sin(2 * np.pi * 440 * time_s) + 0.05 * noise).astype(np.float32)


def mfcc_of(**options):
    return FeaturesConfig(type="mfcc", **{"sample_rate_hz": RATE, "num_mel_bins": 23, **options})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_rate_hz": 16000, "num_mel_bins": 40, "num_ceps": 40},
        {"cepstral_lifter": 0.0},
        {"cepstral_lifter": 10.0, "num_ceps": 20},
        {"use_energy": True},
        {"num_ceps": 1},
        {"snip_edges": True},
        {"high_freq": 0.0, "low_freq": 100.0, "frame_length_ms": 32.0},
    ],
)
def test_mfcc_equals_kaldi_native_fbank(options):
    settings = mfcc_of(**options)
    samples = signal(1.2, settings.sample_rate_hz)
    expected, found = reference(samples, settings), feature_matrix(samples, settings)
    assert found.shape == expected.shape and len(found) > 100 and found.dtype == np.float32
    assert np.abs(found - expected).max() < 0.001


@pytest.mark.parametrize(("duration_s", "frames"), [(0.001, 0), (0.005, 1), (0.02, 2), (0.025, 3), (0.03, 3)])
@pytest.mark.parametrize("use_energy", [False, True])
def test_short_signals_have_kaldis_cepstra(duration_s, frames, use_energy):
    settings = mfcc_of(use_energy=use_energy)
    samples = signal(duration_s)
    found, expected = feature_matrix(samples, settings), reference(samples, settings)
    assert found.shape == expected.shape == (frames, 13)
    assert frames == 0 or np.abs(found - expected).max() < 0.001


@pytest.mark.parametrize("options", [{}, {"snip_edges": True}, {"deltas": 2}])
@pytest.mark.parametrize("samples", [8000, 8039, 8040, 7999])
def test_a_long_signal_has_the_same_cepstra_in_parts(monkeypatch, options, samples):
    settings = mfcc_of(**options)
    whole = feature_matrix(signal(1.2)[:samples], settings)
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 7)
    found = feature_matrix(signal(1.2)[:samples], settings)
    assert found.shape == whole.shape and np.abs(found - whole).max() < 1e-3


@pytest.mark.parametrize("use_energy", [False, True])
def test_cepstra_of_silence_are_finite(use_energy):
    assert np.isfinite(feature_matrix(np.zeros(RATE, np.float32), mfcc_of(use_energy=use_energy, deltas=2))).all()
