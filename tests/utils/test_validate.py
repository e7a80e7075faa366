import numpy as np
import pytest
import soundfile

from tests.support import command, error_of, write_data_dir, write_wav
from utils.data_dir.validate import find_faults


@pytest.fixture
def data_dir(tmp_path):
    return write_data_dir(tmp_path / "train", {"a-1": "one", "a-2": "two", "b-1": "three two"})


def replace(name, old, new):
    """A change of a file: the first `old` becomes `new`."""

    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def write(name, content):
    """A change that writes a file anew."""
    return lambda folder: (folder / name).write_text(content)


def in_audio(do):
    """A change of the first recording."""
    return lambda folder: do(folder / "wav" / "a-1.wav")


def empty_wav(path):
    soundfile.write(path, np.zeros(0), 8000)


def to_folder(path):
    path.unlink()
    path.mkdir()


CASES = {
    "no wav.scp": (lambda d: (d / "wav.scp").unlink(), "wav.scp: missing"),
    "no utt2spk": (lambda d: (d / "utt2spk").unlink(), "utt2spk: missing"),
    "no spk2utt": (lambda d: (d / "spk2utt").unlink(), "spk2utt: missing"),
    "no text": (lambda d: (d / "text").unlink(), "text: missing"),
    "empty text": (write("text", ""), "text: empty"),
    "Latin-1": (lambda d: (d / "text").write_bytes(b"a-1 caf\xe9\n"), "text:1: byte 0xe9"),
    "order": (replace("text", "a-1 one\na-2 two", "a-2 two\na-1 one"), "text:2: 'a-1' after 'a-2'"),
    "CRLF": (replace("utt2spk", "a-2 a\n", "a-2 a\r\n"), "utt2spk:2: column 6 holds U+000D"),
    "repeated": (replace("text", "a-2 two\n", "a-2 two\na-2 too\n"), "text:3: 'a-2' stands in line 2"),
    "only in text": (replace("text", "b-1", "b-0 x\nb-1"), "text:3: utterance 'b-0' is not in utt2spk"),
    "not in text": (replace("text", "a-2 two\n", ""), "utt2spk:2: utterance 'a-2' is not in text"),
    "not in wav.scp": (lambda d: drop_line(d / "wav.scp", 1), "utt2spk:2: utterance 'a-2' is not in wav.scp"),
    "no speaker": (replace("utt2spk", "a-2 a", "a-2"), "utt2spk:2: 'a-2' has no value"),
    "two speakers": (replace("utt2spk", "a-2 a", "a-2 a b"), "utt2spk:2: utterance 'a-2' has more than one speaker"),
    "wrong prefix": (
        replace("utt2spk", "a-2 a", "a-2 b"),
        "utt2spk:2: utterance 'a-2' does not begin with its speaker",
    ),
    "not inverse": (replace("spk2utt", "a a-1 a-2", "a a-1"), "spk2utt:1: speaker 'a': not the inverse"),
    "speaker lost": (replace("spk2utt", "b b-1\n", ""), "spk2utt: speaker 'b' of utt2spk is missing"),
    "pipe": (lambda d: set_line(d / "wav.scp", 0, "a-1 touch marker |"), "wav.scp:1: recording 'a-1' is a pipe"),
    "relative": (lambda d: set_line(d / "wav.scp", 0, "a-1 x.wav"), "wav.scp:1: recording 'a-1' has the relative path"),
    "bad segment": (write("segments", "a-1 a-1 0\na-2 a-2 0 0.1\nb-1 b-1 0 0.1\n"), "segments:1: utterance 'a-1'"),
    "nan segment": (write("segments", "a-1 a-1 0 nan\na-2 a-2 0 0.1\nb-1 b-1 0 0.1\n"), "segments:1: utterance 'a-1'"),
    "reversed segment": (write("segments", "a-1 a-1 1 0\na-2 a-2 0 0.1\nb-1 b-1 0 0.1\n"), "segments:1:"),
    "negative segment": (write("segments", "a-1 a-1 -1 0\na-2 a-2 0 0.1\nb-1 b-1 0 0.1\n"), "segments:1:"),
    "unknown recording": (write("segments", "a-1 q 0 0.1\na-2 a-2 0 0.1\nb-1 b-1 0 0.1\n"), "recording 'q' is not in"),
    "segment too long": (
        write("segments", "a-1 a-1 0 0.1\na-2 a-2 0 9\nb-1 b-1 0 0.1\n"),
        "segments:2: utterance 'a-2' ends",
    ),
    "missing audio": (in_audio(lambda p: p.unlink()), "recording 'a-1' is missing"),
    "folder for audio": (in_audio(to_folder), "recording 'a-1' is not a file"),
    "0 bytes": (in_audio(lambda p: p.write_bytes(b"")), "recording 'a-1' is empty"),
    "HTML": (in_audio(lambda p: p.write_text("<html>" * 9)), "recording 'a-1' is not readable as audio"),
    "header only": (in_audio(empty_wav), "recording 'a-1' holds no samples"),
    "cut short": (in_audio(lambda p: p.write_bytes(p.read_bytes()[:3000])), "'a-1' holds 2,956 bytes of samples"),
    "stereo": (in_audio(lambda p: soundfile.write(p, np.zeros((800, 2)), 8000)), "recording 'a-1' has 2 channels"),
    "wrong speed": (write("utt2speed", "a-1 fast\n"), "utt2speed:1"),
    "speed of 0": (write("utt2speed", "a-1 0\n"), "utt2speed:1"),
}


def drop_line(path, index):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:index] + lines[index + 1 :]))


def set_line(path, index, line):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:index], line, *lines[index + 1 :]]) + "\n")


def test_a_valid_directory_has_no_fault(data_dir):
    assert find_faults(data_dir, has_text=True) == []


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_found_with_its_place(data_dir, name):
    change, said = CASES[name]
    change(data_dir)
    assert any(said in str(fault) for fault in find_faults(data_dir, has_text=True))


@pytest.mark.parametrize("name", ["a b'\"($x)é", "日本", "x;touch marker"])
def test_odd_but_valid_paths_are_no_fault(tmp_path, name):
    data_dir = write_data_dir(tmp_path / name / "train", {"a-1": "one"})
    assert find_faults(data_dir, has_text=True) == []


def test_an_empty_transcript_is_no_fault(tmp_path):
    assert find_faults(write_data_dir(tmp_path / "test", {"a-1": "", "a-2": "x"}), has_text=True) == []


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
