"""Features normalised by speaker, in two passes: the mean of all that a speaker says is known only in the end.

The first pass writes the features of each frame by itself and sums them up by speaker, the second normalises them and
adds their deltas. So archives hold what a model hears, and no later command need know of speakers. The speakers are
those of utt2spk in this one set: an utterance at another speed has another, as in Kaldi.

This is not streaming: the first frame needs the speaker's last.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from steps.features.cmvn import apply_cmvn
from steps.features.deltas import add_deltas
from steps.features.extract import Shard, ShardResult, make_shard
from utils.data_dir.archive import read_archive, write_archive
from utils.jobs.workers import map_in_processes


@dataclass(frozen=True)
class SecondPass:
    """A shard whose features are to be normalised, and the statistics of its speakers."""

    shard: Shard
    stats: dict[str, np.ndarray]


def make_by_speaker(shards: list[Shard], nj: int) -> list[ShardResult]:
    """Makes the features of all shards on `nj` processes; what they hold does not depend on how many."""
    results = map_in_processes(make_shard, shards, nj)
    total: dict[str, np.ndarray] = {}
    for result in results:
        for speaker, stats in result.stats.items():
            total[speaker] = total.get(speaker, 0.0) + stats
    tasks = [SecondPass(shard, {speaker: total[speaker] for speaker in set(shard.speakers)}) for shard in shards]
    places = map_in_processes(normalise_shard, tasks, nj)
    return [replace(result, feats_scp=scp) for result, scp in zip(results, places, strict=True)]


def normalise_shard(task: SecondPass) -> dict[str, str]:
    """Writes a shard's archive from what the first pass left of it; returns its feats.scp entries."""
    shard, settings = task.shard, task.shard.settings

    def feats() -> Iterator[tuple[str, np.ndarray]]:
        for speaker, (utt_id, static) in zip(shard.speakers, read_archive(shard.first_pass), strict=True):
            yield utt_id, add_deltas(apply_cmvn(static, task.stats[speaker], settings.norm_vars), settings.deltas)

    places = write_archive(shard.path, shard.final, feats(), settings.compress)
    shard.first_pass.unlink()
    return places
