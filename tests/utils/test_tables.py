import pytest

from utils.data_dir.data_dir import DataDir, spk2utt
from utils.data_dir.tables import read_lines, read_table, scan_table, write_table
from utils.jobs.errors import DataError


def test_a_written_table_is_read_back(tmp_path):
    rows = {"b": "two words", "a": "", "é": "x"}
    write_table(tmp_path / "text", rows)
    assert read_table(tmp_path / "text", has_value=False) == rows


def test_a_table_is_written_in_byte_order_with_a_final_newline(tmp_path):
    write_table(tmp_path / "t", {"é": "1", "b": "2", "a b".split()[0] + "-": "3", "a": "4", "B": "5"})
    assert (tmp_path / "t").read_bytes() == "B 5\na 4\na- 3\nb 2\né 1\n".encode()


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"b 1\na 2\n", 2, "'a' after 'b' of line 1 is not in C order"),
        (b"a 1\na 2\n", 2, "'a' stands in line 1 already"),
        (b"a 1\r\n", 1, "column 4 holds U+000D"),
        (b"a\t1\n", 1, "column 2 holds U+0009"),
        (b"a 1 \n", 1, "single spaces"),
        (b" a 1\n", 1, "single spaces"),
        (b"a  1\n", 1, "single spaces"),
        (b"a 1\n\nb 2\n", 2, "a blank line"),
        (b"a 1  2\n", 1, "single spaces"),
        (b"a\n", 1, "'a' has no value"),
    ],
)
def test_a_fault_of_format_is_found_with_its_line(tmp_path, content, line, said):
    path = tmp_path / "utt2spk"
    path.write_bytes(content)
    _, faults = scan_table(path)
    assert [(fault.place, said in fault.text) for fault in faults] == [(f"{path}:{line}", True)]


@pytest.mark.parametrize(
    "name", ["\ufeffa x\n", "a x\u00a0y\n", "a x\u200by\n", "a x\u2028y\n", "a x\0y\n", "a x\u0085y\n"]
)
def test_characters_that_cannot_be_seen_are_a_fault(tmp_path, name):
    (tmp_path / "text").write_text(name, encoding="utf-8")
    assert scan_table(tmp_path / "text")[1]


@pytest.mark.parametrize(
    "text", ["a \u0645\u06cc\u200c\u062e\u0648\u0627\n", "a caf\u00e9 \u65e5\u672c\n", "a \U0001f600\n"]
)
def test_letters_of_any_script_are_no_fault(tmp_path, text):
    (tmp_path / "text").write_text(text, encoding="utf-8")
    assert scan_table(tmp_path / "text") == ({"a": text[2:-1]}, [])


def test_a_missing_final_newline_is_a_fault(tmp_path):
    (tmp_path / "text").write_bytes(b"a x\nb y")
    assert scan_table(tmp_path / "text")[1]


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path):
    (tmp_path / "text").write_bytes(b"a x\nb caf\xe9\n")
    with pytest.raises(DataError, match=r"text:2: byte 0xe9 is not UTF-8"):
        read_lines(tmp_path / "text")


@pytest.mark.parametrize(("make", "said"), [(lambda p: None, "missing"), (lambda p: p.mkdir(), "not a file")])
def test_a_table_that_is_no_file_is_a_data_error(tmp_path, make, said):
    make(tmp_path / "text")
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "text")


def test_spk2utt_is_the_inverse_of_utt2spk():
    assert spk2utt({"b-2": "b", "a-1": "a", "b-1": "b"}) == {"a": "a-1", "b": "b-1 b-2"}


def test_a_path_with_several_spaces_is_kept(tmp_path):
    write_table(tmp_path / "wav.scp", {"a": "/x/my  file.wav"})
    write_table(tmp_path / "utt2spk", {"a": "a"})
    assert DataDir.read(tmp_path).utterances()[0].path == "/x/my  file.wav"


def test_select_keeps_only_what_the_chosen_utterances_need(tmp_path):
    tables = {
        "wav.scp": {"r1": "/1.wav", "r2": "/2.wav"},
        "segments": {"a-1": "r1 0 1", "b-1": "r2 0.5 1"},
        "utt2spk": {"a-1": "a", "b-1": "b"},
        "spk2gender": {"a": "f", "b": "m"},
    }
    part = DataDir(tmp_path, tables).select({"b-1"}).tables
    assert part == {
        "wav.scp": {"r2": "/2.wav"},
        "segments": {"b-1": "r2 0.5 1"},
        "utt2spk": {"b-1": "b"},
        "spk2gender": {"b": "m"},
    }
