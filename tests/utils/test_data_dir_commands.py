import pytest

from tests.support import command, error_of, write_data_dir
from utils.data_dir.validate import find_faults


@pytest.fixture
def data_dir(tmp_path):
    return write_data_dir(tmp_path / "train", {"a-1": "one", "a-2": "two", "b-1": "three two"})


def edit(path, change):
    path.write_bytes(change(path.read_bytes()))


REPAIRABLE = {
    "order": ("text", lambda x: b"".join(reversed(x.splitlines(keepends=True)))),
    "CRLF": ("utt2spk", lambda x: x.replace(b"\n", b"\r\n")),
    "CRLF in wav.scp": ("wav.scp", lambda x: x.replace(b"\n", b"\r\n")),
    "byte-order mark": ("text", lambda x: b"\xef\xbb\xbf" + x),
    "byte-order mark in wav.scp": ("wav.scp", lambda x: b"\xef\xbb\xbf" + x),
    "double space": ("text", lambda x: x.replace(b"three two", b"three  two")),
    "blank line": ("text", lambda x: x.replace(b"a-2", b"\na-2")),
    "no final newline": ("text", lambda x: x[:-1]),
    "repeated line": ("text", lambda x: x + b"b-1 three two\n"),
    "spk2utt": ("spk2utt", lambda x: x.replace(b"a-1 a-2", b"a-1")),
}


@pytest.mark.parametrize("name", REPAIRABLE)
def test_fix_repairs_without_losing_an_utterance(data_dir, name):
    before = {file: (data_dir / file).read_bytes() for file in ("wav.scp", "text", "utt2spk", "spk2utt")}
    file, change = REPAIRABLE[name]
    edit(data_dir / file, change)
    assert command("utils.fix_data_dir", data_dir, cwd=data_dir).returncode == 0
    assert {file: (data_dir / file).read_bytes() for file in before} == before


def test_fix_drops_what_is_not_in_every_file_and_lists_it(data_dir):
    edit(data_dir / "text", lambda x: x.replace(b"a-2 two\n", b""))
    result = command("utils.fix_data_dir", data_dir, cwd=data_dir)
    assert "dropped 'a-2'" in result.stderr
    assert (data_dir / "spk2utt").read_text() == "a a-1\nb b-1\n"
    assert find_faults(data_dir) == []


def test_fix_leaves_contradicting_lines_to_a_person(data_dir):
    edit(data_dir / "text", lambda x: x.replace(b"a-2 two\n", b"a-2 two\na-2 too\n"))
    said = error_of(command("utils.fix_data_dir", data_dir, cwd=data_dir), 3)
    assert "text:3: 'a-2' stands above with another value" in said


def test_fix_keeps_the_files_as_they_were(data_dir):
    edit(data_dir / "text", lambda x: x + b"b-1 three two\n")
    as_it_was = (data_dir / "text").read_bytes()
    for name in (".backup", ".backup.1"):
        command("utils.fix_data_dir", data_dir, cwd=data_dir)
        assert (data_dir / name / "text").exists()
    assert (data_dir / ".backup" / "text").read_bytes() == as_it_was


def test_fix_needs_wav_scp_and_utt2spk(data_dir):
    (data_dir / "utt2spk").unlink()
    assert "wav.scp and utt2spk must be there" in error_of(command("utils.fix_data_dir", data_dir, cwd=data_dir), 3)


def test_fix_keeps_a_table_for_some_of_the_utterances(data_dir):
    (data_dir / "utt2speed").write_text("a-2 1.1\n")
    command("utils.fix_data_dir", data_dir, cwd=data_dir)
    assert (data_dir / "utt2speed").read_text() == "a-2 1.1\n"
    assert find_faults(data_dir) == []


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (("--first", 2), "a-1 one\na-2 two\n"),
        (("--speakers", "b"), "b-1 three two\n"),
        (("--utt-list", "list"), "a-2 two\n"),
    ],
)
def test_subset_keeps_the_chosen_utterances(data_dir, tmp_path, options, kept):
    (tmp_path / "list").write_text("a-2\n")
    result = command("utils.subset_data_dir", *options, data_dir, tmp_path / "part", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "part" / "text").read_text() == kept
    assert find_faults(tmp_path / "part", has_text=True) == []


