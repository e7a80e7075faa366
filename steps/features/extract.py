"""Features of a data directory, in shards that workers make side by side."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from steps.config.schema import FeaturesConfig
from steps.features.channel import resample, transmit
from steps.features.cmvn import stats_of
from steps.features.matrix import feature_matrix, static_features
from utils.data_dir.archive import SPEECH_FEATURE, TWO_BYTES, write_archive
from utils.data_dir.audio import read_audio
from utils.data_dir.data_dir import Utterance
from utils.jobs.errors import DataError

FULL_SCALE = 0.98  # which mu-law and A-law end at
CLIPPED_SHARE = 0.001  # of the samples, at full scale


@dataclass(frozen=True)
class Shard:
    """A fixed number of utterances, and the archive they go to.

    Attributes:
        utterances: In the order of the archive.
        path: Where the archive is written.
        final: Where it will lie in the end.
        settings: The [features] table.
        speakers: Of each utterance, where features are normalised by speaker; else empty.
    """

    utterances: list[Utterance]
    path: Path
    final: Path
    settings: FeaturesConfig
    speakers: tuple[str, ...] = ()

    @property
    def first_pass(self) -> Path:
        """The archive of features that are not normalised by speaker yet."""
        return self.path.with_suffix(".first")


@dataclass(frozen=True)
class ShardResult:
    """The tables of one shard, by utterance, what is odd about the sound of some, and the statistics of speakers."""

    feats_scp: dict[str, str]
    num_frames: dict[str, int]
    duration_s: dict[str, float]
    odd: dict[str, str]
    stats: dict[str, np.ndarray] = field(default_factory=dict)


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
    """Computes and writes the features of one shard; where speakers are given, those that it is summed up by."""
    import torch

    torch.set_num_threads(1)
    found = ShardResult({}, {}, {}, {})
    features_of = static_features if shard.speakers else feature_matrix
    speaker_of = dict(zip((u.utt_id for u in shard.utterances), shard.speakers, strict=False))

    def feats() -> Iterator[tuple[str, np.ndarray]]:
        for utterance in shard.utterances:
            utt_id = utterance.utt_id
            if shard.settings.dither:
                torch.default_generator.manual_seed(hash_of(utt_id))  # dither must not depend on the order of work
            samples = read_samples(utterance, shard.settings)
            if oddity := oddity_of(samples):
                found.odd[utt_id] = oddity
            matrix = features_of(samples, shard.settings)
            found.duration_s[utt_id] = len(samples) / shard.settings.sample_rate_hz
            found.num_frames[utt_id] = len(matrix)
            if speaker := speaker_of.get(utt_id):
                found.stats[speaker] = found.stats.get(speaker, 0.0) + stats_of(matrix)
            yield utt_id, matrix

    if shard.speakers:
        write_archive(shard.first_pass, shard.final, feats(), compress=False)
    else:
        method = TWO_BYTES if shard.settings.type == "waveform" else SPEECH_FEATURE
        found.feats_scp.update(write_archive(shard.path, shard.final, feats(), shard.settings.compress, method))
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


def make_shards(
    utterances: list[Utterance],
    folder: Path,
    final: Path,
    settings: FeaturesConfig,
    utt2spk: dict[str, str] | None = None,
) -> list[Shard]:
    """Cuts utterances into shards of a fixed size, so that the number of workers changes nothing.

    Args:
        utterances: All of a set.
        folder: Where their archives are written.
        final: Where these will lie in the end.
        settings: The [features] table.
        utt2spk: Given where features are normalised by speaker.
    """
    size = settings.utts_per_shard
    parts = [utterances[i : i + size] for i in range(0, len(utterances), size)]
    speakers = [tuple(utt2spk[u.utt_id] for u in part) if utt2spk else () for part in parts]
    return [
        Shard(part, folder / f"feats.{i}.ark", final / f"feats.{i}.ark", settings, names)
        for i, (part, names) in enumerate(zip(parts, speakers, strict=True), 1)
    ]
