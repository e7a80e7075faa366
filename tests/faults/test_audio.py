"""Malformed audio is refused by name, or read whole."""

import pytest

from tests.faults.audio import KINDS, NUM_SAMPLES, RATE, encoded, malform
from utils.data_dir import audio, mp3
from utils.data_dir.audio import audio_info, read_audio
from utils.jobs.errors import DataError

TRIALS = 60


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_malformed_is_read_whole(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(encoded(kind))
    samples, rate = read_audio(str(path), "a")
    assert (len(samples), rate) == (NUM_SAMPLES, RATE)


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_audio_is_refused_or_read_whole(tmp_path, kind):
    problems, refused = malform(tmp_path, kind, TRIALS)
    assert problems == [""] * TRIALS
    assert refused > TRIALS // 5


@pytest.mark.parametrize("kind", ["WAV", "Vorbis", "MP3"])  # decoders of the others notice more themselves
def test_audio_whose_wholeness_is_not_checked_is_noticed(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(audio, "_check_whole", lambda path, rec_id, f: None)
    problems, _ = malform(tmp_path, kind, 2 * TRIALS)
    assert any("samples at" in problem for problem in problems)


def test_mp3_with_tags_around_it_is_read_whole(tmp_path):
    path = tmp_path / "a.mp3"
    id3v2 = b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)
    ape = bytes(40) + b"APETAGEX" + (2000).to_bytes(4, "little") + (72).to_bytes(4, "little") + bytes(16)
    path.write_bytes(id3v2 + encoded("MP3") + ape + b"TAG" + bytes(125))
    assert audio_info(str(path), "a").num_samples == NUM_SAMPLES


def test_mp3_without_a_tag_of_a_varying_bit_rate_is_refused(tmp_path):
    path, data = tmp_path / "a.mp3", encoded("MP3")
    path.write_bytes(data[mp3.Frame(int.from_bytes(data[:4], "big")).size :])
    with pytest.raises(DataError, match="its frames hold 17,280 at 16000 Hz"):
        audio_info(str(path), "a")
