import sys

import pytest

from tests.support import assert_status, command, error_of, execute, write_data_dir, write_wav
from utils.data_dir.tables import read_table
from utils.data_dir.validate import find_faults


@pytest.fixture
def data_dir(tmp_path):
    return write_data_dir(tmp_path / "train", {"a-1": "one", "a-2": "two", "b-1": "three two"})


def set_line(path, index, line):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:index], line, *lines[index + 1 :]]) + "\n")


def test_a_folder_that_is_not_there_is_a_fault(tmp_path):
    assert [str(fault) for fault in find_faults(tmp_path / "no")] == [f"{tmp_path}/no: not a data directory"]


def test_text_may_be_absent_where_it_is_not_used(data_dir):
    (data_dir / "text").unlink()
    assert find_faults(data_dir, has_text=False) == []


def test_the_command_reports_all_faults_and_exits_with_3(data_dir):
    (data_dir / "wav" / "a-1.wav").unlink()
    (data_dir / "wav" / "b-1.wav").unlink()
    result = command("utils.validate_data_dir", data_dir, cwd=data_dir)
    assert result.returncode == 3
    assert "'a-1' is missing" in result.stderr and "'b-1' is missing" in result.stderr


def test_at_most_twenty_faults_are_shown(tmp_path):
    data_dir = write_data_dir(tmp_path / "train", {f"a-{i:02}": "x" for i in range(25)})
    for path in (data_dir / "wav").iterdir():
        path.unlink()
    result = command("utils.validate_data_dir", data_dir, cwd=tmp_path)
    assert result.stderr.count("is missing") == 20 and "(and 5 more faults)" in result.stderr


def test_incremental_validation_checks_again_when_audio_changed(data_dir):
    options = ("--incremental", data_dir)
    assert command("utils.validate_data_dir", *options, cwd=data_dir).returncode == 0
    assert "up to date" in command("utils.validate_data_dir", *options, cwd=data_dir).stderr
    (data_dir / "wav" / "a-1.wav").write_bytes(b"")
    assert "'a-1' is empty" in error_of(command("utils.validate_data_dir", *options, cwd=data_dir), 3)


def test_incremental_validation_checks_again_when_audio_vanished(data_dir):
    options = ("--incremental", data_dir)
    assert command("utils.validate_data_dir", *options, cwd=data_dir).returncode == 0
    (data_dir / "wav" / "a-1.wav").unlink()
    assert "'a-1' is missing" in error_of(command("utils.validate_data_dir", *options, cwd=data_dir), 3)


OPENED = """
import runpy, sys
def told(event, args):
    if event == "open" and str(args[0]).endswith((".wav", ".flac")):
        print(args[0])
sys.addaudithook(told)
runpy.run_module("utils.validate_data_dir", run_name="__main__", alter_sys=True)
"""


def test_each_recording_is_opened_once_in_all_sets(tmp_path):
    sets = {name: write_data_dir(tmp_path / name, {f"{name}-{i}": "x" for i in range(60)}) for name in ("a", "b", "c")}
    opened, earlier = [], []
    for folder in sets.values():
        result = execute([sys.executable, "-c", OPENED, "--incremental", *earlier, folder], tmp_path)
        assert_status(result, 0)
        opened += result.stdout.split()
        earlier += ["--apart-from", folder]
    assert sorted(opened) == sorted(str(path) for path in tmp_path.rglob("*.wav"))
    again = execute([sys.executable, "-c", OPENED, "--incremental", *earlier[:4], sets["c"]], tmp_path)
    assert again.stdout == "" and "up to date" in again.stderr


def test_the_same_audio_is_told_by_what_was_seen_of_another_set(tmp_path):
    one, two = (write_data_dir(tmp_path / name, {f"{name}-1": "one", f"{name}-2": "two"}) for name in ("a", "b"))
    (two / "wav" / "b-2.wav").write_bytes((one / "wav" / "a-1.wav").read_bytes())
    assert_status(command("utils.validate_data_dir", "--incremental", one, cwd=tmp_path), 0)
    options = ("--incremental", "--apart-from", one, two)
    said = error_of(command("utils.validate_data_dir", *options, cwd=tmp_path), 3)
    assert f"utterance 'b-2' is the same audio as 'a-1' in {one}; remove one of them" in said
    assert "fix_data_dir" not in said  # which knows nothing of the other set


