import numpy as np
import pytest
import soundfile

from tests.support import write_wav
from utils.data_dir import flac
from utils.data_dir.audio import audio_info, read_audio
from utils.jobs.errors import DataError


def test_header_is_read(tmp_path):
    info = audio_info(str(write_wav(tmp_path / "a.wav", 0.5, 16000)), "a")
    assert (info.sample_rate_hz, info.num_samples, info.num_channels, info.duration_s) == (16000, 8000, 1, 0.5)


def test_samples_are_between_minus_1_and_1(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0, 16384, -32768], np.int16), 8000)
    samples, rate = read_audio(str(tmp_path / "a.wav"), "a")
    assert (samples.tolist(), samples.dtype, rate) == ([0.0, 0.5, -1.0], np.float32, 8000)


def test_a_part_of_a_recording_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.arange(8000, dtype=np.int16), 8000)
    samples, _ = read_audio(str(tmp_path / "a.wav"), "a", 0.5, 0.75)
    assert (samples * 32768).round().astype(int).tolist() == list(range(4000, 6000))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_encodings_of_one_signal_give_the_same_samples(tmp_path, subtype):
    signal = np.random.default_rng(0).integers(-20000, 20000, 800).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", signal / 32768, 8000, subtype=subtype)
    samples, _ = read_audio(str(tmp_path / "a.wav"), "a")
    assert np.array_equal(samples, (signal / 32768).astype(np.float32))


def write_sphere(path, declared, held):
    head = f"NIST_1A\n   1024\nsample_count -i {declared}\nsample_rate -i 16000\nsample_n_bytes -i 2\n"
    head += "sample_byte_format -s2 01\nchannel_count -i 1\nsample_coding -s3 pcm\nend_head\n"
    path.write_bytes(head.encode().ljust(1024) + bytes(2 * held))
    return str(path)


def test_a_sphere_file_that_is_cut_short_is_refused(tmp_path):
    assert audio_info(write_sphere(tmp_path / "a.sph", 500, 500), "a").num_samples == 500
    for read in (audio_info, read_audio):
        with pytest.raises(DataError, match="'a' holds 499 samples, its header says 500"):
            read(write_sphere(tmp_path / "a.sph", 500, 499), "a")


def test_a_segment_that_ends_behind_its_recording_is_refused(tmp_path):
    path = str(write_wav(tmp_path / "a.wav", 0.5, 8000))
    assert len(read_audio(path, "a", 0.1, 0.505)[0]) == 3200
    with pytest.raises(DataError, match="a segment ends at 0.6 s, recording 'a' at 0.50 s"):
        read_audio(path, "a", 0.1, 0.6)


def test_an_ogg_file_of_two_streams_is_refused(tmp_path):
    path = write_wav(tmp_path / "a.ogg", 0.5, 16000, format="OGG", subtype="VORBIS")
    assert audio_info(str(path), "a").num_samples == 8000
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(DataError, match="lacks pages"):
        audio_info(str(path), "a")


def test_flac_that_does_not_say_its_length_is_refused(tmp_path):
    path = write_wav(tmp_path / "a.flac", 0.5, 16000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(DataError, match="does not say how long it is"):
        audio_info(str(path), "a")


def test_stereo_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((80, 2)), 8000)
    with pytest.raises(DataError, match="recording 'a' has 2 channels, not 1"):
        read_audio(str(tmp_path / "a.wav"), "a")


@pytest.mark.parametrize("size", [45, 1000, 7999])
def test_a_file_that_ends_before_its_header_says_is_refused(tmp_path, size):
    path = write_wav(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match="recording 'a'"):
        read_audio(str(path), "a")


def test_500_malformed_files_are_refused_or_read_whole(tmp_path):
    good = write_wav(tmp_path / "good.wav", 0.1).read_bytes()
    generator = np.random.default_rng(1)
    path = tmp_path / "bad.wav"
    for _ in range(500):
        data = bytearray(good)
        for place in generator.integers(0, 60, 3):
            data[place] = generator.integers(256)
        path.write_bytes(data)
        try:
            count = audio_info(str(path), "a").num_samples
            assert len(read_audio(str(path), "a")[0]) == count
        except DataError:
            pass


def with_frame_inside(path, header):
    """A FLAC file that stores its samples as they are, with the bytes of a header among those of its last frame."""
    samples = np.random.default_rng(0).integers(-32768, 32767, 6000).astype(np.int16)
    samples[5000 : 5000 + len(header) // 2] = np.frombuffer(header[: len(header) // 2 * 2], ">i2")
    soundfile.write(path, samples, 16000, format="FLAC")
    assert header in path.read_bytes()
    return samples


def frame_header(rate_code):
    """Of a frame of 192 samples at a rate, with its checksum."""
    data = bytes([0xFF, 0xF8, 0x10 | rate_code, 0x08, 0x00])
    return data + bytes([flac.crc8(data)])


@pytest.mark.parametrize("rate_code", [4, 5, 8, 9])
def test_sound_that_looks_like_a_frame_of_flac_is_no_fault(tmp_path, rate_code):
    samples = with_frame_inside(tmp_path / "a.flac", frame_header(rate_code))
    assert audio_info(str(tmp_path / "a.flac"), "a").num_samples == 6000
    assert np.array_equal(read_audio(str(tmp_path / "a.flac"), "a")[0] * 32768, samples)


def test_a_flac_file_whose_header_tells_another_rate_or_length_is_refused(tmp_path):
    samples = np.random.default_rng(0).integers(-3000, 3000, 6000).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", samples, 16000, format="FLAC")
    data = bytearray((tmp_path / "a.flac").read_bytes())
    packed = int.from_bytes(data[18:26], "big")
    for changed, said in (
        (packed ^ (packed >> 44 << 44) | 8000 << 44, "is of 16000 Hz, its header says 8000 Hz"),
        (packed - 1000, "holds 6,000 samples, its header says 5,000"),
    ):
        data[18:26] = changed.to_bytes(8, "big")
        (tmp_path / "a.flac").write_bytes(data)
        with pytest.raises(DataError, match=said):
            audio_info(str(tmp_path / "a.flac"), "a")


@pytest.mark.parametrize("kind", ["RF64", "W64"])
@pytest.mark.parametrize("share", [0.3, 0.99])
def test_long_formats_that_are_cut_short_are_refused(tmp_path, kind, share):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16000), 16000, format=kind, subtype="PCM_16")
    assert audio_info(str(path), "a").num_samples == 16000
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match="its header says"):
        audio_info(str(path), "a")


def test_samples_behind_the_end_that_a_header_gives_are_not_lost(tmp_path):
    path = write_wav(tmp_path / "a.wav", 1.0, 16000)
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    path.write_bytes(data[:place] + (1000).to_bytes(4, "little") + data[place + 4 :])
    with pytest.raises(DataError, match="goes on for 0.97 s behind the end that its header gives"):
        audio_info(str(path), "a")
    for tail in (b"ID3" + bytes(9000), b"TAG" + bytes(125), bytes(9000), b"junk"):
        path.write_bytes(data + tail)
        assert audio_info(str(path), "a").num_samples == 16000
