"""A data directory -> two without a common speaker, by a rule: of the sorted speakers, every k-th goes to the second.

python3 -m utils.split_data_dir --every 5 data/all data/train data/test
"""

from pathlib import Path

from utils.data_dir.data_dir import DataDir, warn_of_files_left
from utils.data_dir.perturb import persons
from utils.jobs import log
from utils.jobs.cli import Parser, positive, run
from utils.jobs.errors import DataError, UsageError


def split(source: DataDir, every: int) -> tuple[DataDir, DataDir]:
    """(the rest, every k-th speaker). Raises: DataError when one of them would be empty."""
    utt2spk = persons(source.utt2spk, source.tables.get("utt2uniq", {}))
    speakers = sorted(set(utt2spk.values()), key=str.encode)
    chosen = set(speakers[every - 1 :: every])
    if not chosen or len(chosen) == len(speakers):
        raise DataError(f"{source.path}: has {len(speakers)} speakers, which leaves a part empty with --every {every}")
    taken = {utt_id for utt_id, speaker in utt2spk.items() if speaker in chosen}
    return source.select(set(utt2spk) - taken), source.select(taken)


def main(argv: list[str]) -> None:
    """Writes both parts of a data directory."""
    parser = Parser(__doc__)
    parser.add_argument("--every", type=positive, required=True, help="k")
    parser.add_argument("source", type=Path)
    parser.add_argument("rest", type=Path)
    parser.add_argument("part", type=Path)
    args = parser.parse_args(argv)
    if len({path.resolve() for path in (args.source, args.rest, args.part)}) < 3:
        raise UsageError("source and parts must be different folders")
    source = DataDir.read(args.source)
    warn_of_files_left(args.source)
    for path, part in zip((args.rest, args.part), split(source, args.every), strict=True):
        part.write(path)
        speakers = len(set(part.tables["utt2spk"].values()))
        log.info(f"{path}: {len(part.utt_ids):,} of {len(source.utt_ids):,} utterances, {speakers} speakers")


if __name__ == "__main__":
    run(main)
