"""A microphone in a room: reverberation and noise."""

import numpy as np


def reverberate(samples: np.ndarray, sample_rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    """(S,) -> (S,): the speech in a room with a reverberation time of 0.1 to 0.5 s, exponentially decaying."""
    time_s = np.arange(int(0.4 * sample_rate_hz)) / sample_rate_hz
    decay = 10 ** (-3 * time_s / generator.uniform(0.1, 0.5))  # -60 dB after the reverberation time
    tail = generator.standard_normal(len(time_s)) * decay
    tail *= generator.uniform(0.3, 1.0) / np.sqrt((tail**2).sum())
    tail[0] = 1.0  # the direct sound
    size = len(samples) + len(tail) - 1
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size), size)[: len(samples)]


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
    heard = add_noise(reverberate(samples, sample_rate_hz, generator), generator, snr_db)
    return (0.5 * heard / np.abs(heard).max()).astype(np.float32)
