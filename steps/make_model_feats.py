"""exp/<model>/seed0, data/<set>/feats.scp -> data/<set>_<name>/{feats.scp,utt2num_frames,utt2dur,feats/*.ark}

    python3 -m steps.make_model_feats exp/autoencoder/seed0 data/train data/train_bottleneck

What an autoencoder makes of features: the values of its narrow layer, or the features that it draws. The settings stand
in [features.<name>] of conf.toml, with type = "model".
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from steps.config.load import load
from steps.config.systems import features_of
from utils.data_dir.tables import read_table, write_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import UsageError
from utils.jobs.files import to_json
from utils.jobs.job import Job, name_of

FORMAT = 1


def make_feats(folder: Path, source: Path, target: Path, stage: Path, settings: object) -> dict:
    """Writes features and their tables below `stage`; returns counts."""
    import torch

    from steps.features.settings import check_features, feature_dim, frame_shift_ms
    from steps.nnet.inference import run_model
    from steps.nnet.model import load_model
    from utils.data_dir.archive import write_archive

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    loaded = load_model(folder)
    check_features(source, loaded.config.features)
    head = next((h for h in loaded.model.heads.values() if hasattr(h, "features")), None)
    if head is None:
        raise UsageError(f"{folder}: makes no features; give it an autoencoder head")
    feats_scp = read_table(source / "feats.scp")
    num_frames = {u: int(n) for u, n in read_table(source / "utt2num_frames").items()}
    is_narrow = settings.output == "bottleneck"
    shift_ms = loaded.model.frame_shift_ms if is_narrow else loaded.config.features["frame_shift_ms"]
    made = {}

    def feats() -> Iterator[tuple[str, object]]:
        for utt_ids, output in run_model(loaded.model, feats_scp, num_frames):
            lengths = output.lengths.tolist() if is_narrow else [num_frames[utt_id] for utt_id in utt_ids]
            rows = head.features(output, settings.output)
            if (rows.size(-1), shift_ms) != (feature_dim(settings), frame_shift_ms(settings)):
                told = f"{rows.size(-1)} features each {shift_ms:g} ms"
                raise UsageError(f"{folder}: makes {told}; set dim and frame_shift_ms of [features.*] so")
            for utt_id, x, n in zip(utt_ids, rows, lengths, strict=True):
                made[utt_id] = str(n)
                yield utt_id, x[:n].numpy()

    (stage / "feats").mkdir()
    final = Path(name_of(target)) / "feats" / "feats.1.ark"
    write_table(stage / "feats.scp", write_archive(stage / "feats" / "feats.1.ark", final, feats(), settings.compress))
    write_table(stage / "utt2num_frames", made)
    write_table(stage / "utt2dur", read_table(source / "utt2dur"))
    (stage / "feats" / "features.json").write_text(to_json(asdict(settings)))
    log.info(f"{target}: {len(made):,} utterances, {feature_dim(settings)} features a frame, made by {folder}")
    return {"in": len(made), "out": len(made), "dropped": 0}


def main(argv: list[str]) -> None:
    """Makes the features of one data directory from those of another."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    settings = features_of(load(args.config, args.set), args.target.name)
    if settings.type != "model":
        raise UsageError(f"{args.target}: its features are no model's; run steps.make_feats")
    inputs = [args.model / name for name in ("model.safetensors", "config.json")]
    inputs += [args.source / "feats" / "manifest.json"]
    manifest = args.target / "feats" / "manifest.json"
    job = Job("make_model_feats", FORMAT, manifest, tuple(inputs), asdict(settings), base=args.target)
    job.run(args, lambda stage: make_feats(args.model, args.source, args.target, stage, settings))


if __name__ == "__main__":
    run(main)
