"""exp/<system>/seed<k>/decode_<set>/score.json -> exp/results.json, and a table on the screen

    python3 -m steps.compare --seeds "0 1 2" exp
    python3 -m steps.compare --out exp/unseen exp/unseen/george exp/unseen/jackson

Several experiment folders are folds of one rotated test set: their errors are pooled.
"""

from pathlib import Path

from steps.config.load import load
from steps.config.systems import all_systems
from utils.jobs.cli import Parser, run
from utils.jobs.errors import UsageError
from utils.jobs.files import to_json
from utils.jobs.job import Job
from utils.jobs.manifest import check_made

FORMAT = 9
MAX_SEED = 2**31


def parse_seeds(text: str) -> list[int]:
    """Seeds separated by spaces. Raises: UsageError for anything else."""
    seeds = [int(seed) if seed.isascii() and seed.isdigit() else -1 for seed in text.split()]
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds) or max(seeds) >= MAX_SEED:
        raise UsageError(f"--seeds '{text}': different numbers separated by spaces, below {MAX_SEED:,}")
    return seeds


def print_tables(results: dict, note: str) -> None:
    """Shows the comparison of each set, and what must be known of it."""
    from steps.scoring.table import class_rows, comparison_rows, decoder_name, size_of, system_rows, to_text

    for name, part in results["sets"].items():
        print(f"\n{name}: {size_of(part)}; {decoder_name(part)}\n\n{to_text(system_rows(part))}")
        if part["comparisons"]:
            print(f"\n{to_text(comparison_rows(part))}")
    for name, heads in results.get("classes", {}).items():
        for head, by_system in heads.items():
            print(f"\n{name}: {head}\n\n{to_text(class_rows(by_system))}")
    print(f"\n{note}\n" if note else "", flush=True)


def main(argv: list[str]) -> None:
    """Compares the systems of an experiment."""
    from steps.scoring.collect import (
        check_settings,
        class_files,
        comparison_settings,
        read_json,
        runs_of,
        score_file,
    )

    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("--show", action="store_true", help="only print the table of the last comparison")
    parser.add_argument("--out", type=Path, default=None, help="default: the experiment folder")
    parser.add_argument("exp_dirs", type=Path, nargs="+")
    args = parser.parse_args(argv)
    if len({path.resolve() for path in args.exp_dirs}) < len(args.exp_dirs):
        raise UsageError("an experiment folder stands there twice: what it holds would be counted twice")
    out = args.out or args.exp_dirs[0]
    config = load(args.config, args.set)
    if args.show:
        results = read_json(out / "results.json")
        check_made(out / "compare.manifest.json")
        print_tables(results, config.report.note)
        return
    runs = runs_of(config, parse_seeds(args.seeds))
    systems = all_systems(config)
    settings = comparison_settings(config, runs)
    by_set = settings["sets"]
    pairs = [(exp, name, seed) for exp in args.exp_dirs for name, seeds in runs.items() for seed in seeds]
    inputs = [
        score_file(exp, name, seed, set_name)
        for exp, name, seed in pairs
        for set_name in by_set
        if name in by_set[set_name]
    ]
    inputs += (path for paths in class_files(config, args.exp_dirs, runs).values() for path in paths)
    inputs += [exp / name / f"seed{seed}" / "config.json" for exp, name, seed in pairs]
    job = Job("compare", FORMAT, out / "compare.manifest.json", tuple(inputs), settings, is_final=True)
    if not args.why:
        for exp, name, seed in pairs:
            check_settings(exp / name / f"seed{seed}", config, systems[name])

    def build(stage: Path) -> dict:
        from steps.scoring.collect import collect_classes, collect_set

        results = {"sets": {name: collect_set(config, args.exp_dirs, runs, name) for name in by_set}}
        classes = collect_classes(config, args.exp_dirs, runs)
        results |= {"classes": classes} if classes else {}
        (stage / "results.json").write_text(to_json(results), encoding="utf-8")
        return {"in": len(inputs), "out": len(inputs), "dropped": 0}

    if job.run(args, build) and not args.why:
        print_tables(read_json(out / "results.json"), config.report.note)


if __name__ == "__main__":
    run(main)
