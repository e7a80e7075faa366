"""data/<train>/feats.scp -> data/<train>/cmvn, the global mean and variance

python3 -m steps.compute_cmvn data/train
"""

from pathlib import Path

from steps.features.settings import check_place
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.job import Job

FORMAT = 1


def compute(data_dir: Path, stage: Path) -> dict:
    """Writes the statistics; returns counts."""
    from steps.features.cmvn import accumulate, write_cmvn

    check_place(data_dir)
    feats_scp = read_table(data_dir / "feats.scp")
    stats = accumulate(feats_scp)
    write_cmvn(stage / "cmvn", stats)
    log.info(f"{data_dir}: statistics of {int(stats[0, -1]):,} frames")
    return {"in": len(feats_scp), "out": len(feats_scp), "dropped": 0}


def main(argv: list[str]) -> None:
    """Computes the statistics of one data directory."""
    parser = Parser(__doc__)
    parser.add_job()
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    manifest = args.data_dir / "cmvn.manifest.json"
    job = Job("compute_cmvn", FORMAT, manifest, (args.data_dir / "feats" / "manifest.json",), {})
    job.run(args, lambda stage: compute(args.data_dir, stage))


if __name__ == "__main__":
    run(main)
