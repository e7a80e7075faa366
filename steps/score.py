"""data/<set>/text, decode_<set>/text -> decode_<set>/{score.json,alignments.txt,classes.json}

    python3 -m steps.score data/test exp/student/seed0/decode_test

The unit (word, char or phone) stands in [score] of conf.toml, with the map that both sides go through, if any. A
missing, extra or repeated hypothesis is an error; with --allow-missing a missing one counts as deletions. score.json
says how the hypotheses were decoded.
"""

from pathlib import Path

from steps.config.load import load
from steps.scoring.units import Units
from steps.scoring.written import heads_of, written
from steps.tokens.lexicon import read_lexicon, spell, without_pronunciation
from utils.data_dir.labels import label_file, read_labels
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.files import to_json
from utils.jobs.job import Job
from utils.jobs.manifest import Manifest

FORMAT = 5


def score(
    data_dir: Path,
    decode_dir: Path,
    stage: Path,
    units: Units,
    allow_missing: bool,
    transcripts: Path,
    lexicon: Path | None,
    keywords: list[str],
) -> dict:
    """Writes the figures of one decoded set; returns counts."""
    from steps.scoring.score_set import check_ids, check_speakers, score_set

    names, utt2spk = names_of(data_dir, decode_dir), read_table(data_dir / "utt2spk")
    if is_written := (decode_dir / "text").is_file():
        ref, hyp = (read_table(path, has_value=False) for path in (transcripts, decode_dir / "text"))
        missing = check_ids(ref, hyp, allow_missing)
        check_speakers(ref, utt2spk, data_dir)
    classes = scored_classes(data_dir, decode_dir, transcripts, keywords)
    if classes or keywords:
        (stage / "classes.json").write_text(to_json(names | {"heads": classes}), encoding="utf-8")
        for head, found in classes.items():
            keys = [key for key in ("accuracy", "found", "macro_f1") if key in found]
            figures = ", ".join(f"{key} {found[key]['value']:.2f} %" for key in keys)
            log.info(f"{decode_dir}: {head}: {figures or 'none'} of {found['times']:,}")
    if not is_written:
        return {"in": len(utt2spk), "out": len(utt2spk), "dropped": 0}
    if lexicon:
        words = read_lexicon(lexicon)
        if unknown := without_pronunciation(ref.values(), words):
            log.warn(
                f"{transcripts}: {lexicon} lacks {len(unknown)} of its words ({', '.join(unknown[:5])}); "
                "each counts as one phone that is never right"
            )
        ref = {utt_id: spell(text, words) for utt_id, text in ref.items()}
    if missing:
        log.info(f"{len(missing)} missing hypotheses count as deletions: {', '.join(missing[:5])}")
    figures, alignments = score_set(ref, hyp, utt2spk, units)
    (stage / "score.json").write_text(to_json(names | figures), encoding="utf-8")
    (stage / "alignments.txt").write_text(alignments, encoding="utf-8")
    log.info(
        f"{decode_dir}: {figures['error_rate']:.2f} % {units.name} error ({figures['ins']} ins, {figures['del']} del, "
        f"{figures['sub']} sub of {figures['ref_units']:,}), {figures['utterance_error_rate']:.1f} % of utterances"
    )
    return {"in": len(ref), "out": len(ref) - len(missing), "dropped": len(missing)}


def names_of(data_dir: Path, decode_dir: Path) -> dict:
    """What was scored."""
    seed = decode_dir.parent.name.removeprefix("seed")
    names = {"system": decode_dir.parent.parent.name, "seed": int(seed) if seed.isdigit() else None}
    return names | {"set": data_dir.name, "decode": decoded_with(decode_dir)}


def label_files(data_dir: Path, decode_dir: Path) -> dict[str, tuple[Path, Path]]:
    """(reference, hypothesis) of each head that classifies."""
    return {
        name: (label_file(data_dir, table["label"] or name), decode_dir / f"utt2{name}")
        for name, table in heads_of(decode_dir).items()
        if "classes" in table
    }


