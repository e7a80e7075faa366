"""Malformed audio is refused by name, or read whole."""

import os

import pytest

from tests.faults.audio import KINDS, NUM_SAMPLES, RATE, encoded, malform
from tests.support import ROOT, flipped
from utils.data_dir import audio, mp3
from utils.data_dir.audio import AudioInfo, audio_info, read_audio
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
    monkeypatch.setattr(audio, "_check_whole", lambda path, rec_id, raw, f: None)
    problems, _ = malform(tmp_path, kind, 2 * TRIALS)
    assert any("samples at" in problem for problem in problems)


def test_mp3_by_libavformat_is_read_whole():
    assert audio_info(str(ROOT / "tests" / "utils" / "libavformat.mp3"), "a") == AudioInfo(16000, 3200, 1)


def test_a_flipped_bit_in_the_tag_by_libavformat_is_noticed(tmp_path):
    data = (ROOT / "tests" / "utils" / "libavformat.mp3").read_bytes()
    delay = data.index(b"Lavf", data.index(b"Info")) + 21
    (tmp_path / "a.mp3").write_bytes(flipped(data, 8 * delay))
    with pytest.raises(DataError, match="damaged tag"):
        audio_info(str(tmp_path / "a.mp3"), "a")


def test_mp3_without_a_tag_of_a_varying_bit_rate_is_refused(tmp_path):
    path, data = tmp_path / "a.mp3", encoded("MP3")
    start, end = mp3.stream_of(data)
    path.write_bytes(data[start + mp3.Frame(int.from_bytes(data[start : start + 4], "big")).size : end])
    with pytest.raises(DataError, match="its frames hold 17,280 at 16000 Hz; replace the file, or convert it to WAV"):
        audio_info(str(path), "a")


@pytest.mark.parametrize("size", [b"\xc9\0\0\0", b"\x7f\x7f\x7f\x7f", b""])
def test_mp3_with_a_damaged_size_of_its_id3_tag_is_refused(tmp_path, size):
    (tmp_path / "a.mp3").write_bytes(b"ID3\x04\0\0" + size + encoded("MP3")[10:])
    with pytest.raises(DataError, match="recording 'a'"):
        audio_info(str(tmp_path / "a.mp3"), "a")


def flac_with(place, value):
    """FLAC whose STREAMINFO was changed."""
    data = bytearray(encoded("FLAC"))
    data[place] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (flac_with(25, 0x10), "holds 16,000 samples, its header says 15,888"),
        (flac_with(18, 0x02), "is of 16000 Hz, its header says"),
    ],
)
def test_flac_whose_header_contradicts_its_frames_is_refused(tmp_path, data, said):
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(DataError, match=said):
        audio_info(str(tmp_path / "a.flac"), "a")


def test_a_rate_that_no_speech_has_is_refused(tmp_path):
    data = bytearray(encoded("WAV"))
    data[24:32] = (1_900_000_000).to_bytes(4, "little") + (3_800_000_000).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(DataError, match="sample rate of 1,900,000,000 Hz"):
        audio_info(str(tmp_path / "a.wav"), "a")


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    for read in (audio_info, read_audio):
        with pytest.raises(DataError, match="is not a file"):
            read(str(tmp_path / "a.wav"), "a")
