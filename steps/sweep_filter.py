"""exp/<teacher>/seed<k>/soft_labels/<set>/transcripts -> exp/filter/<system>.<term>.json, and a table on the screen

    python3 -m steps.sweep_filter --system student_extra exp
    python3 -m steps.sweep_filter --system student_extra --over 'max_difference=[0.0, 0.1, 0.3]' exp

What each threshold of a term's filter would keep of the utterances without a transcript, all its other settings as
they are: hours, and where their transcripts are there but hidden from the student, the error rate of the teacher's.
The student's own error stands beside it where `--tune` tried `distill.<n>.filter.<setting>`. Thresholds of another
setting than `keep` are written to <system>.<term>.<setting>.json.
"""

import dataclasses
from dataclasses import asdict
from functools import partial
from pathlib import Path

from steps.config.build import build
from steps.config.load import load
from steps.config.schema import Config, FilterConfig, SystemConfig
from steps.config.systems import judged_by, soft_label_folder, soft_label_sets, system_named, teacher_of
from steps.config.tuning import parse_values
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, StaleError, UsageError
from utils.jobs.files import to_json
from utils.jobs.job import Job
from utils.jobs.manifest import Manifest, check_made

FORMAT = 3
SHARES = "keep=[1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]"


def folders_of(config: Config, system: SystemConfig, number: int, exp_dir: Path) -> list[list[Path]]:
    """Where the transcripts of the teachers that a term's filter reads are, a folder for each set."""
    term, found = system.distill[number], []
    for name, seed, kind in judged_by(term) or [(*teacher_of(term), "transcripts")]:
        sets, teacher = soft_label_sets(config, term, name), exp_dir / name / f"seed{seed}"
        found.append([soft_label_folder(teacher, folder, kind) for folder in sets])
    return found


def filters_of(system: SystemConfig, number: int, over: str) -> tuple[str, list[FilterConfig]]:
    """The setting that is swept, and a term's filter at each of its values.

    Raises: UsageError for what is no threshold, or one of a filter that asks for nothing it could be applied to.
    """
    key, values = parse_values("--over", over)
    given = system.distill[number].filter
    if not isinstance(values, list) or not values or not isinstance(getattr(given, key, ""), float):
        known = [field.name for field in dataclasses.fields(given) if isinstance(getattr(given, field.name), float)]
        raise UsageError(f"--over {over}: a list of values for one of {', '.join(known)}")
    if key == "max_difference" and not given.agree_with:
        raise UsageError(f"--over {over}: [{system.name}] distill.{number}.filter has no agree_with to differ from")
    return key, [build(FilterConfig, asdict(given) | {key: value}, f"--over {key}") for value in values]


def sweep(config: Config, system: SystemConfig, number: int, args: object, stage: Path) -> dict:
    """Writes the figures of each threshold; returns counts."""
    from steps.distillation.filters import judge, kept, second_transcripts
    from steps.distillation.transcripts import TranscriptStore
    from steps.scoring.errors import Errors, count_errors
    from steps.scoring.units import Units
    from steps.tokens.lexicon import read_lexicon, spell
    from steps.training.examples import hidden_speech

    term = system.distill[number]
    stores = [TranscriptStore(*folders) for folders in folders_of(config, system, number, args.exp_dir)]
    store, units = stores[0], Units.of(config.score)
    seconds, truth = hidden_speech(system, term.sets, args.data_dir)
    if not seconds:
        raise DataError(
            f"[{system.name}] learns from the transcripts of all its utterances: there is nothing to filter"
        )
    written, path = store.texts, lexicon_of(config, args.data_dir)
    if units.name == "phone" and path:
        lexicon = read_lexicon(path)
        truth = {utt_id: spell(text, lexicon) for utt_id, text in truth.items()}
        if store.unit == "word":
            written = {utt_id: spell(text, lexicon) for utt_id, text in written.items()}
    elif store.unit == "phone" and units.name != "phone":
        truth = {}  # which no word of the teacher's can be compared with
    told = judge(store, seconds, second_transcripts(stores, term.filter))
    key, filters = filters_of(system, number, args.over)
    tried = tried_thresholds(args, config, system, f"distill.{number}.filter.{key}")
    rows = []
    for settings in filters:
        chosen = kept(told, settings)
        errors = Errors()
        for utt_id in chosen & truth.keys():
            errors += count_errors(units.split(truth[utt_id]), units.split(written[utt_id]))
        rows.append(
            {
                "threshold": getattr(settings, key),
                "confidence": round(min((told[utt_id].confidence for utt_id in chosen), default=1.0), 4),
                "utterances": len(chosen),
                "hours": round(sum(seconds[utt_id] for utt_id in chosen) / 3600, 4),
                "label_error_rate": round(errors.error_rate, 4) if errors.ref_units else None,
                "student_error_rate": tried.get(getattr(settings, key)),
            }
        )
    found = {"system": system.name, "term": number, "over": key, "unit": config.score.unit, "set": system.data.dev}
    (stage / f"{name_of(system.name, number, key)}.json").write_text(to_json(found | {"rows": rows}), encoding="utf-8")
    return {"in": len(told), "out": len(told), "dropped": 0}


