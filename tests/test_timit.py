"""egs/timit on trees in the published layouts, with real speech in them."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from steps.scoring.units import read_map
from tests.support import ROOT, assert_status, driver, error_of, execute
from utils.data_dir.audio import read_audio
from utils.data_dir.tables import read_table

RECIPE = ROOT / "egs" / "timit"
PREPARE = ["python3", RECIPE / "local" / "prepare_data.py", "--config", RECIPE / "conf.toml"]
HELD_OUT = read_table(RECIPE / "local" / "speakers.txt")
TRAIN = ("FCJF0", "MCPM0", "FAEM0", "MARC0", "FALK0", "MADC0")
REST = ("MDBB0",)  # of the complete test set, in neither dev nor the core
PHONES = list(read_map(RECIPE / "local" / "phones_61_48.txt"))
PHN = [
    (0, 1600, "h#"),
    (1600, 2400, "tcl"),
    (2400, 3200, "t"),
    (3200, 4000, "q"),
    (4000, 9000, "ao"),
    (9000, 9600, "zh"),
]


def write_sphere(path, samples):
    """16 bits behind the header that the corpus has, which names no coding."""
    fields = [
        "database_id -s5 TIMIT",
        "database_version -s3 1.0",
        "utterance_id -s8 cjf0_sa1",
        "channel_count -i 1",
        f"sample_count -i {len(samples)}",
        "sample_rate -i 16000",
        f"sample_min -i {samples.min()}",
        f"sample_max -i {samples.max()}",
        "sample_n_bytes -i 2",
        "sample_byte_format -s2 01",
        "sample_sig_bits -i 16",
        "end_head",
    ]
    head = "\n".join(["NIST_1A", "   1024", *fields]) + "\n"
    path.write_bytes(head.encode().ljust(1024) + samples.astype("<i2").tobytes())


def write_riff(path, samples):
    """The same samples as WAV."""
    soundfile.write(path, samples, 16000, format="WAV", subtype="PCM_16")


LAYOUTS = {  # where the halves are, the case of names, what the audio files are
    "LDC": ("timit/TIMIT", str.upper, {".WAV": write_sphere}),
    "small letters": ("", str.lower, {".WAV": write_riff}),
    "copies": ("data", str.upper, {".WAV": write_sphere, ".WAV.wav": write_riff}),
    "only copies": ("TIMIT/data", str.upper, {".WAV.wav": write_riff}),
}


class Speech:
    """Pieces of LibriSpeech, each another one."""

    def __init__(self, corpora):
        files = sorted((corpora / "LibriSpeech").rglob("*.flac"))[:20]
        self.samples = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in files])
        self.place = 0

    def next(self, count=9600):
        self.place += count
        return self.samples[self.place - count : self.place]


def speakers_of(half):
    return [*HELD_OUT, *REST] if half == "TEST" else TRAIN


def write_timit(folder, layout, speech, long=()):
    """A tree of all speakers of dev and test and a few of TRAIN, with one sentence of each type.

    SX37 is read by all. The sentences of the speakers in `long` have more phones.
    """
    where, case, formats = LAYOUTS[layout]
    speech.place = 0  # the same samples in each tree
    for half in ("TRAIN", "TEST"):
        for i, speaker in enumerate(speakers_of(half)):
            home = folder / where / case(half) / case(f"DR{i % 8 + 1}") / case(speaker)
            home.mkdir(parents=True)
            for sentence in ("SA1", f"SI{1000 + i}", "SX37"):
                samples = speech.next()
                for suffix, write in formats.items():
                    write(home / (case(sentence + suffix) if case is str.lower else sentence + suffix), samples)
                lines = "".join(f"{a} {b} {phone}\n" for a, b, phone in PHN)
                if speaker in long:
                    lines += "".join(f"{9600 + n} {9601 + n} {p}\n" for n, p in enumerate(PHONES))
                (home / case(f"{sentence}.PHN")).write_text(lines)
                (home / case(f"{sentence}.TXT")).write_text("0 9600 She had your dark suit.\n")
                (home / case(f"{sentence}.WRD")).write_text("1600 9600 she\n")
    return folder


def prepare(folder, corpus, *options):
    return execute([*PREPARE, "--corpus-dir", corpus, *options], folder)


@pytest.fixture(scope="module")
def speech(corpora):
    return Speech(corpora)


@pytest.fixture(scope="module", params=LAYOUTS)
def prepared(request, tmp_path_factory, speech):
    folder = tmp_path_factory.mktemp("timit")
    corpus = write_timit(folder / "corpus", request.param, speech)
    assert_status(prepare(folder, corpus), 0)
    return request.param, folder / "data"


def test_the_sets_are_the_usual_ones(prepared):
    _, data = prepared
    speakers = {name: set(read_table(data / name / "utt2spk").values()) for name in ("train", "dev", "test")}
    assert speakers["train"] == set(TRAIN)
    assert (len(speakers["dev"]), len(speakers["test"])) == (50, 24)
    assert {"MDAB0", "FMLD0"} <= speakers["test"] and {"FAKS0", "MRWS1"} <= speakers["dev"]
    assert not {s for found in speakers.values() for s in found} & set(REST)


def test_each_speaker_has_her_sentences_but_the_common_ones(prepared):
    _, data = prepared
    found = read_table(data / "train" / "utt2spk")
    assert len(found) == 12 and "FCJF0-SX37" in found and "FAEM0-SX37" in found and "FCJF0-SI1000" in found


def test_text_holds_48_phones_without_the_glottal_stop(prepared):
    _, data = prepared
    assert read_table(data / "train" / "text")["FCJF0-SX37"] == "sil cl t ao zh"


def test_audio_of_all_layouts_gives_the_same_samples(prepared, speech):
    layout, data = prepared
    path = read_table(data / "train" / "wav.scp")["FCJF0-SX37"]
    assert path.endswith({"small letters": "sx37.wav", "only copies": "SX37.WAV.wav"}.get(layout, "SX37.WAV"))
    samples, rate = read_audio(path, "FCJF0-SX37")
    assert rate == 16000 and np.array_equal((samples * 32768).astype(np.int16), speech.samples[2 * 9600 : 3 * 9600])


def test_the_data_directories_are_valid(prepared):
    _, data = prepared
    for name in ("train", "dev", "test"):
        checks = ["--apart-from", data / "train"] if name != "train" else []
        assert_status(execute(["python3", "-m", "utils.validate_data_dir", *checks, data / name], data), 0)


def test_the_core_test_set_has_two_men_and_a_woman_of_each_region():
    core = [speaker for speaker, name in HELD_OUT.items() if name == "test"]
    assert (sum(s[0] == "M" for s in core), sum(s[0] == "F" for s in core)) == (16, 8)
    assert all(re.fullmatch(r"[MF][A-Z]{3}\d", speaker) for speaker in HELD_OUT)


def test_61_phones_become_48_and_39():
    to_48, to_39 = read_map(RECIPE / "local" / "phones_61_48.txt"), read_map(RECIPE / "phones_48_39.txt")
    assert len(to_48) == 61 and [phone for phone, mapped in to_48.items() if not mapped] == ["q"]
    assert set(to_48.values()) - {""} == set(to_39) and len(to_39) == 48
    assert len(set(to_39.values())) == 39
    joined = {phone for phone, mapped in to_39.items() if phone != mapped}
    assert joined == {"ao", "ax", "cl", "el", "en", "epi", "ix", "vcl", "zh"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, speech):
    return write_timit(tmp_path_factory.mktemp("tree") / "TIMIT", "small letters", speech)


@pytest.mark.parametrize("given", ["train", "../other", "../.."])
def test_a_wrong_folder_is_told_with_the_nearest(tmp_path, corpus, given):
    folder = (corpus / given).resolve()
    folder.mkdir(exist_ok=True)
    said = error_of(prepare(tmp_path, folder), 3)
    assert said.startswith(f"{folder}: expected TIMIT's TRAIN/DR1/ and TEST/DR1/, found ")
    assert said.endswith(f"did you mean {corpus}?")


def test_a_wrong_folder_with_nothing_near_is_told_without(tmp_path):
    (tmp_path / "far" / "deep").mkdir(parents=True)
    said = error_of(prepare(tmp_path, tmp_path / "far"), 3)
    assert said == f"{tmp_path}/far: expected TIMIT's TRAIN/DR1/ and TEST/DR1/, found deep"


def test_without_the_corpus_its_folder_is_asked_for(tmp_path):
    said = error_of(execute(PREPARE, tmp_path), 3)
    assert said == "downloads: no such folder; --corpus-dir must hold TIMIT's TRAIN/DR1/ and TEST/DR1/"


def changed(corpus, folder):
    """A copy of the tree, in links."""
    for path in corpus.rglob("*.*"):
        target = folder / path.relative_to(corpus)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
    return folder


def rewrite(path, text):
    path.unlink()
    path.write_text(text)


FIRST = Path("train/dr1/fcjf0")
FAULTS = {
    "no phones": (lambda c: (c / FIRST / "sx37.phn").unlink(), "sentence SX37 has no SX37.PHN"),
    "no audio": (lambda c: (c / FIRST / "sx37.wav").unlink(), "sentence SX37 has no SX37.WAV"),
    "an unknown phone": (
        lambda c: rewrite(c / FIRST / "sx37.phn", "0 9 h#\n9 12 xx\n"),
        "sx37.phn:2: 'xx' is none of the 61 phones",
    ),
    "no phone": (lambda c: rewrite(c / FIRST / "sx37.phn", "0 9 q\n"), "sx37.phn: holds no phone"),
    "seconds": (lambda c: rewrite(c / FIRST / "sx37.phn", "0.0 0.1 h#\n"), "sx37.phn:1: '0.0 0.1 h#' is not '<first"),
    "ends before it begins": (lambda c: rewrite(c / FIRST / "sx37.phn", "9 0 h#\n"), "sx37.phn:1: '9 0 h#' is not"),
    "a speaker less": (
        lambda c: [path.unlink() for path in c.glob("test/*/mdab0/*")] and next(c.glob("test/*/mdab0")).rmdir(),
        "test: speaker MDAB0 of test is missing; copy",
    ),
    "another folder": (lambda c: (c / "train/dr1/notes").mkdir(), "notes: not named as a speaker is"),
    "a speaker in both halves": (lambda c: (c / "train/dr2/mdab0").mkdir(), "speaker MDAB0 is in"),
    "a speaker twice": (lambda c: (c / "train/dr3/FCJF0").mkdir(), "speaker FCJF0 is in"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_tree_is_told_in_one_line(tmp_path, corpus, fault):
    change, said = FAULTS[fault]
    tree = changed(corpus, tmp_path / "corpus")
    change(tree)
    assert said in error_of(prepare(tmp_path, tree), 3)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("speeds=[]", "no factor of speed"),
        ("speeds=[1]", "not of type list[str]"),
        ("split=1", "has the setting speeds"),
    ],
)
def test_a_wrong_setting_is_told(tmp_path, corpus, setting, said):
    assert said in error_of(prepare(tmp_path, corpus, "--set", f"corpus.{setting}"), 2)


def test_training_speech_is_heard_at_several_speeds(tmp_path, corpus):
    assert_status(prepare(tmp_path, corpus, "--set", 'corpus.speeds=["0.9", "1"]'), 0)
    assert read_table(tmp_path / "data" / "train" / "utt2speed")["sp0.9-FCJF0-SX37"] == "0.9"


SMALL = {
    **{f"{name}.train.updates": 6 for name in ("teacher", "student")},
    **{f"{name}.train.warmup_updates": 2 for name in ("teacher", "student")},
    **{f"{name}.train.max_too_short": 1 for name in ("teacher", "student")},
    "teacher.model.dim": 16,
    "teacher.model.num_layers": 1,
    "student.model.dim": 8,
    "features.num_mel_bins": 20,
}


def test_a_run_goes_from_sphere_to_errors_in_39_phones(tmp_path, speech):
    corpus = write_timit(tmp_path / "corpus", "LDC", speech, long=("FAEM0",))
    places = ["--data-dir", tmp_path / "data", "--exp-dir", tmp_path / "exp"]
    overrides = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    result = driver(RECIPE, "--corpus-dir", corpus, "--seeds", "0", "--nj", "2", *places, *overrides)
    assert_status(result, 0)
    assert "12 utterances for train, the whole corpus has 3,696" in result.stderr
    assert "normalisation: single spaces, mapped by phones_48_39.txt" in (tmp_path / "exp" / "RESULTS.md").read_text()
    alignments = (tmp_path / "exp" / "student" / "seed0" / "decode_test" / "alignments.txt").read_text()
    assert "FDHC0-SX37 ref sil sil t aa sh\n" in re.sub(" +", " ", alignments)
