"""A table is a text file of lines `<key> <value>`: UTF-8, sorted in C order, no key twice, newline at the end."""

import codecs
import shlex
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.jobs.errors import DataError
from utils.jobs.files import write_atomic

INVISIBLE = ("Cc", "Cf", "Cn", "Zs", "Zl", "Zp")  # categories of Unicode: control, format, unassigned, spaces
JOINERS = "\u200c\u200d"  # of letters: they belong to the spelling of Persian and Indic languages, and to emoji
# Signs of Arabic, Syriac and Kaithi that are written around digits: of category Cf, yet seen.
SIGNS = {*map(chr, [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD])}
BLANKS = {"\u2800", "\u3164", "\uffa0"}  # of Braille and Hangul: a letter or sign to Unicode, a space to the eye
NAMES = {"\ufeff": "byte-order mark", "\r": "carriage return", "\t": "tab", "\0": "NUL", "\u00a0": "no-break space"}
BLANK_LINE = "a blank line"
PATH_TABLES = ("wav.scp", "feats.scp")  # a path may hold any space, or several in a row


@dataclass(frozen=True)
class Fault:
    """One fault of a data directory.

    Attributes:
        place: Such as `data/train/text:17`.
        text: What is wrong, and with which utterance.
        remedy: How to repair it.
        utt_ids: The utterances without which it would be gone.
    """

    place: str
    text: str
    remedy: str = ""
    utt_ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


class Table(dict[str, str]):
    """The rows of a table by key, and the line that each stands in."""

    def __init__(self) -> None:
        super().__init__()
        self.line_of: dict[str, int] = {}


def read_text_file(path: Path) -> str:
    """The content of a UTF-8 text file. Raises: DataError when missing, or not UTF-8."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except (IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: not a file") from None
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            remedy = fix_command(path.parent)
            raise DataError(f"{path}:1: begins as UTF-16 does, which is not UTF-8; {remedy}") from None
        old, new = shlex.quote(str(path)), shlex.quote(f"{path}.utf8")
        remedy = f"if it is Latin-1, run: iconv -f LATIN1 -t UTF-8 -o {new} {old} && mv {new} {old}"
        raise DataError(f"{path}:{line}: byte {data[e.start]:#04x} is not UTF-8; {remedy}") from None


def fix_command(folder: Path, *options: str) -> str:
    """The command that repairs a data directory, as messages propose it."""
    return "run: " + " ".join(["python3 -m utils.fix_data_dir", *options, shlex.quote(str(folder))])


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without line ends and byte-order mark.

    Raises: DataError when it is missing, or not UTF-8.
    """
    lines = read_text_file(path).removeprefix("\ufeff").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def is_invisible(character: str) -> bool:
    """Whether it is a control character, a space other than the plain one, looks like one, or has no width."""
    if character == " " or character in JOINERS or character in SIGNS:
        return False
    return character in BLANKS or unicodedata.category(character) in INVISIBLE


def is_seen(text: str) -> bool:
    """Whether a text has a character that is seen by itself."""
    return any(not is_invisible(c) and c not in JOINERS and unicodedata.category(c) not in ("Mn", "Zs") for c in text)


def visible(text: str) -> str:
    """The text without the characters that cannot be seen; what is or looks like a space stays one."""
    return "".join(" " if c in BLANKS else c for c in text if c.isspace() or c in BLANKS or not is_invisible(c))


def repaired(line: str, is_path: bool) -> tuple[str, str]:
    """(key, value) of a line without what cannot be seen, and with single spaces; a path is kept but for its ends."""
    key, value = (*(line if is_path else visible(line)).split(None, 1), "", "")[:2]
    return visible(key), value.strip() if is_path else " ".join(value.split())


def fault_of_key(key: str) -> str:
    """Why a key cannot be an id; empty when it can. Only a person can rename it."""
    if "/" in key or key in (".", ".."):
        return f"the id '{key}' would climb out of a folder that is named after it"
    return f"the id {ascii(key)} cannot be seen" if key and not is_seen(key) else ""


