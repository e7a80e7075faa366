"""conf.toml -> the runs of a stage, a line each: `<system> <seed> <folder below exp> [<setting> ...]`

    python3 -m steps.list_runs --seeds "0 1 2" teachers
    python3 -m steps.list_runs pretrained           (before all others: without transcripts, or to start from)
    python3 -m steps.list_runs --tune student students   (a line for each point of its grid, and of its twin's)
    python3 -m steps.list_runs soft_labels          (`<system> <seed> <set> <kind>`)
    python3 -m steps.list_runs generations          (`1`, and more numbers where students teach others)
    python3 -m steps.list_runs decodings            (`<system> <seed> <folder> <set> ...`, its dev set and test sets)
    python3 -m steps.list_runs sets                 (`<set> <role>`, role is train, dev, test or unlabelled)
    python3 -m steps.list_runs trained              (`<set>`, those that systems are trained on, that of [data] first)
    python3 -m steps.list_runs copies               (`<set> <set>_<name>`, those with [features.<name>])
    python3 -m steps.list_runs langs                (`lang`, and `lang_<name>` for each [tokens.<name>])
    python3 -m steps.list_runs features             (`<set>`, those whose features come from audio)
    python3 -m steps.list_runs model_features       (`<system> <set> <set>_<name>`, those that a model makes)
    python3 -m steps.list_runs resample             (`yes` where audio of any rate is converted, else `no`)

It also checks the whole configuration, so the driver calls it before anything else.
"""

from collections.abc import Callable

from steps.compare import parse_seeds
from steps.config.load import load
from steps.config.schema import Config
from steps.config.systems import (
    all_sets,
    all_systems,
    check_decoding,
    features_of,
    generation,
    is_self_supervised,
    pretrained,
    soft_labels_for,
    system_named,
    teachers_of,
    trained_sets,
    transcripts_for,
    variant_of,
)
from steps.config.tuning import grids_of, name_of_point, to_overrides
from steps.scoring.collect import Runs, runs_of
from steps.scoring.units import Units
from utils.jobs.cli import Parser, run

KINDS = ("sets", "trained", "copies", "langs", "features", "model_features", "resample")
KINDS += ("pretrained", "teachers", "soft_labels", "generations", "students", "decodings")


def teachers(config: Config) -> set[str]:
    """The systems that others learn from."""
    terms = [term for system in config.systems.values() for term in system.distill]
    named = {name for term in terms for name, _ in teachers_of(term) + transcripts_for(term)}
    return {name for name in named if not generation(config, name)}


def lines_of(config: Config, seeds: list[int], what: str, number: int | None = None) -> list[str]:
    """The lines of one kind; of students, and of soft labels, those of one generation or of all."""
    if what == "generations":
        last = max((generation(config, name) for name in config.systems), default=1)
        return [str(i) for i in range(1, max(last, 1) + 1)]
    if what == "sets":
        return [f"{name} {role}" for name, role in all_sets(config).items()]
    if what == "trained":
        return trained_sets(config)
    if what == "langs":
        return ["lang", *(f"lang_{name}" for name in config.other_tokens)]
    if what == "resample":
        return ["yes" if any(f.resample for f in (config.features, *config.variants.values())) else "no"]
    if what == "copies":
        names = {name: variant_of(config, name) for name in all_sets(config)}
        return [f"{name.removesuffix(f'_{variant}')} {name}" for name, variant in names.items() if variant]
    if what in ("features", "model_features"):
        sets = {name: features_of(config, name) for name in all_sets(config)}
        if what == "features":
            return [name for name, features in sets.items() if features.type != "model"]
        made = [(name, f.model, variant_of(config, name)) for name, f in sets.items() if f.type == "model"]
        return [f"{model} {name.removesuffix(f'_{variant}')} {name}" for name, model, variant in made]
    if what == "soft_labels":
        found = [
            f"{name} {seed} {set_name} {kind}"
            for system in config.systems.values()
            for term in system.distill
            for name, seed, set_name, kind in soft_labels_for(config, term)
            if number in (None, generation(config, name))
        ]
        return list(dict.fromkeys(found))
    if what == "decodings":
        systems = all_systems(config)
        sets = {name: [s.data.dev, *s.data.test] for name, s in systems.items() if not is_self_supervised(s)}
        runs = {name: found for name, found in runs_of(config, seeds).items() if name in sets}
        return [f"{name} {seed} . {' '.join(sets[name])}" for name, seed in ordered(runs)]
    stages = {"pretrained": pretrained(config), "teachers": teachers(config) - pretrained(config)}
    stages["students"] = all_systems(config).keys() - stages["pretrained"] - stages["teachers"]
    if number is not None:
        stages["students"] = {n for n in stages["students"] if max(generation(config, n), 1) == number}
    runs = {name: found for name, found in runs_of(config, seeds).items() if name in stages[what]}
    return [f"{name} {seed} ." for name, seed in ordered(runs)]


def ordered(runs: Runs) -> list[tuple[str, int]]:
    """Each system and seed, the first seeds of all systems first."""
    seeds = sorted({seed for found in runs.values() for seed in found})
    return [(name, seed) for seed in seeds for name in runs if seed in runs[name]]


def tuning_lines(load_with: Callable[[list[str]], Config], seeds: list[int], what: str, name: str) -> list[str]:
    """The lines of the points that are tried for a system, which dev alone sees.

    Raises: UsageError when one of them is no valid configuration.
    """
    system = system_named(load_with([]), name)
    lines = []
    for owner, points in zip((name, f"{name}_plain"), grids_of(system), strict=True):
        for point in points:
            load_with(to_overrides(name, point))
            rest = [system.data.dev] if what == "decodings" else to_overrides(name, point)
            lines += [f"{owner} {seed} tune/{name_of_point(point)} {' '.join(rest)}" for seed in seeds]
    return lines


def main(argv: list[str]) -> None:
    """Prints the runs of a stage."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("--tune", default="", metavar="SYSTEM")
    parser.add_argument("--generation", type=int, default=None, help="only students, or soft labels, of this one")
    parser.add_argument("what", choices=KINDS)
    args = parser.parse_args(argv)
    config, seeds = load(args.config, args.set), parse_seeds(args.seeds)
    Units.of(config.score)  # reads its map
    check_decoding(config)
    if args.tune and args.what in ("students", "decodings"):
        lines = tuning_lines(lambda point: load(args.config, args.set + point), seeds, args.what, args.tune)
        if args.what == "students" and args.generation not in (None, max(generation(config, args.tune), 1)):
            lines = []
    else:
        lines = lines_of(config, seeds, args.what, args.generation)
    print("".join(f"{line}\n" for line in lines), end="")


if __name__ == "__main__":
    run(main)
