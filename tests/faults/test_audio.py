"""Malformed audio: refused by name, or read at its length and rate; never a crash, never silently shorter."""

import io
import random
import time

import numpy as np
import pytest
import soundfile

from utils.data_dir.audio import audio_info, read_audio
from utils.jobs.errors import DataError

RATE, NUM_SAMPLES, TRIALS, LIMIT_S = 16000, 16000, 60, 2.0
KINDS = {"WAV": ("WAV", "PCM_16"), "FLAC": ("FLAC", "PCM_16"), "Vorbis": ("OGG", "VORBIS"), "Opus": ("OGG", "OPUS")}


def encoded(kind):
    samples = 0.1 * np.random.default_rng(0).standard_normal(NUM_SAMPLES)
    buffer = io.BytesIO()
    file_format, subtype = KINDS[kind]
    soundfile.write(buffer, samples, RATE, format=file_format, subtype=subtype)
    return buffer.getvalue()


def mutated(data, generator):
    """Bits turned, bytes overwritten, cut off, put in, taken out."""
    data, place = bytearray(data), generator.randrange(len(data))
    size = generator.randrange(1, 50)
    how = generator.choice(["bit", "head", "some", "cut", "insert", "delete", "zero"])
    if how == "bit":
        data[place] ^= 1 << generator.randrange(8)
    elif how == "head":
        data[generator.randrange(100)] = generator.randrange(256)
    elif how == "some":
        for _ in range(20):
            data[generator.randrange(len(data))] = generator.randrange(256)
    elif how == "cut":
        del data[place:]
    elif how == "insert":
        data[place:place] = generator.randbytes(size)
    elif how == "delete":
        del data[place : place + size]
    else:
        data[place : place + size] = bytes(len(data[place : place + size]))
    return bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_malformed_is_read_whole(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(encoded(kind))
    samples, rate = read_audio(str(path), "a")
    assert (len(samples), rate) == (NUM_SAMPLES, RATE)


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_audio_is_refused_or_read_whole(tmp_path, kind):
    generator, path, refused = random.Random(f"malformed {kind}"), tmp_path / "a", 0
    for _ in range(TRIALS):
        path.write_bytes(mutated(encoded(kind), generator))
        started = time.monotonic()
        try:
            info = audio_info(str(path), "a")
            samples, rate = read_audio(str(path), "a")
            assert (len(samples), rate) == (info.num_samples, info.sample_rate_hz) == (NUM_SAMPLES, RATE)
        except DataError as e:
            assert "recording 'a'" in str(e)
            refused += 1
        assert time.monotonic() - started < LIMIT_S
    assert refused > TRIALS // 5
