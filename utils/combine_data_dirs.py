"""Several data directories -> one that holds all their utterances.

    python3 -m utils.combine_data_dirs data/train_a data/train_b data/train

A table that only some of them have is left out, and said; but without utt2speed an utterance has the speed 1,
without utt2channel it is heard directly, and without utt2uniq it is an utterance of its own.
"""

from pathlib import Path

from utils.data_dir.data_dir import DataDir, warn_of_files_left
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, UsageError

DEFAULTS = {"utt2speed": lambda utt_id: "1", "utt2channel": lambda utt_id: "direct", "utt2uniq": lambda utt_id: utt_id}


def with_defaults(sources: list[DataDir]) -> list[DataDir]:
    """The same directories, in which the tables of `DEFAULTS` that one of them has name each utterance."""
    found = []
    for source in sources:
        tables = dict(source.tables)
        for name, default in DEFAULTS.items():
            if any(name in other.tables for other in sources):
                tables[name] = {utt_id: default(utt_id) for utt_id in source.utt_ids} | tables.get(name, {})
        found.append(DataDir(source.path, tables))
    return found


def combine(sources: list[DataDir]) -> dict[str, dict[str, str]]:
    """The union of the tables. Raises: DataError when two directories give one key different values."""
    names = set.intersection(*(set(source.tables) for source in sources))
    for name in sorted(set.union(*(set(source.tables) for source in sources)) - names):
        if name in ("segments", "wav.scp", "utt2spk"):
            raise DataError(f"{name}: in some of the directories only; they cannot be combined")
        log.info(f"{name}: in some of the directories only, left out")
    tables: dict[str, dict[str, str]] = {name: {} for name in names}
    for source in sources:
        for name in names:
            for key, value in source.tables[name].items():
                if tables[name].setdefault(key, value) != value:
                    raise DataError(f"{source.path / name}: '{key}' has another value in an earlier directory")
    return tables


def main(argv: list[str]) -> None:
    """Writes the union of data directories."""
    parser = Parser(__doc__)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    if args.target.resolve() in [source.resolve() for source in args.sources]:
        raise UsageError(f"{args.target}: both source and target")
    sources = with_defaults([DataDir.read(source) for source in args.sources])
    whole = DataDir(args.target, combine(sources))
    total = sum(len(source.utt_ids) for source in sources)
    whole.write(args.target)
    for source in args.sources:
        warn_of_files_left(source)
    log.info(f"{args.target}: {len(whole.tables['utt2spk']):,} utterances from {len(sources)} directories ({total:,})")


if __name__ == "__main__":
    run(main)
