"""A data directory -> one that holds each utterance at several speeds.

    python3 -m utils.perturb_data_dir --speeds 0.9 1.0 1.1 data/train data/train_sp

No audio is copied: `utt2speed` says how fast an utterance is, and steps.make_feats makes it so. At another speed than
1 an utterance and its speaker have ids of their own (`sp0.9-<id>`), and `utt2uniq` names the utterance it was.
"""

import argparse
from pathlib import Path

from utils.data_dir.data_dir import FEATS_TABLES, DataDir
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import UsageError


def speed(text: str) -> str:
    """A factor between 0.1 and 10, for argparse."""
    try:
        is_valid = 0.1 <= float(text) <= 10
    except ValueError:
        is_valid = False
    if not is_valid:
        raise argparse.ArgumentTypeError(f"'{text}' is not a factor from 0.1 to 10")
    return f"{float(text):g}"


def at_speed(source: DataDir, factor: str) -> DataDir:
    """The directory at one speed."""
    prefix = "" if factor == "1" else f"sp{factor}-"
    tables = {
        name: rows for name, rows in source.tables.items() if name not in FEATS_TABLES
    }  # not true at another speed
    speeds, origins = source.tables.get("utt2speed", {}), source.tables.get("utt2uniq", {})
    tables["utt2speed"] = {u: f"{float(factor) * float(speeds.get(u, 1)):g}" for u in source.utt_ids}
    tables["utt2uniq"] = {u: origins.get(u, u) for u in source.utt_ids}
    keeps_keys = ("wav.scp",) if "segments" in tables else ()
    renamed = {
        name: rows if name in keeps_keys else {prefix + k: v for k, v in rows.items()} for name, rows in tables.items()
    }
    renamed["utt2spk"] = {prefix + u: prefix + speaker for u, speaker in source.utt2spk.items()}
    return DataDir(source.path, renamed)


def perturb(source: DataDir, factors: list[str]) -> DataDir:
    """The directory at all speeds."""
    whole: dict[str, dict[str, str]] = {}
    for factor in factors:
        for name, rows in at_speed(source, factor).tables.items():
            whole.setdefault(name, {}).update(rows)
    return DataDir(source.path, whole)


def main(argv: list[str]) -> None:
    """Writes a data directory at several speeds."""
    parser = Parser(__doc__)
    parser.add_argument("--speeds", type=speed, nargs="+", default=["0.9", "1", "1.1"], metavar="FACTOR")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    if args.source.resolve() == args.target.resolve():
        raise UsageError("source and target are the same folder")
    if len(set(args.speeds)) < len(args.speeds):
        raise UsageError("--speeds: the same factor twice")
    source = DataDir.read(args.source)
    whole = perturb(source, args.speeds)
    whole.write(args.target)
    log.info(f"{args.target}: {len(whole.utt_ids):,} utterances, {len(source.utt_ids):,} at {len(args.speeds)} speeds")


if __name__ == "__main__":
    run(main)
