"""egs/librispeech and egs/mini_librispeech on five speakers of the corpus, and on trees in its layout."""

import shutil
import subprocess
import sys

import pytest

from tests.support import ROOT, assert_status, error_of, execute
from utils.data_dir.tables import read_table

MINI = ROOT / "egs" / "mini_librispeech"
FULL = ROOT / "egs" / "librispeech"
THREE_SETS = "corpus.sets={train=['train-clean-5 1,3,4/5'], dev=['train-clean-5 2/5'], test=['train-clean-5 5/5']}"


def prepare(folder, corpus, *options, recipe=MINI, config="conf.toml"):
    script = [sys.executable, recipe / "local" / "prepare_data.py", "--config", recipe / config]
    return execute([*script, "--corpus-dir", corpus, *options], folder)


def speakers_of(folder):
    return {path.parent.name: sorted(set(read_table(path).values())) for path in folder.glob("data/*/utt2spk")}


def write_part(root, part, speakers=("19", "26", "103"), chapters=("198", "227"), utterances=2):
    """A part of the corpus; its audio is empty, since the text is prepared without it."""
    for speaker in speakers:
        for chapter in chapters:
            folder = root / part / speaker / chapter
            folder.mkdir(parents=True)
            ids = [f"{speaker}-{chapter}-{number:04}" for number in range(utterances)]
            for utt_id in ids:
                (folder / f"{utt_id}.flac").touch()
            lines = "".join(f"{utt_id} IT'S NUMBER {utt_id[-1]}\n" for utt_id in ids)
            (folder / f"{speaker}-{chapter}.trans.txt").write_text(lines)
    return root


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpora" / "LibriSpeech"
    write_part(root, "train-clean-5")
    return write_part(root, "dev-clean-2", speakers=("84", "174", "251", "422"))


def test_five_speakers_become_three_sets(tmp_path, corpora):
    assert_status(prepare(tmp_path, corpora / "LibriSpeech", config="conf_smoke.toml"), 0)
    found = speakers_of(tmp_path)
    assert found == {"train": ["2136", "32", "669"], "dev": ["226"], "test": ["7312"]}
    lines = [len(read_table(tmp_path / "data" / name / "text")) for name in ("train", "dev", "test")]
    assert lines == [93, 35, 26]
    first = read_table(tmp_path / "data" / "test" / "text")["7312-92432-0000"]
    assert first == "MAY TEN EIGHTEEN FIFTY ONE MADAME"


def test_the_large_recipe_prepares_them_too(tmp_path, corpora):
    sets = THREE_SETS.replace(" test=", " test_clean=").replace("}", ", test_other=['train-clean-5 4/5']}")
    options = ["--set", sets.replace("1,3,4/5", "1,3/5")]
    assert_status(prepare(tmp_path, corpora, *options, recipe=FULL), 0)
    names = ["32", "7312", "669", "2136", "226"]
    assert sorted(s for found in speakers_of(tmp_path).values() for s in found) == sorted(names)


def test_their_data_is_valid_and_becomes_features(tmp_path, corpora):
    run = [MINI / "run.sh", "--config", "conf_smoke.toml", "--corpus-dir", corpora / "LibriSpeech", "--nj", "2"]
    places = ["--data-dir", tmp_path / "data", "--exp-dir", tmp_path / "exp", "--stop-stage", "3"]
    assert_status(execute([*run, *places], ROOT), 0)
    frames = sum(map(int, read_table(tmp_path / "data" / "train" / "utt2num_frames").values()))
    assert 0.25 < frames / 360_000 < 0.35  # hours


def test_parts_are_whole_sets_or_shares_of_speakers(tmp_path, corpus):
    assert_status(prepare(tmp_path, corpus), 0)
    assert speakers_of(tmp_path) == {"train": ["103", "19", "26"], "dev": ["174", "422"], "test": ["251", "84"]}
    assert read_table(tmp_path / "data" / "train" / "text")["19-198-0001"] == "IT'S NUMBER 1"
    path = read_table(tmp_path / "data" / "train" / "wav.scp")["19-198-0001"]
    assert path == f"{corpus.resolve()}/train-clean-5/19/198/19-198-0001.flac"


