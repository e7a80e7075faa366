"""exp/results.json, exp/tune/*.json -> exp/RESULTS.md; with --publish also a copy beside run.sh

    python3 -m steps.report --command "egs/yesno/run.sh --corpus-dir DIR" exp
    python3 -m steps.report --publish RESULTS.md exp/published exp/unseen

The note in [report] of conf.toml stands above the tables. The self-contained HTML report is later work.
"""

import platform
from pathlib import Path

from steps.config.load import load
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.files import write_atomic
from utils.jobs.job import Job

FORMAT = 2


def machine() -> str:
    """The processor and the number of cores."""
    import os

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def report(exp_dirs: list[Path], stage: Path, commands: list[str], note: str) -> dict:
    """Writes RESULTS.md of one experiment, or of several under one another."""
    from steps.reporting.markdown import results_markdown
    from steps.scoring.collect import read_json

    made = {"commit": log.commit(), "machine": machine()}
    results = {exp.name: read_json(exp / "results.json") for exp in exp_dirs}
    tuned = [read_json(path) for exp in exp_dirs for path in tuning_files(exp)]
    title = f"Results of egs/{Path.cwd().name}"
    (stage / "RESULTS.md").write_text(results_markdown(results, tuned, title, commands, made, note), encoding="utf-8")
    return {"in": len(exp_dirs), "out": len(exp_dirs), "dropped": 0}


def tuning_files(exp_dir: Path) -> list[Path]:
    """What steps.tune found of each system that was tuned."""
    return [path.parent / path.name.replace(".manifest", "") for path in sorted(exp_dir.glob("tune/*.manifest.json"))]


def main(argv: list[str]) -> None:
    """Writes the report of an experiment."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--publish", type=Path, metavar="FILE", help="where in the working directory it is copied")
    parser.add_argument("--command", action="append", default=[], help="how the figures were made")
    parser.add_argument("--out", type=Path, default=None, help="default: the first experiment folder")
    parser.add_argument("exp_dirs", type=Path, nargs="+")
    args = parser.parse_args(argv)
    home = args.out or args.exp_dirs[0]
    inputs = [path for exp in args.exp_dirs for path in (exp / "results.json", *tuning_files(exp))]
    note = load(args.config, args.set).report.note
    settings = {"commands": args.command} | ({"note": note} if note else {})
    job = Job("report", FORMAT, home / "report.manifest.json", tuple(inputs), settings, is_final=True)
    is_done = job.run(args, lambda stage: report(args.exp_dirs, stage, args.command, note))
    if is_done and args.publish and not args.why:
        write_atomic(args.publish, (home / "RESULTS.md").read_bytes())
        log.info(f"{args.publish}: published")


if __name__ == "__main__":
    run(main)
