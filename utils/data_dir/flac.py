"""FLAC streams: whether the last frame ends where the header says, and the first one has the rate that it says.

Source: RFC 9639, sections 8.2 and 9.1.
"""

import os
from typing import BinaryIO

RATES_HZ = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)  # by code; 0: the header's
BLOCK_SIZES = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}
TAIL = 1 << 17  # bytes, in which the last frame begins


class FrameHeader:
    """The header of a frame. `is_valid` tells whether there is one: its CRC-8 is right.

    Coded sound looks like a header once in some million bytes. What all frames of a stream have in common, `kind`,
    tells such places from frames.
    """

    def __init__(self, data: bytes, stream_rate_hz: int, block_size: int):
        self.is_valid = False
        if len(data) < 6 or data[0] != 0xFF or data[1] & 0xFE != 0xF8:
            return
        self.kind = (data[:2], data[2] & 0x0F, data[3] & 0x0F)  # strategy, rate, sample size
        number, place = _coded_number(data, 4)
        size_code, rate_code = data[2] >> 4, data[2] & 15
        extra = {6: 1, 7: 2}.get(size_code, 0)
        size = int.from_bytes(data[place : place + extra], "big") + 1 if extra else BLOCK_SIZES.get(size_code, 0)
        place += extra
        extra = {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
        rate = int.from_bytes(data[place : place + extra], "big") * {12: 1000, 14: 10}.get(rate_code, 1)
        self.rate_hz = rate if extra else stream_rate_hz if rate_code in (0, 15) else RATES_HZ[rate_code]
        place += extra
        self.end = (number if data[1] & 1 else number * block_size) + size
        self.is_valid = bool(size) and len(data) > place and crc8(data[:place]) == data[place]


def _coded_number(data: bytes, place: int) -> tuple[int, int]:
    """(number, place behind it) of a number coded as UTF-8 codes characters."""
    first = data[place]
    ones = 8 - (~first & 0xFF).bit_length()
    number = first & (0x7F >> ones)
    for byte in data[place + 1 : place + max(ones, 1)]:
        number = number << 6 | byte & 0x3F
    return number, place + max(ones, 1)


def crc8(data: bytes) -> int:
    """CRC-8 with the polynomial x^8 + x^2 + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def first_frame(raw: BinaryIO, size: int) -> int:
    """The place of the first frame, behind the metadata of an open file of `size` bytes; `size` where there is none."""
    place, is_last = 4, False
    while not is_last and place < size:
        head = os.pread(raw.fileno(), 4, place).ljust(4, b"\0")
        is_last = bool(head[0] & 0x80)
        place += 4 + int.from_bytes(head[1:], "big")
    return min(place, size)


def fault_of(raw: BinaryIO, num_samples: int, rate_hz: int) -> str:
    """What contradicts the header of a FLAC file; empty when nothing does.

    Args:
        raw: The open file; the place that is read next does not move.
        num_samples: As the header says.
        rate_hz: As the header says.
    """
    head = os.pread(raw.fileno(), 4 + 4 + 34, 0)
    if head[:4] != b"fLaC":  # behind an ID3 tag, or in Ogg: the decoder's business
        return ""
    block_size, size = int.from_bytes(head[8:10], "big"), os.fstat(raw.fileno()).st_size
    first = FrameHeader(os.pread(raw.fileno(), 16, first_frame(raw, size)), rate_hz, block_size)
    if not first.is_valid:
        return "has no frame behind its header"
    if first.rate_hz != rate_hz:
        return f"is of {first.rate_hz} Hz, its header says {rate_hz} Hz"
    tail = os.pread(raw.fileno(), TAIL, max(size - TAIL, 0))
    place, last = len(tail), 0
    while (place := tail.rfind(first.kind[0], 0, place)) >= 0:
        header = FrameHeader(tail[place : place + 16], rate_hz, block_size)
        if header.is_valid and header.kind == first.kind:
            if header.end == num_samples:
                return ""
            last = last or header.end
    return f"holds {last:,} samples, its header says {num_samples:,}"