def fault_of_line(line: str, is_path: bool) -> str:
    """What is wrong with the form of a line `<key> <value>`; empty when nothing is."""
    key, _, value = line.partition(" ")
    for column, character in enumerate("" if line.isprintable() and BLANKS.isdisjoint(line) else line, start=1):
        if is_invisible(character) and (not is_path or column <= len(key) or unicodedata.category(character) == "Cc"):
            name = NAMES.get(character, "a character that cannot be seen")
            return f"column {column} holds U+{ord(character):04X} ({name})"
    if not line:
        return BLANK_LINE
    if not key or line != line.strip(" ") or value.startswith(" ") or ("  " in value and not is_path):
        return f"not of the form '<key> <value>' with single spaces: {line[:60]!r}"
    return ""


def scan_table(path: Path, has_value: bool = True) -> tuple[Table, list[Fault]]:
    """Reads a table and finds the faults of its format.

    Args:
        path: The table.
        has_value: Whether each key must be followed by a value.

    Returns: The rows in file order, those of malformed lines as utils.fix_data_dir would write them, and the faults.
    """
    rows, faults = Table(), []
    remedy, is_path = fix_command(path.parent), path.name in PATH_TABLES
    previous = ""
    *lines, rest = read_text_file(path).split("\n")
    if rest:
        lines.append(rest)
        faults.append(Fault(f"{path}:{len(lines)}", "no newline at the end of the file", remedy))
    for number, line in enumerate(lines, start=1):
        place = f"{path}:{number}"
        text = fault_of_line(line, is_path)
        key, value = repaired(line, is_path) if text else line.partition(" ")[::2]
        if has_value and key and not value:
            advice = "write it, or " + fix_command(path.parent, "--drop-unusable")
            faults.append(Fault(place, f"'{key}' has no value", advice))
            continue
        if text:
            faults.append(Fault(place, text, remedy))
        elif text := fault_of_key(key):
            faults.append(Fault(place, text, "rename it in all files"))
        if not key:
            continue
        if key in rows:
            same = rows[key] == value
            text = f"'{key}' stands in line {rows.line_of[key]} already" + ("" if same else ", with another value")
            faults.append(Fault(place, text, remedy if same else fix_command(path.parent, "--keep first")))
            continue
        if not text and key.encode() < previous.encode():
            said = f"'{key}' after '{previous}' of line {rows.line_of[previous]} is not in C order"
            faults.append(Fault(place, said, remedy))
        rows[key], rows.line_of[key] = value, number
        previous = previous if text else key
    return rows, faults


def read_table(path: Path, has_value: bool = True) -> Table:
    """A table. Raises: DataError for the first fault."""
    rows, faults = scan_table(path, has_value)
    if faults:
        raise DataError(str(faults[0]))
    return rows


def write_table(path: Path, rows: Iterable[tuple[str, str]] | dict[str, str]) -> None:
    """Writes a table, sorted in C order."""
    ordered = sorted(rows.items() if isinstance(rows, dict) else rows, key=lambda row: row[0].encode())
    write_atomic(path, (f"{key} {value}".rstrip(" ") + "\n" for key, value in ordered))


def check_text_files(data_dirs: Iterable[Path], name: str) -> None:
    """Raises DataError when only some of several directories have a `text_<name>`: the others' words are spelt else."""
    there = {path: path.is_file() for path in (folder / f"text_{name}" for folder in data_dirs)}
    if len(set(there.values())) > 1:
        missing, own = (next(path for path, found in there.items() if found == wanted) for wanted in (False, True))
        raise DataError(f"{missing}: missing, while {own} is there; write it, or take the other away")


def text_file(data_dir: Path, name: str) -> Path:
    """The transcripts for tokens called `name`: `text_<name>` where there is such a file, else `text`."""
    own = data_dir / f"text_{name}"
    return own if own.is_file() else data_dir / "text"
