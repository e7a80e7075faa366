"""exp/<teacher>/seed<k>/soft_labels/<set>/transcripts -> exp/filter/<system>.json, and a table on the screen

    python3 -m steps.sweep_filter --system student_extra exp

What each share of the most confident utterances without a transcript would keep of a term of this system: hours, and
where their transcripts are there but hidden from the student, the error rate of the teacher's. The student's own error
stands beside it where `--tune` tried `distill.<n>.filter.keep`.
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from steps.config.load import load
from steps.config.schema import Config, SystemConfig
from steps.config.systems import judged_by, soft_label_folder, soft_label_sets, system_named, teacher_of
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, UsageError
from utils.jobs.files import to_json
from utils.jobs.job import Job

FORMAT = 1
SHARES = tuple(share / 10 for share in range(10, 0, -1))


def folders_of(config: Config, system: SystemConfig, number: int, exp_dir: Path) -> list[list[Path]]:
    """Where the transcripts of the teachers that a term's filter reads are, a folder for each set."""
    term, found = system.distill[number], []
    for name, seed, kind in judged_by(term) or [(*teacher_of(term), "transcripts")]:
        sets, teacher = soft_label_sets(config, term, name), exp_dir / name / f"seed{seed}"
        found.append([soft_label_folder(teacher, folder, kind) for folder in sets])
    return found


def sweep(config: Config, system: SystemConfig, number: int, args: object, stage: Path) -> dict:
    """Writes the figures of each share; returns counts."""
    import dataclasses

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
    if config.tokens.unit == units.name == "phone":
        lexicon = read_lexicon(args.data_dir / "lang" / "lexicon.txt")
        truth = {utt_id: spell(text, lexicon) for utt_id, text in truth.items()}
    told = judge(store, seconds, second_transcripts(stores, term.filter))
    tried = tried_shares(args.exp_dir / "tune" / f"{system.name}.json", number)
    rows = []
    for share in SHARES:
        settings = dataclasses.replace(term.filter, keep=share)
        chosen = kept(told, settings)
        errors = Errors()
        for utt_id in chosen & truth.keys():
            errors += count_errors(units.split(truth[utt_id]), units.split(store.texts[utt_id]))
        rows.append(
            {
                "keep": share,
                "confidence": round(min((told[utt_id].confidence for utt_id in chosen), default=1.0), 4),
                "utterances": len(chosen),
                "hours": round(sum(seconds[utt_id] for utt_id in chosen) / 3600, 4),
                "label_error_rate": round(errors.error_rate, 4) if errors.ref_units else None,
                "student_error_rate": tried.get(share),
            }
        )
    found = {"system": system.name, "term": number, "unit": config.score.unit, "set": system.data.dev, "rows": rows}
    (stage / f"{system.name}.json").write_text(to_json(found), encoding="utf-8")
    return {"in": len(told), "out": len(told), "dropped": 0}


def tried_shares(path: Path, number: int) -> dict[float, float]:
    """The student's error rate on dev by the share kept, as steps.tune found it."""
    from steps.scoring.collect import read_json

    if not path.is_file():
        return {}
    rows = reversed(next(iter(read_json(path)["systems"].values())))  # the best last, which stays
    key = f"distill.{number}.filter.keep"
    return {float(row["settings"][key]): row["error_rate"] for row in rows if key in row["settings"]}


def main(argv: list[str]) -> None:
    """Sweeps the threshold of one term."""
    from steps.scoring.collect import read_json
    from steps.scoring.table import filter_rows, to_text

    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--system", required=True)
    parser.add_argument("--term", type=int, default=0, help="which of its [[distill]], from 0")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("exp_dir", type=Path)
    args = parser.parse_args(argv)
    config = load(args.config, args.set)
    system = system_named(config, args.system)
    if not 0 <= args.term < len(system.distill):
        raise UsageError(f"--term {args.term}: [{args.system}] has {len(system.distill)} terms, from 0")
    home = args.exp_dir / "filter"
    term = system.distill[args.term]
    files = [
        folder / "manifest.json" for part in folders_of(config, system, args.term, args.exp_dir) for folder in part
    ]
    for name in term.sets or [system.data.train]:
        tables = [args.data_dir / name / table for table in ("text", "utt2spk", "utt2uniq", "utt2dur")]
        files += [path for path in tables if path.is_file()]
    files += [Path(config.score.map)] if config.score.map else []
    lexicon = args.data_dir / "lang" / "lexicon.txt"
    files += [lexicon] if lexicon.is_file() else []
    tuned = args.exp_dir / "tune" / f"{args.system}.json"
    files += [tuned] if tuned.is_file() else []
    manifest = home / f"{args.system}.manifest.json"
    settings = {"term": args.term, "unit": config.score.unit, "filter": asdict(term.filter), "sets": term.sets}
    settings["labelled_every"] = system.train.labelled_every
    job = Job("sweep_filter", FORMAT, manifest, tuple(files), settings, is_final=True)
    if job.run(args, partial(sweep, config, system, args.term, args)) and not args.why:
        print(f"\n{to_text(filter_rows(read_json(home / f'{args.system}.json')))}\n", flush=True)


if __name__ == "__main__":
    run(main)
