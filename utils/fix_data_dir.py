"""A data directory -> the same, sorted and consistent; the files as they were are kept in <dir>/.backup.

    python3 -m utils.fix_data_dir data/train
    python3 -m utils.fix_data_dir --keep first data/train
    python3 -m utils.fix_data_dir --drop-unusable data/train

Repairs order, line ends, spaces, UTF-16, characters that cannot be seen, Unicode forms, repeated lines and spk2utt,
and drops utterances that are not in every file. Two lines that say different things of one utterance are left for a
person to choose, or to --keep first. With --drop-unusable it also drops the utterances that the validator refuses:
audio that cannot be read or comes twice, segments outside their recording, empty transcripts and the like, and lines
without a value. What is dropped is listed.
"""

import codecs
import re
import shutil
import unicodedata
from pathlib import Path

from utils.data_dir.data_dir import DataDir, holds_text, table_names
from utils.data_dir.tables import PATH_TABLES, is_seen, read_text_file, repaired
from utils.data_dir.validate import find_faults
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError

MAX_ROUNDS = 5  # dropping one utterance can make another's fault seen


def read_text_of_any_kind(path: Path) -> str:
    """The content of a text file in UTF-8, or in UTF-16 with its mark."""
    data = path.read_bytes() if path.is_file() else b""
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as e:
            raise DataError(f"{path}: UTF-16, and damaged at byte {e.start}; write it anew") from None
    return read_text_file(path)


def read_leniently(path: Path, keeps_first: bool, drops_empty: bool) -> dict[str, str]:
    """The rows of a table whose lines are out of order, repeated or badly spaced."""
    rows: dict[str, str] = {}
    lines = re.split("\r\n|\r|\n", read_text_of_any_kind(path))
    for number, line in enumerate(lines, start=1):
        key, value = repaired(line, path.name in PATH_TABLES)
        if not key:
            continue
        if holds_text(path.name):
            value = unicodedata.normalize("NFC", value) if is_seen(value) else ""
        elif drops_empty and not value:
            log.info(f"{path}:{number}: dropped '{key}', which has no value")
            continue
        if rows.setdefault(key, value) != value:
            if not keeps_first:
                text = "delete one of the lines, or use --keep first"
                raise DataError(f"{path}:{number}: '{key}' stands above with another value; {text}")
            log.info(f"{path}:{number}: dropped a second '{key}'")
    return dict(sorted(rows.items(), key=lambda row: row[0].encode()))


def back_up(data_dir: Path, names: list[str]) -> Path:
    """Copies the files to the first free folder `.backup`, `.backup.1`, …"""
    number, target = 0, data_dir / ".backup"
    while target.exists():
        number += 1
        target = data_dir / f".backup.{number}"
    target.mkdir()
    for name in names:
        shutil.copy2(data_dir / name, target)
    return target


def make_consistent(whole: DataDir) -> DataDir:
    """The utterances that are in every file; the others are listed."""
    tables = whole.tables
    required = [n for n in tables if n in ("segments", "text", "utt2spk")]
    complete = set.intersection(*(set(tables[n]) for n in required))
    if "segments" in tables:
        complete = {u for u in complete if tables["segments"][u].split(" ")[0] in tables["wav.scp"]}
    else:
        required.append("wav.scp")
        complete &= set(tables["wav.scp"])
    for utt_id in sorted(set.union(*(set(tables[n]) for n in required)) - complete):
        log.info(f"dropped '{utt_id}': not in every file")
    return whole.select(complete)


def drop_unusable(part: DataDir, data_dir: Path, **options: bool) -> DataDir:
    """Without the utterances that the validator refuses, which are listed. Writes the directory."""
    for _ in range(MAX_ROUNDS):
        part.write(data_dir)
        faults = [fault for fault in find_faults(data_dir, **options) if fault.utt_ids]
        if not faults:
            break
        for fault in faults:
            log.info(f"dropped {', '.join(map(repr, fault.utt_ids))}: {fault.text}")
        part = part.select(set(part.utt_ids) - {utt_id for fault in faults for utt_id in fault.utt_ids})
    return part


def main(argv: list[str]) -> None:
    """Repairs one data directory in place."""
    parser = Parser(__doc__)
    parser.add_argument("--keep", choices=["first"], help="of lines that contradict one another")
    parser.add_argument("--drop-unusable", action="store_true", help="drop what the validator refuses")
    parser.add_argument("--allow-empty-text", action="store_true", help="do not drop those")
    parser.add_argument("--any-rate", action="store_true", help="do not drop recordings of another rate than most")
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    data_dir = args.data_dir
    names = table_names(data_dir)
    if "wav.scp" not in names or "utt2spk" not in names:
        raise DataError(f"{data_dir}: wav.scp and utt2spk must be there")
    keeps_first, drops_empty = args.keep == "first", args.drop_unusable
    whole = DataDir(data_dir, {name: read_leniently(data_dir / name, keeps_first, drops_empty) for name in names})
    part = make_consistent(whole)
    kept = back_up(data_dir, [*names, *(["spk2utt"] if (data_dir / "spk2utt").is_file() else [])])
    try:
        if args.drop_unusable:
            allowed = {"allows_empty_text": args.allow_empty_text, "allows_any_rate": args.any_rate}
            part = drop_unusable(part, data_dir, has_text="text" in names, **allowed)
        if not part.utt_ids:
            raise DataError(f"{data_dir}: no utterance would be left; the files are as they were")
        part.write(data_dir)
    except BaseException:
        for path in kept.iterdir():
            shutil.copy2(path, data_dir / path.name)
        raise
    total = len(set.union(*(set(whole.tables[n]) for n in names if n in ("segments", "text", "utt2spk"))))
    counts = f"{len(part.utt_ids):,} utterances kept, {total - len(part.utt_ids):,} dropped"
    log.info(f"{data_dir}: {counts}; originals in {kept}")


if __name__ == "__main__":
    run(main)
