"""data/<set> -> nothing, or up to twenty of its faults.

    python3 -m utils.validate_data_dir data/train
    python3 -m utils.validate_data_dir --no-text --incremental data/unlabelled
    python3 -m utils.validate_data_dir --apart-from data/train --apart-from data/dev --beside data/test data/test_phone

With --incremental it records in <dir>/validate.manifest.json what it has checked, and checks again only when something
changed since. What it saw of the recordings goes to <dir>/.recordings, so that a directory that must be apart from this
one need not open them again.
"""

import os
from pathlib import Path

from utils.data_dir.data_dir import AUDIO_TABLES, FEATS_TABLES, table_names
from utils.data_dir.looks import Looks
from utils.data_dir.tables import read_table
from utils.data_dir.validate import find_faults
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, UsageError
from utils.jobs.job import Job

FORMAT = 6
MANIFEST = "validate.manifest.json"
MAX_SHOWN = 20


def check(args: object, looks: Looks) -> dict:
    """Raises DataError with the last fault after the others were logged; returns counts."""
    allowed = {"allows_empty_text": args.allow_empty_text, "allows_any_rate": args.any_rate}
    more = {"apart_from": args.apart_from, "beside": args.beside, "looks": looks}
    found = find_faults(args.data_dir, not args.no_text, not args.no_feats, **allowed, **more)
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


def tables_of(data_dir: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    """Some tables of the directory, of which wav.scp must be there."""
    return tuple(data_dir / name for name in names if name == "wav.scp" or (data_dir / name).is_file())


def audio_of(data_dir: Path) -> dict[str, str]:
    """The recordings of the directory that are there, by file; none where wav.scp cannot be read: the check tells."""
    try:
        recordings = read_table(data_dir / "wav.scp")
    except DataError:
        return {}
    return {file: rec_id for rec_id, file in recordings.items() if os.path.isfile(file)}


def build(args: object, looks: Looks, known: list[Path], stage: Path) -> dict:
    """Checks the directory, and keeps what was seen of its recordings. `known` are directories that did the same."""
    for folder in known:
        looks.recall(folder)
    counts = check(args, looks)
    looks.write(stage, read_table(args.data_dir / "wav.scp"))
    return counts


def main(argv: list[str]) -> None:
    """Checks one data directory."""
    parser = Parser(__doc__)
    parser.add_job()
    parser.add_argument("--no-text", action="store_true", help="the set is used without transcripts")
    parser.add_argument("--no-feats", action="store_true", help="leave out features, which may be out of date")
    parser.add_argument("--allow-empty-text", action="store_true", help="allow empty transcripts")
    parser.add_argument("--any-rate", action="store_true", help="recordings may differ in sample rate")
    parser.add_argument("--apart-from", type=Path, action="append", default=[], help="must hold none of its audio")
    beside = "may hold the same audio, but at another speed or through another channel: a set of the same role"
    parser.add_argument("--beside", type=Path, action="append", default=[], help=beside)
    parser.add_argument("--incremental", action="store_true", help="skip the check when nothing changed")
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    if not args.incremental and (args.why or args.force or args.verify):
        raise UsageError("--why, --force and --verify are of --incremental; without it everything is checked")
    if not args.why:
        missing = [] if args.data_dir.is_dir() else [args.data_dir]
        missing += [other for other in (*args.apart_from, *args.beside) if not (other / "wav.scp").is_file()]
        if missing:
            raise DataError(no_such(missing[0]))
    if not args.incremental:
        check(args, Looks())
        return
    names = ("no_text", "no_feats", "allow_empty_text", "any_rate")
    unused = FEATS_TABLES if args.no_feats else ()
    tables = [name for name in (*table_names(args.data_dir), "spk2utt") if name not in unused]
    others = [*args.apart_from, *args.beside]
    known = [folder for folder in others if (folder / MANIFEST).is_file()]
    unknown = [args.data_dir, *(folder for folder in others if folder not in known)]
    recordings = {file: rec_id for folder in unknown for file, rec_id in audio_of(folder).items()}
    seen = {file for folder in known for file in audio_of(folder)}  # as of a set that is heard through a channel
    recordings = {file: rec_id for file, rec_id in recordings.items() if file not in seen}
    inputs = [*tables_of(args.data_dir, tuple(dict.fromkeys(("wav.scp", *tables)))), *map(Path, recordings)]
    inputs += [path for folder in others for path in tables_of(folder, AUDIO_TABLES)]
    inputs += [folder / MANIFEST for folder in known]
    looks = Looks(recordings)
    settings = {name: getattr(args, name) for name in names} | {"beside": list(map(str, args.beside))}
    manifest = args.data_dir / MANIFEST
    job = Job("validate_data_dir", FORMAT, manifest, tuple(dict.fromkeys(inputs)), settings, hash_file=looks.sha256)
    job.run(args, lambda stage: build(args, looks, known, stage))


if __name__ == "__main__":
    run(main)
