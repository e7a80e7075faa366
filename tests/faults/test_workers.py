"""A worker that is killed, and one that has an hour of speech to work on."""

import resource

import numpy as np
import pytest
import soundfile

from steps.config.schema import FeaturesConfig
from steps.features.extract import make_shard, make_shards
from tests.faults.faultio import KILL, WRITE, Fault
from utils.data_dir.data_dir import Utterance


def test_a_killed_worker_ends_the_command_with_5(sweep):
    step = sweep.steps["features of train"]
    module, *arguments = step.command
    shards = ("--set", "features.utts_per_shard=4", "--nj", "2")  # the first to write are the workers
    fault = Fault(1, KILL, WRITE)
    ended = sweep.forker.run(module, *arguments, *shards, cwd=sweep.path, below=sweep.root, fault=fault)
    assert ended.status == 5 and "a worker process was killed" in ended.said and "Traceback" not in ended.said, ended
    assert sweep.run(step).status == 0 and sweep.outputs(step) == sweep.made[step.name]


@pytest.mark.long
def test_an_hour_of_speech_is_worked_on_in_parts(tmp_path):
    path, rate, settings = tmp_path / "hour.wav", 16000, FeaturesConfig()
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as f:
        minute = 0.1 * np.random.default_rng(0).standard_normal(60 * rate)
        for _ in range(60):
            f.write(minute)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (shard,) = make_shards([Utterance("a-1", "a-1", str(path))], tmp_path, tmp_path, settings)
    assert make_shard(shard).num_frames == {"a-1": 360_000}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_800_000  # KiB
