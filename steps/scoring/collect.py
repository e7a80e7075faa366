"""Reads the scores of all systems of one experiment folder, or of several folds of it, into results.json's form."""

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from statistics import mean

from steps.config.schema import Config, SystemConfig
from steps.config.systems import (
    ANY_SEED,
    all_sets,
    all_systems,
    can_transcribe,
    features_of,
    kinds_of_heads,
    name_and_seed,
    pairs_of,
    reference_of,
    set_in_place,
    start_of,
    teachers_of,
    transcripts_for,
    twin_of,
)
from steps.heads.registry import FOUND
from steps.scoring.classes import KEYWORDS, class_scores, keyword_scores, pooled_confusions
from steps.scoring.comparison import SystemScores, compare, describe, gather, on_seeds
from steps.scoring.intervals import holm
from steps.scoring.units import Units
from utils.jobs import log
from utils.jobs.errors import DataError, RetortError, StaleError
from utils.jobs.job import first_change, show
from utils.jobs.manifest import Manifest

Runs = dict[str, list[int]]  # system -> seeds


def runs_of(config: Config, seeds: list[int]) -> Runs:
    """Which seeds of which systems are trained: teachers with those that are named, all others with all.

    A student that teaches others has both, and so has what it is compared with.
    """
    named: Runs = {}
    systems = all_systems(config)
    for system in config.systems.values():
        for name, seed in chain(*(teachers_of(term) + transcripts_for(term) for term in system.distill)):
            named[name] = sorted({*named.get(name, []), seed})
        if (name := start_of(system)) in systems:
            is_own = system.init.model.endswith(ANY_SEED)
            found = seeds[: system.seeds or None] if is_own else [name_and_seed(system.init.model)[1]]
            named[name] = sorted({*named.get(name, []), *found})
    for features in config.variants.values():
        if features.type == "model":
            named[features.model] = sorted({*named.get(features.model, []), 0})  # which makes the features of all
    usual = {name: seeds[: system.seeds or None] for name, system in systems.items()}
    compared = {name for _, student, distilled in pairs_of(config) for name in (student, distilled)}
    for name in named.keys() & compared:
        named[name] = sorted({*named[name], *usual[name]})
    return usual | {name: named[name] for name in systems if name in named}


def scored_systems(systems: dict[str, SystemConfig]) -> dict[str, list[str]]:
    """The systems that are scored on each set, dev sets before test sets; not those that write nothing."""
    systems = {name: system for name, system in systems.items() if can_transcribe(system)}
    devs, tests = [s.data.dev for s in systems.values()], [name for s in systems.values() for name in s.data.test]
    return {
        name: [system.name for system in systems.values() if name in (system.data.dev, *system.data.test)]
        for name in dict.fromkeys([*devs, *tests])
    }


def score_file(exp_dir: Path, system: str, seed: int, set_name: str) -> Path:
    """Where the score of one run on one set is."""
    return exp_dir / system / f"seed{seed}" / f"decode_{set_name}" / "score.json"


def comparison_settings(config: Config, runs: Runs) -> dict:
    """The settings that results.json depends on, beside those of the models."""
    found = {"runs": runs, "sets": scored_systems(all_systems(config)), "decode": config.decode.in_use()}
    references = {name: list(reference_of(config, s)) for name, s in config.systems.items() if s.distill}
    found |= {"comparisons": [list(pair) for pair in pairs_of(config)], "references": references}
    return found | {"score": asdict(config.score)}


def read_json(path: Path) -> dict:
    """A JSON file. Raises: DataError when it is missing or malformed."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: cannot be read ({e}); run the stage that makes it") from None


def check_settings(folder: Path, config: Config, system: SystemConfig) -> None:
    """Raises StaleError when the model in `folder` was trained with other settings than the configuration's."""
    trained = read_json(folder / "config.json")
    before = {key: trained[key] for key in ("model", "heads", "features")} | trained["train"]
    if "config" in system.model:  # of a pre-trained encoder, which only the folder holds
        before["model"] = before["model"] | {"config": system.model["config"]}
    before["heads"] = {name: {k: v for k, v in t.items() if k not in FOUND} for name, t in before["heads"].items()}
    now = system.training() | {"features": asdict(features_of(config, system.data.train))}
    now["features"]["utts_per_shard"] = before["features"].get("utts_per_shard")  # changes no weight
    if changed := first_change(before, json.loads(json.dumps(now))):
        raise StaleError(f"{folder}: trained with other settings ({' '.join(changed)}); run its stage again")


def passes(path: Path, check: Callable[[Path], None], otherwise: str) -> bool:
    """Whether a table passes its check; if not, a warning says what comes of it."""
    try:
        check(path)
    except RetortError as e:
        log.warn(f"{path}: {otherwise}: {e}")
        return False
    return True


