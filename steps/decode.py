"""exp/<system>/seed<k>, data/<set>/feats.scp -> exp/<system>/seed<k>/decode_<set>/{text,nbest.jsonl,utt2<head>}

    python3 -m steps.decode exp/student/seed0 data/dev data/test

The decoder, greedy or a beam search, stands in [decode] of conf.toml; without such a file it is greedy. Each line of
nbest.jsonl is one utterance: its hypotheses with text, score (nats) and the time at which each token begins. The score
is that of the best path from greedy decoding, and that of all paths of these tokens from a beam search. Where the model
classifies, the line holds the probability of each class, and `utt2<head>` the most probable one.
"""

from functools import partial
from pathlib import Path
from time import perf_counter, process_time

from steps.config.load import load
from steps.config.schema import DecodeConfig
from utils.data_dir.tables import read_table, write_table
from utils.jobs import log
from utils.jobs.cli import Parser, natural, run
from utils.jobs.errors import UsageError
from utils.jobs.job import Job

FORMAT = 2


def decode(folder: Path, data_dir: Path, gpus: int, settings: DecodeConfig, stage: Path) -> dict:
    """Writes the hypotheses of one set; returns counts."""
    import torch

    from steps.decoding.decode_set import decode_set, write_hypotheses
    from steps.features.settings import check_features
    from steps.nnet.device import device_of
    from steps.nnet.model import load_model

    torch.set_num_threads(1)
    device = device_of(gpus)
    loaded = load_model(folder, device)
    feats_scp, num_frames = read_table(data_dir / "feats.scp"), read_table(data_dir / "utt2num_frames")
    check_features(data_dir, loaded.config.features)
    clock = perf_counter if gpus else process_time  # other processes do not slow the latter
    start = clock()
    found = decode_set(loaded, feats_scp, {u: int(n) for u, n in num_frames.items()}, device, settings)
    seconds = clock() - start
    write_hypotheses(stage, found)
    for name, table in loaded.config.heads.items():
        if "classes" in table:
            write_table(stage / f"utt2{name}", {u: next(iter(entry["classes"][name])) for u, entry in found.items()})
    shift_s = loaded.model.feature_shift_ms / 1000
    factor = seconds / max(sum(map(int, num_frames.values())) * shift_s, 1e-9)
    told = f"{settings.decoder}, {factor:.4f} s a second of speech"
    log.info(f"{folder}: {data_dir}: {len(found):,} utterances, {told}")
    return {"in": len(feats_scp), "out": len(found), "dropped": 0, "real_time_factor": round(factor, 5)}


def main(argv: list[str]) -> None:
    """Decodes sets with one model."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.set_defaults(config=None)
    parser.add_job()
    parser.add_argument("--gpus", type=natural, default=0)
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("data_dirs", type=Path, nargs="+")
    args = parser.parse_args(argv)
    names = [data_dir.name for data_dir in args.data_dirs]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"two sets are called '{twice}', and would be decoded into one folder")
    settings = load(args.config or Path("conf.toml"), args.set, may_miss=args.config is None).decode
    device = "cuda" if args.gpus else "cpu"
    model_files = [args.model / name for name in ("model.safetensors", "config.json", "tokens.txt")]
    for data_dir in args.data_dirs:
        inputs = (*model_files, data_dir / "feats" / "manifest.json")
        manifest = args.model / f"decode_{data_dir.name}" / "manifest.json"
        job = Job("decode", FORMAT, manifest, inputs, {**settings.in_use(), "device": device})
        job.run(args, partial(decode, args.model, data_dir, args.gpus, settings))


if __name__ == "__main__":
    run(main)
