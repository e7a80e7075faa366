"""A data directory -> one that holds each utterance at several speeds.

    python3 -m utils.perturb_data_dir --speeds 0.9,1,1.1 data/train data/train_sp

No audio is copied: `utt2speed` says how fast an utterance is, and steps.make_feats makes it so. At another speed than
1 an utterance and its speaker have ids of their own (`sp0.9-<id>`), and `utt2uniq` names the utterance it was.
"""

import argparse
from pathlib import Path

from utils.data_dir.data_dir import FEATS_TABLES, DataDir, warn_of_files_left
from utils.data_dir.values import SPEED_RANGE, to_speed
from utils.jobs import log
from utils.jobs.cli import Parser, names, run
from utils.jobs.errors import DataError, UsageError


def speeds(text: str) -> list[str]:
    """Factors with commas between them, for argparse."""
    factors = []
    for part in names(text):
        factor = to_speed(part)
        if factor is None:
            raise argparse.ArgumentTypeError(f"'{part}' is not {SPEED_RANGE}")
        factors.append(f"{factor:g}")
    if len(set(factors)) < len(factors):
        raise argparse.ArgumentTypeError(f"'{text}' names a factor twice")
    return factors


def product(source: DataDir, utt_id: str, before: float, factor: str) -> str:
    """The speed of an utterance at one more factor. Raises: DataError when it is out of range."""
    speed = f"{before * float(factor):g}"
    if to_speed(speed) is None:
        text = f"utterance '{utt_id}': {before:g} times {factor} is not {SPEED_RANGE}"
        raise DataError(f"{source.path}/utt2speed: {text}")
    return speed


def at_speed(source: DataDir, factor: str) -> DataDir:
    """The directory at one speed."""
    prefix = "" if factor == "1" else f"sp{factor}-"
    tables = {
        name: rows for name, rows in source.tables.items() if name not in FEATS_TABLES
    }  # not true at another speed
    origins = source.tables.get("utt2uniq", {})
    tables["utt2speed"] = {u.utt_id: product(source, u.utt_id, u.speed, factor) for u in source.utterances()}
    tables["utt2uniq"] = {u: origins.get(u, u) for u in source.utt_ids}
    keeps_keys = ("wav.scp",) if "segments" in tables else ()
    renamed = {
        name: rows if name in keeps_keys else {prefix + k: v for k, v in rows.items()} for name, rows in tables.items()
    }
    renamed["utt2spk"] = {prefix + u: prefix + speaker for u, speaker in source.utt2spk.items()}
    return DataDir(source.path, renamed)


def perturb(source: DataDir, factors: list[str]) -> DataDir:
    """The directory at all speeds. Raises: DataError when two utterances would have one id."""
    whole: dict[str, dict[str, str]] = {}
    for factor in factors:
        for name, rows in at_speed(source, factor).tables.items():
            table = whole.setdefault(name, {})
            if twice := sorted(table.keys() & rows.keys()) if name == "utt2spk" else []:
                told = f"utterance '{twice[0]}' would come twice; perturb the directory that is not perturbed yet"
                raise DataError(f"{source.path}: {told}")
            table.update(rows)
    return DataDir(source.path, whole)


def main(argv: list[str]) -> None:
    """Writes a data directory at several speeds."""
    parser = Parser(__doc__)
    parser.add_argument("--speeds", type=speeds, default=["0.9", "1", "1.1"], metavar="FACTOR,FACTOR")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    if args.source.resolve() == args.target.resolve():
        raise UsageError("source and target are the same folder")
    source = DataDir.read(args.source)
    warn_of_files_left(args.source)
    whole = perturb(source, args.speeds)
    whole.write(args.target)
    log.info(f"{args.target}: {len(whole.utt_ids):,} utterances, {len(source.utt_ids):,} at {len(args.speeds)} speeds")


if __name__ == "__main__":
    run(main)
