"""Files that are there whole or not at all, and their hashes."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from utils.jobs.errors import RetortError

MANY_FILES = 100
BLOCK = 2**20  # bytes that are written at a time
T = TypeVar("T")


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def insist(path: Path, read: Callable[[], T]) -> T:
    """What `read()` returns. When it refuses the file, the file is read through, and then tried once more.

    Libraries do not tell an I/O error, which may pass, from a damaged file.

    Raises: OSError when the file cannot be read through; what `read` raises.
    """
    try:
        return read()
    except RetortError:
        if not path.is_file():
            raise
    sha256(path)
    return read()


def sha256_text(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def fsync(path: Path) -> None:
    """Forces a file, or the entries of a directory, to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def flush(paths: list[Path]) -> None:
    """Forces files to the disk: one by one, or all that the machine holds back where they are many."""
    if len(paths) > MANY_FILES:
        os.sync()
        return
    for path in paths:
        fsync(path)


def replace(temporary: Path, path: Path) -> None:
    """Puts a finished temporary file in the place of `path`, durably."""
    fsync(temporary)
    os.replace(temporary, path)
    fsync(path.parent)


def write_atomic(path: Path, data: str | bytes | Iterable[str]) -> None:
    """Writes `data`, or its pieces, under a temporary name beside `path`, fsyncs and renames."""
    pieces = [data] if isinstance(data, str | bytes) else data
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb", buffering=BLOCK) as f:
            f.writelines(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces)
        replace(temporary, path)
    except BaseException as e:
        if isinstance(e, OSError) and e.filename is None:
            e.filename = str(path)
        temporary.unlink(missing_ok=True)
        raise


def to_json(value: object) -> str:
    """Indented JSON with a newline at the end; the order of keys is the caller's."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
