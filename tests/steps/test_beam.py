import itertools
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from steps.config.schema import DecodeConfig
from steps.decoding import beam
from steps.decoding.beam import beam_search, exact_scores, search, surviving_paths, without_ties
from steps.decoding.decode_set import check_finite, decoder_of
from steps.decoding.greedy import greedy
from steps.heads.ctc import CtcHead
from steps.heads.shape import HeadShape
from steps.nnet.output import ModelOutput
from utils.jobs.errors import DataError, MachineError

ALL = DecodeConfig("beam", beam_size=10**6, beam_tokens=10**6, beam_threshold=1e6, nbest=10**6)


def random_log_probs(num_frames, num_tokens, seed=0, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(num_frames, num_tokens, generator=generator)).log_softmax(-1)


def collapsed(path, blank_id):
    return tuple(token for token, _ in itertools.groupby(path) if token != blank_id)


def by_enumeration(log_probs, blank_id):
    """Labelling -> log of the summed probability of its paths."""
    totals = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        labelling = collapsed(path, blank_id)
        probability = math.exp(sum(float(log_probs[u, token]) for u, token in enumerate(path)))
        totals[labelling] = totals.get(labelling, 0.0) + probability
    return {labelling: math.log(total) for labelling, total in totals.items()}


CTC = SimpleNamespace(heads={"ctc": CtcHead(HeadShape("ctc", 1, 4, 0))}, blank_id=0)


def output_of(logits, lengths):
    return ModelOutput(logits, torch.tensor(lengths), {"ctc": logits})


CASES = [
    (num_frames, num_tokens, blank_id)
    for num_frames, num_tokens in [(1, 2), (1, 4), (2, 3), (3, 3), (4, 3), (5, 3), (4, 4), (7, 2)]
    for blank_id in sorted({0, 1, num_tokens - 1})
]


@pytest.mark.parametrize(("num_frames", "num_tokens", "blank_id"), CASES)
def test_a_wide_beam_finds_every_labelling_with_the_sum_over_its_paths(num_frames, num_tokens, blank_id):
    log_probs = random_log_probs(num_frames, num_tokens, seed=num_frames)
    expected = by_enumeration(log_probs.double(), blank_id)
    found = search(log_probs, blank_id, ALL)
    assert {tuple(h.ids): h.score for h in found} == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert [tuple(h.ids) for h in found] == sorted(expected, key=expected.get, reverse=True)


@pytest.mark.parametrize("seed", range(20))
def test_the_score_of_a_narrow_beam_is_exact_too(seed):
    log_probs, settings = random_log_probs(6, 3, seed, spread=1.0), DecodeConfig("beam", beam_size=3, nbest=3)
    expected = by_enumeration(log_probs.double(), 0)
    found = search(log_probs, 0, settings)
    assert 1 <= len(found) <= 3
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(expected[tuple(hypothesis.ids)], rel=1e-6)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_the_sums_of_a_narrow_search_itself_are_too_small():
    """The reason for computing them again."""
    log_probs = random_log_probs(30, 5, spread=1.0)
    flashlight = beam.load_flashlight()
    options = flashlight.LexiconFreeDecoderOptions(4, 3, 5.0, 0.0, 0.0, True, flashlight.CriterionType.CTC)
    decoder = flashlight.LexiconFreeDecoder(options, flashlight.ZeroLM(), 0, 0, [])
    best = decoder.decode(log_probs.data_ptr(), 30, 5)[0]
    (exact,) = exact_scores(log_probs, [list(collapsed(best.tokens, 0))], 0)
    assert best.score < exact - 0.5


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("blank_id", range(4))
def test_a_label_in_the_first_frame_is_found_whichever_it_is(first, blank_id):
    second = next(token for token in range(4) if token not in (first, blank_id))
    log_probs = torch.full((2, 4), -9.0)
    log_probs[0, first] = log_probs[1, second] = -0.01
    found = search(log_probs.log_softmax(-1), blank_id, DecodeConfig("beam"))
    assert found[0].ids == [token for token in (first, second) if token != blank_id]


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_of_one_follows_the_greedy_path(seed):
    logits = 2 * torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(seed))
    output = output_of(logits, [40, 7, 1])
    for found, path in zip(
        beam_search(output, 2, DecodeConfig("beam", beam_size=1)), greedy(output, 2)[0], strict=True
    ):
        assert [(h.ids, h.frames) for h in found] == [(path.ids, path.frames)]
        assert found[0].score >= path.score - 1e-4


def test_one_token_a_frame_follows_the_greedy_path():
    logits = torch.randn(1, 40, 6, generator=torch.Generator().manual_seed(0))
    found = beam_search(output_of(logits, [40]), 0, DecodeConfig("beam", beam_tokens=1))
    assert [h.ids for h in found[0]] == [greedy(output_of(logits, [40]), 0)[0][0].ids]


def test_a_beam_finds_what_greedy_decoding_misses():
    log_probs = torch.tensor([[0.4, 0.35, 0.25], [0.4, 0.35, 0.25]]).log()
    assert greedy(output_of(log_probs[None], [2]), 0)[0][0].ids == []
    best = search(log_probs, 0, DecodeConfig("beam"))[0]
    assert best.ids == [1] and best.score == pytest.approx(math.log(2 * 0.4 * 0.35 + 0.35**2))


