import io

import numpy as np
import pytest
import soundfile
from scipy import signal

from steps.config.schema import FeaturesConfig
from steps.features.channel import add_noise, band_pass, make_noise, mu_law, transmit
from steps.features.extract import make_shard, make_shards, read_samples
from utils.data_dir.archive import read_feats
from utils.data_dir.channel import Channel, to_channel
from utils.data_dir.data_dir import Utterance

PHONE = Channel("telephone")
CHANNELS = ("telephone", "telephone:snr_db=15", "telephone:snr_db=15,noise=pink", "noisy:snr_db=5")
CHANNELS += ("far", "far:snr_db=15")


def tone(hz, rate, num_samples, amplitude=0.3):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(num_samples) / rate)).astype(np.float32)


def noise(num_samples, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(num_samples, np.float32)


def power(samples):
    return float(np.mean(samples.astype(np.float64) ** 2))


def test_mu_law_equals_libsndfiles_for_each_16_bit_sample():
    every = np.arange(-32768, 32768, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, every, 8000, format="WAV", subtype="ULAW")
    file.seek(0)
    expected, _ = soundfile.read(file, dtype="float32")
    found = mu_law(every.astype(np.float32) / 32768)
    assert found.dtype == np.float32 and np.array_equal(found, expected)


def test_mu_law_has_255_levels_and_keeps_what_it_gave():
    found = mu_law(np.linspace(-2, 2, 100_001, dtype=np.float32))
    assert len(set(found.tolist())) == 255 and found.max() == -found.min() == 8031 / 8192
    assert np.array_equal(mu_law(found), found)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("rate", [6000, 8000, 11025, 16000, 22050, 44100])
@pytest.mark.parametrize("num_samples", [1, 2, 79, 8000, 8001, 10_007])
def test_as_many_samples_come_out_as_go_in(channel, rate, num_samples):
    found = transmit(noise(num_samples), rate, to_channel(channel), 1)
    assert found.shape == (num_samples,) and found.dtype == np.float32 and np.isfinite(found).all()


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_samples_lie_where_they_lay(rate):
    source = band_limited = noise(rate)
    found = transmit(source, rate, PHONE, 0)
    band_limited = signal.sosfiltfilt(signal.butter(8, [500, 3000], "bandpass", fs=rate, output="sos"), source)
    lags = signal.correlate(found, band_limited, "full")
    assert np.argmax(lags) == rate - 1  # a lag of 0


@pytest.mark.parametrize(
    ("hz", "lowest_db", "highest_db"),
    [(100, -200, -50), (200, -200, -40), (300, -7, -5), (500, -0.5, 0.5), (1000, -0.5, 0.5), (3000, -0.5, 0.5)]
    + [(3400, -7, -5), (3500, -200, -40), (3900, -200, -50)],
)
def test_the_line_lets_its_band_through(hz, lowest_db, highest_db):
    gain_db = 10 * np.log10(power(band_pass(tone(hz, 8000, 8000))[500:-500]) / power(tone(hz, 8000, 7000)))
    assert lowest_db < gain_db < highest_db


def test_nothing_is_left_above_4_khz():
    found = transmit(noise(48_000), 16000, to_channel("telephone:snr_db=10"), 0)
    density = np.abs(np.fft.rfft(found * np.hanning(48_000))) ** 2  # (24001,), 1/3 Hz each
    assert density[12_300:].max() < 1e-8 * density[1500:10_000].mean()


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_has_the_power_that_is_asked_for(kind, snr_db):
    speech = tone(440, 16000, 16000)
    added = transmit(speech, 16000, Channel("noisy", snr_db, kind), 7) - speech
    assert 10 * np.log10(power(speech) / power(added)) == pytest.approx(snr_db, abs=0.01)


def test_the_noise_of_a_telephone_has_its_power_within_the_band():
    silent = transmit(speech := tone(1000, 8000, 16_000), 8000, PHONE, 7)
    added = transmit(speech, 8000, Channel("telephone", 15.0), 7) - silent
    assert 10 * np.log10(power(silent) / power(added)) == pytest.approx(15, abs=0.3)  # mu-law adds a little


def test_white_noise_is_as_strong_in_each_hertz_and_pink_in_each_octave():
    for kind, slope in (("white", 0.0), ("pink", -1.0)):
        frequencies, density = signal.welch(make_noise(400_000, kind, 1), 16000, nperseg=4096)
        inside = (frequencies > 50) & (frequencies < 7000)
        found = np.polyfit(np.log(frequencies[inside]), np.log(density[inside]), 1)[0]
        assert found == pytest.approx(slope, abs=0.05)


@pytest.mark.parametrize("channel", CHANNELS)
def test_silence_stays_silent(channel):
    assert not transmit(np.zeros(1000, np.float32), 16000, to_channel(channel), 1).any()


def test_no_noise_is_added_where_none_is_made():
    assert np.array_equal(add_noise(noise(10), np.zeros(10, np.float32), 0.0), noise(10))


@pytest.fixture
def recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(16_000), 16000, subtype="FLOAT")
    return tmp_path / "a.wav"


