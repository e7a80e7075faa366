import pytest

from steps.make_tokens import collect_phones
from steps.tokens.lexicon import Lexicon, read_lexicon, spell, to_phones, to_text, without_pronunciation
from steps.tokens.token_table import TokenTable, read_lang
from utils.jobs.errors import DataError

TEXT = "A AH\nA EY\nTWO T UW\n"
LEXICON = Lexicon({"A": [("AH",), ("EY",)], "TWO": [("T", "UW")]})


@pytest.fixture
def lang(tmp_path):
    (tmp_path / "lexicon.txt").write_text(TEXT)
    (tmp_path / "tokens.txt").write_text("<blk> 0\nAH 1\nEY 2\nT 3\nUW 4\n")
    return tmp_path


def test_a_lexicon_is_read_with_its_variants_and_written_back(lang):
    assert read_lexicon(lang / "lexicon.txt") == LEXICON and to_text(LEXICON) == TEXT


@pytest.mark.parametrize(("line", "said"), [("B", ":4: word 'B' has no phone"), ("A EY", ":4: word 'A' has this")])
def test_a_malformed_lexicon_is_refused_with_its_line(lang, line, said):
    (lang / "lexicon.txt").write_text(f"{TEXT}{line}\n")
    with pytest.raises(DataError, match=said):
        read_lexicon(lang / "lexicon.txt")


def test_a_missing_lexicon_is_told(tmp_path):
    with pytest.raises(DataError, match="prepare_data.py writes it"):
        read_lexicon(tmp_path / "lexicon.txt")


def test_words_are_spelled_in_their_usual_pronunciation():
    assert to_phones("TWO A", LEXICON) == ["T", "UW", "AH"] and spell("TWO A", LEXICON) == "T UW AH"


def test_a_word_without_pronunciation_is_no_token_and_is_never_right():
    assert to_phones("A BEE", LEXICON) == ["AH", None] and spell("A BEE", LEXICON) == "AH BEE"
    assert spell("A AH", LEXICON) == "AH (AH)"  # which is also the name of a phone


def test_a_table_of_phones_encodes_words_and_decodes_phones(lang):
    table = read_lang(lang, "phone")
    assert table.encode("TWO A") == [3, 4, 1] and table.encode("BEE") == [None]
    assert table.decode([3, 4, 1]) == "T UW AH" == table.spell("TWO A")


def test_other_tables_score_text_as_it_is():
    assert TokenTable(("<blk>", "A"), "word").spell("A A") == "A A"


def test_phones_are_those_of_all_variants(tmp_path):
    (tmp_path / "text").write_text("u-1 A\n")
    assert collect_phones(tmp_path / "text", LEXICON).tokens == ("<blk>", "AH", "EY", "T", "UW")


def test_words_without_pronunciation_are_told(tmp_path, capsys):
    (tmp_path / "text").write_text("u-1 A BEE\n")
    collect_phones(tmp_path / "text", LEXICON)
    assert "1 words have no pronunciation: BEE" in capsys.readouterr().err


def test_a_reserved_symbol_in_the_lexicon_is_refused(tmp_path):
    (tmp_path / "text").write_text("u-1 A\n")
    with pytest.raises(DataError, match="word 'B' holds the reserved symbol '<blk>'"):
        collect_phones(tmp_path / "text", {"A": [("AH",)], "B": [("<blk>",)]})


def test_words_that_it_lacks_are_found():
    assert without_pronunciation(["a b", "c a"], {"a": [("x",)]}) == ["b", "c"]
    assert without_pronunciation(["a"], {"a": [("x",)]}) == []


def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path):
    (tmp_path / "lexicon.txt").write_text("\ufeffthe DH AH\n")
    assert read_lexicon(tmp_path / "lexicon.txt") == {"the": [("DH", "AH")]}


def test_a_lexicon_is_composed_as_transcripts_are(tmp_path):
    (tmp_path / "lexicon.txt").write_text("cafe\u0301 K AE\n", encoding="utf-8")
    assert to_phones("café", read_lexicon(tmp_path / "lexicon.txt")) == ["K", "AE"]
