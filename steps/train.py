"""data/<train>, data/<dev>, data/lang, soft labels -> exp/<system>/seed<k>/

    python3 -m steps.train --system student --seed 0

Trains one system of conf.toml, or its twin (`student_plain`), with one seed. What was begun goes on where it
stopped, bit by bit. The train.ranks parts of each batch are shared by as many processes as --nj, or --gpus, allows;
on a CPU two parts give the same bits in one process and in two.
"""

from dataclasses import asdict
from pathlib import Path

from steps.config.code import code_of
from steps.config.load import load
from steps.config.schema import Config, SystemConfig
from steps.config.systems import (
    can_transcribe,
    clean_set,
    has_teacher,
    init_folder,
    soft_label_folder,
    soft_labels_for,
    system_named,
    teachers_of,
)
from steps.heads.registry import WITH_CTC_BESIDE
from steps.nnet.registry import PRETRAINED
from steps.training.resume_files import resume_files
from utils.data_dir.labels import label_file, read_labels
from utils.data_dir.tables import check_text_files, text_file
from utils.jobs.cli import Parser, natural, positive, run
from utils.jobs.errors import UsageError
from utils.jobs.job import Job, flatten, name_of
from utils.jobs.manifest import describe_input, digest

FORMAT = 6


def inputs_of(config: Config, system: SystemConfig, seed: int, data: Path, lang: Path, exp: Path) -> tuple[Path, ...]:
    """Everything that a training reads."""
    train, dev = data / system.data.train, data / system.data.dev
    inputs = [train / "text", dev / "text"] if can_transcribe(system) else []
    inputs += [lang / "tokens.txt", train / "cmvn"]
    if system.train.labelled_every > 1 or system.train.folds:
        inputs += [path for path in (train / "utt2spk", train / "utt2uniq") if path.is_file()]
    spelling = {"phone": "lexicon.txt", "bpe": "bpe.model"}
    inputs += [lang / spelling[config.tokens.unit]] if config.tokens.unit in spelling else []
    inputs += [Path(config.score.map)] if config.score.map else []  # dev chooses checkpoints by it
    sets = {*system.sets, system.data.train, system.data.dev}
    inputs += [data / name / "feats" / "manifest.json" for name in sorted(sets)]
    for name, table in system.heads.items():
        if table["type"] == "classifier":
            labels = [label_file(folder, table["label"] or name) for folder in (train, dev)]
            speakers = [path.with_name("utt2spk") for path in labels if path.name.startswith("spk2")]
            inputs += [*labels, *speakers]
    for name in sorted({table["tokens"] for table in system.heads.values()} - {""}):
        own = lang.with_name(f"{lang.name}_{name}")
        spelt = spelling.get(config.other_tokens[name].unit)
        inputs += [text_file(train, name), text_file(dev, name), own / "tokens.txt", *([own / spelt] if spelt else [])]
    clean = [clean_set(folder, system.heads) for folder in (train, dev, *(data / name for name in system.sets))]
    inputs += [folder / "feats" / "manifest.json" for folder in clean if folder]
    pretrained = Path(system.model.get("model") or "/dev/null")
    if system.model["encoder"] in PRETRAINED and pretrained.is_dir():
        inputs += sorted(path for path in pretrained.iterdir() if path.is_file())
    start = init_folder(config, system, exp, seed)
    inputs += [start / "model.safetensors", start / "cmvn"] if start else []
    for term in system.distill:
        inputs += [Path(term.token_map)] if term.token_map else []
        for name, seed in teachers_of(term) if has_teacher(term) else []:
            teacher = exp / name / f"seed{seed}"
            if term.source == "live":
                inputs += [teacher / "model.safetensors", teacher / "config.json", teacher / "tokens.txt"]
        inputs += [
            soft_label_folder(exp / name / f"seed{seed}", folder, kind) / "manifest.json"
            for name, seed, folder, kind in soft_labels_for(config, term)
        ]
    return tuple(dict.fromkeys(inputs))


