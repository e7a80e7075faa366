"""recordings/{digit}_{speaker}_{index}.wav -> data/{train,dev,test}

Each recording is an utterance, and recordings of one speaker and set are strung together into longer ones.
The split stands in [corpus]:
  published   test: indices 0 to 4, as its authors say; dev: 5 to 9; train: the rest
  unseen      test: all of corpus.test_speaker; of the other speakers dev: 0 to 4; train: the rest
"""

import random
from pathlib import Path

import numpy as np

from steps.config.load import load
from utils.data_dir.audio import read_audio, write_audio
from utils.data_dir.corpus import CorpusUtterance, corpus_parser, find_audio, prepare
from utils.jobs.cli import run
from utils.jobs.errors import DataError, UsageError

WORDS = "zero one two three four five six seven eight nine".split()
STRINGS = {"train": 2, "dev": 1, "test": 1}  # how many strings each recording is part of
MAX_DIGITS = 6
MAX_PAUSE_S = 0.3
NOISE = 1e-4  # of the pauses: digital silence occurs in no telephone


def name_parts(path: Path) -> tuple[int, str, int]:
    """(digit, speaker, index) of a recording."""
    try:
        digit, speaker, index = path.stem.split("_")
        return int(digit), speaker, int(index)
    except ValueError:
        raise DataError(f"{path}: not named <digit>_<speaker>_<number>.wav; take it away") from None


def set_of(path: Path, split: str, test_speaker: str) -> str:
    """The set that a recording belongs to."""
    _, speaker, index = name_parts(path)
    if split == "unseen":
        return "test" if speaker == test_speaker else "dev" if index < 5 else "train"
    return "test" if index < 5 else "dev" if index < 10 else "train"


def strung(paths: list[Path], utt_id: str, folder: Path, final: Path) -> CorpusUtterance:
    """Writes recordings one after the other, with pauses, as one utterance."""
    generator = np.random.default_rng(np.frombuffer(utt_id.encode(), np.uint8))
    pieces = []
    for path in paths:
        samples, rate = read_audio(str(path), path.stem)
        pause = generator.standard_normal(int(generator.uniform(0, MAX_PAUSE_S) * rate)) * NOISE
        pieces += [pause.astype(np.float32), samples]
    folder.mkdir(parents=True, exist_ok=True)
    write_audio(folder / f"{utt_id}.wav", np.concatenate(pieces), rate)
    speaker = name_parts(paths[0])[1]
    text = " ".join(WORDS[name_parts(path)[0]] for path in paths)
    return CorpusUtterance(utt_id, speaker, final / f"{utt_id}.wav", text)


def string_up(paths: list[Path], times: int, folder: Path, final: Path) -> list[CorpusUtterance]:
    """Strings of two to six recordings of one speaker in one set, each recording in `times` of them."""
    speaker = name_parts(paths[0])[1]
    generator = random.Random(f"{speaker} {len(paths)}")
    found = []
    for _ in range(times):
        left = generator.sample(paths, len(paths))
        while len(left) > 1:
            size = min(generator.randint(2, MAX_DIGITS), len(left))
            found.append(strung(left[:size], f"{speaker}-{folder.name}{len(found):04}", folder, final))
            left = left[size:]
    return found


def make_sets(files: list[Path], corpus: dict, stage: Path, final: Path) -> dict[str, list[CorpusUtterance]]:
    """The utterances of each set."""
    sets: dict[str, list[CorpusUtterance]] = {"train": [], "dev": [], "test": []}
    by_speaker: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        digit, speaker, index = name_parts(path)
        name = set_of(path, corpus["split"], corpus["test_speaker"])
        sets[name].append(CorpusUtterance(f"{speaker}-{digit}_{index}", speaker, path.resolve(), WORDS[digit]))
        by_speaker.setdefault((name, speaker), []).append(path)
    for (name, _), paths in by_speaker.items():
        where = Path("wav") / name
        sets[name] += string_up(paths, STRINGS[name], stage / where, final / where)
    return sets


def check(corpus: dict, files: list[Path]) -> dict:
    """The [corpus] table, completed. Raises: UsageError for a wrong key, split or speaker."""
    corpus = {"split": "published", "test_speaker": "", **corpus}
    speakers = sorted({name_parts(path)[1] for path in files})
    if corpus.keys() - {"split", "test_speaker"}:
        raise UsageError(f"[corpus] has the settings split and test_speaker, not {sorted(corpus)}")
    if corpus["split"] not in ("published", "unseen"):
        raise UsageError(f"corpus.split = '{corpus['split']}': choose published or unseen")
    if corpus["split"] == "unseen" and corpus["test_speaker"] not in speakers:
        raise UsageError(f"corpus.test_speaker = '{corpus['test_speaker']}': choose one of {', '.join(speakers)}")
    return corpus


def main(argv: list[str]) -> None:
    """Prepares one split of the corpus."""
    args = corpus_parser(__doc__).parse_args(argv)
    inner = args.corpus_dir / "recordings"
    files = find_audio(inner if inner.is_dir() else args.corpus_dir, "[0-9]_*_*.wav", "recordings/7_jackson_32.wav")
    corpus = check(load(args.config, args.set).corpus, files)
    prepare(args, files, lambda stage, final: make_sets(files, corpus, stage, final), settings=corpus)


if __name__ == "__main__":
    run(main)
