"""A data directory -> one of the same utterances, heard through a telephone or in noise.

    python3 -m utils.transmit_data_dir --channel telephone:snr_db=15 data/train data/train_phone
    python3 -m utils.transmit_data_dir --channel noisy:snr_db=5 --channel noisy:snr_db=9,noise=pink data/test data/noisy

No audio is copied: `utt2channel` says how an utterance is heard, and steps.make_feats makes it so. Utterances keep
their ids and their length, so that soft labels of the source fit. Of several channels each utterance has one, which
its id chooses.
"""

from collections import Counter
from pathlib import Path

from utils.data_dir.data_dir import DataDir, warn_of_files_left
from utils.data_dir.transmit import channels, transmit
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import UsageError


def main(argv: list[str]) -> None:
    """Writes a data directory as heard through a channel."""
    parser = Parser(__doc__)
    parser.add_argument("--channel", action="append", required=True, help="such as telephone:snr_db=15,noise=pink")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    if args.source.resolve() == args.target.resolve():
        raise UsageError("source and target are the same folder")
    choices = channels(args.channel)
    source = DataDir.read(args.source)
    warn_of_files_left(args.source)
    heard = transmit(source, choices)
    heard.write(args.target)
    counts = Counter(heard.tables["utt2channel"].values())
    told = ", ".join(f"{channel} ({counts[channel]:,})" for channel in choices)
    log.info(f"{args.target}: {len(heard.utt_ids):,} utterances through {told}")


if __name__ == "__main__":
    run(main)
