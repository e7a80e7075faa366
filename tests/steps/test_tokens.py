import pytest

from steps.make_tokens import collect_tokens
from steps.tokens.token_table import TokenTable, split_text
from utils.jobs.errors import DataError

CHARS = TokenTable(("<blk>", "<space>", "a", "b", "é"), "char")
WORDS = TokenTable(("<blk>", "NO", "YES"), "word")


@pytest.mark.parametrize(
    ("table", "text", "ids"),
    [
        (CHARS, "ab é", [2, 3, 1, 4]),
        (CHARS, "", []),
        (CHARS, "aax", [2, 2, None]),
        (WORDS, "YES NO NO", [2, 1, 1]),
        (WORDS, "YES MAYBE", [2, None]),
    ],
)
def test_text_is_encoded(table, text, ids):
    assert table.encode(text) == ids


@pytest.mark.parametrize(("table", "text"), [(CHARS, "ab é"), (CHARS, ""), (WORDS, "YES NO NO"), (WORDS, "")])
def test_encoded_text_is_decoded_to_itself(table, text):
    assert table.decode(table.encode(text)) == text


def test_spaces_at_the_ends_and_in_a_row_are_left_out_when_decoding():
    assert CHARS.decode([1, 2, 1, 1, 3, 1]) == "a b"


@pytest.mark.parametrize("table", [CHARS, WORDS])
def test_a_table_is_read_back(tmp_path, table):
    (tmp_path / "tokens.txt").write_text(table.to_text(), encoding="utf-8")
    found = TokenTable.read(tmp_path / "tokens.txt", table.unit)
    assert found == table and found.sha256 == table.sha256


def test_swapped_tokens_have_another_fingerprint():
    assert TokenTable(("<blk>", "YES", "NO"), "word").sha256 != WORDS.sha256


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<blk> 0\na 2\n", "tokens.txt:2: 'a 2' is not '<token> 1'"),
        ("<blk> 0\na\n", "tokens.txt:2: 'a' is not"),
        ("a 0\n<blk> 1\n", "<blk> must be 0"),
        ("<blk> 0\na 1\na 2\n", "no token come twice"),
        ("", "<blk> must be 0"),
    ],
)
def test_a_malformed_table_is_a_data_error(tmp_path, content, said):
    (tmp_path / "tokens.txt").write_text(content)
    with pytest.raises(DataError, match=said):
        TokenTable.read(tmp_path / "tokens.txt", "char")


def test_tokens_are_those_of_the_text_in_byte_order(tmp_path):
    (tmp_path / "text").write_text("a-1 bé a\na-2 B\na-3\n", encoding="utf-8")
    assert collect_tokens(tmp_path / "text", "char").tokens == ("<blk>", "<space>", "B", "a", "b", "é")
    assert collect_tokens(tmp_path / "text", "word").tokens == ("<blk>", "B", "a", "bé")


@pytest.mark.parametrize("symbol", ["<blk>", "<space>", "<unk>", "<s>", "</s>", "<pad>"])
def test_a_reserved_symbol_in_the_text_is_refused_with_its_line(tmp_path, symbol):
    (tmp_path / "text").write_text(f"a-1 x\na-2 y {symbol}\n")
    with pytest.raises(DataError, match=f"text:2: utterance 'a-2' holds the reserved symbol '{symbol}'"):
        collect_tokens(tmp_path / "text", "word")


def test_text_without_a_transcript_makes_no_tokens(tmp_path):
    (tmp_path / "text").write_text("a-1\n")
    with pytest.raises(DataError, match="no transcript in it"):
        collect_tokens(tmp_path / "text", "char")


def test_characters_are_split_at_words():
    assert split_text(" ab  c ", "char") == ["a", "b", "<space>", "c"]