def test_a_batch_is_decoded_as_its_utterances_one_by_one():
    logits, lengths = torch.randn(4, 30, 8, generator=torch.Generator().manual_seed(0)), [30, 12, 0, 1]
    settings = DecodeConfig("beam", nbest=5)
    together = beam_search(output_of(logits, lengths), 0, settings)
    for i, length in enumerate(lengths):
        alone = output_of(logits[i : i + 1, : max(length, 1)], [length])
        assert beam_search(alone, 0, settings) == [together[i]]


def test_an_utterance_without_frames_has_an_empty_hypothesis():
    (found,) = beam_search(output_of(torch.randn(1, 1, 3), [0]), 0, DecodeConfig("beam", nbest=5))
    assert [(h.ids, h.frames, h.score) for h in found] == [([], [], 0.0)]


def test_an_utterance_of_blanks_is_empty_and_its_score_is_that_of_its_one_path():
    log_probs = torch.tensor([[0.0, -30.0]] * 5).log_softmax(-1)
    (found,) = search(log_probs, 0, DecodeConfig("beam", beam_threshold=1.0))
    assert (found.ids, found.frames, found.score) == ([], [], pytest.approx(float(log_probs[:, 0].double().sum())))


def test_tokens_begin_where_a_path_has_them():
    log_probs = random_log_probs(20, 5, spread=4.0)
    for hypothesis in search(log_probs, 0, DecodeConfig("beam", nbest=16)):
        assert len(hypothesis.frames) == len(hypothesis.ids)
        ends = [*hypothesis.frames[1:], 20]
        assert hypothesis.frames == sorted(set(hypothesis.frames)) and ends[-1] > hypothesis.frames[-1] >= 0
        for (a, start), (b, end) in itertools.pairwise(zip(hypothesis.ids, hypothesis.frames, strict=True)):
            assert a != b or end - start > 1  # a blank lies between


def test_no_more_hypotheses_are_given_than_asked_for():
    found = search(random_log_probs(10, 5), 0, DecodeConfig("beam", nbest=3))
    every = search(random_log_probs(10, 5), 0, DecodeConfig("beam", nbest=16))
    assert len(found) == 3 < len(every) <= 16 and found == every[:3]
    assert len({tuple(h.ids) for h in every}) == len(every)


def outcomes(run, times=40):
    """How many different results there are, other memory being taken and given back between the runs."""
    rng, held, found = np.random.default_rng(0), [], set()
    for _ in range(times):
        found.add(repr(run()))
        held += [bytearray(n) for n in rng.integers(16, 2000, 1000).tolist()][::3]
    return len(found)


def test_labellings_of_equal_probability_are_found_in_the_same_order_each_time(monkeypatch):
    log_probs = torch.tensor([[0.4, 0.2, 0.2, 0.1, 0.05, 0.05]] * 12).log()
    settings = DecodeConfig("beam", beam_size=12, nbest=12)

    def labellings():
        return [collapsed(path, 0) for path in surviving_paths(log_probs, 0, settings)]

    assert outcomes(lambda: search(log_probs, 0, settings)) == outcomes(labellings) == 1
    monkeypatch.setattr(beam, "without_ties", lambda x: x)
    assert outcomes(labellings) > 1


def test_breaking_ties_moves_no_probability_by_more_than_a_trifle():
    log_probs = random_log_probs(300, 50, spread=5.0)
    moved = without_ties(log_probs)
    gap = log_probs.max(-1, keepdim=True).values - log_probs
    assert float(((-gap - moved) / (1 + gap)).max()) < 1e-3 and float((-gap - moved).min()) >= -1e-6
    assert moved.argmax(-1).equal(log_probs.argmax(-1)) and moved.max(-1).values.equal(torch.zeros(300))


def test_scores_in_parts_are_those_in_one(monkeypatch):
    log_probs = random_log_probs(12, 4)
    labellings = [[1, 2, 3], [], [1], [3, 3], [2, 1]]
    whole = exact_scores(log_probs, labellings, 0)
    monkeypatch.setattr(beam, "MAX_CELLS", 1)
    assert exact_scores(log_probs, labellings, 0) == pytest.approx(whole, rel=1e-12)


def test_greedy_decoding_gives_its_one_hypothesis():
    logits = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0))
    output = output_of(logits, [9, 4])
    assert decoder_of(DecodeConfig(), CTC)(output) == [[h] for h in greedy(output, 0)[0]]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_output_that_is_not_finite_is_refused_with_its_utterance(value):
    logits = torch.zeros(2, 3, 4)
    logits[1, 2, 1] = value
    feats = {"a-1": "f.ark:3", "a-2": "f.ark:9"}
    check_finite(["a-1", "a-2"], output_of(logits, [3, 2]), feats)  # it lies in the padding
    with pytest.raises(DataError, match="f.ark:9: utterance 'a-2': the model's output is not finite"):
        check_finite(["a-1", "a-2"], output_of(logits, [3, 3]), feats)


def test_a_machine_without_flashlight_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    assert decoder_of(DecodeConfig(), CTC)
    with pytest.raises(MachineError, match="python3 -m pip install flashlight-text"):
        decoder_of(DecodeConfig("beam"), CTC)
