"""exp/<teacher>/seed<k>, data/<set>/feats.scp -> exp/<teacher>/seed<k>/soft_labels/<set>/<kind>/

    python3 -m steps.make_soft_labels --nj 2 exp/teacher/seed0 data/train
    python3 -m steps.make_soft_labels --nj 2 --kind transcripts exp/teacher/seed0 data/train

Stores the teacher's frame posteriors at temperature 1 (kind frame_topk; how many and how exactly stands in
[<teacher>.soft_labels]), or what it writes down (kind transcripts; its decoder stands in [decode]).
"""

from dataclasses import asdict
from pathlib import Path

from steps.config.load import load
from steps.config.systems import system_named
from steps.losses.registry import LOSSES
from utils.data_dir.tables import write_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.job import Job

FORMAT = 2
MODEL_FILES = ("model.safetensors", "config.json", "tokens.txt")


def make_frames(folder: Path, data_dir: Path, stage: Path, settings: object, nj: int, gpus: int) -> dict:
    """Writes the posteriors of one set; returns counts."""
    from steps.distillation.extract import extract
    from steps.nnet.device import device_of

    done = extract(folder, data_dir, stage, settings, nj, device_of(gpus))
    write_table(stage / "soft_labels.scp", done.places)
    log.info(
        f"{data_dir}: {len(done.places):,} utterances, {done.bytes_per_second:.0f} bytes per second of speech, "
        f"{done.layout.top_k} of {done.layout.num_tokens} tokens, {done.layout.bits} bits"
    )
    count = len(done.places)
    return {"in": count, "out": count, "dropped": 0, "bytes_per_second": round(done.bytes_per_second, 1)}


def make_transcripts(folder: Path, data_dir: Path, stage: Path, settings: object, nj: int, gpus: int) -> dict:
    """Writes the transcripts of one set; returns counts."""
    from steps.distillation.extract import transcribe
    from steps.nnet.device import device_of

    texts = transcribe(folder, data_dir, stage, settings, nj, device_of(gpus))
    empty = sum(not text for text in texts.values())
    log.info(f"{data_dir}: {len(texts):,} utterances, {empty} of them empty, {settings.decoder}")
    return {"in": len(texts), "out": len(texts), "dropped": 0}


def main(argv: list[str]) -> None:
    """Makes the soft labels of one teacher for one set."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_nj()
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(set(LOSSES.values())), default="frame_topk")
    parser.add_argument("teacher", type=Path, help="a model folder")
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    config = load(args.config, args.set)
    if args.kind == "transcripts":
        make, settings, told = make_transcripts, config.decode, config.decode.in_use()
    else:
        settings = system_named(config, args.teacher.parent.name).soft_labels
        make, told = make_frames, asdict(settings)
    inputs = [*(args.teacher / name for name in MODEL_FILES), args.data_dir / "feats" / "manifest.json"]
    manifest = args.teacher / "soft_labels" / args.data_dir.name / args.kind / "manifest.json"
    device = {"device": "cuda" if args.gpus else "cpu"}
    job = Job("make_soft_labels", FORMAT, manifest, tuple(inputs), told | device)
    job.run(args, lambda stage: make(args.teacher, args.data_dir, stage, settings, args.nj, args.gpus))


if __name__ == "__main__":
    run(main)
