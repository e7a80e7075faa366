import json
import random
import sys

import pytest

from steps.config.schema import TokensConfig
from steps.make_tokens import collect_pieces
from steps.tokens.bpe import BpeModel, train_bpe
from steps.tokens.lexicon import read_lexicon
from steps.tokens.token_table import RESERVED, TokenTable, read_lang
from tests.support import command, error_of, write_data_dir
from utils.data_dir.tables import is_invisible
from utils.jobs.errors import DataError, MachineError, UsageError

TEXTS = {"a-1": "low lower lowest", "a-2": "slow slower", "b-1": "new newer newest low", "b-2": ""}
SENTENCES = [text for text in TEXTS.values() if text]
SCRIPTS = {
    "ASCII": (0x21, 0x7E),
    "Latin": (0xC0, 0x24F),
    "combining marks": (0x300, 0x36F),
    "Greek": (0x370, 0x3FF),
    "Cyrillic": (0x400, 0x4FF),
    "Hebrew": (0x5D0, 0x5EA),
    "Arabic": (0x620, 0x65F),
    "Devanagari": (0x900, 0x97F),
    "Thai": (0xE01, 0xE3A),
    "Hangul letters": (0x1100, 0x11FF),
    "Kana": (0x3041, 0x30FF),
    "Han": (0x4E00, 0x4FFF),
    "full width": (0xFF01, 0xFF5E),
    "emoji": (0x1F300, 0x1F5FF),
}


def table_of(texts, vocab_size, coverage=1.0):
    bpe = train_bpe(texts, vocab_size, coverage)
    return TokenTable(("<blk>", *bpe.pieces), "bpe", bpe=bpe)


def random_texts(seed):
    """Eighty texts of a vocabulary of sixty words, each in one of four scripts."""
    rng = random.Random(seed)
    scripts = rng.sample(sorted(SCRIPTS.values()), 4)
    vocabulary = []
    while len(vocabulary) < 60:
        word = "".join(chr(rng.randint(*script)) for script in [rng.choice(scripts)] for _ in range(rng.randint(1, 9)))
        if not any(is_invisible(c) or c.isspace() for c in word) and not any(symbol in word for symbol in RESERVED):
            vocabulary.append(word)
    return [" ".join(rng.choices(vocabulary, k=rng.randint(1, 8))) for _ in range(80)]


@pytest.mark.parametrize("seed", range(20))
def test_text_in_any_script_is_decoded_to_itself(seed):
    texts = random_texts(seed)
    size = len({c for text in texts for c in text}) + 40
    table = table_of(texts, size)
    assert len(table.tokens) == len(set(table.tokens)) == size
    for text in texts:
        ids = table.encode(text)
        assert set(ids) <= set(range(1, size)) and table.decode(ids) == text


def test_text_is_not_normalised():
    texts = ["ﬁne ½ Å Å Å ｶﾅ ㌔ ﷺ"]
    table = table_of(texts, 22)
    assert table.decode(table.encode(texts[0])) == texts[0]


def test_the_most_frequent_pair_is_merged_first():
    tokens = table_of(["ab ab ab ac"], 8).tokens
    assert tokens[:4] == ("<blk>", "▁a", "▁ab", "▁ac") and set(tokens[4:]) == {"▁", "a", "b", "c"}


def test_a_sentence_is_encoded_word_by_word():
    table = table_of(SENTENCES, 30)
    for text in SENTENCES:
        assert table.encode(text) == [i for word in text.split() for i in table.encode(word)]


def test_the_same_text_gives_the_same_bytes():
    texts = random_texts(0)
    assert train_bpe(texts, 230, 1.0).proto == train_bpe(texts, 230, 1.0).proto


def test_a_long_transcript_is_not_left_out():
    assert table_of(["ab " * 5000 + "z"], 6).encode("z").count(None) == 0


@pytest.mark.parametrize("text", ["low ünder", "low 低", "lo\u0308w", "▁low", "lo▁w", "low ▅"])
def test_a_character_that_was_not_in_the_training_text_is_unknown(text):
    table = table_of(SENTENCES, 20)
    assert None in table.encode(text)
    assert None not in table.encode("low wet")  # the control


def test_rare_characters_are_unknown_where_the_coverage_is_lower():
    texts = ["ab " * 100, "abz"]
    assert None not in table_of(texts, 7).encode("z")
    table = table_of(texts, 6, 0.98)
    assert None in table.encode("z") and None not in table.encode("ab")


@pytest.mark.parametrize("size", [10, 45])  # the least and the greatest, as the messages below name them
def test_the_sizes_that_messages_name_are_possible(size):
    assert len(table_of(SENTENCES, size).tokens) == size


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (
            500,
            "tokens.vocab_size = 500: the training text is too small, it has at most 45 pieces; set it to 45 or less",
        ),
        (46, "at most 45 pieces"),
        (9, "tokens.vocab_size = 9: the characters of the training text need at least 10 pieces; set it to 10 or more"),
    ],
)
def test_a_size_that_the_text_does_not_allow_is_refused(size, said):
    with pytest.raises(UsageError, match=said):
        train_bpe(SENTENCES, size, 1.0)