def check_results(exp_dir: Path, models_dir: Path, config: Config, runs: Runs) -> None:
    """Raises StaleError when results.json is of other systems, seeds or settings than these."""
    made = Manifest.read(exp_dir / "compare.manifest.json")
    if changed := first_change(made.settings if made else {}, comparison_settings(config, runs)):
        told = f"made with other settings ({' '.join(changed)})"
        raise StaleError(f"{exp_dir}/results.json: {told}; run stage 9 again")
    systems = all_systems(config)
    for folder, name in [(models_dir / name / f"seed{seed}", name) for name, seeds in runs.items() for seed in seeds]:
        if (folder / "config.json").is_file():  # those of folds lie elsewhere
            check_settings(folder, config, systems[name])


def check_scored(path: Path, score: dict, config: Config, units: Units) -> None:
    """Raises StaleError when hypotheses were decoded, or their errors counted, otherwise than the configuration says.

    Args:
        path: score.json
        score: What it holds.
        config: The recipe's.
        units: Of its [score].
    """
    before, now = score.get("decode") or {}, config.decode.in_use()
    keys = [key for key in now | before if before.get(key) != now.get(key)]  # the decoder first
    if keys:
        pair = f"decode.{keys[0]} {show(before.get(keys[0]))} -> {show(now.get(keys[0]))}"
        raise StaleError(f"{path}: of hypotheses decoded with other settings ({pair}); decode and score again")
    counted, asked = f"{score['unit']} ({score['normalisation']})", f"{units.name} ({units.normalisation})"
    if counted != asked:
        raise StaleError(f"{path}: its errors were counted with another [score]: {counted} -> {asked}; score again")


def facts_of(exp_dirs: list[Path], system: str, seeds: list[int]) -> dict:
    """What a system cost: weights, updates, hours and CPU time, averaged over runs."""
    folders = [exp / system / f"seed{seed}" for exp in exp_dirs for seed in seeds]
    configs = [read_json(folder / "config.json") for folder in folders]
    seconds = [read_json(folder / "manifest.json")["counts"]["cpu_seconds"] for folder in folders]
    return {
        "params": configs[0]["params"],
        "megabytes": configs[0].get("megabytes", 0.0),
        "updates": configs[0]["train"]["train"]["updates"],
        "labelled_hours": round(mean(config["labelled_hours"] for config in configs), 4),
        "unlabelled_hours": round(mean(config["unlabelled_hours"] for config in configs), 4),
        "cpu_minutes": round(mean(seconds) / 60, 2),
    }


def real_time_factor(exp_dirs: list[Path], system: str, seeds: list[int], set_name: str) -> float | None:
    """Seconds that a second of speech took to decode, on one core or a GPU; None where steps.decode did not do it."""
    files = [score_file(exp, system, seed, set_name).with_name("manifest.json") for exp in exp_dirs for seed in seeds]
    counts = [read_json(file)["counts"] for file in files if file.is_file()]
    factors = [found["real_time_factor"] for found in counts if "real_time_factor" in found]
    return round(mean(factors), 5) if factors else None


def collect_set(config: Config, exp_dirs: list[Path], runs: Runs, set_name: str) -> dict:
    """The part of results.json that belongs to one set."""
    systems = all_systems(config)
    names = scored_systems(systems)[set_name]
    files = {name: read_scores(exp_dirs, name, runs[name], set_name, config) for name in names}
    scores = {name: gather(found) for name, found in files.items()}
    for name in names[1:]:
        check_same(names[0], scores[names[0]], name, scores[name], set_name)
    first = files[names[0]][0]
    references = scores[names[0]].references
    if all_sets(config).get(set_name) == "test" and None not in references and len(set(references)) < len(references):
        told = (
            "two of the folders are of the same references, which would be counted twice; folds rotate what is tested"
        )
        raise DataError(f"'{set_name}': {told}")
    rows = {}
    for name in names:
        folds = [fold for found in files[name] for fold in found]
        shares = {k: round(100.0 * sum(f[k] for f in folds) / sum(f["ref_units"] for f in folds), 4) for k in KINDS}
        factor = {"real_time_factor": real_time_factor(exp_dirs, name, runs[name], set_name)}
        rows[name] = describe(scores[name]) | shares | facts_of(exp_dirs, name, runs[name]) | factor
    return {
        "unit": first[0]["unit"],
        "normalisation": first[0]["normalisation"],
        "decode": config.decode.in_use(),
        "utterances": sum(fold["utterances"] for fold in first),
        "ref_units": sum(fold["ref_units"] for fold in first),
        "speakers": scores[names[0]].num_speakers,
        "folds": len(exp_dirs),
        "systems": rows,
        "comparisons": comparisons(config, exp_dirs, runs, set_name, scores),
    }


def class_files(config: Config, exp_dirs: list[Path], runs: Runs) -> dict[tuple[str, str, int], list[Path]]:
    """(set, system, seed) -> where the scores of classes are, one file for each fold."""
    return {
        (set_name, name, seed): [score_file(exp, name, seed, set_name).with_name("classes.json") for exp in exp_dirs]
        for name, system in all_systems(config).items()
        if "classifier" in kinds_of_heads(system) or (config.score.keywords and can_transcribe(system))
        for set_name in (system.data.dev, *system.data.test)
        for seed in runs[name]
    }


