"""A data directory -> one that holds each utterance at several speeds.

    python3 -m utils.perturb_data_dir --speeds 0.9,1,1.1 data/train data/train_sp

No audio is copied: `utt2speed` says how fast an utterance is, and steps.make_feats makes it so. At another speed than
1 an utterance and its speaker have ids of their own (`sp0.9-<id>`), and `utt2uniq` names the utterance it was.
"""

from pathlib import Path

from utils.data_dir.data_dir import DataDir, warn_of_files_left
from utils.data_dir.perturb import perturb, speeds
from utils.jobs import log
from utils.jobs.cli import Parser, names, run
from utils.jobs.errors import UsageError


def main(argv: list[str]) -> None:
    """Writes a data directory at several speeds."""
    parser = Parser(__doc__)
    parser.add_argument("--speeds", type=names, default=["0.9", "1", "1.1"], metavar="FACTOR,FACTOR")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    if args.source.resolve() == args.target.resolve():
        raise UsageError("source and target are the same folder")
    source = DataDir.read(args.source)
    warn_of_files_left(args.source)
    factors = speeds(args.speeds)
    whole = perturb(source, factors)
    whole.write(args.target)
    log.info(f"{args.target}: {len(whole.utt_ids):,} utterances, {len(source.utt_ids):,} at {len(factors)} speeds")


if __name__ == "__main__":
    run(main)
