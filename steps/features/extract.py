"""Features of a data directory, in shards that workers make side by side."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steps.config.schema import FeaturesConfig
from steps.features.channel import resample, transmit
from steps.features.matrix import feature_matrix
from utils.data_dir.archive import write_archive
from utils.data_dir.audio import read_audio
from utils.data_dir.data_dir import Utterance
from utils.jobs.errors import DataError

FULL_SCALE = 0.98  # which mu-law and A-law end at
CLIPPED_SHARE = 0.001  # of the samples, at full scale


@dataclass(frozen=True)
class Shard:
    """A fixed number of utterances, and the archive they go to."""

    utterances: list[Utterance]
    path: Path
    final: Path
    settings: FeaturesConfig


@dataclass(frozen=True)
class ShardResult:
    """The tables of one shard, by utterance, and what is odd about the sound of some."""

    feats_scp: dict[str, str]
    num_frames: dict[str, int]
    duration_s: dict[str, float]
    odd: dict[str, str]


def read_samples(utterance: Utterance, settings: FeaturesConfig) -> np.ndarray:
    """Samples at the configured rate, at the utterance's speed and through its channel: float32, shape (S,).

    Raises: DataError when the rate differs and `resample` is off, or a sample is not finite.
    """
    samples, rate = read_audio(utterance.path, utterance.rec_id, utterance.start_s, utterance.end_s)
    if not np.isfinite(samples).all():
        raise DataError(
            f"{utterance.path}: utterance '{utterance.utt_id}' has NaN or infinite samples; replace the file"
        )
    if rate != settings.sample_rate_hz and not settings.resample:
        raise DataError(
            f"{utterance.path}: utterance '{utterance.utt_id}' has {rate} Hz, not {settings.sample_rate_hz}; "
            "set features.sample_rate_hz, or features.resample = true"
        )
    samples = resample(samples, rate * utterance.speed, settings.sample_rate_hz)
    return transmit(samples, settings.sample_rate_hz, utterance.channel, hash_of(utterance.utt_id))


def make_shard(shard: Shard) -> ShardResult:
    """Computes and writes the features of one shard."""
    import torch

    torch.set_num_threads(1)
    found = ShardResult({}, {}, {}, {})

    def feats() -> Iterator[tuple[str, np.ndarray]]:
        for utterance in shard.utterances:
            utt_id = utterance.utt_id
            if shard.settings.dither:
                torch.default_generator.manual_seed(hash_of(utt_id))  # dither must not depend on the order of work
            samples = read_samples(utterance, shard.settings)
            if oddity := oddity_of(samples):
                found.odd[utt_id] = oddity
            matrix = feature_matrix(samples, shard.settings)
            found.duration_s[utt_id] = len(samples) / shard.settings.sample_rate_hz
            found.num_frames[utt_id] = len(matrix)
            yield utt_id, matrix

    found.feats_scp.update(write_archive(shard.path, shard.final, feats(), shard.settings.compress))
    return found


def oddity_of(samples: np.ndarray) -> str:
    """ "silent", "clipped", or nothing for samples, shape (S,), as most recordings have them."""
    low, high = (samples.min(), samples.max()) if len(samples) else (0.0, 0.0)
    if low == high:
        return "silent"
    if max(high, -low) < FULL_SCALE:
        return ""
    share = np.count_nonzero(np.abs(samples) >= FULL_SCALE) / len(samples)
    return "clipped" if share >= CLIPPED_SHARE else ""


def hash_of(text: str) -> int:
    """A 63-bit number that depends on nothing but the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def make_shards(utterances: list[Utterance], folder: Path, final: Path, settings: FeaturesConfig) -> list[Shard]:
    """Cuts utterances into shards of a fixed size, so that the number of workers changes nothing."""
    size = settings.utts_per_shard
    parts = [utterances[i : i + size] for i in range(0, len(utterances), size)]
    return [
        Shard(part, folder / f"feats.{i}.ark", final / f"feats.{i}.ark", settings) for i, part in enumerate(parts, 1)
    ]
