"""Data directories with one fault: each is refused with its place and its cure; odd but valid ones pass."""

import shutil

import pytest
import soundfile

from tests.faults.directories import FAULTS, ODD, edit, write_odd_rate, write_valid
from tests.faults.validation import CURABLE, cure, faults_of, is_told, unnoticed_checks
from tests.support import command, error_of, execute, write_data_dir
from utils.data_dir import repeated_audio

FOR_A_PERSON = (
    *("recording that climbs", "empty segments", "segments of blank lines", "empty text", "no text", "Latin-1"),
    *("no wav.scp", "no utt2spk", "a folder for text", "unknown gender", "features that are not there"),
)


@pytest.fixture
def folder(tmp_path):
    return write_valid(tmp_path / "train")


def test_the_directory_that_the_faults_are_made_in_is_valid(folder):
    assert faults_of(folder) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_its_place(folder, name):
    assert is_told(folder, name), faults_of(folder)


@pytest.mark.parametrize("name", CURABLE)
def test_the_command_that_is_proposed_cures_the_fault(folder, name):
    assert cure(folder, name) == ""


@pytest.mark.parametrize("name", FOR_A_PERSON)
def test_no_command_is_proposed_where_none_helps(folder, name):
    FAULTS[name].change(folder)
    assert [text for text in faults_of(folder) if "fix_data_dir" in text] == []


def test_the_command_for_latin_1_writes_the_file(folder):
    before = (folder / "text").read_bytes()
    FAULTS["Latin-1"].change(folder)
    (fault,) = faults_of(folder)
    assert execute(["bash", "-c", fault.split("run: ")[1]], folder).returncode == 0
    assert (folder / "text").read_bytes() == before and faults_of(folder) == []


@pytest.mark.parametrize("name", ODD)
def test_an_odd_but_valid_directory_passes(tmp_path, name):
    assert faults_of(ODD[name](tmp_path)) == []


def test_there_are_as_many_cases_as_were_promised():
    assert len(FAULTS) >= 45 and len(ODD) >= 20


def test_a_recording_of_another_rate_is_told_unless_allowed(tmp_path):
    folder = write_odd_rate(tmp_path / "train")
    (fault,) = faults_of(folder)
    assert "wav.scp:2" in fault and "'a-2' has 16000 Hz, most others 8000 Hz" in fault
    assert faults_of(folder, allows_any_rate=True) == []


@pytest.mark.parametrize(
    ("change", "said", "kept"),
    [
        (edit("wav.scp", "a-2 ", "a-3 "), "utt2spk:2: utterance 'a-2' is not in wav.scp", "a-1"),
        (edit("wav.scp", "a-2.wav", "a-2.wav |"), "wav.scp:2: recording 'a-2' is a pipe", "a-1"),
        (lambda d: (d / "wav" / "a-2.wav").unlink(), "recording 'a-2' is missing", "a-1"),
    ],
)
def test_a_fault_of_a_whole_recording_is_told_and_cured(tmp_path, change, said, kept):
    folder = write_data_dir(tmp_path / "train", {"a-1": "one", "a-2": "two"})
    change(folder)
    assert any(said in fault for fault in faults_of(folder))
    assert command("utils.fix_data_dir", "--drop-unusable", folder, cwd=folder).returncode == 0
    assert (folder / "spk2utt").read_text() == f"a {kept}\n" and faults_of(folder) == []


def test_an_empty_transcript_may_be_allowed(folder):
    FAULTS["empty transcript"].change(folder)
    assert faults_of(folder, allows_empty_text=True) == []


def test_the_same_audio_in_two_sets_is_told(tmp_path):
    one, two = (write_data_dir(tmp_path / name, {f"{name}-1": "one"}) for name in ("train", "test"))
    audio = [folder / "wav" / f"{folder.name}-1.wav" for folder in (one, two)]
    assert faults_of(two, apart_from=[one]) == []
    audio[1].write_bytes(audio[0].read_bytes())
    (fault,) = faults_of(two, apart_from=[one])
    assert f"wav.scp:1: utterance 'test-1' is the same audio as 'train-1' in {one}" in fault


