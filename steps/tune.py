"""exp/tune/<point>/<system>/seed<k>/decode_<dev>/score.json -> exp/tune/<system>.json, and a table on the screen

    python3 -m steps.tune --system student --seeds "0" exp

The points of [student.tune], and as many of its twin's [student.tune_plain], by their error rate on dev. The driver
trains and scores them with --tune student; conf.toml then gets the best by hand, so that it says what is trained.
"""

from functools import partial
from pathlib import Path
from statistics import mean

from steps.compare import parse_seeds
from steps.config.load import load
from steps.config.schema import Config, SystemConfig
from steps.config.systems import system_named
from steps.config.tuning import Point, grids_of, name_of_point, to_overrides
from utils.jobs.cli import Parser, run
from utils.jobs.files import to_json
from utils.jobs.job import Job
from utils.jobs.manifest import check_made

FORMAT = 1

Tried = dict[str, list[tuple[Point, list[Path]]]]  # system -> points, with their scores


def collect(tried: Tried, dev: str, seeds: list[int], stage: Path) -> dict:
    """Writes the error rate of each point, the best first; returns counts."""
    from steps.scoring.collect import read_json

    systems = {}
    for name, points in tried.items():
        rows = []
        for point, files in points:
            rates = [read_json(file)["error_rate"] for file in files]
            rows.append({"settings": point, "error_rate": round(mean(rates), 4), "seeds": rates})
        systems[name] = sorted(rows, key=lambda row: row["error_rate"])
    (stage / f"{next(iter(tried))}.json").write_text(to_json({"set": dev, "seeds": seeds, "systems": systems}))
    count = sum(map(len, systems.values()))
    return {"in": count, "out": count, "dropped": 0}


def tried_points(system: SystemConfig, seeds: list[int], home: Path) -> Tried:
    """The points of a system and of its twin, with the scores of each seed on dev; `home` is exp/tune."""
    from steps.scoring.collect import score_file

    return {
        name: [
            (point, [score_file(home / name_of_point(point), name, seed, system.data.dev) for seed in seeds])
            for point in points
        ]
        for name, points in zip((system.name, f"{system.name}_plain"), grids_of(system), strict=True)
    }


def check_points(args: object, tried: Tried) -> None:
    """Raises StaleError when models of a point were trained, decoded or scored with other settings than conf.toml has.

    Args:
        args: The options: --config and --set.
        tried: The points of a system and of its twin.
    """
    from steps.scoring.collect import check_scored, check_settings, read_json
    from steps.scoring.units import Units

    system = next(iter(tried))
    for name, points in tried.items():
        for point, scores in points:
            config = load(args.config, args.set + to_overrides(system, point))
            units = Units.of(config.score)
            for score in scores:
                check_settings(score.parents[1], config, system_named(config, name))
                check_scored(score, read_json(score), config, units)


def check_tuned(args: object, config: Config, path: Path) -> None:
    """Raises StaleError when a comparison is not what this configuration would give.

    Args:
        args: The options: --config and --set.
        config: What they say.
        path: exp/tune/<system>.json
    """
    from steps.scoring.collect import read_json

    check_made(path.with_suffix(".manifest.json"))
    check_points(args, tried_points(system_named(config, path.stem), read_json(path)["seeds"], path.parent))


def print_table(found: dict) -> None:
    """Shows the points of each system, the best first."""
    from steps.scoring.table import to_text, tuning_rows

    print(f"\n{found['set']}:\n\n{to_text(tuning_rows(found))}\n", flush=True)


def main(argv: list[str]) -> None:
    """Compares the points of a grid."""
    from steps.scoring.collect import read_json

    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--system", required=True)
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("--show", action="store_true", help="only print the table of the last comparison")
    parser.add_argument("exp_dir", type=Path)
    args = parser.parse_args(argv)
    home = args.exp_dir / "tune"
    manifest = home / f"{args.system}.manifest.json"
    if args.show:
        found = read_json(home / f"{args.system}.json")
        check_made(manifest)
        print_table(found)
        return
    config, seeds = load(args.config, args.set), parse_seeds(args.seeds)
    system = system_named(config, args.system)
    tried = tried_points(system, seeds, home)
    files = tuple(file for points in tried.values() for _, found in points for file in found)
    job = Job("tune", FORMAT, manifest, files, {"seeds": seeds}, is_final=True)
    if not args.why:
        check_points(args, tried)
    job.run(args, partial(collect, tried, system.data.dev, seeds))


if __name__ == "__main__":
    run(main)
