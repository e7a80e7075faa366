"""downloads/{text,<speaker>/*.wav} -> data/{train,dev,test}

Of the sorted speakers, every fourth goes to test, and of the others every sixth to dev.
"""

from pathlib import Path

from utils.data_dir.corpus import CorpusUtterance, corpus_parser, find_audio, prepare
from utils.data_dir.tables import read_table
from utils.jobs.cli import run
from utils.jobs.errors import DataError


def set_of_speakers(speakers: list[str]) -> dict[str, str]:
    """The set of each speaker, by rule."""
    sets = {speaker: "test" for speaker in speakers[::4]}
    others = [speaker for speaker in speakers if speaker not in sets]
    return sets | {speaker: "dev" if i % 6 == 0 else "train" for i, speaker in enumerate(others)}


def make_sets(files: list[Path], texts: dict[str, str]) -> dict[str, list[CorpusUtterance]]:
    """The utterances of each set. Raises: DataError for a file without a transcript, or a transcript without a file."""
    if missing := sorted(texts.keys() - {path.stem for path in files}):
        raise DataError(
            f"{len(missing)} utterances of text have no audio file, as '{missing[0]}'; get the corpus again"
        )
    set_of = set_of_speakers(sorted({path.parent.name for path in files}))
    sets: dict[str, list[CorpusUtterance]] = {"train": [], "dev": [], "test": []}
    for path in files:
        speaker = path.parent.name
        if path.stem not in texts:
            raise DataError(f"{path}: has no line in text; take it away, or write one")
        sets[set_of[speaker]].append(CorpusUtterance(path.stem, speaker, path.resolve(), texts[path.stem]))
    return sets


def main(argv: list[str]) -> None:
    """Prepares the corpus."""
    args = corpus_parser(__doc__).parse_args(argv)
    files = find_audio(args.corpus_dir, "*/*.wav", "adam/adam-000.wav")
    texts = args.corpus_dir / "text"
    prepare(args, [*files, texts], lambda stage, final: make_sets(files, read_table(texts)), settings={})


if __name__ == "__main__":
    run(main)