def scored_classes(data_dir: Path, decode_dir: Path, transcripts: Path, keywords: list[str]) -> dict[str, dict]:
    """The figures of each head that classifies, and of keywords."""
    from steps.scoring.classes import KEYWORDS, class_scores, confusions, keyword_confusions, keyword_scores

    utt2spk, found = read_table(data_dir / "utt2spk"), {}
    for name, (ref, hyp) in label_files(data_dir, decode_dir).items():
        labels = read_labels(data_dir, ref.name.removeprefix("utt2").removeprefix("spk2"))
        per_speaker = confusions(labels, read_table(hyp), utt2spk)
        found[name] = class_scores([per_speaker]) | {"per_speaker": per_speaker}
    if keywords and (decode_dir / "text").is_file():
        texts = [read_table(path, has_value=False) for path in (transcripts, decode_dir / "text")]
        warn_of_unsaid(keywords, transcripts, texts[0])
        per_speaker = keyword_confusions(*texts, utt2spk, keywords)
        is_said = any(keyword in by_class for by_class in per_speaker.values() for keyword in keywords)
        scores = keyword_scores([per_speaker]) if is_said else {"times": 0}  # nothing to find, and no share of it
        found[KEYWORDS] = scores | {"per_speaker": per_speaker}
    return found


def warn_of_unsaid(keywords: list[str], path: Path, texts: dict[str, str]) -> None:
    """Warns of keywords that no transcript holds, and which therefore have no figures."""
    from steps.scoring.classes import count_in

    said = " ".join(texts.values()).split()
    for keyword in keywords:
        if not any(count_in(text, keyword) for text in texts.values()):
            is_case = not set(keyword.lower().split()) - {word.lower() for word in said}
            hint = "; its words are there in other letters, small or capital" if is_case else ""
            log.warn(f"{path}: the keyword '{keyword}' is never said, and has no figures{hint}")


def decoded_with(decode_dir: Path) -> dict | None:
    """The [decode] settings that the hypotheses were made with; None where steps.decode did not make them."""
    manifest = Manifest.read(decode_dir / "manifest.json")
    if manifest is None or manifest.command != "decode":
        return None
    return {key: value for key, value in manifest.settings.items() if key != "device"}


def main(argv: list[str]) -> None:
    """Scores one decoded set."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--allow-missing", action="store_true")
    parser.add_argument("--lang-dir", type=Path, default=None, help="default: lang beside the data directory")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("decode_dir", type=Path)
    args = parser.parse_args(argv)
    config = load(args.config, args.set)
    units = Units.of(config.score)
    files = [path for pair in label_files(args.data_dir, args.decode_dir).values() for path in pair]
    inputs = [args.data_dir / "utt2spk", *files]
    unit, lang, transcripts = written(config, args.data_dir, args.decode_dir)
    if not files or (args.decode_dir / "text").is_file():
        inputs += [transcripts, args.decode_dir / "text"]
    lexicon = None
    if unit == units.name == "phone":  # the references are words
        lexicon = (args.lang_dir or args.data_dir.parent / lang) / "lexicon.txt"
        inputs.append(lexicon)
    if config.score.map:
        inputs.append(Path(config.score.map))
    settings = {"unit": units.name, "allow_missing": args.allow_missing, "decode": decoded_with(args.decode_dir)}
    settings |= {"keywords": config.score.keywords} if config.score.keywords else {}
    job = Job("score", FORMAT, args.decode_dir / "score.manifest.json", tuple(inputs), settings)
    job.run(
        args,
        lambda stage: score(
            args.data_dir,
            args.decode_dir,
            stage,
            units,
            args.allow_missing,
            transcripts,
            lexicon,
            config.score.keywords,
        ),
    )


if __name__ == "__main__":
    run(main)
