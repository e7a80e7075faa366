"""A microphone in a room: reverberation and noise."""

import numpy as np

from steps.features.channel import reverberate

DECAY_S, TAIL = (0.1, 0.5), (0.3, 1.0)  # of a small room


def add_noise(samples: np.ndarray, generator: np.random.Generator, snr_db: tuple[float, float]) -> np.ndarray:
    """(S,) -> (S,): noise of a random spectral slope, at a random ratio between the two given."""
    spectrum = np.fft.rfft(generator.standard_normal(len(samples)))
    slope = generator.uniform(0.0, 1.0)  # 0: white, 1: falling by 6 dB an octave
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -slope
    noise = np.fft.irfft(spectrum, len(samples))
    power = (samples**2).mean() / 10 ** (generator.uniform(*snr_db) / 10)
    return samples + noise * np.sqrt(power / (noise**2).mean())


def record(samples: np.ndarray, sample_rate_hz: int, seed: str, snr_db: tuple[float, float]) -> np.ndarray:
    """(S,) -> (S,): what the microphone hears, its peak at half of full scale. The same for the same seed."""
    generator = np.random.default_rng(np.frombuffer(seed.encode(), np.uint8))
    heard = add_noise(reverberate(samples, sample_rate_hz, generator, DECAY_S, TAIL), generator, snr_db)
    return (0.5 * heard / np.abs(heard).max()).astype(np.float32)
