import json
from dataclasses import asdict
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from steps.config.schema import FeaturesConfig
from steps.features.cmvn import accumulate, read_cmvn, write_cmvn
from steps.features.extract import hash_of, make_shard, make_shards, read_samples
from steps.features.settings import check_features, check_place
from utils.data_dir.archive import read_feats, write_archive
from utils.data_dir.data_dir import Utterance
from utils.jobs.errors import DataError, StaleError


def write(tmp_path, matrices, compress=False):
    path = tmp_path / "feats.1.ark"
    return write_archive(path, path, list(matrices.items()), compress)


def test_matrices_are_read_back_as_they_were_written(tmp_path):
    generator = np.random.default_rng(0)
    matrices = {f"a-{n}": generator.standard_normal((n, 4)).astype(np.float32) for n in (3, 1, 7)}
    scp = write(tmp_path, matrices)
    assert all(np.array_equal(read_feats(scp[u]), matrix) for u, matrix in matrices.items())


def test_a_matrix_without_frames_is_read_back(tmp_path):
    scp = write(tmp_path, {"a": np.zeros((0, 4), np.float32)})
    assert len(read_feats(scp["a"])) == 0


@pytest.mark.parametrize("num_frames", [0, 1, 2, 3, 5, 8, 200])
def test_a_compressed_matrix_of_any_length_is_close_and_a_quarter_as_large(tmp_path, num_frames):
    matrix = np.random.default_rng(num_frames).normal(-8, 3, (num_frames, 40)).astype(np.float32)
    places = write(tmp_path, {"a-1": matrix, "a-2": matrix}, compress=True)
    for utt_id in ("a-1", "a-2"):
        found = read_feats(places[utt_id], utt_id)
        assert found.shape == matrix.shape
        assert num_frames == 0 or np.abs(found - matrix).max() < 0.2
    if num_frames == 200:
        assert (tmp_path / "feats.1.ark").stat().st_size < 0.27 * 2 * matrix.nbytes


def test_compressed_matrices_are_close(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    assert np.abs(read_feats(write(tmp_path, {"a": matrix}, True)["a"]) - matrix).max() < 0.05


def test_kaldiio_reads_the_archive(tmp_path):
    write(tmp_path, {"a": np.ones((2, 3), np.float32)})
    assert [(u, m.shape) for u, m in kaldiio.load_ark(str(tmp_path / "feats.1.ark"))] == [("a", (2, 3))]


@pytest.mark.parametrize("entry", ["no.ark:5", "feats.1.ark:99999", "feats.1.ark:0", "feats.1.ark:7"])
def test_features_that_cannot_be_read_are_a_data_error(tmp_path, monkeypatch, entry):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"a-1": np.ones((2, 3), np.float32)})
    with pytest.raises(DataError, match="features of 'a-1' cannot be read"):
        read_feats(entry, "a-1")


def test_cmvn_is_the_mean_and_standard_deviation_of_all_frames(tmp_path):
    generator = np.random.default_rng(0)
    matrices = {str(n): generator.normal(5, 2, (n, 4)).astype(np.float32) for n in (30, 50)}
    write_cmvn(tmp_path / "cmvn", accumulate(write(tmp_path, matrices)))
    mean, sd = read_cmvn(tmp_path / "cmvn")
    frames = np.concatenate(list(matrices.values()))
    assert np.allclose(mean, frames.mean(0), atol=1e-5) and np.allclose(sd, frames.std(0), atol=1e-5)


def test_kaldiio_reads_the_cmvn_statistics(tmp_path):
    stats = np.array([[1.5, 2.0, 2.0], [3.0, 4.0, 0.0]])
    write_cmvn(tmp_path / "cmvn", stats)
    assert np.array_equal(kaldiio.load_mat(str(tmp_path / "cmvn")), stats)


def test_a_bin_without_variance_has_a_standard_deviation_above_0(tmp_path):
    write_cmvn(tmp_path / "cmvn", accumulate(write(tmp_path, {"a": np.ones((3, 2), np.float32)})))
    assert (read_cmvn(tmp_path / "cmvn")[1] > 0).all()


@pytest.mark.parametrize("content", ["", "[ 1 2 ]", "not a matrix", " [\n 1 2 3\n 1 x 0 ]\n", " [\n 1 2 3\n 1 2 ]\n"])
def test_malformed_cmvn_is_a_data_error(tmp_path, content):
    (tmp_path / "cmvn").write_text(content)
    with pytest.raises(DataError, match="not a matrix of CMVN statistics"):
        read_cmvn(tmp_path / "cmvn")


def utterance(path, **more):
    return Utterance("a-1", "a-1", str(path), **more)


def write_tone(path, rate):
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 200 * np.arange(rate) / rate), rate)
    return path


def test_another_rate_is_refused(tmp_path):
    with pytest.raises(DataError, match="utterance 'a-1' has 16000 Hz, not 8000; set features.sample_rate_hz, or"):
        read_samples(utterance(write_tone(tmp_path / "a.wav", 16000)), FeaturesConfig(sample_rate_hz=8000))