@pytest.mark.parametrize("symbol", [*RESERVED, "▁", "▅"])
@pytest.mark.parametrize("word", ["{}", "x{}y"])
def test_a_reserved_symbol_in_a_word_is_refused_with_its_line(tmp_path, symbol, word):
    (tmp_path / "text").write_text(f"a-1 x\na-2 y {word.format(symbol)}\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"text:2: utterance 'a-2' holds the reserved symbol '{symbol}'"):
        collect_pieces(tmp_path / "text", TokensConfig("bpe", 20))


def test_text_without_a_transcript_makes_no_pieces(tmp_path):
    (tmp_path / "text").write_text("a-1\n")
    with pytest.raises(DataError, match="no transcript in it"):
        collect_pieces(tmp_path / "text", TokensConfig("bpe", 20))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe with data/lang made of TEXTS."""
    folder = tmp_path_factory.mktemp("bpe")
    write_data_dir(folder / "data" / "train", TEXTS)
    (folder / "conf.toml").write_text("[tokens]\nunit = 'bpe'\nvocab_size = 24\n")
    result = command("steps.make_tokens", "data/train", "data/lang", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert len(result.stderr.splitlines()) == 5, result.stderr  # sentencepiece says nothing
    return folder


def test_the_lang_directory_holds_the_contract(recipe):
    lang = recipe / "data" / "lang"
    lines = (lang / "tokens.txt").read_text().splitlines()
    assert lines[0] == "<blk> 0" and [line.split(" ")[1] for line in lines] == [str(i) for i in range(24)]
    table = read_lang(lang, "bpe")
    lexicon = read_lexicon(lang / "lexicon.txt")
    assert lexicon.keys() == {word for text in TEXTS.values() for word in text.split()}
    for word, ((*pieces,),) in lexicon.items():
        assert "".join(pieces) == f"▁{word}" and [table.tokens[i] for i in table.encode(word)] == pieces
    facts = json.loads((lang / "lang.json").read_text())
    assert facts == {"unit": "bpe", "blank": "<blk>", "word_separator": "▁"}


def test_pieces_decode_without_the_model(recipe):
    table = read_lang(recipe / "data" / "lang", "bpe")
    alone = TokenTable.read(recipe / "data" / "lang" / "tokens.txt", "bpe")
    assert alone == table and alone.decode(table.encode("newer low")) == "newer low"
    assert alone.spell("newer low") == "newer low"


def test_it_is_made_again_when_a_setting_changes(recipe):
    def said(*options):
        return command("steps.make_tokens", "--why", *options, "data/train", "data/lang", cwd=recipe).stdout

    assert said() == "make_tokens data/lang: up to date\n"
    assert "setting vocab_size changed (24 -> 23)" in said("--set", "tokens.vocab_size=23")
    assert "setting character_coverage changed (1.0 -> 0.99)" in said("--set", "tokens.character_coverage=0.99")


def test_too_many_pieces_are_one_line_and_status_2(recipe):
    args = ("--force", "--set", "tokens.vocab_size=400", "data/train", "data/lang")
    assert "at most 45 pieces" in error_of(command("steps.make_tokens", *args, cwd=recipe), 2)
    assert read_lang(recipe / "data" / "lang", "bpe")


def test_words_of_rare_characters_are_told_and_not_spelled(tmp_path):
    write_data_dir(tmp_path / "data" / "train", {"a-1": "ab " * 100, "a-2": "ab zed"})
    options = [f"--set=tokens.{text}" for text in ("unit=bpe", "vocab_size=6", "character_coverage=0.98")]
    (tmp_path / "conf.toml").touch()
    result = command("steps.make_tokens", *options, "data/train", "data/lang", cwd=tmp_path)
    assert result.returncode == 0 and "1 words hold characters too rare" in result.stderr
    assert "character_coverage = 0.98: zed" in result.stderr
    assert (tmp_path / "data" / "lang" / "lexicon.txt").read_text() == "ab ▁ab\n"


def test_a_model_that_does_not_belong_to_the_tokens_is_refused(recipe, tmp_path):
    for name in ("tokens.txt", "lexicon.txt"):
        (tmp_path / name).write_bytes((recipe / "data" / "lang" / name).read_bytes())
    (tmp_path / "bpe.model").write_bytes(train_bpe(SENTENCES, 23, 1.0).proto)
    with pytest.raises(DataError, match="tokens.txt does not hold the pieces of bpe.model"):
        read_lang(tmp_path, "bpe")


def test_a_damaged_or_missing_model_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="bpe.model: missing"):
        BpeModel.read(tmp_path / "bpe.model")
    (tmp_path / "bpe.model").write_bytes(b"\xff" * 100)
    with pytest.raises(DataError, match="bpe.model: cannot be read"):
        BpeModel.read(tmp_path / "bpe.model")
    (tmp_path / "bpe.model").write_bytes(b"")
    with pytest.raises(DataError, match="bpe.model: cannot be read"):
        BpeModel.read(tmp_path / "bpe.model")


def test_a_machine_without_sentencepiece_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(MachineError, match="python3 -m pip install sentencepiece"):
        train_bpe(SENTENCES, 20, 1.0)
