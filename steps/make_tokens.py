"""data/<train>/text -> data/lang/{tokens.txt,lexicon.txt}

    python3 -m steps.make_tokens data/train data/lang

tokens.txt holds `<blk> 0` and the characters or words of the training text in C order; lexicon.txt spells each
word of it in tokens.
"""

from pathlib import Path

from steps.config.load import load
from steps.tokens.token_table import BLANK, RESERVED, SPACE, TokenTable, split_text
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError
from utils.jobs.files import to_json
from utils.jobs.job import Job

FORMAT = 1


def collect_tokens(path: Path, unit: str) -> TokenTable:
    """The tokens of a `text` table. Raises: DataError when a word is a reserved symbol, or there is no text."""
    found = set()
    for number, (utt_id, text) in enumerate(read_table(path, has_value=False).items(), start=1):
        reserved = set(text.split()) & set(RESERVED)
        if reserved:
            raise DataError(f"{path}:{number}: utterance '{utt_id}' holds the reserved symbol '{reserved.pop()}'")
        found |= set(split_text(text, unit))
    if not found:
        raise DataError(f"{path}: no transcript in it; tokens cannot be made")
    return TokenTable((BLANK, *sorted(found, key=str.encode)), unit)


def write_lang(text: Path, stage: Path, unit: str) -> dict:
    """Writes the lang directory's files; returns counts."""
    table = collect_tokens(text, unit)
    words = sorted({w for line in read_table(text, has_value=False).values() for w in line.split()}, key=str.encode)
    (stage / "tokens.txt").write_text(table.to_text(), encoding="utf-8")
    spelled = [f"{word} {' '.join(split_text(word, unit))}\n" for word in words]
    (stage / "lexicon.txt").write_text("".join(spelled), encoding="utf-8")
    (stage / "lang.json").write_text(to_json({"unit": unit, "blank": BLANK, "word_separator": SPACE}))
    log.info(f"{len(table.tokens)} tokens (unit: {unit}), {len(words)} words")
    return {"in": len(words), "out": len(words), "dropped": 0}


def main(argv: list[str]) -> None:
    """Makes the lang directory of a training set."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("train_dir", type=Path)
    parser.add_argument("lang_dir", type=Path)
    args = parser.parse_args(argv)
    unit = load(args.config, args.set).tokens.unit
    text = args.train_dir / "text"
    job = Job("make_tokens", FORMAT, args.lang_dir / "manifest.json", (text,), {"unit": unit}, editable=True)
    job.run(args, lambda stage: write_lang(text, stage, unit))


if __name__ == "__main__":
    run(main)
