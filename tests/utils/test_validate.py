import pytest

from tests.support import command, error_of, write_data_dir, write_wav
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


def test_a_pipe_in_wav_scp_is_never_run(data_dir):
    set_line(data_dir / "wav.scp", 0, f"a-1 touch {data_dir}/marker; cat {data_dir}/wav/a-1.wav |")
    error_of(command("utils.validate_data_dir", data_dir, cwd=data_dir), 3)
    assert not (data_dir / "marker").exists()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW"])
def test_all_usual_encodings_of_samples_are_valid(tmp_path, subtype):
    data_dir = write_data_dir(tmp_path / "train", {"a-1": "one"})
    write_wav(data_dir / "wav" / "a-1.wav", subtype=subtype)
    assert find_faults(data_dir) == []