def test_another_rate_is_converted_where_asked_for(tmp_path):
    settings = FeaturesConfig(sample_rate_hz=8000, resample=True)
    found = read_samples(utterance(write_tone(tmp_path / "a.wav", 16000)), settings)
    expected = read_samples(utterance(write_tone(tmp_path / "b.wav", 8000)), settings)
    assert len(found) == 8000 and np.abs(found - expected)[200:-200].max() < 0.001


def test_speed_shortens_and_raises_the_pitch(tmp_path):
    settings = FeaturesConfig(sample_rate_hz=8000)
    found = read_samples(utterance(write_tone(tmp_path / "a.wav", 8000), speed=1.25), settings)
    spectrum = np.abs(np.fft.rfft(found))
    assert len(found) == 6400 and np.argmax(spectrum) * 8000 / 6400 == 250


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    soundfile.write(tmp_path / "a.wav", np.array([0.0, value, 0.0]), 8000, subtype="FLOAT")
    with pytest.raises(DataError, match="utterance 'a-1' has NaN or infinite samples"):
        read_samples(utterance(tmp_path / "a.wav"), FeaturesConfig(sample_rate_hz=8000))


@pytest.mark.parametrize(
    ("samples", "oddity"),
    [
        (np.zeros(800), "silent"),
        (np.full(800, 0.2), "silent"),
        (0.9 * np.sin(np.arange(800)), ""),
        ((3 * np.sin(np.arange(800))).clip(-1, 1), "clipped"),
        (np.append(np.zeros(2000), 1.0), ""),
    ],
)
def test_silence_and_clipping_are_told(tmp_path, samples, oddity):
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    (shard,) = make_shards([utterance(tmp_path / "a.wav")], tmp_path, tmp_path, FeaturesConfig(sample_rate_hz=8000))
    assert make_shard(shard).odd == ({"a-1": oddity} if oddity else {})


def test_features_of_other_settings_are_refused_whether_they_are_written_or_not(tmp_path):
    (tmp_path / "feats").mkdir()
    made = tmp_path / "feats" / "features.json"
    for written in ({"num_mel_bins": 40}, asdict(FeaturesConfig(num_mel_bins=40, utts_per_shard=3))):
        made.write_text(json.dumps(written))
        check_features(tmp_path, {"num_mel_bins": 40})
        check_features(tmp_path, asdict(FeaturesConfig(num_mel_bins=40)))
        for heard in ({"num_mel_bins": 40, "type": "mfcc"}, asdict(FeaturesConfig(type="mfcc", num_mel_bins=40))):
            with pytest.raises(StaleError, match=r"other settings \(type fbank, the model hears mfcc\); run"):
                check_features(tmp_path, heard)
        with pytest.raises(StaleError, match=r"num_mel_bins 40, the model hears 80"):
            check_features(tmp_path, {})


@pytest.mark.parametrize("content", ["", "[]", "3", None])
def test_settings_of_features_that_cannot_be_read_are_stale(tmp_path, content):
    (tmp_path / "feats").mkdir()
    if content is not None:
        (tmp_path / "feats" / "features.json").write_text(content)
    with pytest.raises(StaleError, match="features.json: cannot be read .*; run steps.make_feats --force"):
        check_features(tmp_path, {})


def test_shards_hold_a_fixed_number_of_utterances(tmp_path):
    settings = FeaturesConfig(utts_per_shard=2)
    shards = make_shards([utterance(str(i)) for i in range(5)], tmp_path, tmp_path, settings)
    assert [(len(s.utterances), s.path.name) for s in shards] == [
        (2, "feats.1.ark"),
        (2, "feats.2.ark"),
        (1, "feats.3.ark"),
    ]


def test_the_seed_of_an_utterance_is_the_same_in_every_process():
    assert hash_of("a-1") == 1713605489940633870


def test_a_bin_that_hardly_changes_is_not_blown_up(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(0, [2.0, 1.0, 1.0, 0.001], (1000, 4))
    stats = np.stack([np.append(x.sum(0), len(x)), np.append((x * x).sum(0), 0.0)])
    write_cmvn(tmp_path / "cmvn", stats)
    _, sd = read_cmvn(tmp_path / "cmvn")
    assert sd[:3] == pytest.approx([2.0, 1.0, 1.0], rel=0.1) and sd[3] == pytest.approx(0.1, rel=0.1)


def test_features_of_a_recipe_elsewhere_are_not_taken_for_those_of_a_set(tmp_path, monkeypatch):
    for recipe in ("a", "b"):
        folder = tmp_path / recipe / "data" / "test"
        (folder / "feats").mkdir(parents=True)
        (folder / "feats.scp").write_text("u data/test/feats/feats.1.ark:2\n")
    monkeypatch.chdir(tmp_path / "b")
    check_place(Path("data/test"))
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "feats.scp").write_text("u data/test/feats/feats.1.ark:2\n")
    check_place(tmp_path / "part")  # of a subset, which has no archives of its own
    (tmp_path / "link").symlink_to(tmp_path / "b" / "data")
    check_place(tmp_path / "link" / "test")
    with pytest.raises(
        StaleError, match="names archives in data/test/feats, seen from this folder, instead of its own"
    ):
        check_place(Path("../a/data/test"))
