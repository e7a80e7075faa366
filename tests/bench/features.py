"""make_feats' work with reading, checking and writing, against a bare loop of soundfile and torchaudio."""

from pathlib import Path

from bench.rows import Goal, Row, race, speed_row
from bench.speech import Recordings, recordings
from steps.config.schema import FeaturesConfig
from steps.features.extract import make_shard, make_shards
from utils.data_dir.data_dir import Utterance

GOAL = Goal(at_least=0.8)


def bare_loop(found: Recordings, settings: FeaturesConfig) -> None:
    """Decodes and transforms, and keeps nothing."""
    import soundfile
    import torch
    from torchaudio.compliance import kaldi

    for path in found.paths:
        samples, rate = soundfile.read(path, dtype="float32")
        kaldi.fbank(
            torch.from_numpy(samples).unsqueeze(0),
            sample_frequency=rate,
            num_mel_bins=settings.num_mel_bins,
            high_freq=settings.high_freq,
            snip_edges=settings.snip_edges,
            energy_floor=0.0,
        )


def rows(folder: Path) -> list[Row]:
    """A row for each kind of recordings."""
    import soundfile

    table = []
    for found in recordings(folder):
        settings = FeaturesConfig(sample_rate_hz=found.sample_rate_hz)
        utterances = [Utterance(path.stem, path.stem, str(path)) for path in found.paths]
        shards = make_shards(utterances, folder, folder, settings)
        duration_s = sum(soundfile.info(path).duration for path in found.paths)
        runners = {
            "ours": lambda shards=shards: [make_shard(shard) for shard in shards],
            "bare": lambda found=found, settings=settings: bare_loop(found, settings),
        }
        seconds = race(runners, 5)
        name = f"features, {found.name}: {len(utterances):,} recordings of {duration_s / len(utterances):.1f} s"
        table.append(speed_row(name, duration_s, seconds["ours"], seconds["bare"], GOAL, "x real time"))
    return table
