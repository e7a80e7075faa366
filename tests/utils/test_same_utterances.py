"""Which utterances of two data directories are the same, as their tables tell."""

import pytest

from utils.data_dir.data_dir import DataDir
from utils.data_dir.same_utterances import same_utterance
from utils.data_dir.tables import write_table


def make(folder, **tables):
    folder.mkdir()
    for name, rows in tables.items():
        write_table(folder / name.replace("wav", "wav.scp"), rows)
    return DataDir.read(folder)


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ({"wav": {"b-1": "/b.wav"}, "utt2spk": {"b-1": "b"}}, ""),
        ({"wav": {"a-1": "/other.wav"}, "utt2spk": {"a-1": "a"}}, "utterance 'a-1' is 'a-1' of "),
        ({"wav": {"x-1": "/a.wav"}, "utt2spk": {"x-1": "x"}}, "utterance 'x-1' is 'a-1' of "),
        (
            {"wav": {"sp0.9-a-1": "/o.wav"}, "utt2spk": {"sp0.9-a-1": "a"}, "utt2uniq": {"sp0.9-a-1": "a-1"}},
            "utterance 'sp0.9-a-1' is 'a-1' of ",
        ),
        (
            {"wav": {"m": "/meeting.wav"}, "utt2spk": {"m-2": "m"}, "segments": {"m-2": "m 4.0 5.0"}},
            "utterance 'm-2' is 'a-2' of ",
        ),
        ({"wav": {"m": "/meeting.wav"}, "utt2spk": {"m-2": "m"}, "segments": {"m-2": "m 5.0 6.0"}}, ""),
    ],
)
def test_an_utterance_is_known_by_its_id_or_its_piece_of_a_file(tmp_path, ours, said):
    theirs = make(
        tmp_path / "theirs",
        wav={"a": "/a.wav", "m": "/meeting.wav"},
        utt2spk={"a-1": "a", "a-2": "a"},
        segments={"a-1": "a 0.0 2.0", "a-2": "m 3.0 5.0"},
    )
    told = same_utterance(make(tmp_path / "ours", **ours), theirs)
    assert told == (said and f"{said}{tmp_path / 'theirs'}")
