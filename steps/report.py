"""exp/results.json, exp/tune/*.json, exp/filter/*.json -> exp/{RESULTS.md,report.html}

With --publish RESULTS.md is also copied beside run.sh.

    python3 -m steps.report --command "egs/yesno/run.sh --corpus-dir DIR" exp
    python3 -m steps.report --publish RESULTS.md exp/published exp/unseen

The note in [report] of conf.toml stands above the tables. report.html is one file, with learning curves, and what
distillation fixed and broke, unit by unit, where the decodings lie in --models-dir.
"""

import platform
from pathlib import Path

from steps.compare import parse_seeds
from steps.config.load import load
from steps.config.schema import Config
from steps.scoring.collect import runs_of
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.files import write_atomic
from utils.jobs.job import Job

FORMAT = 3


def machine() -> str:
    """The processor and the number of cores."""
    import os

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def report(config: Config, args: object, runs: dict[str, list[int]], stage: Path) -> dict:
    """Writes RESULTS.md and report.html of one experiment, or of several under one another."""
    from steps.reporting.markdown import results_markdown
    from steps.reporting.page import page
    from steps.scoring.collect import read_json

    exp_dirs, note = args.exp_dirs, config.report.note
    made = {"commit": log.commit(), "machine": machine()}
    results = {exp.name: read_json(exp / "results.json") for exp in exp_dirs}
    tuned = [read_json(path) for exp in exp_dirs for path in found_files(exp, "tune")]
    title = f"Results of egs/{Path.cwd().name}"
    swept = [read_json(path) for exp in exp_dirs for path in found_files(exp, "filter")]
    text = results_markdown(results, tuned, swept, title, args.command, made, note)
    (stage / "RESULTS.md").write_text(text, encoding="utf-8")
    facts = {"commands": args.command, "made": ", ".join(f"{key}: {value}" for key, value in made.items())}
    models = args.models_dir or exp_dirs[0]
    (stage / "report.html").write_text(
        page(config, results, runs, models, args.data_dir, title, facts, note), encoding="utf-8"
    )
    return {"in": len(exp_dirs), "out": len(exp_dirs), "dropped": 0}


def found_files(exp_dir: Path, kind: str) -> list[Path]:
    """What steps.tune ("tune") or steps.sweep_filter ("filter") found of each system."""
    return [
        path.parent / path.name.replace(".manifest", "") for path in sorted(exp_dir.glob(f"{kind}/*.manifest.json"))
    ]


def main(argv: list[str]) -> None:
    """Writes the report of an experiment."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--publish", type=Path, metavar="FILE", help="where in the working directory it is copied")
    parser.add_argument("--command", action="append", default=[], help="how the figures were made")
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--models-dir", type=Path, default=None, help="where decodings are; default: the first folder")
    parser.add_argument("--out", type=Path, default=None, help="default: the first experiment folder")
    parser.add_argument("exp_dirs", type=Path, nargs="+")
    args = parser.parse_args(argv)
    home = args.out or args.exp_dirs[0]
    inputs = [exp / "results.json" for exp in args.exp_dirs]
    inputs += [path for exp in args.exp_dirs for kind in ("tune", "filter") for path in found_files(exp, kind)]
    config = load(args.config, args.set)
    note, runs = config.report.note, runs_of(config, parse_seeds(args.seeds))
    settings = {"commands": args.command, "runs": runs} | ({"note": note} if note else {})
    job = Job("report", FORMAT, home / "report.manifest.json", tuple(inputs), settings, is_final=True)
    is_done = job.run(args, lambda stage: report(config, args, runs, stage))
    if is_done and args.publish and not args.why:
        write_atomic(args.publish, (home / "RESULTS.md").read_bytes())
        log.info(f"{args.publish}: published")


if __name__ == "__main__":
    run(main)
