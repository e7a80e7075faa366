"""Audio files: what their header says, and their samples."""

import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from utils.data_dir import flac, mp3
from utils.data_dir.content import Content
from utils.jobs.errors import DataError
from utils.jobs.files import insist

# What libsndfile notes of WAV, AIFF, AU and W64 files that hold fewer bytes of samples than their header says.
CUT_SHORT = re.compile(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
FEWER_FRAMES = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")  # of RF64
NO_CHUNK = re.compile(r"Unknown chunk marker \(\w+\) at position (\d+)\.")  # behind the samples of a WAV file
TAGS = (b"ID3", b"TAG", b"APETAGEX")  # that some programs append
HIDDEN_S = 0.1  # of samples behind the end that the header gives
SPHERE_SAMPLES = re.compile(rb"\nsample_count -i (\d+)")
TOLERANCE_S = 0.01  # that a segment may end behind its recording
CONTRADICTION = re.compile(r"^ *(Bytes/sec|Block Align) *: (\d+ \(should be \d+\))", re.MULTILINE)
LINEAR = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
MIN_RATE_HZ, MAX_RATE_HZ = 1000, 768_000
MAX_SAMPLES = 2**40  # libsndfile gives a larger number where the header holds none
OGG_BEGINNING = b"OggS\0\x02"  # of the first page of a stream
OPUS_RATE = 48000  # Hz; the pages of Opus count in it, and begin before the first sample
OGG_TOLERANCE_S = 0.1
PIECE = 1024  # samples; hardly two recordings agree in so many, unless they are silent there
UNKNOWN_SIZE = 0x7FFF0000  # bytes; programs that write to a pipe put such a size, or a larger one, into the header


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of an audio file says, and a digest of some samples in its middle where that was asked for."""

    sample_rate_hz: int
    num_samples: int
    num_channels: int
    middle: str = ""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sample_rate_hz


def _unreadable(path: str, utt_id: str, error: Exception) -> DataError:
    p = Path(path)
    if not p.exists():
        fault = "missing"
    elif not p.is_file():
        fault = "not a file"
    elif p.stat().st_size == 0:
        fault = "empty"
    else:
        fault = f"not readable as audio ({getattr(error, 'error_string', error)})"
    return DataError(f"{path}: recording '{utt_id}' is {fault}; replace the file, or remove it from the corpus")


def _check_whole(path: str, rec_id: str, raw: BinaryIO, f: "object") -> None:
    """Raises: DataError when an open file was cut short, as far as its format tells. `raw` are its bytes."""
    fault, remedy = "", "replace the file"
    if not MIN_RATE_HZ <= f.samplerate <= MAX_RATE_HZ:
        fault = f"has a sample rate of {f.samplerate:,} Hz, which is none of speech"
    elif found := CUT_SHORT.search(f.extra_info):
        if int(found[2]) < int(found[1]) < UNKNOWN_SIZE:
            fault = f"holds {int(found[2]):,} bytes of samples, its header says {int(found[1]):,}"
    elif (found := FEWER_FRAMES.search(f.extra_info)) and int(found[1]) < int(found[2]):
        fault = f"holds {int(found[1]):,} samples, its header says {int(found[2]):,}"
    elif f.format in ("WAV", "WAVEX") and (found := _hidden_s(raw, f)) >= HIDDEN_S:
        fault = f"goes on for {found:.2f} s behind the end that its header gives"
    elif f.subtype in LINEAR and (found := CONTRADICTION.search(f.extra_info)):
        fault = f"has a header that contradicts itself ({found[1]} {found[2]})"
    elif f.format == "NIST":
        told = SPHERE_SAMPLES.search(os.pread(raw.fileno(), 1024, 0))
        if told and f.frames < int(told[1]):
            fault = f"holds {f.frames:,} samples, its header says {int(told[1]):,}"
    elif f.format == "OGG" and not _is_whole_ogg(path, raw, f):
        fault = "lacks pages of its Ogg stream, at the end or before"
    elif f.frames > MAX_SAMPLES:
        fault = "does not say how long it is; encode it anew"
    elif f.format == "MP3" and (found := mp3.fault_of(path, raw, f.frames, f.samplerate)):
        fault, remedy = found, "replace the file, or convert it to WAV or FLAC"
    elif f.format == "FLAC" and (found := flac.fault_of(raw, f.frames, f.samplerate)):
        fault = found
    elif f.format in ("FLAC", "MP3") and f.frames and not _reaches_end(f):
        fault = f"ends before the {f.frames / f.samplerate:.2f} s that its header says"
    if fault:
        raise DataError(f"{path}: recording '{rec_id}' {fault}; {remedy}")


def _hidden_s(raw: BinaryIO, f: "object") -> float:
    """Seconds of bytes behind the samples of a WAV file that are neither a chunk nor a tag: samples, then."""
    found = NO_CHUNK.search(f.extra_info)
    if not found or f.frames == 0 or os.pread(raw.fileno(), 8, int(found[1])).startswith(TAGS):
        return 0.0
    rate = re.search(r"Bytes/sec *: (\d+)", f.extra_info)
    return (os.fstat(raw.fileno()).st_size - int(found[1])) / max(int(rate[1]), 1) if rate else 0.0


def _is_whole_ogg(path: str, raw: BinaryIO, f: "object") -> bool:
    """Whether an Ogg file is one stream that ends, and counts as many samples as are found in it.

    libogg leaves out pages whose checksum is wrong, and says nothing.
    """
    stat = os.fstat(raw.fileno())
    position = _last_position(Content(path, raw), stat.st_size, stat.st_mtime_ns)
    rate = OPUS_RATE if f.subtype == "OPUS" else f.samplerate
    return position is not None and abs(position / rate - f.frames / f.samplerate) < OGG_TOLERANCE_S


@lru_cache(maxsize=256)  # the segments of a recording follow one another
def _last_position(content: Content, size: int, _mtime_ns: int) -> int | None:
    """The sample that the last page of an Ogg file ends at; None where that page is cut short or not the last.

    None for several streams, too, of which libsndfile reads the first.
    """
    data = content.read(size)
    page = data[data.rfind(b"OggS") :]
    num_segments = page[26] if len(page) > 26 else 256
    is_whole = len(page) >= 27 + num_segments + sum(page[27 : 27 + num_segments]) and page[5] & 4
    return int.from_bytes(page[6:14], "little") if is_whole and data.count(OGG_BEGINNING) <= 1 else None


def _reaches_end(f: "object") -> bool:
    """Whether the last sample can be decoded; the file stands at its start afterwards."""
    import soundfile

    try:
        f.seek(f.frames - 1)
        found = len(f.read(1)) == 1
        f.seek(0)
    except soundfile.SoundFileError:
        return False
    return found


def audio_info(path: str, rec_id: str, with_middle: bool = False) -> AudioInfo:
    """The header of an audio file, which is opened once.

    Raises: DataError when it is missing, empty, cut short or not audio; OSError for an I/O error.
    """
    return insist(Path(path), lambda: _info(path, rec_id, with_middle)[0])


def audio_info_and_hash(path: str, rec_id: str) -> tuple[AudioInfo, str]:
    """The header with the digest of the middle, and the SHA-256 of the file, which is opened once. Raises: the same."""
    return insist(Path(path), lambda: _info(path, rec_id, with_middle=True, with_hash=True))


def _info(path: str, rec_id: str, with_middle: bool = False, with_hash: bool = False) -> tuple[AudioInfo, str]:
    with _opened(path, rec_id) as (f, raw):
        middle = _digest_of_middle(f) if with_middle and f.frames > 0 else ""
        info = AudioInfo(f.samplerate, f.frames, f.channels, middle)
        digest = ""
        if with_hash:
            raw.seek(0)
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
    if info.num_samples <= 0:
        raise DataError(f"{path}: recording '{rec_id}' holds no samples; replace the file, or remove it")
    return info, digest


def _digest_of_middle(f: "object") -> str:
    """A digest of some samples in the middle of an open file as float32; empty where they cannot be read."""
    import soundfile

    try:
        f.seek(max(0, f.frames - PIECE) // 2)
        samples = f.read(PIECE, dtype="float32")
    except (soundfile.SoundFileError, RuntimeError):  # which reading the whole file reports
        return ""
    return hashlib.sha256(samples.tobytes()).hexdigest()[:32]


@contextmanager
def _opened(path: str, rec_id: str) -> Iterator[tuple["object", BinaryIO]]:
    """An open file that is whole, as far as its format tells, and its bytes.

    Raises: DataError, also for what fails within.
    """
    import soundfile

    try:
        if not os.path.isfile(path):  # libsndfile would wait for ever at a FIFO
            raise RuntimeError
        with open(path, "rb", buffering=0) as raw, soundfile.SoundFile(raw.fileno(), closefd=False) as f:
            _check_whole(path, rec_id, raw, f)
            yield f, raw
    except (RuntimeError, TypeError) as e:  # soundfile's LibsndfileError is a RuntimeError
        raise _unreadable(path, rec_id, e) from None


def check_mono(path: str, rec_id: str, num_channels: int) -> None:
    """Raises: DataError when a recording has more than one channel."""
    if num_channels != 1:
        raise DataError(f"{path}: recording '{rec_id}' has {num_channels} channels, not 1; make it mono beforehand")


def read_audio(path: str, rec_id: str, start_s: float = 0.0, end_s: float | None = None) -> tuple["object", int]:
    """Samples as float32 in [-1, 1], shape (S,), and the sample rate in Hz.

    Args:
        path: The file.
        rec_id: Named in errors.
        start_s: Start of the part to read, in seconds.
        end_s: Its end; None reads to the end of the file.

    Raises: DataError when unreadable, shorter than its header says, not mono, or without a sample; OSError for an
        I/O error.
    """
    return insist(Path(path), lambda: _read(path, rec_id, start_s, end_s))


def _read(path: str, rec_id: str, start_s: float, end_s: float | None) -> tuple["object", int]:
    with _opened(path, rec_id) as (f, _):
        rate, num_channels, total = f.samplerate, f.channels, f.frames
        start = round(start_s * rate)
        stop = total if end_s is None else min(round(end_s * rate), total)
        if end_s is not None and end_s > total / rate + TOLERANCE_S:
            text = f"a segment ends at {end_s:g} s, recording '{rec_id}' at {total / rate:.2f} s"
            raise DataError(f"{path}: {text}; correct segments")
        if f.seekable():
            f.seek(min(start, total))
        else:
            f.read(min(start, total), dtype="float32")
        samples = f.read(max(stop - start, 0), dtype="float32")
    check_mono(path, rec_id, num_channels)
    if stop <= start:
        told = "replace the file" if end_s is None else "correct segments"
        raise DataError(f"{path}: recording '{rec_id}' holds no samples from {start_s:g} s; {told}")
    if len(samples) != stop - start:
        lost = (stop - start - len(samples)) / rate
        raise DataError(f"{path}: recording '{rec_id}' ends {lost:.2f} s before its header says; replace the file")
    return samples, rate


def write_audio(path: Path, samples: "object", sample_rate_hz: int) -> None:
    """Writes samples in [-1, 1], shape (S,), as 16-bit WAV. Raises: OSError when the disk refuses."""
    import soundfile

    buffer = io.BytesIO()  # libsndfile itself does not say why a write fails
    soundfile.write(buffer, samples, sample_rate_hz, format="WAV", subtype="PCM_16")
    path.write_bytes(buffer.getvalue())
