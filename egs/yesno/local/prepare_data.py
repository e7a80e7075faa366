"""waves_yesno/*.wav -> data/{train,dev,test}

Each file holds eight words of one speaker; its name spells them (1_0_… is YES NO …).
"""

from pathlib import Path

from steps.config.load import load
from utils.data_dir.corpus import CorpusUtterance, corpus_parser, find_audio, prepare
from utils.jobs.cli import run
from utils.jobs.errors import DataError, UsageError

WORDS = {"0": "NO", "1": "YES"}


def set_of(index: int) -> str:
    """Of the sorted files, every fifth goes to test and the one after it to dev."""
    return {0: "test", 1: "dev"}.get(index % 5, "train")


def make_sets(files: list[Path]) -> dict[str, list[CorpusUtterance]]:
    """The utterances of each set."""
    sets: dict[str, list[CorpusUtterance]] = {"train": [], "dev": [], "test": []}
    for index, path in enumerate(files):
        digits = path.stem.split("_")
        if not set(digits) <= WORDS.keys():
            raise DataError(f"{path}: not named after zeros and ones with _ between them; take it away")
        text = " ".join(WORDS[digit] for digit in digits)
        sets[set_of(index)].append(CorpusUtterance(f"speaker-{path.stem}", "speaker", path.resolve(), text))
    return sets


def main(argv: list[str]) -> None:
    """Prepares the corpus."""
    args = corpus_parser(__doc__).parse_args(argv)
    if table := load(args.config, args.set).corpus:
        raise UsageError(f"[corpus] has no settings here, and '{next(iter(table))}' is given")
    files = find_audio(args.corpus_dir, "[01]_[01]_*.wav", "1_0_1_1_1_0_1_0.wav")
    prepare(args, files, lambda stage, final: make_sets(files), settings={})


if __name__ == "__main__":
    run(main)
