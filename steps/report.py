"""exp/results.json, exp/tune/*.json, exp/filter/*.json -> exp/{RESULTS.md,report.html}

With --publish RESULTS.md is also copied beside run.sh.

    python3 -m steps.report --command "egs/yesno/run.sh --corpus-dir DIR" exp
    python3 -m steps.report --publish RESULTS.md exp/published exp/unseen

The note in [report] of conf.toml stands above the tables. report.html is one file, with learning curves, and what
distillation fixed and broke, unit by unit, where the decodings lie in --models-dir.
"""

import platform
from functools import partial
from pathlib import Path

from steps.compare import parse_seeds
from steps.config.load import load
from steps.config.schema import Config
from steps.scoring.collect import check_results, passes, runs_of
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import UsageError
from utils.jobs.files import write_atomic
from utils.jobs.job import Job
from utils.jobs.manifest import Manifest

FORMAT = 9


def machine() -> str:
    """The processor and the number of cores."""
    import os

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def other_commits(homes: dict[Path, Path], runs: dict[str, list[int]], commit: str) -> str:
    """The systems that other code than this trained: "e9e0f9f (teacher)"; "" where there are none."""
    found: dict[str, list[str]] = {}
    for models_dir in dict.fromkeys(homes.values()):
        for name, seeds in runs.items():
            for seed in seeds:
                run = f"{name}/seed{seed}/manifest.json"
                for path in (models_dir / run, *models_dir.glob(f"*/{run}")):  # of an experiment, or of its folds
                    manifest = Manifest.read(path)
                    if manifest and manifest.made_by["commit"] != commit:
                        found.setdefault(manifest.made_by["commit"], []).append(name)
    return "; ".join(f"{other} ({', '.join(dict.fromkeys(names))})" for other, names in found.items())


def report(
    config: Config,
    args: object,
    runs: dict[str, list[int]],
    homes: dict[Path, Path],
    tuned: list[Path],
    swept: list[Path],
    stage: Path,
) -> dict:
    """Writes RESULTS.md and report.html of one experiment, or of several under one another.

    Args:
        config: Of the recipe.
        args: The options.
        runs: The seeds of each system.
        homes: Where the models of each experiment are.
        tuned: What steps.tune found.
        swept: What steps.sweep_filter found.
        stage: Where the files go.
    """
    from steps.reporting.markdown import results_markdown, tried_tables
    from steps.reporting.page import page
    from steps.scoring.collect import read_json

    note, made = config.report.note, {"commit": log.commit(), "machine": machine()}
    if others := other_commits(homes, runs, made["commit"]):
        made["trained by"] = others
    results = {exp.name: read_json(exp / "results.json") for exp in homes}
    tried = tried_tables(*([read_json(path) for path in paths] for paths in (tuned, swept)))
    title = f"Results of egs/{Path.cwd().name}"
    text = results_markdown(results, tried, title, args.command, made, note)
    (stage / "RESULTS.md").write_text(text, encoding="utf-8")
    facts = {"commands": args.command, "made": ", ".join(f"{key}: {value}" for key, value in made.items())}
    models = {exp.name: home for exp, home in homes.items()}
    (stage / "report.html").write_text(
        page(config, results, runs, models, args.data_dir, title, facts, note, tried), encoding="utf-8"
    )
    return {"in": len(homes), "out": len(homes), "dropped": 0}


def tried_files(config: Config, args: object, homes: dict[Path, Path]) -> tuple[list[Path], list[Path]]:
    """What steps.tune and steps.sweep_filter found of each system; what is not of this configuration is left out."""
    from steps.sweep_filter import check_swept
    from steps.tune import check_tuned

    folders = list(dict.fromkeys(folder for pair in homes.items() for folder in pair))
    tuned = [folder / "tune" / f"{name}.json" for folder in folders for name in config.systems]
    terms = [f"{name}.{number}" for name, system in config.systems.items() for number in range(len(system.distill))]
    swept = [path for folder in folders for term in terms for path in sorted(folder.glob(f"filter/{term}.*json"))]
    swept = [path for path in swept if not path.name.endswith(".manifest.json")]
    checks = (tuned, partial(check_tuned, args, config)), (swept, partial(check_swept, config))
    tuned, swept = (
        [path for path in paths if path.is_file() and passes(path, check, "left out of the report")]
        for paths, check in checks
    )
    return tuned, swept


def main(argv: list[str]) -> None:
    """Writes the report of an experiment."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--publish", type=Path, metavar="FILE", help="where in the working directory it is copied")
    parser.add_argument("--command", action="append", default=[], help="how the figures were made")
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--models-dir", type=Path, default=None, help="where models are; default: with their results")
    parser.add_argument("--out", type=Path, default=None, help="default: the first experiment folder")
    parser.add_argument("exp_dirs", type=Path, nargs="+")
    args = parser.parse_args(argv)
    home = args.out or args.exp_dirs[0]
    homes = {exp: args.models_dir or exp for exp in args.exp_dirs}
    if args.publish and not args.publish.parent.is_dir():
        raise UsageError(f"--publish '{args.publish}': there is no such folder")
    if len({exp.name for exp in homes}) < len(args.exp_dirs):
        raise UsageError("two experiment folders have one name, which their tables would share")
    inputs = [exp / "results.json" for exp in homes]
    config = load(args.config, args.set)
    tuned, swept = tried_files(config, args, homes)
    inputs += [*tuned, *swept]
    note, runs = config.report.note, runs_of(config, parse_seeds(args.seeds))
    settings = {"commands": args.command, "runs": runs} | ({"note": note} if note else {})
    settings |= {"models": [str(folder) for folder in homes.values()], "data": str(args.data_dir)}
    job = Job("report", FORMAT, home / "report.manifest.json", tuple(inputs), settings, is_final=True)
    if not args.why:
        for exp, models_dir in homes.items():
            check_results(exp, models_dir, config, runs)
    is_done = job.run(args, partial(report, config, args, runs, homes, tuned, swept))
    if is_done and args.publish and not args.why:
        write_atomic(args.publish, (home / "RESULTS.md").read_bytes())
        log.info(f"{args.publish}: published")


if __name__ == "__main__":
    run(main)
