import itertools
import math

import numpy as np
import pytest
import torch

from steps.decoding.greedy import collapse, greedy, spikes
from steps.distillation.spikes import compare_spikes, offsets
from steps.heads.ctc import CtcHead
from steps.heads.shape import HeadShape
from steps.nnet.output import ModelOutput


def ctc(output, labels, blank_id):
    return CtcHead(HeadShape("ctc", 1, output.logits["ctc"].size(-1), blank_id)).loss(output, labels)


def output_of(logits, lengths):
    return ModelOutput(logits, torch.tensor(lengths), {"ctc": logits})


def by_enumeration(log_probs, tokens, blank_id):
    """-ln of the summed probability of all paths that spell the tokens."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        merged = [token for token, _ in itertools.groupby(path)]
        if tuple(t for t in merged if t != blank_id) == tokens:
            total += math.exp(sum(log_probs[u, token] for u, token in enumerate(path)))
    return -math.log(total)


@pytest.mark.parametrize("tokens", [(1,), (1, 2), (1, 1), (2, 1, 2), (1, 2, 2)])
def test_ctc_equals_the_sum_over_all_paths(tokens):
    logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    loss, count = ctc(output_of(logits, [5]), [tokens], 0)
    expected = by_enumeration(logits[0].log_softmax(-1).double().numpy(), tokens, 0)
    assert (float(loss), count) == (pytest.approx(expected, rel=1e-5), len(tokens))


def test_ctc_uses_the_models_blank():
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    loss, _ = ctc(output_of(logits, [4]), [(0, 1)], 2)
    assert float(loss) == pytest.approx(by_enumeration(logits[0].log_softmax(-1).double().numpy(), (0, 1), 2), rel=1e-5)


def test_ctc_of_a_batch_is_the_sum_of_its_transcribed_utterances():
    logits = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(0))
    tokens, lengths = [(1, 2), None, (2,)], [6, 5, 3]
    loss, count = ctc(output_of(logits, lengths), tokens, 0)
    log_probs = logits.log_softmax(-1).double().numpy()
    expected = by_enumeration(log_probs[0, :6], (1, 2), 0) + by_enumeration(log_probs[2, :3], (2,), 0)
    assert (float(loss), count) == (pytest.approx(expected, rel=1e-5), 3)


def test_ctc_without_a_transcript_is_zero_and_has_a_gradient():
    logits = torch.randn(1, 4, 3, requires_grad=True)
    loss, count = ctc(output_of(logits, [4]), [None], 0)
    loss.backward()
    assert (loss.item(), count, logits.grad.abs().max().item()) == (0.0, 0, 0.0)


def test_ctc_of_too_few_frames_is_infinite_and_not_zeroed():
    assert math.isinf(float(ctc(output_of(torch.zeros(1, 2, 3), [2]), [(1, 1)], 0)[0]))


@pytest.mark.parametrize(("tokens", "frames"), [((), 0), ((1,), 1), ((1, 2), 2), ((1, 1), 3), ((1,) * 11, 21)])
def test_frames_needed_are_the_fewest_that_have_a_path(tokens, frames):
    assert CtcHead.frames_needed(tokens) == frames


@pytest.mark.parametrize(
    ("path", "ids", "frames"),
    [
        ([0, 1, 1, 0, 1, 2, 2, 0], [1, 1, 2], [1, 4, 5]),
        ([1, 1, 2, 1], [1, 2, 1], [0, 2, 3]),
        ([0, 0], [], []),
        ([], [], []),
    ],
)
def test_a_path_is_collapsed_to_tokens_and_their_frames(path, ids, frames):
    scores = np.log(np.linspace(0.2, 0.9, len(path)))
    found = collapse(np.array(path, int), scores, 0)
    assert (found.ids, found.frames, found.score) == (ids, frames, pytest.approx(scores.sum()))
    ends = [next((u for u in range(first, len(path)) if path[u] != path[first]), len(path)) for first in frames]
    assert found.confidence == pytest.approx([np.exp(scores[end - 1]) for end in ends])  # they rise


def test_greedy_reads_no_padding():
    logits = torch.full((2, 3, 3), -9.0)
    for b, path in enumerate([[1, 0, 1], [2, 1, 1]]):
        for u, token in enumerate(path):
            logits[b, u, token] = 9.0
    hypotheses, paths = greedy(output_of(logits, [3, 1]), 0)
    assert [h.ids for h in hypotheses] == [[1, 1], [2]] and [len(p) for p in paths] == [3, 1]


def test_the_score_of_a_hypothesis_is_the_log_probability_of_its_path():
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    hypotheses, _ = greedy(output_of(logits, [3]), 0)
    assert hypotheses[0].score == pytest.approx(float(logits[0, :3].log_softmax(-1).max(-1).values.sum()), rel=1e-6)


def test_an_utterance_without_frames_has_an_empty_hypothesis():
    hypotheses, paths = greedy(output_of(torch.randn(1, 1, 3), [0]), 0)
    assert (hypotheses[0].ids, hypotheses[0].score, len(paths[0])) == ([], 0.0, 0)


def test_spikes_are_where_labels_begin():
    assert spikes(np.array([0, 3, 3, 0, 3, 1]), 0) == [(3, 1), (3, 4), (1, 5)]


def test_offsets_are_those_of_labels_that_both_emit():
    teacher, student = [(1, 2), (2, 5), (3, 9)], [(1, 4), (3, 10)]
    assert offsets(teacher, student) == [2, 1]


def test_spikes_are_compared_over_all_utterances():
    pairs = [(np.array([0, 1, 0, 2]), np.array([0, 0, 1, 2])), (np.array([3, 0]), np.array([0, 0]))]
    found = compare_spikes(pairs, 0)
    assert (found.median, found.labels) == (0.5, 2)
    assert (found.teacher_blank, found.student_blank) == (3 / 6, 4 / 6)


def test_spikes_without_a_shared_label_have_no_offset():
    assert math.isnan(compare_spikes([(np.array([1]), np.array([0]))], 0).median)
