"""A data directory -> one with fewer utterances.

python3 -m utils.subset_data_dir --first 100 data/train data/train_100
python3 -m utils.subset_data_dir --speakers lucas,theo data/train data/train_two
python3 -m utils.subset_data_dir --utt-list ids.txt data/train data/train_listed
"""

from pathlib import Path

from utils.data_dir.data_dir import DataDir, warn_of_files_left
from utils.data_dir.tables import read_lines
from utils.jobs import log
from utils.jobs.cli import Parser, names, positive, run
from utils.jobs.errors import DataError, UsageError


def chosen(source: DataDir, args: object) -> set[str]:
    """The utterances that the options ask for. Raises: DataError for a name that the directory lacks."""
    utt_ids, utt2spk = source.utt_ids, source.tables.get("utt2spk", {})
    if args.first:
        return set(utt_ids[: args.first])
    wanted = set(args.speakers or [utt_id for line in read_lines(args.utt_list) for utt_id in line.split()[:1]])
    if not wanted:
        raise DataError(f"{args.utt_list}: empty; write an utterance id on each line")
    present = set(utt2spk.values()) if args.speakers else set(utt_ids)
    unknown = sorted(wanted - present)
    if unknown:
        raise DataError(f"{source.path}: has no '{unknown[0]}' ({len(unknown)} of {len(wanted)} names are unknown)")
    return {u for u in utt_ids if (utt2spk[u] if args.speakers else u) in wanted}


def main(argv: list[str]) -> None:
    """Writes the chosen part of a data directory."""
    parser = Parser(__doc__)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--first", type=positive, help="this many utterances, in sorted order")
    how.add_argument("--speakers", type=names, metavar="SPEAKER,SPEAKER", help="all utterances of these speakers")
    how.add_argument("--utt-list", type=Path, help="a file with one utterance id at the start of each line")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    if args.source.resolve() == args.target.resolve():
        raise UsageError("source and target are the same folder")
    source = DataDir.read(args.source)
    warn_of_files_left(args.source)
    part = source.select(chosen(source, args))
    part.write(args.target)
    log.info(f"{args.target}: {len(part.utt_ids):,} of {len(source.utt_ids):,} utterances")


if __name__ == "__main__":
    run(main)
