"""What is kept of untranscribed audio."""

import json
import math

import pytest

from steps.config.schema import FilterConfig
from steps.distillation.filters import Told, confidence_of, difference_of, judge, kept, second_transcripts
from steps.distillation.transcripts import TranscriptStore, write_unit
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
