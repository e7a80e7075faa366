"""Reads the scores of all systems of one experiment folder, or of several folds of it, into results.json's form."""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from steps.config.load import all_systems, teacher_of, twin_of
from steps.config.schema import Config, DecodeConfig, SystemConfig
from steps.scoring.comparison import SystemScores, compare, describe, gather
from utils.jobs.errors import DataError, StaleError
from utils.jobs.job import flatten, show

Runs = dict[str, list[int]]  # system -> seeds


def runs_of(config: Config, seeds: list[int]) -> Runs:
    """Which seeds of which systems are trained: teachers with those that are named, all others with all."""
    named: Runs = {}
    for system in config.systems.values():
        for term in system.distill:
            name, seed = teacher_of(term)
            named[name] = sorted({*named.get(name, []), seed})
    return {name: named.get(name, seeds) for name in all_systems(config)}


def score_file(exp_dir: Path, system: str, seed: int, set_name: str) -> Path:
    """Where the score of one run on one set is."""
    return exp_dir / system / f"seed{seed}" / f"decode_{set_name}" / "score.json"


def read_json(path: Path) -> dict:
    """A JSON file. Raises: DataError when it is missing or malformed."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: cannot be read ({e}); run the stage that makes it") from None


def check_settings(folder: Path, config: Config, system: SystemConfig) -> None:
    """Raises StaleError when the model in `folder` was trained with other settings than the configuration's."""
    trained = read_json(folder / "config.json")
    before = flatten({"model": trained["model"], "features": trained["features"], **trained["train"]})
    now = asdict(system) | {"features": asdict(config.features)}
    after = flatten(json.loads(json.dumps({key: value for key, value in now.items() if key != "name"})))
    keys = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    keys = [k for k in keys if not k.startswith("soft_labels.") and k != "features.utts_per_shard"]  # change no weight
    if keys:
        pair = f"{keys[0]} {show(before.get(keys[0]))} -> {show(after.get(keys[0]))}"
        raise StaleError(f"{folder}: trained with other settings ({pair}); run its stage again")


def check_decoder(path: Path, score: dict, settings: DecodeConfig) -> None:
    """Raises StaleError when a score is of hypotheses that were decoded otherwise than the configuration says."""
    before, now = score.get("decode") or {}, settings.in_use()
    keys = [key for key in now | before if before.get(key) != now.get(key)]
    if keys:
        pair = f"decode.{keys[0]} {show(before.get(keys[0]))} -> {show(now.get(keys[0]))}"
        raise StaleError(f"{path}: of hypotheses decoded with other settings ({pair}); decode and score again")


def facts_of(exp_dirs: list[Path], system: str, seeds: list[int]) -> dict:
    """What a system cost: weights, updates, hours and CPU time, averaged over runs."""
    folders = [exp / system / f"seed{seed}" for exp in exp_dirs for seed in seeds]
    configs = [read_json(folder / "config.json") for folder in folders]
    seconds = [read_json(folder / "manifest.json")["counts"]["cpu_seconds"] for folder in folders]
    return {
        "params": configs[0]["params"],
        "updates": configs[0]["train"]["train"]["updates"],
        "labelled_hours": round(mean(config["labelled_hours"] for config in configs), 4),
        "unlabelled_hours": round(mean(config["unlabelled_hours"] for config in configs), 4),
        "cpu_minutes": round(mean(seconds) / 60, 2),
    }


def collect_set(config: Config, exp_dirs: list[Path], runs: Runs, set_name: str) -> dict:
    """The part of results.json that belongs to one set."""
    files = {
        name: [[read_json(score_file(exp, name, seed, set_name)) for exp in exp_dirs] for seed in seeds]
        for name, seeds in runs.items()
    }
    for system, found in files.items():
        for seed, folds in zip(runs[system], found, strict=True):
            for exp, fold in zip(exp_dirs, folds, strict=True):
                check_decoder(score_file(exp, system, seed, set_name), fold, config.decode)
    scores = {name: gather(found) for name, found in files.items()}
    first = next(iter(files.values()))[0]
    systems = {}
    for name, seeds in runs.items():
        folds = [fold for found in files[name] for fold in found]
        shares = {k: round(100.0 * sum(f[k] for f in folds) / sum(f["ref_units"] for f in folds), 4) for k in KINDS}
        systems[name] = describe(scores[name]) | shares | facts_of(exp_dirs, name, seeds)
    return {
        "unit": first[0]["unit"],
        "normalisation": first[0]["normalisation"],
        "decode": config.decode.in_use(),
        "utterances": sum(fold["utterances"] for fold in first),
        "ref_units": sum(fold["ref_units"] for fold in first),
        "speakers": len(next(iter(scores.values())).speakers),
        "folds": len(exp_dirs),
        "systems": systems,
        "comparisons": comparisons(config, scores),
    }


KINDS = ("ins", "del", "sub")


def comparisons(config: Config, scores: dict[str, SystemScores]) -> list[dict]:
    """Each distilled system against its twin and its first teacher."""
    found = []
    for system in config.systems.values():
        if not system.distill:
            continue
        teacher, twin = teacher_of(system.distill[0])[0], twin_of(system).name
        names = {"teacher": teacher, "student": twin, "distilled": system.name, "twin": True}
        found.append(names | compare(scores[teacher], scores[twin], scores[system.name]))
    return found
