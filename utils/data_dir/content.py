"""The bytes of an open file, as the key of what was found in them."""

import os
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(frozen=True)
class Content:
    """An open file. Two of one path are equal, so that what was found in it is remembered by path, size and time."""

    path: str
    raw: BinaryIO = field(compare=False)

    def read(self, size: int) -> bytes:
        """The first `size` bytes, or all where there are fewer; the place that is read next does not move."""
        pieces, place = [], 0
        while place < size and (piece := os.pread(self.raw.fileno(), size - place, place)):
            pieces.append(piece)
            place += len(piece)
        return b"".join(pieces)
