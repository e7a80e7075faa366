"""Speech as it is heard through a channel: in noise, over a telephone line, or from afar in a room.

What comes out has as many samples as what goes in, and each sample lies where it lay, so that the frames of both are
of the same moments.
"""

import numpy as np

from utils.data_dir.channel import Channel

LINE_RATE_HZ = 8000
LINE_BAND_HZ = (300.0, 3400.0)
NUM_TAPS = 257  # odd, so that the filter delays by whole samples
FAR_DECAY_S = (0.3, 0.7)
FAR_TAIL = (1.0, 2.0)
MU_LAW_SCALE = 8192  # of 14-bit samples, which G.711 counts in
MU_LAW_BIAS = 33
MU_LAW_TOP = 8158  # the last magnitude below that of full scale which the top interval begins with


def transmit(samples: np.ndarray, rate_hz: int, channel: Channel, seed: int) -> np.ndarray:
    """Samples as they come out of a channel.

    Args:
        samples: float32, shape (S,), range [-1, 1].
        rate_hz: Their rate.
        channel: What they go through.
        seed: Of the noise.

    Returns: float32, shape (S,).
    """
    if channel.kind == "noisy":
        return add_noise(samples, make_noise(len(samples), channel.noise, seed), channel.snr_db)
    if channel.kind == "telephone":
        return telephone(samples, rate_hz, channel, seed)
    if channel.kind == "far":
        return far(samples, rate_hz, channel, seed)
    return samples


def far(samples: np.ndarray, rate_hz: int, channel: Channel, seed: int) -> np.ndarray:
    """Samples as a microphone some metres away hears them: more of the room than of the speaker, then noise.

    Each utterance has a room of its own; the ratio is that of the speech in the room to the noise.
    """
    generator = np.random.default_rng(seed)
    heard = reverberate(samples, rate_hz, generator, FAR_DECAY_S, FAR_TAIL).astype(np.float32)
    if channel.snr_db is None:
        return heard
    return add_noise(heard, make_noise(len(heard), channel.noise, seed), channel.snr_db)


def reverberate(
    samples: np.ndarray,
    rate_hz: int,
    generator: np.random.Generator,
    decay_s: tuple[float, float],
    tail: tuple[float, float],
) -> np.ndarray:
    """Samples (S,) in a room whose echoes decay exponentially; the direct sound stays where it was.

    Args:
        samples: What is said.
        rate_hz: Their rate.
        generator: Draws the room.
        decay_s: From the least to the greatest time in which echoes fall by 60 dB.
        tail: From the least to the greatest amplitude of all echoes together; that of the direct sound is 1.
    """
    time_s = np.arange(int(0.8 * decay_s[1] * rate_hz)) / rate_hz
    decay = 10 ** (-3 * time_s / generator.uniform(*decay_s))  # -60 dB after the reverberation time
    echoes = generator.standard_normal(len(time_s)) * decay
    echoes *= generator.uniform(*tail) / np.sqrt((echoes**2).sum())
    echoes[0] = 1.0  # the direct sound
    size = len(samples) + len(echoes) - 1
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echoes, size), size)[: len(samples)]


def telephone(samples: np.ndarray, rate_hz: int, channel: Channel, seed: int) -> np.ndarray:
    """Samples as a telephone line gives them: 8 kHz, 300 to 3400 Hz, noise in that band, 8-bit mu-law.

    The ratio of speech and noise is that within the band. Above 4 kHz nothing is left.
    """
    padded = np.pad(samples, (0, rate_hz // LINE_RATE_HZ + 2))  # rounding must not cost the last sample
    line = band_pass(resample(padded, rate_hz, LINE_RATE_HZ))
    if channel.snr_db is not None:
        line = add_noise(line, band_pass(make_noise(len(line), channel.noise, seed)), channel.snr_db)
    return resample(mu_law(line), LINE_RATE_HZ, rate_hz)[: len(samples)]


def resample(samples: np.ndarray, rate_hz: float, new_rate_hz: float) -> np.ndarray:
    """Samples at another rate, without delay: float32."""
    if rate_hz == new_rate_hz:
        return samples
    import soxr

    return soxr.resample(samples, rate_hz, new_rate_hz)


def band_pass(samples: np.ndarray) -> np.ndarray:
    """What a telephone line lets through, without delay, at its rate: float32, shape (S,).

    Source: a windowed sinc with a Hamming window; 6 dB are lost at the edges, 50 dB 100 Hz beyond them.
    """
    half = NUM_TAPS // 2
    time = np.arange(-half, half + 1)
    low, high = (2 * edge / LINE_RATE_HZ for edge in LINE_BAND_HZ)
    taps = (high * np.sinc(high * time) - low * np.sinc(low * time)) * np.hamming(NUM_TAPS)
    return np.convolve(samples, taps.astype(np.float32))[half : half + len(samples)]


def make_noise(num_samples: int, kind: str, seed: int) -> np.ndarray:
    """Gaussian noise, float32, shape (S,): white, or pink, whose power falls as 1 / frequency."""
    white = np.random.default_rng(seed).standard_normal(num_samples, np.float32)
    if kind == "white":
        return white
    from scipy import fft

    size = fft.next_fast_len(num_samples, real=True)
    spectrum = fft.rfft(white, size)
    spectrum[0] = 0.0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum), dtype=np.float32))
    return fft.irfft(spectrum, size)[:num_samples]


def add_noise(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """The sum of both, the noise at this ratio of mean powers; no noise for silence."""
    power, of_noise = (np.einsum("s,s->", x, x, dtype=np.float64) for x in (speech, noise))
    if not of_noise:
        return speech
    return speech + noise * np.float32(np.sqrt(power / of_noise / 10 ** (snr_db / 10)))


def mu_law(samples: np.ndarray) -> np.ndarray:
    """Samples as they come back from 8 bits of mu-law: float32, shape (S,), at most 8031 / 8192.

    Source: ITU-T G.711 (1988), table 2: eight segments of 16 intervals, each segment's twice as wide as those before.
    Equal to libsndfile's for each 14-bit sample.
    """
    magnitude = np.minimum(np.abs(samples * MU_LAW_SCALE), MU_LAW_TOP) + MU_LAW_BIAS
    _, exponent = np.frexp(magnitude)  # a magnitude of segment 0 is 33 to 64, whose exponent is 6
    width = np.ldexp(np.float32(2), exponent - 6)
    level = (np.floor(magnitude / width) + 0.5) * width - MU_LAW_BIAS
    return np.copysign(level / MU_LAW_SCALE, samples).astype(np.float32)
