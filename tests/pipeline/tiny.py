"""A tiny corpus of made tone words and a tiny recipe for it, on which a full run takes half a minute."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import soundfile

from tests.support import driver

RATE = 8000
WORDS = {"low": 300, "mid": 700, "high": 1200, "top": 2200}  # Hz
SPEAKERS = {"ada": 1.0, "bob": 0.93, "cleo": 1.07, "dan": 0.97}  # of the pitch

CONF = """
[features]
sample_rate_hz = 8000
num_mel_bins = 20

[tokens]
unit = "word"

[teacher.model]
encoder = "lstm"
dim = 64
num_layers = 1
bidirectional = true

[teacher.train]
updates = 40
lr = 0.01
warmup_updates = 5
max_frames = 600
checkpoint_updates = 7
average = 2

[student.model]
encoder = "lstm"
dim = 24
num_layers = 1
bidirectional = true

[student.train]
updates = 40
lr = 0.01
warmup_updates = 5
max_frames = 600
checkpoint_updates = 7  # an epoch has 3 updates
average = 20  # all models, so that a difference in any of them is seen

[[student.distill]]
loss = "frame_kl"
weight = 0.5
temperature = 2.0
"""

PREPARE = '''"""<corpus>/{text,<speaker>/*.wav} -> data/{train,dev,test}"""

from utils.data_dir.corpus import CorpusUtterance, corpus_parser, find_audio, prepare
from utils.data_dir.tables import read_table
from utils.jobs.cli import run


def make_sets(files, texts):
    sets = {"train": [], "dev": [], "test": []}
    for index, path in enumerate(files):
        name = {4: "dev", 5: "test"}.get(index % 6, "train")
        sets[name].append(CorpusUtterance(path.stem, path.parent.name, path.resolve(), texts[path.stem]))
    return sets


def main(argv):
    args = corpus_parser(__doc__).parse_args(argv)
    files = find_audio(args.corpus_dir, "*/*.wav", "ada/ada-0.wav")
    texts = args.corpus_dir / "text"
    prepare(args, [*files, texts], lambda stage, final: make_sets(files, read_table(texts)), settings={})


if __name__ == "__main__":
    run(main)
'''


def say(words: list[str], pitch: float, generator: np.random.Generator) -> np.ndarray:
    """Each word is a tone of 0.2 to 0.35 s with a short silence behind it."""
    parts = []
    for word in words:
        time_s = np.arange(int(generator.uniform(0.2, 0.35) * RATE)) / RATE
        parts += [0.3 * np.sin(2 * np.pi * WORDS[word] * pitch * time_s), np.zeros(int(0.06 * RATE))]
    samples = np.concatenate(parts)
    return samples + 0.003 * generator.standard_normal(len(samples))


def write_corpus(folder: Path, utts_per_speaker: int = 6) -> Path:
    """Writes the audio, and `text`."""
    texts = {}
    for speaker, pitch in SPEAKERS.items():
        (folder / speaker).mkdir(parents=True)
        for i in range(utts_per_speaker):
            utt_id = f"{speaker}-{i}"
            words = random.Random(utt_id).choices(list(WORDS), k=1 + i % 5)
            generator = np.random.default_rng(np.frombuffer(utt_id.encode(), np.uint8))
            soundfile.write(folder / speaker / f"{utt_id}.wav", say(words, pitch, generator), RATE, subtype="PCM_16")
            texts[utt_id] = " ".join(words)
    (folder / "text").write_text("".join(f"{u} {texts[u]}\n" for u in sorted(texts)))
    return folder


def write_recipe(folder: Path) -> Path:
    """Writes conf.toml and local/prepare_data.py."""
    (folder / "local").mkdir(parents=True)
    (folder / "conf.toml").write_text(CONF)
    (folder / "local" / "prepare_data.py").write_text(PREPARE)
    return folder


def copy_recipe(source: Path, target: Path, *left_out: str) -> Path:
    """A copy of a recipe's folder with all that was made in it but files and folders of some names."""
    return shutil.copytree(source, target, ignore=shutil.ignore_patterns(*left_out))


def run_stages(recipe: Path, corpus: Path, *args: object, first: int = 0, last: int = 11, **more: str):
    """Runs stages of the tiny recipe with one seed."""
    options = ["--corpus-dir", corpus, "--seeds", "0", "--stage", first, "--stop-stage", last]
    if "--nj" not in args:
        options += ["--nj", "2"]
    return driver(recipe, *options, *args, **more)


# What must be the same to the byte, whatever the path, the locale, or the number of processes.
SAME = ("data/*/feats/*.ark", "data/*/text", "data/*/utt2*", "data/*/feats.scp", "data/train/cmvn", "data/lang/*.txt")
SAME += ("exp/*/seed*/*.safetensors", "exp/*/seed*/tokens.txt", "exp/*/seed*/config.json", "exp/*/*/*/*/*/*.bin")
SAME += ("exp/*/*/decode_*/text", "exp/*/*/decode_*/nbest.jsonl", "exp/*/*/decode_*/score.json")


def hashes(recipe: Path) -> dict[str, str]:
    """SHA-256 of each file that must be the same; of results.json without its times."""
    paths = sorted({path for pattern in SAME for path in recipe.glob(pattern) if path.is_file()})
    found = {str(p.relative_to(recipe)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
    results = json.loads((recipe / "exp" / "results.json").read_text())
    for part in results["sets"].values():
        for system in part["systems"].values():
            del system["cpu_minutes"], system["real_time_factor"]
    return found | {"results.json": json.dumps(results)}


def jobs_done(recipe: Path) -> dict[str, int]:
    """How often each job of the driver has worked, by the name of its log: `stage2.feats.train`."""
    return {p.stem: p.read_text().count(" command: ") for p in (recipe / "exp" / "log").glob("*.log")}


def worked(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """The jobs that worked between two looks."""
    return {name for name in after if before.get(name, 0) != after[name]}


def assert_nothing_half_made(recipe: Path) -> None:
    """Looks for the temporary files that an ended command must have taken away."""
    assert [p for p in recipe.rglob("*") if p.name.endswith((".tmp", ".part"))] == []
