"""Scores of transcripts that a model does not believe."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from steps import find_label_errors as critic
from steps.scoring.disbelief import (
    NO_BELIEF,
    Disbelief,
    area_under_curve,
    by_draw,
    disbelief,
    figures,
    mean_of,
    precision_at,
)

V = 6


def spoken(tokens, sureness=4.0, seed=0):
    """(U, V) log-probabilities of a model that hears these tokens, each in two frames with a blank behind it."""
    frames = [token for spoken_token in tokens for token in (spoken_token, spoken_token, 0)]
    noise = 0.5 * torch.randn(len(frames), V, generator=torch.Generator().manual_seed(seed))
    return (noise + sureness * torch.nn.functional.one_hot(torch.tensor(frames), V)).log_softmax(-1)


def test_the_loss_is_that_of_ctc_and_the_margin_that_over_what_the_model_writes():
    log_probs = spoken([1, 2, 3])
    found, wrong = disbelief(log_probs, [1, 2, 3], 0), disbelief(log_probs, [1, 4, 3], 0)
    sizes = torch.tensor([len(log_probs)]), torch.tensor([3])
    costs = [
        float(torch.nn.functional.ctc_loss(log_probs[:, None], torch.tensor([tokens]), *sizes, reduction="sum"))
        for tokens in ([1, 2, 3], [1, 4, 3])
    ]
    assert (found.loss, found.margin, found.difference) == pytest.approx((costs[0] / 3, 0.0, 0.0), abs=1e-6)
    assert wrong.loss == pytest.approx(costs[1] / 3) and wrong.margin == pytest.approx((costs[1] - costs[0]) / 3)
    assert wrong.difference == pytest.approx(1 / 3)


def test_one_wrong_token_in_a_long_transcript_stands_out_by_its_stretch():
    words = [1, 2, 3, 4, 5] * 8
    log_probs = spoken(words, sureness=2.0)
    wrong = words[:20] + [4] + words[21:]
    right, changed = disbelief(log_probs, words, 0), disbelief(log_probs, wrong, 0)
    assert changed.stretch > right.stretch + 2
    assert changed.loss < 1.1 * right.loss


def test_a_transcript_that_does_not_fit_has_no_score():
    assert disbelief(spoken([1]), [1, 2, 3, 4], 0) == NO_BELIEF


def test_a_single_token_has_a_stretch():
    assert math.isfinite(disbelief(spoken([1]), [2], 0).stretch)


def test_the_area_is_the_share_of_pairs_in_order():
    scores = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 2.0}
    assert area_under_curve(scores, {"a"}) == 1.0
    assert area_under_curve(scores, {"c"}) == 0.0
    assert area_under_curve(scores, {"b"}) == pytest.approx((0.5 + 1.0) / 3)
    assert precision_at(scores, {"a", "c"}, 0.5) == 0.5


def test_draws_of_speakers_vary_around_the_figures():
    generator = np.random.default_rng(0)
    speakers = {f"{who}-{i}": f"s{who}" for who in range(30) for i in range(20)}
    wrong = {utt_id for utt_id in speakers if utt_id.endswith(("-3", "-7"))}
    scores = {utt_id: round(generator.normal() + 1.5 * (utt_id in wrong), 1) for utt_id in speakers}  # some are equal
    share = len(wrong) / len(scores)
    areas, precisions = by_draw(scores, wrong, share, speakers)
    assert areas.mean() == pytest.approx(area_under_curve(scores, wrong), abs=0.01)
    assert precisions.mean() == pytest.approx(precision_at(scores, wrong, share), abs=0.03)
    assert 0.005 < areas.std() < 0.05
    one = by_draw({"a-1": 2.0, "a-2": 1.0}, {"a-1"}, 0.5, {"a-1": "a", "a-2": "a"})
    assert one[0].tolist() == [1.0] * len(one[0]) and one[1].tolist() == [1.0] * len(one[1])


FOUND = {
    f"u{i}": Disbelief(*values) for i, values in enumerate([(3, 0, 9, 1), (2, 9, 0, 1), (1, 5, 5, 2), (0, 1, 1, 9)])
}


def test_the_mean_of_several_models_is_that_of_each_score():
    assert mean_of([Disbelief(1, 2, 3, 4), Disbelief(3, 6, 9, 12)]) == Disbelief(2, 4, 6, 8)


def test_the_least_believed_are_looked_at_first():
    scores = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.0}
    assert (precision_at(scores, {"a"}, 0.25), precision_at(scores, {"d"}, 0.25)) == (1.0, 0.0)


def test_each_score_has_its_own_figures():
    found = figures(FOUND, {"u3"}, dict.fromkeys(FOUND, "s"))
    assert {k: (v["area"], v["precision"], v["share"]) for k, v in found.items()} == {
        "loss": (0.0, 0.0, 0.25),
        "margin": (0.3333, 0.0, 0.25),
        "difference": (0.3333, 0.0, 0.25),
        "stretch": (1.0, 1.0, 0.25),
    }
    assert found["loss"]["area_ci95"] is None  # one speaker


def test_the_interval_of_a_figure_is_its_own_and_over_speakers():
    generator = np.random.default_rng(0)
    speakers = {f"{who}-{i}": f"s{who}" for who in range(5) for i in range(40)}
    wrong = {u for u in speakers if u.endswith(("-3", "-7"))}
    told = {u: Disbelief(*[generator.normal() + 1.5 * (u in wrong)] * 4) for u in speakers}
    row = figures(told, wrong, speakers)["loss"]
    share = len(wrong) / len(told)
    for key, values in zip(
        ("area", "precision"), by_draw({u: d.loss for u, d in told.items()}, wrong, share, speakers), strict=True
    ):
        reach = stats.t.ppf(0.975, 4) * values.std() * (5 / 4) ** 0.5
        assert row[f"{key}_ci95"] == pytest.approx([max(0, row[key] - reach), min(1, row[key] + reach)], abs=1e-3)


@pytest.mark.parametrize(("by", "first"), [("loss", "u0"), ("margin", "u1"), ("stretch", "u3")])
def test_the_ranking_is_by_the_score_asked_for(tmp_path, monkeypatch, by, first):
    said = {u: ("a", "b") for u in FOUND}
    monkeypatch.setattr("steps.training.critic.judge_set", lambda *_: (FOUND, said))
    args = SimpleNamespace(models=[], data_dir=tmp_path, lang_dir=None, by=by)
    critic.rank(args, tmp_path, set())
    assert (tmp_path / "ranking.tsv").read_text().splitlines()[1].startswith(f"{first}\t")