def features_of(folder, utterances, settings):
    (shard,) = make_shards(utterances, folder, folder, settings)
    return {u: read_feats(entry, u) for u, entry in make_shard(shard).feats_scp.items()}


def test_the_noise_of_an_utterance_depends_on_its_id_alone(tmp_path, recording):
    settings = FeaturesConfig()
    one, other = (Utterance(u, u, str(recording), channel=Channel("noisy", 5.0)) for u in ("a-1", "a-2"))
    together = features_of(tmp_path, [one, other], settings)
    assert np.array_equal(features_of(tmp_path, [other], settings)["a-2"], together["a-2"])
    assert not np.array_equal(together["a-1"], together["a-2"])


@pytest.mark.parametrize("speed", [1.0, 0.9])
def test_each_frame_is_of_the_same_moment_as_before(tmp_path, speed):
    time = np.arange(32_000) / 16000
    samples = (np.sin(2 * np.pi * 3 * time) > 0) * 0.3 * np.sin(2 * np.pi * 900 * time)  # is switched on and off
    soundfile.write(tmp_path / "b.wav", samples, 16000, subtype="FLOAT")
    direct, heard = (
        features_of(tmp_path, [Utterance("b-1", "b-1", str(tmp_path / "b.wav"), 0.0, 1.9, speed, c)], FeaturesConfig())
        for c in (Channel(), PHONE)
    )
    assert direct["b-1"].shape == heard["b-1"].shape
    loudest = [x["b-1"][:, 18:30].max(1) for x in (direct, heard)]  # around 900 Hz
    assert np.mean((loudest[0] > -4) == (loudest[1] > -4)) > 0.98


def test_a_segment_in_time_at_another_speed_goes_through_its_channel(recording):
    utterance = Utterance("a-1", "a", str(recording), 0.25, 0.75, 1.25, PHONE)
    assert len(read_samples(utterance, FeaturesConfig())) == 6400


def test_far_speech_keeps_its_place_and_has_echoes_behind_it():
    click = np.zeros(16000, np.float32)
    click[4000] = 0.5
    found = transmit(click, 16000, to_channel("far"), 3)
    assert not found[:3999].any() or np.abs(found[:3999]).max() < 1e-6
    assert found[4000] == pytest.approx(0.5, abs=1e-3)
    echoes = found[4001:]
    assert 0.5 * 0.9 < np.sqrt((echoes.astype(float) ** 2).sum()) < 1.1
    early, late = (np.abs(echoes[a:b]).mean() for a, b in ((0, 1600), (4800, 6400)))
    assert late < 0.3 * early
    assert (found == transmit(click, 16000, to_channel("far"), 3)).all()
    assert (found != transmit(click, 16000, to_channel("far"), 4)).any()
