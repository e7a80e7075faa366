"""What is kept of untranscribed audio."""

import json
import math
from types import SimpleNamespace

import pytest

from steps.config.load import load
from steps.config.schema import FilterConfig
from steps.distillation.filters import Told, confidence_of, difference_of, judge, kept, second_transcripts
from steps.distillation.transcripts import TranscriptStore, write_unit
from steps.sweep_filter import SHARES, folders_of, sweep
from utils.jobs.errors import StaleError

TOLD = {
    "sure": Told(0.9, 2.0, 0.0),
    "likely": Told(0.7, 3.0, 0.5),
    "unsure": Told(0.2, 2.5, 0.0),
    "fast": Told(0.8, 9.0, 1.0),
}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"sure", "unsure"}),  # which a second transcript agrees with
        ({"max_difference": 1.0}, set(TOLD)),
        ({"max_difference": 1.0, "min_confidence": 0.7}, {"sure", "likely", "fast"}),
        ({"max_difference": 1.0, "keep": 0.5}, {"sure", "fast"}),
        ({"max_difference": 1.0, "keep": 0.26}, {"sure", "fast"}),
        ({"max_difference": 0.5, "max_rate": 2.6}, {"sure", "unsure"}),
        ({"max_difference": 1.0, "min_rate": 2.6, "keep": 0.5}, {"fast"}),
        ({"keep": 0.0}, set()),
    ],
)
def test_what_passes_all_filters_is_kept_and_of_it_the_most_confident_share(settings, expected):
    assert kept(TOLD, FilterConfig(**settings)) == expected


def test_confidence_is_the_geometric_mean_of_probabilities():
    hypothesis = {"text": "a b", "tokens": ["a", "b"], "score": math.log(0.5) * 3}
    assert confidence_of(hypothesis) == pytest.approx(0.5)
    assert confidence_of({"text": "a b", "tokens": [], "score": math.log(0.5) * 3}) == pytest.approx(0.5)
    assert confidence_of({"text": "", "tokens": [], "score": 0.0}) == 1.0
    told = hypothesis | {"confidence": [0.4, 0.9]}  # whatever the silence between them adds to the score
    assert confidence_of(told) == confidence_of(told | {"score": -50.0}) == pytest.approx(0.6)
    assert confidence_of(told | {"confidence": [0.0, 1.0]}) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("text", "other", "share"), [("a b", "a b", 0), ("a b", "a c", 0.5), ("", "", 0), ("", "a", 1), ("a", "", 1)]
)
def test_the_difference_of_two_transcripts_is_a_share_of_the_first(text, other, share):
    assert difference_of(text, other) == share


@pytest.mark.parametrize(("share", "number"), [(0.07, 7), (0.55, 55), (0.071, 8)])
def test_a_share_of_a_hundred_is_so_many(share, number):
    assert len(kept({str(i): Told(i / 100, 1.0) for i in range(100)}, FilterConfig(keep=share))) == number


def test_words_cannot_agree_with_phones(tmp_path):
    stores = []
    for name, unit in (("words", "char"), ("phones", "phone")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("u1 a\n")
        write_unit(tmp_path / name, unit)
        stores.append(TranscriptStore(tmp_path / name))
    with pytest.raises(StaleError, match="holds words, which cannot agree with phones of"):
        second_transcripts(stores, FilterConfig(agree_with="other"))


def test_only_utterances_of_known_length_are_judged(tmp_path):
    (tmp_path / "text").write_text("u1 a b\nu2 a\n")
    write_unit(tmp_path, "char")
    lines = [
        {"utt_id": u, "nbest": [{"text": t, "tokens": t.split(), "score": -1.0}]}
        for u, t in (("u1", "a b"), ("u2", "a"))
    ]
    (tmp_path / "nbest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = judge(TranscriptStore(tmp_path), {"u1": 4.0}, {"u1": "a"})
    assert found == {"u1": Told(pytest.approx(math.exp(-1 / 3)), 0.5, 0.5)}


CONF = """
[tokens]
unit = "phone"
[tokens.letters]
unit = "char"
[score]
unit = "phone"
[teacher]
model.encoder = "lstm"
heads = { ctc = {}, letters = { type = "ctc", tokens = "letters" } }
[student]
base = "teacher"
train.labelled_every = 2
distill = [{ loss = "pseudo_labels", head = "letters" }]
"""


@pytest.mark.parametrize(("unit", "said"), [("char", "so be"), ("phone", "S OW B IY")])
def test_words_that_a_teacher_writes_are_judged_in_phones(tmp_path, unit, said):
    (tmp_path / "conf.toml").write_text(CONF)
    config = load(tmp_path / "conf.toml")
    system = config.systems["student"]
    data, folder = tmp_path / "data", folders_of(config, config.systems["student"], 0, tmp_path)[0][0]
    files = {"train/text": "so be", "train/utt2spk": "{}", "train/utt2dur": "2"}
    for path in (data / "lang", data / "train", folder):
        path.mkdir(parents=True)
    (data / "lang" / "lexicon.txt").write_text("be B IY\nso S OW\n")
    for name, value in files.items():
        (data / name).write_text("".join(f"{speaker} {value.format(speaker)}\n" for speaker in "ab"))
    write_unit(folder, unit)
    (folder / "text").write_text(f"a {said}\nb {said}\n")
    best = {"text": said, "tokens": said.split(), "score": -1.0}
    (folder / "nbest.jsonl").write_text(json.dumps({"utt_id": "b", "nbest": [best]}) + "\n")
    sweep(config, system, 0, SimpleNamespace(exp_dir=tmp_path, data_dir=data, over=SHARES), tmp_path)
    found = json.loads((tmp_path / "student.0.json").read_text())
    assert [row["label_error_rate"] for row in found["rows"]] == [0.0] * 10
