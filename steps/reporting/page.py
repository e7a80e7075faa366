"""exp/report.html: one file with all tables, curves, what distillation fixed, and recordings to listen to."""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

from steps.config.schema import Config
from steps.config.systems import all_sets, features_of
from steps.features.extract import read_samples
from steps.reporting.calibration import Calibration, calibrate
from steps.reporting.figures import learning_curves, reliability
from steps.reporting.markdown import EXPLANATION
from steps.reporting.outcomes import (
    CLASSES,
    STATES,
    TAUGHT,
    Outcomes,
    Pairs,
    check_counts,
    compare_outcomes,
    read_alignments,
)
from steps.scoring.collect import read_json, score_file
from steps.scoring.table import sections
from steps.scoring.written import written
from utils.data_dir.data_dir import DataDir
from utils.data_dir.tables import read_lines, read_table
from utils.jobs import log
from utils.jobs.errors import DataError, MachineError, StaleError

THREE = ("teacher", "student", "distilled")  # of a comparison
NUM_SHOWN = 12  # words, speakers, and utterances with audio
MAX_DETAILED = 6  # comparisons shown unit by unit
MAX_SECONDS = 15.0  # of a recording that is embedded


@dataclass(frozen=True)
class Detail:
    """One comparison, unit by unit.

    Attributes:
        title: Of the section.
        names: Teacher, twin, distilled student.
        outcomes: What became of each unit.
        calibrations: By name, of the systems whose hypotheses carry confidences.
        picture: Their reliability diagram, if any does.
        clips: Utterances, those that gained or lost most, with audio.
    """

    title: str
    names: list[str]
    outcomes: Outcomes
    calibrations: dict[str, Calibration]
    picture: str
    clips: list[dict]

    def words(self) -> list[tuple[str, dict]]:
        """(unit, counts by state), those that changed most first, and the sum of the others."""
        return changed_most({word: n for word, n in self.outcomes.by_word.items() if n["fixed"] or n["broken"]})

    def speakers(self) -> list[tuple[str, dict]]:
        """(speaker, counts by state), those that changed most first, and the sum of the others."""
        return changed_most(self.outcomes.by_speaker)


def changed_most(counts: dict[str, dict[str, int]]) -> list[tuple[str, dict]]:
    """(name, counts by state) of those that changed most, and at the end the sum of the others."""
    rows = sorted(counts.items())
    rows.sort(key=lambda row: (-abs(row[1]["fixed"] - row[1]["broken"]), -row[1]["fixed"] - row[1]["broken"]))
    shown, rest = rows[:NUM_SHOWN], [found for _, found in rows[NUM_SHOWN:]]
    others = {state: sum(found[state] for found in rest) for state in (*STATES, TAUGHT)}
    return shown + ([(f"{len(rest)} other{'s' * (len(rest) > 1)}", others)] if rest else [])


def score_files(exp_dir: Path, row: dict, set_name: str, seeds: list[int]) -> list[Path]:
    """Where the scores of a comparison's teacher, twin and distilled student are."""
    sets = [row.get("teacher_set", set_name), set_name, set_name]
    return [score_file(exp_dir, row[key], seed, heard) for key, seed, heard in zip(THREE, seeds, sets, strict=True)]


def detail(
    config: Config, files: list[Path], data_dir: Path, set_name: str, row: dict, seeds: list[int]
) -> Detail | None:
    """Looks at one comparison on one set; `files` are the scores of the three systems, of these seeds.

    Returns: None where the teacher heard the same words under other utterance ids.
    """
    names = [row[key] for key in THREE]
    alignments: list[dict[str, Pairs]] = []
    for file in files:
        alignments.append(read_alignments(file.with_name("alignments.txt")))
        check_counts(file.with_name("alignments.txt"), alignments[-1], read_json(file))
    if "teacher_set" in row and alignments[0].keys() != alignments[1].keys():
        told = f"{names[0]} heard '{row['teacher_set']}', whose utterances are called otherwise"
        log.warn(f"{set_name}: {told}; what distillation fixed is left out")
        return None
    outcomes = compare_outcomes(*alignments, read_table(data_dir / set_name / "utt2spk"))
    calibrations = {}
    for name, file, aligned in zip(names, files, alignments, strict=True):
        lines = file.with_name("nbest.jsonl").read_text(encoding="utf-8").splitlines()
        entries = {entry["utt_id"]: entry for entry in map(json.loads, lines)}
        unit, _, _ = written(config, data_dir / set_name, file.parent)
        found = calibrate(entries, aligned, unit, config.score.unit)
        calibrations |= {name: found} if found else {}
    picture = reliability(calibrations) if calibrations else ""
    title = f"{set_name}: {names[2]} against {names[1]}, seed {seeds[2]}; teacher {names[0]}, seed {seeds[0]}"
    clips = clips_of(config, data_dir / set_name, outcomes, alignments)
    return Detail(title, names, outcomes, calibrations, picture, clips)