def test_each_part_of_the_whole_corpus_goes_to_its_set(tmp_path):
    parts = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other")
    for number, part in enumerate((*parts, "test-clean", "test-other")):
        write_part(tmp_path / "LibriSpeech", part, speakers=(f"{number}1", f"{number}2"))
    assert_status(prepare(tmp_path, tmp_path, recipe=FULL, config="conf_gpu.toml"), 0)
    found = speakers_of(tmp_path)
    assert found["train"] == ["01", "02", "11", "12", "21", "22"] and found["dev"] == ["31", "32", "41", "42"]
    assert (found["test_clean"], found["test_other"]) == (["51", "52"], ["61", "62"])


def test_training_speech_is_heard_at_several_speeds(tmp_path, corpus):
    assert_status(prepare(tmp_path, corpus, config="conf_gpu.toml"), 0)
    assert len(read_table(tmp_path / "data" / "train" / "utt2speed")) == 3 * 12
    assert not (tmp_path / "data" / "dev" / "utt2speed").exists()


def test_nothing_is_done_again_until_a_transcript_changes(tmp_path, corpus):
    assert_status(prepare(tmp_path, corpus), 0)
    assert "up to date" in prepare(tmp_path, corpus).stderr
    (corpus / "train-clean-5/19/198/19-198.trans.txt").write_text("19-198-0000 A\n19-198-0001 B\n")
    assert "19-198.trans.txt changed" in prepare(tmp_path, corpus).stderr


def test_text_is_prepared_without_opening_audio(tmp_path, corpus):
    for path in corpus.rglob("*.flac"):
        path.unlink()
        path.symlink_to("/no/such/file")
    assert_status(prepare(tmp_path, corpus), 0)
    assert len(read_table(tmp_path / "data" / "train" / "text")) == 12


@pytest.mark.parametrize("given", ["LibriSpeech", "."])
def test_the_corpus_is_found_in_the_folder_that_its_archives_unpack_to(tmp_path, corpus, given):
    assert_status(prepare(tmp_path, corpus.parent / given), 0)


@pytest.mark.parametrize("given", ["LibriSpeech/train-clean-5", "..", "other"])
def test_a_wrong_folder_is_told_with_the_nearest(tmp_path, corpus, given):
    folder = (corpus.parent / given).resolve()
    folder.mkdir(exist_ok=True)
    said = error_of(prepare(tmp_path, folder), 3)
    assert said.startswith(f"{folder}: expected train-clean-5/, dev-clean-2/, found ")
    assert said.endswith(f"; did you mean {corpus}?")


def test_a_part_that_is_not_there_is_told_with_those_that_are(tmp_path, corpora):
    said = error_of(prepare(tmp_path, corpora), 3)
    root = corpora / "LibriSpeech"
    assert said == f"{root}: expected dev-clean-2 too, found train-clean-5; choose in [corpus.sets], or with --config"


