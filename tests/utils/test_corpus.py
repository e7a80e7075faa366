import argparse
import os

import pytest

from tests.support import released
from utils.data_dir.corpus import CorpusUtterance, find_audio, normalise_text, prepare, to_data_dir
from utils.data_dir.data_dir import DataDir
from utils.jobs.errors import DataError, UsageError


def test_text_is_composed_and_single_spaced():
    assert normalise_text(" cafe\u0301\u00a0 noir\t") == "café noir"


def test_an_id_that_comes_twice_is_refused(tmp_path):
    one = CorpusUtterance("a-1", "a", tmp_path / "1.wav", "x")
    with pytest.raises(DataError, match="utterance id 'a-1' comes twice"):
        to_data_dir(tmp_path, [one, one])


@pytest.mark.parametrize(("utt_id", "speaker"), [("a b", "a"), ("a-1", "a b"), ("", "a"), ("a-1", "")])
def test_an_id_or_speaker_with_a_space_is_refused(tmp_path, utt_id, speaker):
    with pytest.raises(DataError, match="1.wav: (utterance id|speaker) '.*' holds a space, or nothing"):
        to_data_dir(tmp_path, [CorpusUtterance(utt_id, speaker, tmp_path / "1.wav", "x")])


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "1.wav").mkdir()
    with pytest.raises(DataError, match="1.wav: a folder, not an audio file"):
        find_audio(tmp_path, "*.wav", "1.wav")
    (tmp_path / "1.wav").rmdir()
    (tmp_path / "1.wav").symlink_to(tmp_path / "none")
    with pytest.raises(DataError, match="1.wav: a link to nothing, not an audio file"):
        find_audio(tmp_path, "*.wav", "1.wav")


def prepare_sets(folder, sets, files=(), **more):
    args = argparse.Namespace(data_dir=folder / "data", force=False, why=False, verify=False)
    with released():
        prepare(args, list(files), lambda stage, final: sets, settings={}, **more)


def a_set(folder, *utt_ids):
    return [CorpusUtterance(utt_id, "a", folder / f"{utt_id}.wav", "x") for utt_id in utt_ids]


def test_a_set_is_heard_through_a_channel_at_the_same_speeds(tmp_path):
    heard = {"train_phone": ("train", ["telephone:snr_db=15.0"])}
    sets = {"train": a_set(tmp_path, "a-1", "a-2"), "test": a_set(tmp_path, "a-3")}
    prepare_sets(tmp_path, sets, speeds={"train": ["0.9", "1"]}, heard=heard)
    one, other = (DataDir.read(tmp_path / "data" / name).tables for name in ("train", "train_phone"))
    assert set(other.pop("utt2channel").values()) == {"telephone:snr_db=15"}
    assert other == one and len(one["utt2spk"]) == 4
    assert not (tmp_path / "data" / "test" / "utt2channel").exists()


def test_a_set_that_is_heard_is_made_once_until_its_channel_changes(tmp_path, capsys):
    table, sets = tmp_path / "data" / "phone" / "utt2channel", {"train": a_set(tmp_path, "a-1")}
    for channel, said in (("telephone", "never made"), ("telephone", "up to date"), ("noisy:snr_db=5", "changed")):
        prepare_sets(tmp_path, sets, heard={"phone": ("train", [channel])})
        assert said in capsys.readouterr().err and table.read_text() == f"a-1 {channel}\n"


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ({"phone": ("trian", ["telephone"])}, "'trian' cannot be heard as 'phone': the sets are train, test"),
        ({"test": ("train", ["telephone"])}, "'train' cannot be heard as 'test'"),
        ({"phone": ("train", ["fax"])}, "'fax' is not a channel"),
        ({"phone": ("train", [])}, "no channel: name each channel once"),
    ],
)
def test_a_set_that_cannot_be_heard_is_wrong_usage(tmp_path, heard, said):
    sets = {"train": a_set(tmp_path, "a-1"), "test": a_set(tmp_path, "a-2")}
    with pytest.raises(UsageError, match=said):
        prepare_sets(tmp_path, sets, heard=heard)
    assert not (tmp_path / "data" / "train").exists()


def test_an_id_in_two_sets_is_refused(tmp_path):
    one = CorpusUtterance("a-1", "a", tmp_path / "1.wav", "x")
    with pytest.raises(DataError, match="utterance id 'a-1' is in train and in test"):
        prepare_sets(tmp_path, {"train": [one], "test": [one]})


def test_a_file_that_is_missing_from_the_corpus_is_named(tmp_path):
    with pytest.raises(DataError, match="etc/text: missing from the corpus"):
        prepare_sets(tmp_path, {}, [tmp_path / "etc" / "text"])


def test_text_is_left_out_where_nothing_is_transcribed(tmp_path):
    tables = to_data_dir(tmp_path, [CorpusUtterance("a-1", "a", tmp_path / "1.wav", None)]).tables
    assert sorted(tables) == ["utt2spk", "wav.scp"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder; --corpus-dir must hold files such as 1.wav"):
        find_audio(tmp_path / "none", "*.wav", "1.wav")


def test_a_wrong_folder_says_what_is_expected_and_found(tmp_path):
    (tmp_path / "readme").touch()
    with pytest.raises(DataError, match="expected files such as 1.wav .*, found readme"):
        find_audio(tmp_path, "*.wav", "1.wav")


def test_the_right_folder_nearby_is_proposed(tmp_path):
    (tmp_path / "waves").mkdir()
    (tmp_path / "waves" / "1.wav").touch()
    with pytest.raises(DataError, match="did you mean .*/waves?"):
        find_audio(tmp_path, "*.wav", "1.wav")


def test_a_file_whose_name_is_not_utf_8_is_told(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    with pytest.raises(DataError, match="its name is not UTF-8; rename it"):
        to_data_dir(tmp_path, [CorpusUtterance("a-1", "a", path, "x")])
