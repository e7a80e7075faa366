"""data/<set> -> nothing, or up to twenty of its faults.

    python3 -m utils.validate_data_dir data/train
    python3 -m utils.validate_data_dir --no-text --incremental data/unlabelled
    python3 -m utils.validate_data_dir --apart-from data/train --apart-from data/dev --beside data/test data/test_phone

With --incremental it records in <dir>/validate.manifest.json what it has checked, and checks again only what
changed since.
"""

import os
from pathlib import Path

from utils.data_dir.data_dir import AUDIO_TABLES, FEATS_TABLES, recording_files, table_names
from utils.data_dir.tables import read_table
from utils.data_dir.validate import find_faults
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError
from utils.jobs.job import Job

FORMAT = 4
MAX_SHOWN = 20


def check(args: object) -> dict:
    """Raises DataError with the last fault after the others were logged; returns counts."""
    allowed = {"allows_empty_text": args.allow_empty_text, "allows_any_rate": args.any_rate}
    others = {"apart_from": args.apart_from, "beside": args.beside}
    found = find_faults(args.data_dir, not args.no_text, not args.no_feats, **others, **allowed)
    faults = [str(fault) for fault in found]
    if faults:
        more = f" (and {len(faults) - MAX_SHOWN} more faults)" if len(faults) > MAX_SHOWN else ""
        shown = faults[:MAX_SHOWN]
        for fault in shown[:-1]:
            log.info(f"error: {fault}")
        raise DataError(shown[-1] + more)
    count = len(read_table(args.data_dir / "utt2spk"))
    log.info(f"{args.data_dir}: {count:,} utterances, valid")
    return {"in": count, "out": count, "dropped": 0}


def no_such(folder: Path) -> str:
    """Says that a data directory is missing, and which are beside it."""
    sets = sorted(path.parent.name for path in folder.parent.glob("*/wav.scp"))
    hint = f"; there {'is' if len(sets) == 1 else 'are'} {', '.join(sets)}" if sets else "; run stage 1"
    return f"{folder}: no such data directory{hint}"


def inputs_of(data_dir: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    """Tables of the directory, and the audio they name."""
    tables = [data_dir / name for name in names if name == "wav.scp" or (data_dir / name).is_file()]
    return (*tables, *(path for path in recording_files(data_dir) if os.path.isfile(path)))


def main(argv: list[str]) -> None:
    """Checks one data directory."""
    parser = Parser(__doc__)
    parser.add_job()
    parser.add_argument("--no-text", action="store_true", help="the set is used without transcripts")
    parser.add_argument("--no-feats", action="store_true", help="leave out features, which may be out of date")
    parser.add_argument("--allow-empty-text", action="store_true", help="allow empty transcripts")
    parser.add_argument("--any-rate", action="store_true", help="recordings may differ in sample rate")
    parser.add_argument("--apart-from", type=Path, action="append", default=[], help="must not hold the same audio")
    beside = "may hold the same audio, but at another speed or through another channel: a set of the same role"
    parser.add_argument("--beside", type=Path, action="append", default=[], help=beside)
    parser.add_argument("--incremental", action="store_true", help="skip the check when nothing changed")
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    if not args.why:
        missing = [] if args.data_dir.is_dir() else [args.data_dir]
        missing += [other for other in (*args.apart_from, *args.beside) if not (other / "wav.scp").is_file()]
        if missing:
            raise DataError(no_such(missing[0]))
    if not args.incremental:
        check(args)
        return
    manifest = args.data_dir / "validate.manifest.json"
    names = ("no_text", "no_feats", "allow_empty_text", "any_rate")
    unused = FEATS_TABLES if args.no_feats else ()
    tables = [name for name in (*table_names(args.data_dir), "spk2utt") if name not in unused]
    inputs = list(inputs_of(args.data_dir, tuple(dict.fromkeys(("wav.scp", *tables)))))
    inputs += [path for folder in (*args.apart_from, *args.beside) for path in inputs_of(folder, AUDIO_TABLES)]
    settings = {name: getattr(args, name) for name in names} | {"beside": list(map(str, args.beside))}
    job = Job("validate_data_dir", FORMAT, manifest, tuple(dict.fromkeys(inputs)), settings)
    job.run(args, lambda stage: check(args))


if __name__ == "__main__":
    run(main)