FAULTS = {
    "no transcript": (lambda c: (c / "19-198.trans.txt").unlink(), "198: expected 19-198.trans.txt and FLAC files"),
    "no audio": (lambda c: (c / "19-198-0001.flac").unlink(), ":2: utterance '19-198-0001' has no 19-198-0001.flac"),
    "no line": (lambda c: (c / "19-198-0007.flac").touch(), "has no line for 19-198-0007.flac (1 files are like this)"),
    "no words": (lambda c: (c / "19-198.trans.txt").write_text("19-198-0000\n"), ":1: '19-198-0000' is not '19-198-"),
    "another chapter": (
        lambda c: (c / "19-198.trans.txt").write_text("19-227-0000 A\n"),
        ":1: '19-227-0000 A' is not '19-198-<number> <words>'",
    ),
    "an utterance twice": (
        lambda c: (c / "19-198.trans.txt").write_text("19-198-0000 A\n19-198-0000 A\n"),
        ":2: utterance '19-198-0000' has no 19-198-0000.flac",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_chapter_is_told_in_one_line(tmp_path, corpus, fault):
    change, said = FAULTS[fault]
    change(corpus / "train-clean-5" / "19" / "198")
    assert said in error_of(prepare(tmp_path, corpus), 3)


def test_a_speaker_without_chapters_is_told(tmp_path, corpus):
    (corpus / "train-clean-5" / "7").mkdir()
    said = error_of(prepare(tmp_path, corpus), 3)
    assert said.startswith(f"{corpus}/train-clean-5/7: expected folders of chapters, found none")


def test_a_part_without_speakers_is_told(tmp_path, corpus):
    shutil.rmtree(corpus / "dev-clean-2")
    (corpus / "dev-clean-2").mkdir()
    assert error_of(prepare(tmp_path, corpus), 3).startswith(f"{corpus}/dev-clean-2: holds no speaker's folder")


def test_sets_that_the_driver_copies_are_none_of_the_corpus(tmp_path, corpus):
    wave = "features.wave={type='waveform', sample_rate_hz=16000}"
    sets = "teacher.data={train='train_wave', dev='dev_wave', test=['test_wave']}"
    encoder = "teacher.model={encoder='huggingface', model='facebook/wav2vec2-base-960h'}"
    options = [part for text in (wave, sets, encoder) for part in ("--set", text)]
    assert_status(prepare(tmp_path, corpus, *options), 0)
    assert sorted(speakers_of(tmp_path)) == ["dev", "test", "train"]


def test_hidden_files_of_other_systems_are_passed_over(tmp_path, corpus):
    (corpus / "train-clean-5" / "19" / "198" / "._19-198-0000.flac").touch()
    (corpus / "train-clean-5" / ".DS_Store").touch()
    assert_status(prepare(tmp_path, corpus), 0)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("corpus.sets.dev=['dev-clean']", "expected dev-clean too, found train-clean-5, dev-clean-2"),
        ("corpus.sets.dev=['dev-clean-2']", "speaker 251 is in test and in dev"),
        ("corpus.sets.dev=['dev-clean-2 1/4', 'dev-clean-2 1/2']", "speaker 174 is in dev twice"),
        ("corpus.sets.dev=['dev-clean-2 6/6']", "corpus.sets.dev: chooses none of 4 speakers"),
        ("corpus.sets.dev=['dev-clean-2 3/2']", "places must differ, and be from 1 to 2"),
        ("corpus.sets.dev=['dev-clean-2 1,1/2']", "places must differ, and be from 1 to 2"),
        ("corpus.sets.dev=['dev-clean-2 1/0']", "places must differ, and be from 1 to 0"),
        ("corpus.sets.dev=['dev-clean-3']", "'dev-clean-3': write a part, or '<part> 1/2' for some of its speakers"),
        ("corpus.sets.dev=['dev-clean-2 half']", "write a part"),
        ("corpus.sets.dev=[5]", "write a part"),
        ("corpus.sets.dev=[]", "not a list of parts"),
        ("corpus.sets.dev=dev-clean-2", "not a list of parts"),
        ("corpus.sets.eval=['dev-clean-2']", "[data] uses train, dev, test: name the same sets in both"),
        ("corpus.sets=5", "[corpus.sets] is not a table"),
        ("corpus.parts=5", "[corpus] has no setting 'parts'"),
        ("corpus.speeds=['9x']", "'9x' is not"),
        ("corpus.speeds=[1]", "not of type list[str]"),
    ],
)
def test_a_wrong_setting_is_told(tmp_path, corpus, setting, said):
    result = prepare(tmp_path, corpus, "--set", setting)
    assert said in error_of(result, 3 if said.startswith("expected") else 2)


MANY = 20_000  # utterances; the whole corpus has 281,241


def test_memory_grows_by_less_than_two_kilobytes_an_utterance(tmp_path):
    root = write_part(tmp_path, "train-clean-5", [str(1000 + n) for n in range(MANY // 100)], ("1", "2"), 50)
    write_part(root, "dev-clean-2")
    code = "import runpy, sys; sys.argv = sys.argv[1:]\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    code += "finally: print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"

    def peak_kib(*sets):
        script = [MINI / "local" / "prepare_data.py", "--config", MINI / "conf.toml", "--corpus-dir", root]
        options = ["--set", f"corpus.sets.train=[{', '.join(map(repr, sets))}]", "--force"]
        result = execute([sys.executable, "-c", code, *script, *options], tmp_path)
        assert_status(result, 0)
        return int(result.stdout.split()[1])

    small, large = peak_kib("train-clean-5 1/100"), peak_kib("train-clean-5")
    assert (large - small) / MANY < 2
    assert subprocess.run(["wc", "-l", tmp_path / "data/train/text"], capture_output=True).stdout.startswith(b"20000 ")
