"""A table is a text file of lines `<key> <value>`: UTF-8, sorted in C order, no key twice, newline at the end."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.jobs.errors import DataError
from utils.jobs.files import write_atomic


@dataclass(frozen=True)
class Fault:
    """One fault of a data directory, with its place (`data/train/text:17`) and the way to repair it."""

    place: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without line ends. Raises: DataError when missing, or not UTF-8."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except (IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: not a file") from None
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: byte {data[e.start]:#04x} is not UTF-8; convert the file to UTF-8") from None
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def scan_table(path: Path, has_value: bool = True) -> tuple[dict[str, str], list[Fault]]:
    """Reads a table and finds the faults of its format.

    Args:
        path: The table.
        has_value: Whether each key must be followed by a value.

    Returns: The rows of the well-formed lines, in file order, and the faults.
    """
    rows, faults, line_of = {}, [], {}
    remedy = f"run: python3 -m utils.fix_data_dir {path.parent}"
    previous = ""
    for number, line in enumerate(read_lines(path), start=1):
        place = f"{path}:{number}"
        key, _, value = line.partition(" ")
        if not key or line != line.strip() or "  " in line.split(" ", 1)[0] or "\t" in line or "\r" in line:
            faults.append(Fault(place, f"not of the form '<key> <value>' with single spaces: {line[:60]!r}", remedy))
            continue
        if has_value and not value:
            faults.append(Fault(place, f"'{key}' has no value"))
        if key in rows:
            faults.append(Fault(place, f"'{key}' stands in line {line_of[key]} already", remedy))
            continue
        if key.encode() < previous.encode():
            faults.append(Fault(place, f"'{key}' after '{previous}' is not in C order", remedy))
        rows[key], line_of[key], previous = value, number, key
    return rows, faults


def read_table(path: Path, has_value: bool = True) -> dict[str, str]:
    """A table as {key: value}. Raises: DataError for the first fault."""
    rows, faults = scan_table(path, has_value)
    if faults:
        raise DataError(str(faults[0]))
    return rows


def write_table(path: Path, rows: Iterable[tuple[str, str]] | dict[str, str]) -> None:
    """Writes a table, sorted in C order."""
    rows = rows.items() if isinstance(rows, dict) else rows
    lines = sorted((f"{key} {value}".rstrip(" ") for key, value in rows), key=lambda x: x.split(" ", 1)[0].encode())
    write_atomic(path, "".join(line + "\n" for line in lines))
