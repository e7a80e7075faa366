"""conf.toml -> the runs of a stage, a line each: `<system> <seed>`

    python3 -m steps.list_runs --seeds "0 1 2" teachers
    python3 -m steps.list_runs soft_labels          (`<system> <seed> <set>`)
    python3 -m steps.list_runs sets                 (`<set> <role>`, role is train, dev, test or unlabelled)
    python3 -m steps.list_runs resample             (`yes` where audio of any rate is converted, else `no`)

It also checks the whole configuration, so the driver calls it before anything else.
"""

from steps.compare import parse_seeds
from steps.config.load import load, teacher_of
from steps.config.schema import Config
from steps.scoring.collect import runs_of
from steps.scoring.units import Units
from utils.jobs.cli import Parser, run


def teachers(config: Config) -> set[str]:
    """The systems that others learn from."""
    return {teacher_of(term)[0] for system in config.systems.values() for term in system.distill}


def lines_of(config: Config, seeds: list[int], what: str) -> list[str]:
    """The lines of one kind."""
    if what == "sets":
        data = config.data
        roles = [("train", [data.train]), ("dev", [data.dev]), ("test", data.test), ("unlabelled", data.unlabelled)]
        return [f"{name} {role}" for role, names in roles for name in names]
    if what == "resample":
        return ["yes" if config.features.resample else "no"]
    if what == "soft_labels":
        found = [
            f"{name} {seed} {set_name}"
            for system in config.systems.values()
            for term in system.distill
            if term.source == "store"
            for name, seed in [teacher_of(term)]
            for set_name in term.sets or [config.data.train]
        ]
        return list(dict.fromkeys(found))
    runs = runs_of(config, seeds)
    chosen = [name for name in runs if what == "all" or (name in teachers(config)) == (what == "teachers")]
    return [
        f"{name} {seed}"
        for seed in sorted({s for n in chosen for s in runs[n]})
        for name in chosen
        if seed in runs[name]
    ]


def main(argv: list[str]) -> None:
    """Prints the runs of a stage."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("what", choices=["sets", "teachers", "students", "soft_labels", "all", "resample"])
    args = parser.parse_args(argv)
    config = load(args.config, args.set)
    Units.of(config.score)  # reads its map
    for line in lines_of(config, parse_seeds(args.seeds), args.what):
        print(line)


if __name__ == "__main__":
    run(main)
