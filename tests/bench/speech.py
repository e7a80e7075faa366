"""What the benchmarks work on: recordings of a corpus or made on the spot, and utterances of random features."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steps.training.examples import Example
from utils.data_dir.archive import write_archive

ROOT = Path(__file__).parents[2]
NUM_MEL_BINS = 80
FRAMES_PER_TOKEN = 20  # about five tokens a second


@dataclass(frozen=True)
class Recordings:
    """Audio files of one corpus."""

    name: str
    paths: list[Path]
    sample_rate_hz: int


def corpora() -> Path:
    """Where the corpora are."""
    return (ROOT / os.environ.get("RETORT_CORPORA", "../shared/data")).resolve()


def recordings(folder: Path) -> list[Recordings]:
    """Short and long recordings of the corpora that are there, else noise written below `folder`."""
    found = []
    for name, pattern, count in (("fsdd", "fsdd/recordings/*.wav", 1200), ("yesno", "waves_yesno/*.wav", 60)):
        paths = sorted(corpora().glob(pattern))[:count]
        if paths:
            found.append(Recordings(name, paths, 8000))
    return found or [Recordings("noise", write_noise(folder, 200), 8000)]


def write_noise(folder: Path, count: int, sample_rate_hz: int = 8000, duration_s: float = 4.0) -> list[Path]:
    """Wav files of noise whose loudness changes as often as that of speech; named as yesno's."""
    import soundfile

    rng, num_samples = np.random.default_rng(0), round(duration_s * sample_rate_hz)
    paths = []
    for i in range(count):
        syllables = np.repeat(rng.random(int(duration_s * 5) + 1), sample_rate_hz // 5)[:num_samples]
        samples = 0.1 * syllables * rng.standard_normal(num_samples)
        paths.append(folder / ("_".join(f"{i % 256:08b}") + ".wav"))
        soundfile.write(paths[-1], samples.astype(np.float32), sample_rate_hz)
    return paths


def random_examples(folder: Path, count: int, num_tokens: int) -> list[Example]:
    """Utterances of 1 to 10 seconds, four on average, as in speechocean762, with an archive of features."""
    rng = np.random.default_rng(0)
    sizes = np.clip(rng.gamma(5.0, 80.0, count), 100, 1000).astype(int)
    feats = [(f"utt{i:04}", rng.standard_normal((n, NUM_MEL_BINS), np.float32)) for i, n in enumerate(sizes)]
    archive = folder / "feats.ark"
    entries = write_archive(archive, archive, feats, compress=False)
    return [
        Example(
            utt_id, entries[utt_id], len(x), tuple(rng.integers(1, num_tokens, len(x) // FRAMES_PER_TOKEN).tolist())
        )
        for utt_id, x in feats
    ]