def check_filtered(system: SystemConfig, number: int) -> None:
    """Raises UsageError for a term whose teacher writes nothing that a filter could judge."""
    term = system.distill[number]
    if term.kind != "transcripts" and term.filter == FilterConfig():
        told = f"its loss {term.loss} reads no transcripts, and it has no filter, so that none are written"
        raise UsageError(f"[{system.name}] distill.{number}: {told}; give it a filter, or name another --term")


def lexicon_of(config: Config, data_dir: Path) -> Path | None:
    """The pronunciations of the recipe's phones, of [tokens] or else of a head's own, if there are some."""
    names = ["lang", *(f"lang_{name}" for name, tokens in config.other_tokens.items() if tokens.unit == "phone")]
    return next((path for path in (data_dir / name / "lexicon.txt" for name in names) if path.is_file()), None)


def name_of(system: str, number: int, key: str) -> str:
    """The name of what is written, without its ending."""
    return f"{system}.{number}" + (f".{key}" if key != "keep" else "")


def settings_of(config: Config, system: SystemConfig, number: int, swept: str, thresholds: list[float]) -> dict:
    """What the figures of a term depend on, beside the files; not its own threshold, for they are of several."""
    term, train = system.distill[number], system.train
    judged = {key: value for key, value in asdict(term.filter).items() if key != swept}
    found = {"term": number, "unit": config.score.unit, "filter": judged, "sets": term.sets}
    found |= {key: getattr(train, key) for key in ("labelled_every", "labelled_only", "folds", "fold")}
    return found | {"over": swept, "thresholds": thresholds}


def check_swept(config: Config, path: Path) -> None:
    """Raises StaleError when exp/filter/<system>.<term>.json is not of this configuration."""
    manifest = path.with_suffix(".manifest.json")
    check_made(manifest)
    name, number, *_ = path.stem.split(".")
    made = Manifest.read(manifest).settings
    swept = made.get("over", "keep"), made.get("thresholds", [])
    if made != settings_of(config, config.systems[name], int(number), *swept):
        raise StaleError(f"{path}: of other settings; run steps.sweep_filter again")


def tried_thresholds(args: object, config: Config, system: SystemConfig, key: str) -> dict[float, float]:
    """The student's error rate on dev by the value of a setting, as steps.tune found it with the others of today."""
    from steps.scoring.collect import passes, read_json
    from steps.tune import check_tuned

    path = args.exp_dir / "tune" / f"{system.name}.json"
    if not path.is_file() or not passes(path, partial(check_tuned, args, config), "the student's errors are left out"):
        return {}
    rows = reversed(next(iter(read_json(path)["systems"].values())))  # the best last, which stays
    return {float(row["settings"][key]): row["error_rate"] for row in rows if key in row["settings"]}


def main(argv: list[str]) -> None:
    """Sweeps the threshold of one term."""
    from steps.scoring.collect import read_json
    from steps.scoring.table import filter_rows, to_text

    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--system", required=True, help="that hears utterances without a transcript")
    parser.add_argument("--term", type=int, default=0, help="which of its [[distill]], from 0")
    text = "thresholds of another setting of its filter; default: shares to keep, from all to a tenth"
    parser.add_argument("--over", default=SHARES, metavar="SETTING=[VALUES]", help=text)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="default: data")
    parser.add_argument("exp_dir", type=Path, help="where the teachers and what they wrote are")
    args = parser.parse_args(argv)
    config = load(args.config, args.set)
    system = system_named(config, args.system)
    if not 0 <= args.term < len(system.distill):
        raise UsageError(f"--term {args.term}: [{args.system}] has {len(system.distill)} terms, from 0")
    key, filters = filters_of(system, args.term, args.over)
    name = name_of(system.name, args.term, key)
    check_filtered(system, args.term)
    home = args.exp_dir / "filter"
    term = system.distill[args.term]
    files = [
        folder / "manifest.json" for part in folders_of(config, system, args.term, args.exp_dir) for folder in part
    ]
    for set_name in term.sets or [system.data.train]:
        tables = [args.data_dir / set_name / table for table in ("text", "utt2spk", "utt2uniq", "utt2dur")]
        files += [path for path in tables if path.is_file()]
    files += [Path(config.score.map)] if config.score.map else []
    lexicon = lexicon_of(config, args.data_dir)
    files += [lexicon] if lexicon else []
    tuned = args.exp_dir / "tune" / f"{args.system}.json"
    files += [tuned] if tuned.is_file() else []
    manifest = home / f"{name}.manifest.json"
    settings = settings_of(config, system, args.term, key, [getattr(one, key) for one in filters])
    job = Job("sweep_filter", FORMAT, manifest, tuple(files), settings, is_final=True)
    if job.run(args, partial(sweep, config, system, args.term, args)) and not args.why:
        print(f"\n{to_text(filter_rows(read_json(home / f'{name}.json')))}\n", flush=True)


if __name__ == "__main__":
    run(main)
