"""Malformed audio: refused by name, or read at its length and rate; never a crash, never silently shorter."""

import io
import random
import time
from pathlib import Path

import numpy as np
import soundfile

from utils.data_dir.audio import audio_info, read_audio
from utils.jobs.errors import DataError

RATE, NUM_SAMPLES, LIMIT_S = 16000, 16000, 2.0
KINDS = {"WAV": ("WAV", "PCM_16"), "FLAC": ("FLAC", "PCM_16"), "Vorbis": ("OGG", "VORBIS"), "Opus": ("OGG", "OPUS")}
KINDS["MP3"] = ("MP3", "MPEG_LAYER_III")


ID3V2 = b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)
APE = bytes(40) + b"APETAGEX" + (2000).to_bytes(4, "little") + (72).to_bytes(4, "little") + bytes(16)
ID3V1 = b"TAG" + bytes(125)


def encoded(kind: str) -> bytes:
    """A second of noise; MP3 with what players put around it."""
    samples = 0.1 * np.random.default_rng(0).standard_normal(NUM_SAMPLES)
    buffer = io.BytesIO()
    file_format, subtype = KINDS[kind]
    soundfile.write(buffer, samples, RATE, format=file_format, subtype=subtype)
    return ID3V2 + buffer.getvalue() + APE + ID3V1 if kind == "MP3" else buffer.getvalue()


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Bits turned, bytes overwritten, cut off, put in, taken out."""
    data, place = bytearray(data), generator.randrange(len(data))
    size = generator.randrange(1, 50)
    how = generator.choice(["bit", "head", "some", "cut", "insert", "delete", "zero"])
    if how == "bit":
        data[place] ^= 1 << generator.randrange(8)
    elif how == "head":
        data[generator.randrange(min(len(data), 300))] = generator.randrange(256)
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


def verdict(path: Path) -> tuple[str, bool]:
    """(what is wrong, or nothing; whether the file is refused)."""
    started, refusal = time.monotonic(), ""
    try:
        info = audio_info(str(path), "a")
        samples, rate = read_audio(str(path), "a")
        if not (len(samples), rate) == (info.num_samples, info.sample_rate_hz) == (NUM_SAMPLES, RATE):
            return f"read as {len(samples)} samples at {rate} Hz", False
    except DataError as e:
        refusal = str(e)
    if refusal and "recording 'a'" not in refusal:
        return f"the refusal names no recording: {refusal}", True
    if time.monotonic() - started > LIMIT_S:
        return "took too long", False
    return "", bool(refusal)


def malform(folder: Path, kind: str, trials: int, seed: int = 0) -> tuple[list[str], int]:
    """(what is wrong with each file, or nothing; how many are refused) of mutated files of a kind."""
    generator, path, found = random.Random(f"malformed {kind} {seed}"), folder / "a", []
    good = encoded(kind)
    for _ in range(trials):
        path.write_bytes(mutated(good, generator))
        found.append(verdict(path))
    return [problem for problem, _ in found], sum(is_refused for _, is_refused in found)
