import librosa
import numpy as np
import pytest
import torch
from torchaudio.functional import compute_deltas

from steps.config.schema import FeaturesConfig
from steps.features.deltas import add_deltas
from steps.features.matrix import feature_matrix
from steps.features.settings import feature_dim


def feats(num_frames, dim=3):
    return np.random.default_rng(num_frames).normal(-5, 3, (num_frames, dim)).astype(np.float32)


def written_out(x, order):
    """Kaldi's definition, frame by frame: a delta of order n is a sum over n windows around the frame."""
    found = np.zeros_like(x, np.float64)
    offsets = np.array(np.meshgrid(*[range(-2, 3)] * order)).reshape(order, -1).T
    for t in range(len(x)):
        for offset in offsets:
            edge = min(max(t + offset.sum(), 0), len(x) - 1)
            found[t] += np.prod(offset / 10) * x[edge]
    return found


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 9, 50])
def test_deltas_equal_kaldis_definition_at_the_edges_too(num_frames):
    x = feats(num_frames)
    found = add_deltas(x, 2)
    assert found.shape == (num_frames, 9) and found.dtype == np.float32 and np.array_equal(found[:, :3], x)
    for order in (1, 2):
        assert np.abs(found[:, 3 * order : 3 * order + 3] - written_out(x, order)).max() < 1e-5


@pytest.mark.parametrize("num_frames", [1, 3, 50])
def test_first_deltas_equal_torchaudios(num_frames):
    x = feats(num_frames)
    expected = compute_deltas(torch.from_numpy(x.T)).numpy().T
    assert np.abs(add_deltas(x, 1)[:, 3:] - expected).max() < 1e-6


def test_deltas_equal_librosas():
    x = feats(50)
    for order in (1, 2):
        inside = slice(4, -4)
        expected = x.T
        for _ in range(order):
            expected = librosa.feature.delta(expected, width=5, mode="nearest")
        assert np.abs(add_deltas(x, order)[inside, -3:] - expected.T[inside]).max() < 1e-5


def test_the_delta_of_a_slope_is_its_steepness_and_that_of_a_constant_is_0():
    slope = np.arange(20, dtype=np.float32)[:, None] * [[0.5, 0.0]] + 7
    found = add_deltas(slope.astype(np.float32), 2)
    assert np.allclose(found[4:-4, 2:], [[0.5, 0, 0, 0]], atol=1e-6)


def test_order_0_adds_nothing():
    x = feats(4)
    assert add_deltas(x, 0) is x


@pytest.mark.parametrize("kind", ["fbank", "mfcc"])
@pytest.mark.parametrize("deltas", [0, 1, 2])
@pytest.mark.parametrize("num_samples", [0, 200, 4000])
def test_features_have_the_dimension_that_the_settings_give(kind, deltas, num_samples):
    settings = FeaturesConfig(type=kind, sample_rate_hz=8000, num_mel_bins=40, deltas=deltas)
    dim = {"fbank": 40, "mfcc": 13}[kind] * (deltas + 1)
    assert feature_dim(settings) == dim
    assert feature_matrix(np.full(num_samples, 0.1, np.float32), settings).shape == ((num_samples + 40) // 80, dim)
