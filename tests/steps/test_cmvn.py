"""Features normalised by speaker or utterance: what archives hold, on any number of processes."""

import shutil

import numpy as np
import pytest
import soundfile

from steps.config.schema import FeaturesConfig
from steps.features.cmvn import apply_cmvn, stats_of
from steps.make_feats import inputs_of, make_feats
from tests.steps.test_deltas import written_out
from tests.support import write_data_dir, write_wav
from utils.data_dir.archive import read_archive, read_feats
from utils.data_dir.data_dir import DataDir
from utils.data_dir.perturb import perturb
from utils.data_dir.tables import read_table

IDS = ("a-1", "a-2", "a-3", "b-1", "b-2", "c-1", "d-1")


@pytest.fixture
def folder(tmp_path):
    """Speaker `a` speaks in two shards, `c` for a single frame, and the sound of `d` is too short for one."""
    data = write_data_dir(tmp_path / "train", dict.fromkeys(IDS, "one"))
    write_wav(data / "wav" / "c-1.wav", 0.01)
    soundfile.write(data / "wav" / "d-1.wav", np.zeros(30), 8000)
    return data


def make(folder, stage="stage", nj=1, **options):
    settings = FeaturesConfig(sample_rate_hz=8000, num_mel_bins=23, utts_per_shard=2, **options)
    stage = folder.parent / stage
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    make_feats(folder, stage, settings, nj)
    return {u: matrix for path in sorted((stage / "feats").glob("*.ark")) for u, matrix in read_archive(path)}


def by_speaker(feats):
    found = {}
    for utt_id, matrix in feats.items():
        found.setdefault(utt_id.rpartition("-")[0], []).append(matrix)
    return {speaker: np.concatenate(matrices).astype(np.float64) for speaker, matrices in found.items()}


@pytest.mark.parametrize("kind", ["fbank", "mfcc"])
@pytest.mark.parametrize("norm_vars", [False, True])
def test_each_speaker_has_mean_0_and_variance_1_where_asked_for(folder, kind, norm_vars):
    plain = make(folder, type=kind)
    found = make(folder, type=kind, cmvn="speaker", norm_vars=norm_vars)
    assert {u: len(x) for u, x in found.items()} == {**dict.fromkeys(IDS, 50), "c-1": 1, "d-1": 0}
    for speaker, frames in by_speaker(plain).items():
        expected = frames - frames.mean(0) if len(frames) else frames
        if norm_vars and len(frames) > 1:
            expected /= frames.std(0)
        assert np.abs(by_speaker(found)[speaker] - expected).max(initial=0) < 1e-4
    assert not found["c-1"].any() and found["a-1"].std() > 0.1


def test_each_utterance_has_mean_0(folder):
    plain, found = make(folder), make(folder, cmvn="utterance")
    for utt_id in IDS[:-1]:
        assert np.abs(found[utt_id] - (plain[utt_id] - plain[utt_id].mean(0))).max() < 1e-4
    assert found["d-1"].shape == (0, 23)


@pytest.mark.parametrize("kind", ["speaker", "utterance"])
def test_deltas_are_of_normalised_features_as_in_kaldi(folder, kind):
    plain, found = (make(folder, cmvn=kind, norm_vars=True, deltas=order) for order in (0, 2))
    for utt_id in ("a-3", "c-1"):
        expected = [plain[utt_id], *(written_out(plain[utt_id], order) for order in (1, 2))]
        assert np.abs(found[utt_id] - np.concatenate(expected, 1)).max() < 1e-4
    assert found["d-1"].shape == (0, 69)


@pytest.mark.parametrize("options", [{}, {"compress": True, "deltas": 1}])
def test_the_number_of_processes_changes_no_byte_and_the_first_pass_leaves_none(folder, options):
    for nj in (1, 2, 5):
        make(folder, f"nj{nj}", nj, cmvn="speaker", **options)
    names = [*(f"feats.{i}.ark" for i in range(1, 5)), "features.json"]
    for nj in (1, 2, 5):
        feats = folder.parent / f"nj{nj}" / "feats"
        assert sorted(path.name for path in feats.iterdir()) == names
        assert all((feats / n).read_bytes() == (folder.parent / "nj1" / "feats" / n).read_bytes() for n in names)


def test_the_table_of_features_finds_them(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    expected = make(folder, cmvn="speaker")
    (folder / "feats").mkdir()
    for path in (folder.parent / "stage" / "feats").iterdir():
        shutil.copy(path, folder / "feats")
    found = read_table(folder.parent / "stage" / "feats.scp")
    assert sorted(found) == sorted(IDS)
    assert all(np.array_equal(read_feats(entry, u), expected[u]) for u, entry in found.items())


def test_an_utterance_at_another_speed_has_a_speaker_of_its_own(folder):
    alone = by_speaker(make(folder, cmvn="speaker"))
    perturb(DataDir.read(folder), ["0.9", "1"]).write(folder.parent / "sp")
    found = by_speaker(make(folder.parent / "sp", cmvn="speaker"))
    assert np.abs(found["sp0.9-a"].mean(0)).max() < 1e-5
    assert np.abs(found["a"] - alone["a"]).max() < 1e-5


@pytest.mark.parametrize(("kind", "is_changed"), [("global", False), ("speaker", True)])
def test_features_depend_on_the_speakers_where_they_are_normalised_by_them(folder, kind, is_changed):
    settings = FeaturesConfig(cmvn=kind)
    assert (folder / "utt2spk" in inputs_of(folder, settings)) == is_changed


def test_a_feature_that_never_changes_becomes_0():
    feats = np.full((1000, 2), -15.942385, np.float32)
    feats[:, 1] = np.arange(1000)
    for norm_vars in (False, True):
        found = apply_cmvn(feats, stats_of(feats), norm_vars)
        assert found.dtype == np.float32 and np.abs(found[:, 0]).max() < 1e-6 < found[:, 1].std()
