"""<corpus>/LibriSpeech/<part> -> data/<set>; the parts of each set stand in [corpus]"""

from local.librispeech import PARTS, check_parts, prepare_parts
from steps.config.load import load
from utils.data_dir.corpus import corpus_parser
from utils.jobs.cli import run


def main(argv: list[str]) -> None:
    """Prepares the chosen parts."""
    args = corpus_parser(__doc__).parse_args(argv)
    config = load(args.config, args.set)
    chosen = sets_of(config.corpus)
    check_parts(chosen, PARTS)
    prepare_parts(args, chosen)


def sets_of(corpus: dict) -> dict[str, list[str]]:
    """The parts of each set: train and dev as [corpus] says, and a test set a part."""
    tests = corpus.get("test", [])
    return {"train": corpus.get("train", []), "dev": corpus.get("dev", [])} | {p.replace("-", "_"): [p] for p in tests}


if __name__ == "__main__":
    run(main)
