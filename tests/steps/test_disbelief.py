"""Scores of transcripts that a model does not believe."""

import math

import numpy as np
import pytest
import torch

from steps.scoring.disbelief import NO_BELIEF, area_under_curve, by_draw, disbelief, precision_at

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
