"""exp/<teacher>/seed<k>, data/<set>/feats.scp -> exp/<teacher>/seed<k>/soft_labels/<set>/<kind>/

    python3 -m steps.make_soft_labels --nj 2 exp/teacher/seed0 data/train
    python3 -m steps.make_soft_labels --nj 2 --kind transcripts exp/teacher/seed0 data/train
    python3 -m steps.make_soft_labels --nj 2 --kind hidden_codes.layer3 exp/teacher/seed0 data/train

Stores what a teacher says, at temperature 1: its posteriors of each frame (frame_topk), of each token of the set's
transcripts (token_topk) or of each place of their lattice (lattice); the states of a layer (hidden_codes); or what it
writes down (transcripts). How many and how exactly stands in [<teacher>.soft_labels].
"""

import re
from dataclasses import asdict
from pathlib import Path

from steps.config.load import load
from steps.config.schema import Config, SystemConfig
from steps.config.systems import head_of_kind, soft_label_folder, system_named
from steps.losses.registry import FORCED, KINDS
from utils.data_dir.tables import write_table
from utils.jobs import log
from utils.jobs.cli import Parser, natural, run
from utils.jobs.errors import UsageError
from utils.jobs.job import Job

FORMAT = 3
MODEL_FILES = ("model.safetensors", "config.json", "tokens.txt")


def parse_kind(text: str) -> tuple[str, str, int]:
    """`frame_topk.ctc` -> (frame_topk, ctc, 0), `hidden_codes.layer3` -> (hidden_codes, "", 3)"""
    kind, *rest = text.split(".")
    layer = next((int(part[5:]) for part in rest if re.fullmatch(r"layer\d+", part)), 0)
    names = [part for part in rest if part != f"layer{layer}"]
    if kind not in KINDS or len(names) > 1:
        raise UsageError(f"--kind '{text}': write one of {', '.join(KINDS)}, and after a dot a head, or layer3")
    return kind, names[0] if names else "", layer


def make_stored(folder: Path, data_dir: Path, train_dir: Path, stage: Path, asked: object, nj: int, gpus: int) -> dict:
    """Writes posteriors or states of one set; returns counts."""
    from steps.distillation.extract import extract
    from steps.nnet.device import device_of

    done = extract(folder, data_dir, train_dir, stage, asked, nj, device_of(gpus))
    write_table(stage / "soft_labels.scp", done.places)
    what = (
        f"{done.layout.num_codebooks} codebooks, {100 * done.layout.lost:.1f} % of the variance lost"
        if asked.kind == "hidden_codes"
        else f"{done.layout.top_k} of {done.layout.num_tokens} tokens, {done.layout.bits} bits"
    )
    log.info(
        f"{data_dir}: {len(done.places):,} utterances, {done.bytes_per_second:.0f} bytes per second of speech, {what}"
    )
    if done.left_out:
        log.warn(f"{data_dir}: {len(done.left_out)} utterances have no transcript that the teacher could read")
    count = len(done.places)
    counts = {"in": count + len(done.left_out), "out": count, "dropped": len(done.left_out)}
    counts["dropped_ids"] = dict.fromkeys(done.left_out, "no transcript that the teacher could read")
    return counts | {"bytes_per_second": round(done.bytes_per_second, 1)}


def make_transcripts(folder: Path, data_dir: Path, stage: Path, settings: object, nj: int, gpus: int) -> dict:
    """Writes the transcripts of one set; returns counts."""
    from steps.distillation.extract import transcribe
    from steps.nnet.device import device_of

    texts = transcribe(folder, data_dir, stage, settings, nj, device_of(gpus))
    empty = sum(not text for text in texts.values())
    log.info(f"{data_dir}: {len(texts):,} utterances, {empty} of them empty, {settings.decoder}")
    return {"in": len(texts), "out": len(texts), "dropped": 0}


def settings_for(config: Config, teacher: SystemConfig, kind: str, head: str, layer: int) -> dict:
    """The settings that the soft labels of a kind depend on."""
    own = asdict(teacher.soft_labels)
    if kind == "transcripts":
        return decoding_of(config, teacher, head).in_use()
    used = ("codebooks",) if kind == "hidden_codes" else ("bits",) if kind == "lattice" else ("top_k", "bits")
    return {key: own[key] for key in used} | ({"layer": layer} if layer else {}) | ({"head": head} if head else {})


def decoding_of(config: Config, teacher: SystemConfig, head: str) -> object:
    """How a teacher's transcripts are found."""
    import dataclasses

    found = teacher.soft_labels.decode or config.decode
    return dataclasses.replace(found, head=head) if head else found


def main(argv: list[str]) -> None:
    """Makes the soft labels of one teacher for one set."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_nj()
    parser.add_argument("--gpus", type=natural, default=0)
    parser.add_argument("--kind", default="frame_topk", help=f"one of {', '.join(KINDS)}; .<head> or .layer<n> behind")
    parser.add_argument("teacher", type=Path, help="a model folder")
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    kind, head, layer = parse_kind(args.kind)
    config = load(args.config, args.set)
    teacher = system_named(config, args.teacher.parent.name)
    told = settings_for(config, teacher, kind, head, layer)
    train_dir = args.data_dir.parent / teacher.data.train
    inputs = [*(args.teacher / name for name in MODEL_FILES), args.data_dir / "feats" / "manifest.json"]
    if kind in FORCED:  # both read the transcripts
        lang = args.data_dir.parent / "lang"
        spelling = [lang / name for name in ("lexicon.txt", "bpe.model") if (lang / name).is_file()]
        inputs += [args.data_dir / "text", lang / "tokens.txt", *spelling]
    inputs += [train_dir / "feats" / "manifest.json"] if kind == "hidden_codes" else []
    manifest = soft_label_folder(args.teacher, args.data_dir.name, args.kind) / "manifest.json"
    device = {"device": "cuda" if args.gpus else "cpu"}
    job = Job("make_soft_labels", FORMAT, manifest, tuple(dict.fromkeys(inputs)), told | device)

    def build(stage: Path) -> dict:
        if kind == "transcripts":
            decoding = decoding_of(config, teacher, head)
            return make_transcripts(args.teacher, args.data_dir, stage, decoding, args.nj, args.gpus)
        from steps.distillation.extract import Asked

        asked = Asked(kind, head_of_kind(kind, head, teacher.heads), layer, teacher.soft_labels)
        return make_stored(args.teacher, args.data_dir, train_dir, stage, asked, args.nj, args.gpus)

    job.run(args, build)


if __name__ == "__main__":
    run(main)
