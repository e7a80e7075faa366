"""A data directory -> the same without its features, to have others: Kaldi's data/train_hires beside data/train

python3 -m utils.copy_data_dir data/train data/train_hires
"""

from pathlib import Path

from utils.data_dir.data_dir import FEATS_TABLES, DataDir, table_names, warn_of_files_left
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, UsageError
from utils.jobs.job import Job

FORMAT = 1


def copy(source: Path, stage: Path) -> dict:
    """Writes the tables that say what is heard and what is said; returns counts."""
    data = DataDir.read(source)
    warn_of_files_left(source)
    data.tables = {name: rows for name, rows in data.tables.items() if name not in FEATS_TABLES}
    data.write(stage)
    count = len(data.utt_ids)
    log.info(f"{source}: {count:,} utterances")
    return {"in": count, "out": count, "dropped": 0}


def main(argv: list[str]) -> None:
    """Copies a data directory."""
    parser = Parser(__doc__)
    parser.add_job()
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    if args.source.resolve() == args.target.resolve():
        raise UsageError("source and target are the same folder")
    inputs = tuple(args.source / name for name in table_names(args.source) if name not in FEATS_TABLES)
    if not inputs:
        raise DataError(f"{args.source}: not a data directory; run stage 1")
    job = Job("copy_data_dir", FORMAT, args.target / "copy.manifest.json", inputs, {}, editable=True)
    job.run(args, lambda stage: copy(args.source, stage))


if __name__ == "__main__":
    run(main)