def clips_of(config: Config, folder: Path, outcomes: Outcomes, alignments: list[dict[str, Pairs]]) -> list[dict]:
    """The utterances that gained or lost most, aligned, with their audio where it can be read."""
    ordered = sorted(outcomes.gain_of.items(), key=lambda item: (-abs(item[1]), item[0]))
    chosen = [(utt_id, gain) for utt_id, gain in ordered if gain][:NUM_SHOWN]
    utterances = {u.utt_id: u for u in DataDir.read(folder).utterances()}
    return [
        {
            "utt_id": utt_id,
            "gain": gain,
            "rows": [alignment[utt_id] for alignment in alignments],
            "audio": audio_of(utterances[utt_id], config, folder.name) if utt_id in utterances else "",
        }
        for utt_id, gain in chosen
    ]


def audio_of(utterance: object, config: Config, set_name: str) -> str:
    """An utterance as a model heard it, as FLAC in base64; empty where it cannot be read."""
    import soundfile

    settings = features_of(config, set_name)
    try:
        samples = read_samples(utterance, settings)[: int(MAX_SECONDS * settings.sample_rate_hz)]
    except (DataError, MachineError):
        return ""
    out = io.BytesIO()
    soundfile.write(out, samples, settings.sample_rate_hz, format="FLAC", subtype="PCM_16")
    return base64.b64encode(out.getvalue()).decode()


def read_history(path: Path) -> list[dict]:
    """The lines of a training's metrics.jsonl. Raises: StaleError for one without an update and its error on dev."""
    found = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
            is_known = row.keys() >= {"update", "dev_error_rate"}
        except (ValueError, AttributeError):
            is_known = False
        if not is_known:
            told = "run steps.train --force, or remove the file to leave its curve out"
            raise StaleError(f"{path}:{number}: no line of a training; {told}")
        found.append(row)
    return found


def histories_of(exp_dir: Path, systems: dict[str, list[int]]) -> dict[str, list[list[dict]]]:
    """What each training wrote of itself, by system and seed; only of those that lie in this folder.

    Raises: StaleError for a file that no training wrote.
    """
    found = {}
    for name, seeds in systems.items():
        files = [exp_dir / name / f"seed{seed}" / "metrics.jsonl" for seed in seeds]
        if histories := [read_history(file) for file in files if file.is_file()]:
            found[name] = histories
    return found


def histories_of_all(homes: dict[str, Path], systems: dict[str, list[int]]) -> dict[str, list[list[dict]]]:
    """As `histories_of`, of several folders; the experiment of each stands before its names."""
    found, places = {}, {home: experiment for experiment, home in homes.items()}
    for home, experiment in places.items():
        prefix = f"{experiment}: " if len(places) > 1 else ""
        found |= {f"{prefix}{name}": histories for name, histories in histories_of(home, systems).items()}
    return found


def details_of(
    config: Config, results: dict[str, dict], homes: dict[str, Path], data_dir: Path
) -> tuple[list[Detail], int]:
    """(comparisons with twins whose decodings lie here, the best with each twin first, the number of the others).

    Arguments as of `page`.
    """
    roles, found, more = all_sets(config), [], 0
    for section in sections(results):
        name, part = section.set_name, section.part
        is_shown = roles.get(name) == "test" or "test" not in roles.values()
        for row in best_of_each([row for row in part.get("comparisons", []) if row["twin"] and is_shown]):
            seeds = [row["teacher_seeds"][0], row["seeds"][0], row["seeds"][0]]  # in the order of THREE
            files = score_files(homes[section.experiment], row, name, seeds)
            needed = [*(file.with_name("alignments.txt") for file in files), data_dir / name / "utt2spk"]
            is_here = part.get("folds", 1) == 1 and all(file.is_file() for file in needed)  # folds lie elsewhere
            one = detail(config, files, data_dir, name, row, seeds) if is_here and len(found) < MAX_DETAILED else None
            if one:
                found.append(one)
            else:
                more += 1
    return found, more


def best_of_each(rows: list[dict]) -> list[dict]:
    """Comparisons in the order of their gains: the best with each twin, then each second best, and so on."""
    places: dict[str, int] = {}
    ordered = []
    for row in rows:
        places[row["student"]] = place = places.get(row["student"], -1) + 1
        ordered.append((place, row))
    return [row for _, row in sorted(ordered, key=lambda pair: pair[0])]


def page(
    config: Config,
    results: dict[str, dict],
    runs: dict[str, list[int]],
    homes: dict[str, Path],
    data_dir: Path,
    title: str,
    facts: dict,
    note: str,
    tried: list[tuple[str, list[list[str]]]],
) -> str:
    """The text of report.html.

    Args:
        config: Of the recipe.
        results: The content of results.json, by experiment.
        runs: The seeds of each system.
        homes: Where the models of each experiment and their decodings are; sections of what is elsewhere are left out.
        data_dir: Where the sets are.
        title: The heading.
        facts: Commands, commit and machine, by name.
        note: What must be known of all figures.
        tried: What was tuned and filtered, as headings and tables.
    """
    from jinja2 import Environment, FileSystemLoader

    details, more = details_of(config, results, homes, data_dir)
    histories = histories_of_all(homes, runs)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("report.html.jinja")
    curves = learning_curves(histories) if histories else ""
    return template.render(
        title=title,
        note=note,
        explanation=EXPLANATION.replace("`", ""),
        sections=list(sections(results)),
        tried=tried,
        curves=curves,
        details=details,
        more=more,
        facts=facts,
        states=STATES,
        taught=TAUGHT,
        lengths=CLASSES,
    )
