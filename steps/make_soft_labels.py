"""exp/<teacher>/seed<k>, data/<set>/feats.scp -> exp/<teacher>/seed<k>/soft_labels/<set>/frame_topk/

    python3 -m steps.make_soft_labels --nj 2 exp/teacher/seed0 data/train

Stores the teacher's frame posteriors at temperature 1; how many and how exactly stands in [<teacher>.soft_labels].
"""

from dataclasses import asdict
from pathlib import Path

from steps.config.load import load
from steps.config.systems import system_named
from utils.data_dir.tables import write_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.job import Job

FORMAT = 2
MODEL_FILES = ("model.safetensors", "config.json", "tokens.txt")


def make_soft_labels(folder: Path, data_dir: Path, stage: Path, settings: object, nj: int, gpus: int) -> dict:
    """Writes the store of one set; returns counts."""
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


def main(argv: list[str]) -> None:
    """Makes the soft labels of one teacher for one set."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_nj()
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("teacher", type=Path, help="a model folder")
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    settings = system_named(load(args.config, args.set), args.teacher.parent.name).soft_labels
    inputs = [*(args.teacher / name for name in MODEL_FILES), args.data_dir / "feats" / "manifest.json"]
    manifest = args.teacher / "soft_labels" / args.data_dir.name / "frame_topk" / "manifest.json"
    device = {"device": "cuda" if args.gpus else "cpu"}
    job = Job("make_soft_labels", FORMAT, manifest, tuple(inputs), asdict(settings) | device)
    job.run(args, lambda stage: make_soft_labels(args.teacher, args.data_dir, stage, settings, args.nj, args.gpus))


if __name__ == "__main__":
    run(main)
