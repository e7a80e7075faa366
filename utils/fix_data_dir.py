"""A data directory -> the same, sorted and consistent; the files as they were are kept in <dir>/.backup.

    python3 -m utils.fix_data_dir data/train

Repairs order, line ends, spaces, characters that cannot be seen, repeated lines and spk2utt, and drops utterances
that are not in every file, which it lists. Two lines that say different things of one utterance are left for a
person to choose.
"""

import shutil
from pathlib import Path

from utils.data_dir.data_dir import SPK_TABLES, UTT_TABLES, DataDir
from utils.data_dir.tables import PATH_TABLES, is_invisible, read_lines
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError


def visible(text: str) -> str:
    """The text without the characters that cannot be seen, spaces excepted."""
    return "".join(c for c in text if c.isspace() or not is_invisible(c))


def read_leniently(path: Path) -> dict[str, str]:
    """The rows of a table whose lines are out of order, repeated or badly spaced."""
    rows: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        key, value = (*line.split(None, 1), "", "")[:2]
        key = visible(key)
        value = value.strip() if path.name in PATH_TABLES else " ".join(visible(value).split())
        if not key:
            continue
        if rows.setdefault(key, value) != value:
            raise DataError(f"{path}:{number}: '{key}' stands above with another value; delete one of the lines")
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


def main(argv: list[str]) -> None:
    """Repairs one data directory in place."""
    parser = Parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    data_dir = parser.parse_args(argv).data_dir
    names = [n for n in ("wav.scp", *UTT_TABLES, *SPK_TABLES) if (data_dir / n).is_file()]
    if "wav.scp" not in names or "utt2spk" not in names:
        raise DataError(f"{data_dir}: wav.scp and utt2spk must be there")
    whole = DataDir(data_dir, {name: read_leniently(data_dir / name) for name in names})
    required = [n for n in names if n in ("segments", "text", "utt2spk")]
    complete = set.intersection(*(set(whole.tables[n]) for n in required))
    if "segments" in names:
        complete = {u for u in complete if whole.tables["segments"][u].split(" ")[0] in whole.tables["wav.scp"]}
    else:
        complete &= set(whole.tables["wav.scp"])
    dropped = sorted(set.union(*(set(whole.tables[n]) for n in required)) - complete)
    kept = back_up(data_dir, [*names, *(["spk2utt"] if (data_dir / "spk2utt").is_file() else [])])
    for utt_id in dropped:
        log.info(f"dropped '{utt_id}': not in every file")
    whole.select(complete).write(data_dir)
    log.info(f"{data_dir}: {len(complete):,} utterances kept, {len(dropped):,} dropped; originals in {kept}")


if __name__ == "__main__":
    run(main)