def test_the_same_audio_is_told_where_one_set_has_segments(tmp_path):
    one = write_data_dir(tmp_path / "train", {"a-1": "one"})
    two = write_data_dir(tmp_path / "test", {"b-1": "one"})
    (two / "wav" / "b-1.wav").write_bytes((one / "wav" / "a-1.wav").read_bytes())
    (two / "segments").write_text("b-1 b-1 0 0.5\n")
    assert any("the same audio" in fault for fault in faults_of(two, apart_from=[one]))


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        ("b-1 b-1 0 0.2", "", "is in part the same audio as 'a-1'"),
        ("", "a-1 a-1 0.3 0.5", "is in part the same audio as 'a-1'"),
        ("b-1 b-1 0.1 0.3", "a-1 a-1 0 0.11\na-2 a-1 0.4 0.5", "is in part the same audio as 'a-1'"),
        ("b-1 b-1 0.1 0.3", "a-1 a-1 0.1 0.3", "is the same audio as 'a-1'"),
        ("b-1 b-1 0.1 0.3", "a-1 a-1 0 0.1\na-2 a-1 0.3 0.5", ""),
        ("b-1 b-1 0.101 0.3", "a-1 a-1 0 0.104", ""),
    ],
)
@pytest.mark.parametrize("speed", ["1", "1.1"])
def test_another_cut_of_the_same_audio_is_told_in_a_set_that_must_not_hold_it(tmp_path, here, there, said, speed):
    sets = {name: write_data_dir(tmp_path / name, {f"{name}-1": "one"}) for name in ("a", "b")}
    (sets["b"] / "wav" / "b-1.wav").write_bytes((sets["a"] / "wav" / "a-1.wav").read_bytes())
    for folder, segments in zip(sets.values(), (there, here), strict=True):
        if segments:
            (folder / "segments").write_text(segments + "\n")
    (sets["b"] / "utt2speed").write_text(f"b-1 {speed}\n")
    found = [text for text in faults_of(sets["b"], apart_from=[sets["a"]]) if "same audio" in text]
    assert len(found) == bool(said)
    assert all(f"utterance 'b-1' {said} in {sets['a']}; remove one of them" in text for text in found)


@pytest.fixture
def two_sets(tmp_path):
    """A set, and one of the same recordings."""
    one = write_data_dir(tmp_path / "train", {"a-1": "one", "a-2": "two"})
    return one, shutil.copytree(one, tmp_path / "phone")


def test_a_set_of_another_channel_may_stand_beside_the_one_that_it_was_made_from(two_sets):
    one, phone = two_sets
    assert len(faults_of(phone, beside=[one])) == 2
    (phone / "utt2channel").write_text("a-1 telephone\na-2 telephone\n")
    assert faults_of(phone, beside=[one]) == []
    (one / "utt2channel").write_text("a-2 telephone\n")
    (fault,) = faults_of(phone, beside=[one])
    assert f"wav.scp:2: utterance 'a-2' is the same audio as 'a-2' in {one}; remove one of them" in fault


@pytest.mark.parametrize(("table", "value"), [("utt2channel", "telephone"), ("utt2speed", "1.1")])
def test_no_channel_and_no_speed_hides_audio_from_a_set_that_must_not_hold_it(two_sets, table, value):
    one, other = two_sets
    (other / table).write_text(f"a-1 {value}\na-2 {value}\n")
    (one / "text").write_text("a-2 two\n")
    assert [text.split(";")[0] for text in faults_of(other, apart_from=[one])] == [
        f"{other}/wav.scp:{n}: utterance 'a-{n}' is the same audio as 'a-{n}' in {one}" for n in (1, 2)
    ]


