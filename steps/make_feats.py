"""data/<set>/wav.scp -> data/<set>/{feats.scp,utt2num_frames,utt2dur,feats/*.ark}

    python3 -m steps.make_feats --nj 2 data/train

The settings stand in [features] of conf.toml, and beside the features in feats/features.json. Speed comes from
utt2speed, and what the speech goes through from utt2channel, so that neither needs a copy of the audio. Where
features are normalised by speaker, those of utt2spk in this set are meant.
"""

from dataclasses import asdict
from pathlib import Path

from steps.config.load import load
from steps.config.systems import features_of
from utils.data_dir.data_dir import AUDIO_TABLES, DataDir, recording_files
from utils.data_dir.tables import write_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.files import to_json
from utils.jobs.job import Job, name_of
from utils.jobs.workers import map_in_processes

FORMAT = 1


def inputs_of(data_dir: Path, settings: object) -> tuple[Path, ...]:
    """The tables that place the audio, and speakers where they matter; and the audio itself."""
    names = [n for n in AUDIO_TABLES if n == "wav.scp" or (data_dir / n).is_file()]
    tables = [data_dir / n for n in (*names, *(["utt2spk"] if settings.cmvn == "speaker" else []))]
    return (*tables, *recording_files(data_dir))


def make_feats(data_dir: Path, stage: Path, settings: object, nj: int) -> dict:
    """Writes features and their tables below `stage`; returns counts."""
    import torchaudio.compliance.kaldi  # noqa: F401  (before the workers fork)

    from steps.features.by_speaker import make_by_speaker
    from steps.features.extract import make_shard, make_shards
    from steps.features.settings import feature_dim

    data = DataDir.read(data_dir)
    utterances, final = data.utterances(), Path(name_of(data_dir)) / "feats"
    (stage / "feats").mkdir()
    if settings.cmvn == "speaker":
        results = make_by_speaker(make_shards(utterances, stage / "feats", final, settings, data.utt2spk), nj)
    else:
        results = map_in_processes(make_shard, make_shards(utterances, stage / "feats", final, settings), nj)
    write_table(stage / "feats.scp", [row for r in results for row in r.feats_scp.items()])
    write_table(stage / "utt2num_frames", [(u, str(n)) for r in results for u, n in r.num_frames.items()])
    write_table(stage / "utt2dur", [(u, f"{s:.6g}") for r in results for u, s in r.duration_s.items()])
    (stage / "feats" / "features.json").write_text(to_json(asdict(settings)))
    odd = {utt_id: oddity for r in results for utt_id, oddity in r.odd.items()}
    for utt_id, oddity in odd.items():
        log.info(f"'{utt_id}' is {oddity}")
    if odd:
        log.warn(f"{data_dir}: {len(odd)} of {len(utterances)} utterances are silent or clipped; the log lists them")
    hours = sum(s for r in results for s in r.duration_s.values()) / 3600
    log.info(f"{data_dir}: {len(utterances):,} utterances, {hours:.2f} h, {feature_dim(settings)} features a frame")
    return {"in": len(utterances), "out": len(utterances), "dropped": 0, "odd": odd}


def main(argv: list[str]) -> None:
    """Makes the features of one data directory."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_nj()
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    settings = features_of(load(args.config, args.set), args.data_dir.name)
    job = Job(
        "make_feats",
        FORMAT,
        args.data_dir / "feats" / "manifest.json",
        inputs_of(args.data_dir, settings),
        asdict(settings),
        base=args.data_dir,
    )
    job.run(args, lambda stage: make_feats(args.data_dir, stage, settings, args.nj))


if __name__ == "__main__":
    run(main)
