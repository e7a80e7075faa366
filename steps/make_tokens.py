"""data/<train>/text -> data/lang/{tokens.txt,lexicon.txt}, and bpe.model for pieces

    python3 -m steps.make_tokens data/train data/lang

tokens.txt holds `<blk> 0` and the characters or words of the training text in C order; lexicon.txt spells each
word of it in tokens. Phones are those of data/local/dict/lexicon.txt, which a recipe writes. Pieces (tokens.unit =
"bpe") are those of the sentencepiece model bpe.model, in its order. data/lang_<name> is made as [tokens.<name>] says,
of text_<name> where there is one.
"""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from steps.config.load import load
from steps.config.schema import TokensConfig
from steps.tokens.bpe import MARKS, WORD_START, train_bpe
from steps.tokens.lexicon import Lexicon, read_lexicon, to_text
from steps.tokens.token_table import BLANK, RESERVED, SPACE, TokenTable, split_text
from utils.data_dir.tables import read_table, text_file
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError
from utils.jobs.files import to_json
from utils.jobs.job import Job

FORMAT = 1
MAX_SHOWN = 10


def check_reserved(units: Iterable[str], place: str) -> None:
    """Raises DataError when one of the units is a symbol that models use themselves."""
    for unit in units:
        if unit in RESERVED:
            raise DataError(f"{place} holds the reserved symbol '{unit}'")


def collect_tokens(path: Path, unit: str) -> TokenTable:
    """The tokens of a `text` table. Raises: DataError when a word is a reserved symbol, or there is no text."""
    found = set()
    for number, (utt_id, text) in enumerate(read_table(path, has_value=False).items(), start=1):
        check_reserved(text.split(), f"{path}:{number}: utterance '{utt_id}'")
        found |= set(split_text(text, unit))
    if not found:
        raise DataError(f"{path}: no transcript in it; tokens cannot be made")
    return TokenTable((BLANK, *sorted(found, key=str.encode)), unit)


def collect_phones(path: Path, lexicon: Lexicon) -> TokenTable:
    """The phones of a lexicon. Warns of words of a `text` table that it lacks."""
    for word, variants in lexicon.items():
        check_reserved((word, *chain(*variants)), f"the lexicon: word '{word}'")
    words = {word for text in read_table(path, has_value=False).values() for word in text.split()}
    if not words:
        raise DataError(f"{path}: no transcript in it; tokens cannot be made")
    if missing := sorted(words - lexicon.keys(), key=str.encode):
        log.warn(f"{path}: {len(missing)} words have no pronunciation: {', '.join(missing[:MAX_SHOWN])}")
    phones = {phone for variants in lexicon.values() for phone in chain(*variants)}
    return TokenTable((BLANK, *sorted(phones, key=str.encode)), "phone", lexicon)


def collect_pieces(path: Path, settings: TokensConfig) -> TokenTable:
    """The pieces of a `text` table. Raises: DataError when it holds what sentencepiece or models use themselves."""
    table = read_table(path, has_value=False)
    for number, (utt_id, text) in enumerate(table.items(), start=1):
        for symbol in (*RESERVED, *MARKS):
            if symbol in text:
                raise DataError(f"{path}:{number}: utterance '{utt_id}' holds the reserved symbol '{symbol}'")
    texts = [" ".join(text.split()) for text in table.values() if text.split()]
    if not texts:
        raise DataError(f"{path}: no transcript in it; tokens cannot be made")
    bpe = train_bpe(texts, settings.vocab_size, settings.character_coverage)
    return TokenTable((BLANK, *bpe.pieces), "bpe", bpe=bpe)


def spelled_words(text: Path, table: TokenTable) -> tuple[Lexicon, list[str]]:
    """(the words of a `text` table in tokens, those with a character that is no token)."""
    words = {w for line in read_table(text, has_value=False).values() for w in line.split()}
    ids = {word: table.encode(word) for word in sorted(words, key=str.encode)}
    unknown = [word for word, found in ids.items() if None in found]
    return {w: [tuple(table.tokens[i] for i in found)] for w, found in ids.items() if None not in found}, unknown


def write_lang(text: Path, stage: Path, settings: TokensConfig, lexicon_file: Path) -> dict:
    """Writes the lang directory's files; returns counts."""
    unit, unknown = settings.unit, []
    if unit == "phone":
        lexicon = read_lexicon(lexicon_file)
        table = collect_phones(text, lexicon)
    else:
        table = collect_pieces(text, settings) if unit == "bpe" else collect_tokens(text, unit)
        lexicon, unknown = spelled_words(text, table)
    if unknown:
        why = f"characters too rare for tokens.character_coverage = {settings.character_coverage}"
        log.warn(f"{text}: {len(unknown)} words hold {why}: {', '.join(unknown[:MAX_SHOWN])}")
    if table.bpe:
        (stage / "bpe.model").write_bytes(table.bpe.proto)
    separator = WORD_START if unit == "bpe" else SPACE
    (stage / "tokens.txt").write_text(table.to_text(), encoding="utf-8")
    (stage / "lexicon.txt").write_text(to_text(lexicon), encoding="utf-8")
    facts = {"unit": unit, "blank": BLANK, "word_separator": separator}
    (stage / "lang.json").write_text(to_json(facts), encoding="utf-8")
    log.info(f"{len(table.tokens)} tokens (unit: {unit}), {len(lexicon)} words")
    counts = {"in": len(lexicon) + len(unknown), "out": len(lexicon), "dropped": len(unknown)}
    return counts | {"dropped_ids": dict.fromkeys(unknown, "unknown character")}


def main(argv: list[str]) -> None:
    """Makes the lang directory of a training set."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("train_dir", type=Path)
    parser.add_argument("lang_dir", type=Path)
    args = parser.parse_args(argv)
    config = load(args.config, args.set)
    name = args.lang_dir.name.partition("lang_")[2]  # none of lang itself
    settings = config.other_tokens.get(name, config.tokens)
    text, lexicon = text_file(args.train_dir, name), args.train_dir.parent / "local" / "dict" / "lexicon.txt"
    inputs = (text, lexicon) if settings.unit == "phone" else (text,)
    job = Job("make_tokens", FORMAT, args.lang_dir / "manifest.json", inputs, settings.in_use(), editable=True)
    job.run(args, lambda stage: write_lang(text, stage, settings, lexicon))


if __name__ == "__main__":
    run(main)