def test_one_directory_may_hold_the_same_audio_through_two_channels(folder):
    repeat = FAULTS["repeated audio"]
    repeat.change(folder)
    assert any(repeat.said in text for text in faults_of(folder))
    (folder / "utt2channel").write_text("b-1 noisy:snr_db=3\n")
    assert faults_of(folder) == []


SAME_SAMPLES = {
    "FLAC": lambda path, samples: soundfile.write(path, samples, 8000, format="FLAC"),
    "24 bits": lambda path, samples: soundfile.write(path, samples, 8000, format="WAV", subtype="PCM_24"),
    "float": lambda path, samples: soundfile.write(path, samples, 8000, format="WAV", subtype="FLOAT"),
    "AIFF": lambda path, samples: soundfile.write(path, samples, 8000, format="AIFF"),
    "another chunk": lambda path, samples: path.write_bytes(with_chunk(path.read_bytes())),
}


def with_chunk(data: bytes) -> bytes:
    """A WAV file with a note at its end."""
    data += b"LIST\x04\0\0\0INFO"
    return data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]


@pytest.mark.parametrize("kind", SAME_SAMPLES)
def test_the_same_samples_are_told_in_another_file_format(tmp_path, kind):
    one, two = (write_data_dir(tmp_path / name, {f"{name}-1": "one"}) for name in ("train", "test"))
    first, second = one / "wav" / "train-1.wav", two / "wav" / "test-1.wav"
    second.write_bytes(first.read_bytes())
    SAME_SAMPLES[kind](second, soundfile.read(first)[0])
    assert second.read_bytes() != first.read_bytes()
    (fault,) = faults_of(two, apart_from=[one])
    assert "wav.scp:1: utterance 'test-1' is the same audio as 'train-1'" in fault


def test_recordings_that_agree_in_the_middle_only_are_not_the_same(folder):
    samples, rate = soundfile.read(folder / "wav" / "r1.wav")
    samples[0] = 0.5
    soundfile.write(folder / "wav" / "r2.wav", samples, rate)
    assert faults_of(folder) == []


def test_only_recordings_that_agree_in_the_middle_are_decoded_whole(folder, monkeypatch):
    decoded = []
    monkeypatch.setattr(repeated_audio, "digest_of_all", lambda file: decoded.append(file) or file)
    assert faults_of(folder) == [] and decoded == []
    FAULTS["repeated audio"].change(folder)
    faults_of(folder)
    assert len(decoded) == 2


def test_a_set_to_be_apart_from_must_be_there(folder):
    assert "trian: no such data directory; there is train" in error_of(
        command("utils.validate_data_dir", "--apart-from", "trian", folder, cwd=folder.parent), 3
    )


def test_nothing_is_changed_where_nothing_would_be_left(tmp_path):
    folder = write_data_dir(tmp_path / "train", {"a-1": "", "a-2": ""})
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    error_of(command("utils.fix_data_dir", "--drop-unusable", folder, cwd=folder), 3)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert command("utils.fix_data_dir", "--drop-unusable", "--allow-empty-text", folder, cwd=folder).returncode == 0


def test_a_pipe_of_any_length_is_told(folder):
    FAULTS["pipe"].change(folder)
    (folder / "wav.scp").write_text(f"r1 {'x' * 300} |\n" + (folder / "wav.scp").read_text().split("\n", 1)[1])
    assert any("is a pipe" in fault for fault in faults_of(folder))


def test_each_check_is_missed_when_it_is_taken_out(tmp_path):
    assert unnoticed_checks(tmp_path) == []


def test_a_report_names_twenty_faults_of_several_files(folder):
    for name in ("order", "tab in text", "speaker lost", "audio missing", "speed of 0", "unknown gender"):
        FAULTS[name].change(folder)
    result = command("utils.validate_data_dir", folder, cwd=folder)
    assert result.returncode == 3 and "Traceback" not in result.stderr
    for said in (
        "text:2: 'a-1' after",
        "tab",
        "speaker 'b' of utt2spk",
        "'r1' is missing",
        "'0' is not",
        "'x' is neither",
    ):
        assert said in result.stderr