def check_data_dirs(system: SystemConfig, data: Path) -> None:
    """Raises DataError when a set lacks what heads learn, or are scored by later, besides the common transcripts."""
    folders = [data / name for name in (system.data.train, system.data.dev, *system.data.test)]
    folders = [folder for folder in folders if folder.is_dir()]
    for name, table in system.heads.items():
        if table["type"] == "classifier":
            for folder in folders:
                read_labels(folder, table["label"] or name)
        if table["tokens"]:
            check_text_files(folders, table["tokens"])


def settings_of(config: Config, system: SystemConfig, seed: int) -> dict:
    """The settings that change the weights, and the code of the encoder, the heads and the losses, which users edit."""
    table = system.training()
    table["distill"] = {str(i): term for i, term in enumerate(table["distill"])}
    score = {key: value for key, value in asdict(config.score).items() if value}
    if config.decode.ctc_weight and next(iter(system.heads.values()))["type"] in WITH_CTC_BESIDE:
        score["ctc_weight"] = config.decode.ctc_weight  # dev is decoded with it
    return {**table, "seed": seed, "tokens": config.tokens.in_use(), "score": score, "code": code_of(system)}


def begun(out: Path) -> str:
    """How far an unfinished training came; empty when there is none."""
    updates = list(resume_files(out / "checkpoints"))
    return f"interrupted after update {updates[-1]}" if updates else ""


def processes_for(ranks: int, limit: int) -> int:
    """How many processes share the parts of a batch evenly."""
    return max(n for n in range(1, min(ranks, limit) + 1) if ranks % n == 0)


def main(argv: list[str]) -> None:
    """Trains one system with one seed."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--system", required=True, help="a table of conf.toml, or <table>_plain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gpus", type=natural, default=0)
    parser.add_argument("--nj", type=positive, default=1, help="at most so many processes")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--lang-dir", type=Path, default=None, help="default: <data-dir>/lang")
    parser.add_argument("--exp-dir", type=Path, default=Path("exp"))
    parser.add_argument("--out-dir", type=Path, default=None, help="where the model goes, if not beside its teacher")
    args = parser.parse_args(argv)
    config = load(args.config, args.set)
    system = system_named(config, args.system)
    processes = processes_for(system.train.ranks, args.gpus or args.nj)
    if args.gpus > processes:
        raise UsageError(f"--gpus {args.gpus}: {args.system}.train.ranks = {system.train.ranks} is no multiple of it")
    check_data_dirs(system, args.data_dir)
    lang = args.lang_dir or args.data_dir / "lang"
    inputs = inputs_of(config, system, args.seed, args.data_dir, lang, args.exp_dir)
    settings = settings_of(config, system, args.seed)
    out = (args.out_dir or args.exp_dir) / args.system / f"seed{args.seed}"
    job = Job("train", FORMAT, out / "manifest.json", inputs, settings, log_file=out / "train.log", begun=begun(out))
    job.run(args, lambda stage: build(args, system, inputs, settings, out, stage, processes))


def build(args, system: SystemConfig, inputs, settings: dict, out: Path, stage: Path, processes: int) -> dict:
    """Trains; with --force from the start."""
    from steps.training.checkpoints import Checkpoints
    from steps.training.run import TrainJob

    checkpoints = Checkpoints(out / "checkpoints")
    identity = {name_of(path): digest(describe_input(path)) for path in inputs} | flatten(settings)
    identity["format"] = FORMAT
    is_finished = (out / "manifest.json").exists()
    if args.force or (is_finished and not checkpoints.belong_to(identity)):  # else they are of an interrupted run
        checkpoints.clear()
    lang = args.lang_dir or args.data_dir / "lang"
    job = TrainJob(
        str(args.config),
        args.set,
        system.name,
        args.seed,
        str(args.data_dir),
        str(args.exp_dir),
        str(out),
        str(lang),
        str(stage),
        args.gpus,
        identity,
    )
    if processes == 1:
        from steps.training.run import train

        return train(job)
    from steps.training.launch import train_in_ranks

    return train_in_ranks(job, processes)


if __name__ == "__main__":
    run(main)
