"""data/<set>/text, model folders -> exp/label_errors/<set>/{ranking.tsv,label_errors.json}, and the worst on the screen

    python3 -m steps.find_label_errors --out exp/label_errors/train data/train exp/fold0/seed0 exp/fold1/seed0
    python3 -m steps.find_label_errors --out exp/label_errors/train --truth wrong data/train exp/fold*/seed0

Ranks the utterances of a set by how little CTC models believe their transcripts. Each is judged by the models that did
not train on its speaker (train.folds), where there is one: a model believes what it has learnt. `--truth` names a file
with the utterances that are known to be wrong: then the area under the ROC curve of each score is told, with an
interval over speakers.
"""

from dataclasses import asdict
from pathlib import Path

from utils.data_dir.tables import read_lines
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, UsageError
from utils.jobs.files import to_json
from utils.jobs.job import Job

FORMAT = 2
SCORES = ("loss", "margin", "difference", "stretch")
NUM_SHOWN = 20


def rank(args: object, stage: Path, wrong: set[str]) -> dict:
    """Judges all utterances, and writes them, the least believed first; returns counts."""
    from steps.scoring.disbelief import figures
    from steps.training.critic import judge_set
    from steps.training.examples import speakers_of

    found, said = judge_set(args.models, args.data_dir, args.lang_dir or args.data_dir.parent / "lang")
    left_out = [utt_id for utt_id in said if utt_id not in found]
    impossible = sum(getattr(one, args.by) == float("inf") for one in found.values())
    if impossible == len(found):
        raise DataError(f"{args.data_dir}: no transcript that one of the models could have written")
    if impossible or left_out:
        told = f"{impossible} transcripts cannot be spelt or do not fit, and stand first"
        log.warn(f"{args.data_dir}: {told}; {len(left_out)} utterances have no features, and are not judged")
    order = sorted(found, key=lambda utt_id: (-getattr(found[utt_id], args.by), utt_id))
    lines = ["\t".join(["utt_id", *SCORES, "transcript", "recognised"])]
    for utt_id in order:
        scores = [f"{value:.4f}" for value in asdict(found[utt_id]).values()]
        lines.append("\t".join([utt_id, *scores, *said[utt_id]]))
    (stage / "ranking.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = {"utterances": len(found), "by": args.by}
    if wrong:
        if unknown := wrong - found.keys():
            raise DataError(f"{args.truth}: '{min(unknown)}' is none of the utterances that were judged")
        if len(wrong) == len(found):
            raise DataError(f"{args.truth}: names all {len(found)} utterances")
        told["scores"] = figures(found, wrong, speakers_of(args.data_dir))
    (stage / "label_errors.json").write_text(to_json(told), encoding="utf-8")
    reasons = dict.fromkeys(left_out, "no features")
    return {"in": len(said), "out": len(found), "dropped": len(left_out), "dropped_ids": reasons}


def show(folder: Path) -> None:
    """Prints the least believed transcripts, and the figures."""
    from steps.scoring.collect import read_json
    from steps.scoring.table import interval, number, to_text

    lines = [line.split("\t") for line in (folder / "ranking.tsv").read_text(encoding="utf-8").splitlines()]
    print(f"\n{to_text(lines[: NUM_SHOWN + 1])}\n")
    found = read_json(folder / "label_errors.json").get("scores", {})
    if found:
        share = next(iter(found.values()))["share"]
        rows = [["score", "area under the ROC curve [95 %]", f"precision at {100 * share:.1f} % [95 %]"]]
        for name, row in found.items():
            rows.append([name, *(number(row[k], 3) + interval(row[f"{k}_ci95"], 3) for k in ("area", "precision"))])
        print(to_text(rows) + "\n", flush=True)


def main(argv: list[str]) -> None:
    """Finds transcripts that are likely to be wrong."""
    parser = Parser(__doc__)
    parser.add_job()
    parser.add_argument("--out", type=Path, required=True, help="the folder of the ranking")
    parser.add_argument("--by", choices=SCORES, default="stretch", help="the score that utterances are ranked by")
    parser.add_argument("--lang-dir", type=Path, default=None, help="default: lang beside the data directory")
    parser.add_argument("--truth", type=Path, default=None, help="a file of utterance ids that are known to be wrong")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("models", type=Path, nargs="+", help="model folders with a CTC head")
    args = parser.parse_args(argv)
    if len(set(args.models)) < len(args.models):
        raise UsageError("a model folder stands there twice")
    wrong = {line.split()[0] for line in read_lines(args.truth) if line.split()} if args.truth else set()
    if args.truth and not wrong:
        raise DataError(f"{args.truth}: holds no utterance id")
    inputs = [args.data_dir / "text", args.data_dir / "utt2spk", args.data_dir / "feats" / "manifest.json"]
    inputs += [folder / name for folder in args.models for name in ("model.safetensors", "config.json", "tokens.txt")]
    inputs += [args.truth] if args.truth else []
    lang = args.lang_dir or args.data_dir.parent / "lang"
    more = [lang / name for name in ("tokens.txt", "lexicon.txt", "bpe.model")] + [args.data_dir / "utt2uniq"]
    inputs += [path for path in more if path.is_file()]
    job = Job("find_label_errors", FORMAT, args.out / "manifest.json", tuple(inputs), {"by": args.by})
    if job.run(args, lambda stage: rank(args, stage, wrong)) and not args.why:
        show(args.out)
        log.info(f"{args.out / 'ranking.tsv'}: all of them")


if __name__ == "__main__":
    run(main)