@pytest.mark.parametrize(
    ("options", "target", "status", "said"),
    [
        (("--speakers", "q"), "part", 3, "has no 'q' (1 of 1 names are unknown)"),
        (("--utt-list", "none"), "part", 3, "none: missing"),
        (("--utt-list", "/dev/null"), "part", 3, "/dev/null: empty"),
        (("--speakers", "a,,b"), "part", 2, "'a,,b' is not a list such as a,b"),
        (("--first", 0), "part", 2, "'0' is not a number above 0"),
        ((), "part", 2, "one of the arguments --first --speakers --utt-list is required"),
        (("--first", 1), "train", 2, "source and target are the same folder"),
    ],
)
def test_subset_refuses(data_dir, tmp_path, options, target, status, said):
    result = command("utils.subset_data_dir", *options, data_dir, tmp_path / target, cwd=tmp_path)
    assert said in error_of(result, status)


def test_combine_joins_utterances(data_dir, tmp_path):
    other = write_data_dir(tmp_path / "other", {"c-1": "four"})
    assert command("utils.combine_data_dirs", data_dir, other, tmp_path / "all", cwd=tmp_path).returncode == 0
    assert (tmp_path / "all" / "spk2utt").read_text() == "a a-1 a-2\nb b-1\nc c-1\n"
    assert find_faults(tmp_path / "all", has_text=True) == []


def test_combine_leaves_out_a_table_that_one_directory_lacks_and_says_so(data_dir, tmp_path):
    other = write_data_dir(tmp_path / "other", {"c-1": "four"})
    (other / "text").unlink()
    result = command("utils.combine_data_dirs", data_dir, other, tmp_path / "all", cwd=tmp_path)
    assert "text: in some of the directories only" in result.stderr
    assert not (tmp_path / "all" / "text").exists()


def test_combine_refuses_one_key_with_two_values(data_dir, tmp_path):
    other = write_data_dir(tmp_path / "other", {"a-1": "another"})
    result = command("utils.combine_data_dirs", data_dir, other, tmp_path / "all", cwd=tmp_path)
    assert "'a-1' has another value" in error_of(result, 3)


def test_combine_refuses_segments_on_one_side(data_dir, tmp_path):
    other = write_data_dir(tmp_path / "other", {"c-1": "four"})
    (other / "segments").write_text("c-1 c-1 0 0.1\n")
    result = command("utils.combine_data_dirs", data_dir, other, tmp_path / "all", cwd=tmp_path)
    assert "segments: in some of the directories only" in error_of(result, 3)


def test_combine_refuses_a_source_as_target(data_dir, tmp_path):
    result = command("utils.combine_data_dirs", data_dir, data_dir, cwd=tmp_path)
    assert "both source and target" in error_of(result, 2)


def test_lines_with_crlf_are_counted_as_editors_do(data_dir):
    (data_dir / "text").write_bytes(b"a-1 one\r\na-2 two\r\nb-1 three two\r\nb-1 four\r\n")
    said = error_of(command("utils.fix_data_dir", data_dir, cwd=data_dir), 3)
    assert said.startswith(f"{data_dir}/text:4: 'b-1' stands above")


def test_a_list_of_ids_may_have_crlf(data_dir, tmp_path):
    (tmp_path / "ids").write_bytes(b"a-1\r\nb-1 more\r\n\r\n")
    found = command("utils.subset_data_dir", "--utt-list", tmp_path / "ids", data_dir, tmp_path / "part", cwd=tmp_path)
    assert found.returncode == 0 and (tmp_path / "part" / "text").read_text() == "a-1 one\nb-1 three two\n"


def test_a_copy_names_the_files_that_it_leaves_behind(data_dir, tmp_path):
    (data_dir / "reco2dur").write_text("a-1 1\n")
    said = command("utils.copy_data_dir", data_dir, tmp_path / "copy", cwd=tmp_path).stderr
    assert "left behind, because their keys are not known: reco2dur" in said
