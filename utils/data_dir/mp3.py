"""MP3 streams: whether they are one unbroken row of frames, and hold as many samples as the decoder counts.

Decoders leave out frames that they cannot read, and say nothing.
Source: ISO 11172-3 and 13818-3 for the frames; the tag of the first frame as LAME and libavformat write it.
"""

import os
from functools import lru_cache
from typing import BinaryIO

from utils.data_dir.content import Content

BITRATES_KBPS = {  # of Layer III, by index 1 to 14
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
}
RATES_HZ = (44100, 48000, 32000)  # of MPEG 1; halved for MPEG 2, and again for 2.5
SAME_IN_ALL_FRAMES = 0xFFFE0C00  # sync, version, layer, sample rate
TAG_NAMES = (b"Xing", b"Info")
LAVF_CRC_BYTES = 190  # that libavformat's CRC covers, its own field as 0; LAME's covers what stands before it
ENCODERS = (b"LAME", b"Lavc", b"Lavf")  # that write an extended tag


class Frame:
    """What the four bytes at the start of a frame say. `size` is 0 where they are no header of Layer III."""

    def __init__(self, header: int):
        version = {3: 1, 2: 2, 0: 2}.get(header >> 19 & 3)
        bitrate, rate = header >> 12 & 15, header >> 10 & 3
        self.size = 0
        if header >> 21 != 0x7FF or header >> 17 & 3 != 1 or not version or bitrate in (0, 15) or rate == 3:
            return
        self.rate_hz = RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[header >> 19 & 3]
        self.num_samples = 1152 if version == 1 else 576
        is_mono = header >> 6 & 3 == 3
        self.side_info = (17 if is_mono else 32) if version == 1 else (9 if is_mono else 17)  # bytes
        self.tag_start = 4 + (0 if header >> 16 & 1 else 2) + self.side_info  # bytes
        bits_per_frame = self.num_samples * BITRATES_KBPS[version][bitrate - 1] * 1000
        self.size = bits_per_frame // 8 // self.rate_hz + (header >> 9 & 1)


def crc16(data: bytes) -> int:
    """CRC-16/ARC, as the tag holds it of itself."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def stream_of(data: bytes) -> tuple[int, int]:
    """Where the frames begin and end: between the ID3v2 tag, and APEv2 and ID3v1 tags."""
    start, end = 0, len(data)
    while data[start : start + 3] == b"ID3":
        a, b, c, d = data[start + 6 : start + 10].ljust(4, b"\xff")  # seven bits each
        if max(a, b, c, d) > 127:
            break
        start += (a << 21 | b << 14 | c << 7 | d) + (20 if data[start + 5 : start + 6] > b"\x0f" else 10)
    if data[-128:-125] == b"TAG":
        end -= 128
    if data[end - 32 : end - 24] == b"APETAGEX":
        has_header = data[end - 9] & 128
        end -= int.from_bytes(data[end - 20 : end - 16], "little") + (32 if has_header else 0)
    return min(start, len(data)), end


def samples_in(first: bytes, frame: Frame, num_frames: int, num_bytes: int) -> int:
    """The number of samples that a stream holds, without the encoder's delay and padding where its tag tells them.

    Args:
        first: The first frame.
        frame: Its header.
        num_frames: Frames of the stream, the first one counted.
        num_bytes: Their size.

    Raises: ValueError when the tag is damaged, or tells of another stream.
    """
    start = frame.tag_start
    if first[start : start + 4] not in TAG_NAMES:
        if first[start + 120 : start + 124] in ENCODERS:
            raise ValueError("has a damaged tag in its first frame")
        return num_frames * frame.num_samples
    flags, place, told = first[start + 7], start + 8, {}
    for bit, (name, size) in enumerate((("frames", 4), ("bytes", 4), ("index", 100), ("quality", 4))):
        if flags >> bit & 1:
            told[name] = int.from_bytes(first[place : place + size], "big")
            place += size
    if told.get("frames", num_frames - 1) != num_frames - 1:
        raise ValueError(f"holds {num_frames - 1:,} MP3 frames, its header says {told['frames']:,}")
    if told.get("bytes", num_bytes) not in (num_bytes, 0):
        raise ValueError(f"holds {num_bytes:,} bytes of MP3 frames, its header says {told['bytes']:,}")
    total = (num_frames - 1) * frame.num_samples
    if first[place : place + 4] not in ENCODERS:
        return total
    before, stored = first[: place + 34], first[place + 34 : place + 36]
    lavf = (before + bytes(2) + first[place + 36 :]).ljust(LAVF_CRC_BYTES, b"\0")[:LAVF_CRC_BYTES]
    if int.from_bytes(stored, "big") not in (crc16(before), crc16(lavf)):
        raise ValueError("has a damaged tag in its first frame")
    delays = int.from_bytes(first[place + 21 : place + 24], "big")
    return total - (delays >> 12) - (delays & 0xFFF)


@lru_cache(maxsize=256)  # the segments of a recording follow one another
def _look(content: Content, size: int, _mtime_ns: int) -> tuple[str, int, int]:
    """(fault or nothing, samples, rate in Hz) of the file."""
    data = content.read(size)
    start, end = stream_of(data)
    place, num_frames = start, 0
    first = int.from_bytes(data[start : start + 4], "big")
    while place < end:
        header = int.from_bytes(data[place : place + 4], "big")
        size = Frame(header).size
        if not size or (header ^ first) & SAME_IN_ALL_FRAMES or place + size > end:
            return f"is not one unbroken row of MP3 frames (byte {place:,} of {len(data):,})", 0, 0
        place, num_frames = place + size, num_frames + 1
    if not num_frames:
        return "holds no MP3 frame", 0, 0
    frame = Frame(first)
    try:
        num_samples = samples_in(data[start : start + frame.size], frame, num_frames, end - start)
    except ValueError as e:
        return str(e), 0, 0
    return "", num_samples, frame.rate_hz


def fault_of(path: str, raw: BinaryIO, num_samples: int, rate_hz: int) -> str:
    """What is wrong with an MP3 file; empty when all is well.

    Args:
        path: The file.
        raw: The same, open; the place that is read next does not move.
        num_samples: As the decoder counts them.
        rate_hz: As the decoder tells it.
    """
    stat = os.fstat(raw.fileno())
    fault, *found = _look(Content(path, raw), stat.st_size, stat.st_mtime_ns)
    if not fault and found != [num_samples, rate_hz]:
        return f"is decoded as {num_samples:,} samples at {rate_hz} Hz, its frames hold {found[0]:,} at {found[1]} Hz"
    return fault
