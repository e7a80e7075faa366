"""egs/speechocean762 on the recordings, and on a tree in the published layout."""

import shutil
import sys

import pytest

from tests.support import ROOT, assert_status, error_of, execute, write_wav
from utils.data_dir.tables import read_table

RECIPE = ROOT / "egs" / "speechocean762"
PREPARE = [sys.executable, RECIPE / "local" / "prepare_data.py", "--config", RECIPE / "conf.toml"]


def prepare(folder, corpus, *options):
    one_speed = ("--set", 'corpus.speeds=["1"]')
    return execute([*PREPARE, "--corpus-dir", corpus, *one_speed, *options], folder)


@pytest.fixture(scope="module")
def data(corpora, tmp_path_factory):
    folder = tmp_path_factory.mktemp("speechocean762")
    assert_status(prepare(folder, corpora / "speechocean762"), 0)
    return folder / "data"


def test_speakers_are_split_by_the_rule(data):
    speakers = {name: set(read_table(data / name / "utt2spk").values()) for name in ("train", "dev", "test")}
    assert {name: len(found) for name, found in speakers.items()} == {"train": 90, "dev": 10, "test": 25}
    everyone = sorted(set.union(*speakers.values()))
    assert speakers["test"] == set(everyone[::5])
    assert speakers["dev"] == set([s for s in everyone if s not in speakers["test"]][::10])


def test_ids_begin_with_the_speaker(data):
    utt2spk = read_table(data / "train" / "utt2spk")
    assert len(utt2spk) == 1800 and all(utt_id.startswith(f"{speaker}-") for utt_id, speaker in utt2spk.items())


def test_each_word_has_phones_without_stress_the_usual_ones_first(data):
    lines = (data / "local" / "dict" / "lexicon.txt").read_text().splitlines()
    lexicon = {}
    for line in lines:
        word, *phones = line.split(" ")
        lexicon.setdefault(word, []).append(phones)
    assert len({phone for variants in lexicon.values() for phones in variants for phone in phones}) == 39
    assert lexicon["TO"] == [["T", "UW"], ["T", "AH"]] and lexicon["IS"][0] == ["IH", "Z"]
    texts = [text for name in ("train", "dev", "test") for text in read_table(data / name / "text").values()]
    assert {word for text in texts for word in text.split()} <= lexicon.keys()


def test_what_is_known_of_a_speaker_is_kept(data):
    genders, ages = read_table(data / "train" / "spk2gender"), read_table(data / "train" / "spk2age_group")
    assert genders.keys() == ages.keys() == set(read_table(data / "train" / "utt2spk").values())
    assert set(genders.values()) == {"f", "m"} and set(ages.values()) == {"child", "adult"}


def write_published(folder, speakers=12):
    """The published layout in small: WAV files of two halves, tables with tabs."""
    for half, first in (("train", 0), ("test", speakers)):
        rows = {"wav.scp": [], "text": [], "utt2spk": [], "spk2gender": [], "spk2age": []}
        for number in range(first, first + speakers):
            speaker, utt_id = f"{number:04}", f"{number:05}0011"
            path = f"WAVE/SPEAKER{speaker}/{utt_id}.WAV"
            write_wav(folder / path, 0.2, 16000, seed=number)
            rows["wav.scp"].append(f"{utt_id}\t{path}")
            rows["text"].append(f"{utt_id}\tA BEAR")
            rows["utt2spk"].append(f"{utt_id}\t{speaker}")
            rows["spk2gender"].append(f"{speaker}\t{'fm'[number % 2]}")
            rows["spk2age"].append(f"{speaker}\t{number + 6}")
        for name, lines in rows.items():
            (folder / half).mkdir(exist_ok=True)
            (folder / half / name).write_text("\n".join(lines) + "\n")
    (folder / "resource").mkdir()
    (folder / "resource" / "lexicon.txt").write_text("A\tAH0\nA\tEY0\nBEAR\tB EH0 R\n")
    return folder


def test_the_published_layout_is_read_and_halves_are_chosen(tmp_path):
    corpus = write_published(tmp_path / "corpus")
    assert_status(prepare(tmp_path, corpus), 0)
    assert sum(len(read_table(tmp_path / "data" / name / "text")) for name in ("train", "dev", "test")) == 12
    assert_status(prepare(tmp_path, corpus, "--set", 'corpus.halves=["train", "test"]'), 0)
    assert sum(len(read_table(tmp_path / "data" / name / "text")) for name in ("train", "dev", "test")) == 24


def test_training_speech_is_heard_at_several_speeds(tmp_path):
    corpus = write_published(tmp_path / "corpus")
    assert_status(prepare(tmp_path, corpus, "--set", 'corpus.speeds=["0.9", "1"]'), 0)
    found = read_table(tmp_path / "data" / "train" / "utt2speed")
    assert found["0002-000020011"] == "1" and found["sp0.9-0002-000020011"] == "0.9"
    assert not (tmp_path / "data" / "dev" / "utt2speed").exists()


def test_a_folder_that_is_not_the_corpus_is_told_with_the_nearest(tmp_path):
    corpus = write_published(tmp_path / "corpus")
    assert f"did you mean {corpus}?" in error_of(prepare(tmp_path, tmp_path), 3)
    assert f"did you mean {corpus}?" in error_of(prepare(tmp_path, corpus / "train"), 3)
    shutil.rmtree(corpus / "train")
    assert "expected train/wav.scp" in error_of(prepare(tmp_path, corpus), 3)


@pytest.mark.parametrize("name", ["text", "utt2spk", "spk2age"])
def test_a_table_that_lacks_a_line_is_told(tmp_path, name):
    corpus = write_published(tmp_path / "corpus")
    table = corpus / "train" / name
    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))
    assert f"{name} of train says nothing about '0000" in error_of(prepare(tmp_path, corpus), 3)


@pytest.mark.parametrize("name", ["text", "utt2spk", "wav.scp", "spk2age"])
def test_an_id_that_stands_twice_is_told(tmp_path, name):
    corpus = write_published(tmp_path / "corpus")
    table = corpus / "train" / name
    first = table.read_text().splitlines()[0]
    table.write_text(f"{table.read_text()}{first}0\n")
    said = error_of(prepare(tmp_path, corpus), 3)
    assert f"{name}:13: '{first.split()[0]}' stands in line 1 already" in said


def test_an_id_of_both_halves_is_told(tmp_path):
    corpus = write_published(tmp_path / "corpus")
    with open(corpus / "test" / "utt2spk", "a") as f:
        f.write("000000011\t0003\n")
    said = error_of(prepare(tmp_path, corpus, "--set", 'corpus.halves=["train", "test"]'), 3)
    assert said == f"{corpus}/test/utt2spk: '000000011' stands in the other half too; keep one of them"


WRONG = [
    ("halves=[]", "choose some of"),
    ("halves=5", "not of type list[str]"),
    ('speeds=["9x"]', "'9x' is not"),
    ('speeds="12"', "not of type list[str]"),
    ("channels=3", "not a table"),
    ("channels.far=3", "not of type str"),
    ("channels={'../y'='direct'}", "'../y'"),
]


@pytest.mark.parametrize(("setting", "said"), WRONG)
def test_a_wrong_setting_is_told(tmp_path, setting, said):
    corpus = write_published(tmp_path / "corpus")
    assert said in error_of(prepare(tmp_path, corpus, "--set", f"corpus.{setting}"), 2)