def collect_classes(config: Config, exp_dirs: list[Path], runs: Runs) -> dict:
    """The part of results.json on classes: set -> head -> system -> figures."""
    counts: dict = {}
    for (set_name, system, _), files in class_files(config, exp_dirs, runs).items():
        folds = [read_json(file)["heads"] for file in files]
        for head in dict.fromkeys(chain(*folds)):
            found = pooled_confusions([fold[head]["per_speaker"] for fold in folds if head in fold])
            if any(label for by_class in found.values() for label in by_class):  # a keyword that is said, in some fold
                counts.setdefault(set_name, {}).setdefault(head, {}).setdefault(system, []).append(found)
    return {
        set_name: {
            head: {
                system: (keyword_scores if head == KEYWORDS else class_scores)(found)
                for system, found in by_system.items()
            }
            for head, by_system in heads.items()
        }
        for set_name, heads in counts.items()
    }


KINDS = ("ins", "del", "sub")


def read_scores(
    exp_dirs: list[Path], system: str, seeds: list[int], set_name: str, config: Config | None = None
) -> list[list[dict]]:
    """score.json of each seed, and of each fold, checked to be decoded and scored as a configuration says, if any."""
    files = [[score_file(exp, system, seed, set_name) for exp in exp_dirs] for seed in seeds]
    found = [[read_json(file) for file in folds] for folds in files]
    if config:
        units = Units.of(config.score)
        for file, fold in zip(chain(*files), chain(*found), strict=True):
            check_scored(file, fold, config, units)
    return found


def comparisons(
    config: Config, exp_dirs: list[Path], runs: Runs, set_name: str, scores: dict[str, SystemScores]
) -> list[dict]:
    """Each system of a set against its twin and its controls, and the teacher that it could reach.

    Where two of them hear the same utterances through different channels, or as different features, the other counts
    as it hears them: on the set that stands in the same place of its own [data].
    """
    systems, found = all_systems(config), []

    def of_other(name: str, ours: str) -> tuple[str, SystemScores | None]:
        """The set on which another system is compared, and its scores there; None of one that writes nothing."""
        if not can_transcribe(systems[name]):
            return set_name, None
        home = set_in_place(systems[name], systems[ours], set_name)
        heard = scores.get(name)
        if home != set_name:
            heard = gather(read_scores(exp_dirs, name, runs[name], home, config))
        if heard:
            check_same(name, heard, ours, scores[ours], home, set_name)
        return home, heard

    for teacher, student, distilled in pairs_of(config):
        if distilled not in scores:
            continue
        row, heard = {"teacher": teacher, "student": student, "distilled": distilled}, {}
        for role, name in (("teacher", teacher), ("student", student)):
            home, heard[role] = of_other(name, distilled) if name else (set_name, None)
            row |= {f"{role}_set": home} if home != set_name else {}
        row["twin"] = bool(teacher) and student == twin_of(config, systems[distilled]).name
        if teacher:
            row["teacher_seeds"], row["teacher_runs"] = reference_of(config, systems[distilled])[1], len(runs[teacher])
            heard["teacher"] = heard["teacher"] and on_seeds(heard["teacher"], row["teacher_seeds"])
        found.append(row | compare(heard["teacher"], heard["student"], scores[distilled]))
    tested = [row for row in found if row["p_value"] is not None]
    for row, corrected in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        row["p_holm"] = round(corrected, 5)
    tell_distance(found, scores)
    return sorted(found, key=lambda row: (-row["twin"], row["student"], -row["absolute_gain"]))


def tell_distance(rows: list[dict], scores: dict[str, SystemScores]) -> None:
    """Adds to comparisons with a twin how far each system is behind the best of those with the same twin."""
    groups: dict[str, list[dict]] = {}
    for row in rows:
        if row["twin"]:
            groups.setdefault(row["student"], []).append(row)
    for group in groups.values():
        best = max(group, key=lambda row: row["absolute_gain"])
        for row in group if len(group) > 1 else []:
            ours, others = scores[row["distilled"]], scores[best["distilled"]]
            if set(ours.seeds) & set(others.seeds):
                found = compare(None, ours, others)
                row |= {"best": best["distilled"], "behind": found["absolute_gain"]}
                row["behind_ci95"] = found["absolute_gain_ci95"] if row is not best else None


def check_same(name: str, ours: SystemScores, other: str, theirs: SystemScores, *sets: str) -> None:
    """Raises StaleError when two systems were not counted against the same words of the same speakers.

    Args:
        name: Of a system.
        ours: Its scores.
        other: Of another one.
        theirs: Its scores.
        sets: That of each, or that of both.
    """
    if ours.references != theirs.references or ours.speakers != theirs.speakers:
        heard = " and ".join(f"'{set_name}'" for set_name in dict.fromkeys(sets))
        told = "do not have the same words of the same speakers as reference, so that they cannot be compared"
        raise StaleError(f"{heard}: {name} and {other} {told}")