def test_a_repair_drops_nothing_that_was_allowed(tmp_path):
    folder = write_data_dir(tmp_path / "a", {"a-1": "one", "a-2": "", "a-3": "two"})
    (folder / "wav" / "a-3.wav").write_bytes(b"no audio")
    said = error_of(command("utils.validate_data_dir", "--allow-empty-text", folder, cwd=tmp_path), 3)
    line = said.partition("run: python3 -m ")[2].splitlines()[0].split()
    assert line == ["utils.fix_data_dir", "--drop-unusable", "--allow-empty-text", str(folder)]
    assert_status(command(*line, cwd=tmp_path), 0)
    assert list(read_table(folder / "text", has_value=False)) == ["a-1", "a-2"]


def test_what_was_seen_of_a_set_that_changed_since_is_not_used(tmp_path):
    one, two = (write_data_dir(tmp_path / name, {f"{name}-1": "one"}) for name in ("a", "b"))
    assert_status(command("utils.validate_data_dir", "--incremental", one, cwd=tmp_path), 0)
    write_wav(one / "wav" / "a-1.wav", 0.7, seed=9)
    options = ("--incremental", "--apart-from", one, two)
    assert "a-1.wav, which changed since" in error_of(command("utils.validate_data_dir", *options, cwd=tmp_path), 4)


@pytest.mark.parametrize("kind", ["elsewhere", "UTF-16"])
def test_what_cannot_be_read_is_not_taken_for_other_audio(tmp_path, kind):
    one, two = (write_data_dir(tmp_path / name, {f"{name}-1": "x"}) for name in ("a", "b"))
    table = (one / "wav.scp").read_text()
    if kind == "elsewhere":
        (one / "wav.scp").write_text(table.replace(str(tmp_path), "/mnt"))
    else:
        (one / "wav.scp").write_text(table, encoding="utf-16")
    result = command("utils.validate_data_dir", "--no-feats", "--apart-from", one, two, cwd=tmp_path)
    assert_status(result, 3)
    assert f"cannot be read, so that nobody can tell what {two} shares with it" in result.stderr


@pytest.mark.parametrize("option", ["--why", "--force", "--verify"])
def test_an_option_of_the_incremental_check_is_refused_without_it(data_dir, option):
    result = command("utils.validate_data_dir", option, data_dir, cwd=data_dir)
    assert_status(result, 2)


def test_a_pipe_in_wav_scp_is_never_run(data_dir):
    set_line(data_dir / "wav.scp", 0, f"a-1 touch {data_dir}/marker; cat {data_dir}/wav/a-1.wav |")
    error_of(command("utils.validate_data_dir", data_dir, cwd=data_dir), 3)
    assert not (data_dir / "marker").exists()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW"])
def test_all_usual_encodings_of_samples_are_valid(tmp_path, subtype):
    data_dir = write_data_dir(tmp_path / "train", {"a-1": "one"})
    write_wav(data_dir / "wav" / "a-1.wav", subtype=subtype)
    assert find_faults(data_dir) == []


def test_the_transcripts_of_other_heads_are_checked_too(data_dir):
    (data_dir / "text_letters").write_text("a-1 cafe\u0301\na-2 <blk>\nb-1\n")
    told = [fault.text for fault in find_faults(data_dir)]
    assert len(told) == 2 and "not Unicode's form NFC" in told[0] and "reserved symbol '<blk>'" in told[1]


def test_a_segment_that_begins_where_its_recording_has_ended_is_a_fault(data_dir):
    rows = "".join(
        f"{u} {u} {0.501 if u == 'a-2' else 0:g} {0.506 if u == 'a-2' else 0.4:g}\n" for u in ("a-1", "a-2", "b-1")
    )
    (data_dir / "segments").write_text(rows)
    assert [f.text for f in find_faults(data_dir)] == [
        "utterance 'a-2' begins at 0.501 s, where its recording has ended"
    ]
