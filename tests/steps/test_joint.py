import itertools
import math

import pytest
import torch

from steps.config.schema import DecodeConfig
from steps.decoding.decode_set import decoder_of
from steps.decoding.greedy import spikes
from steps.decoding.joint import JointHead
from steps.decoding.label_search import label_search
from steps.heads.ctc import CtcHead
from steps.heads.shape import HeadShape
from steps.nnet.model import Recogniser
from steps.nnet.output import ModelOutput
from utils.jobs.errors import UsageError

U, V = 4, 3  # frames, and tokens with the blank


class Even(torch.nn.Module):
    """An attention decoder that has no opinion."""

    end_id = 0

    def start(self, encoder_out, lengths):
        return {}

    def step(self, tokens, state):
        return torch.full((len(tokens), V), -math.log(V)), state


def ctc_head():
    """One that says what the encoder's states are."""
    head = CtcHead(HeadShape("ctc", V, V, 0))
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(V))
        head.linear.bias.zero_()
    return head


def states(seed=0, batch=1):
    return torch.randn(batch, U, V, generator=torch.Generator().manual_seed(seed))


def labellings(encoder_out):
    """The probability of each labelling of (U, V), by enumeration of all paths."""
    found = {}
    probabilities = encoder_out.double().softmax(-1)
    for path in itertools.product(range(V), repeat=len(encoder_out)):
        ids = tuple(token for token, _ in spikes(torch.tensor(path).numpy(), 0))
        found[ids] = found.get(ids, 0.0) + math.prod(float(probabilities[u, t]) for u, t in enumerate(path))
    return found


@pytest.mark.parametrize("ids", [(), (1,), (2, 1), (1, 1), (1, 2, 1), (2, 2, 1)])
@torch.inference_mode()
def test_scores_are_those_of_all_labellings_that_begin_so(ids):
    encoder_out = states()
    truth = labellings(encoder_out[0])
    head = JointHead(Even(), ctc_head(), 1.0)
    state, total = head.start(encoder_out, torch.tensor([U])), 0.0
    for n in range(len(ids) + 1):
        scores, state = head.step(torch.tensor([ids[:n]], dtype=torch.long), state)
        for token in range(1, V):
            wanted = sum(p for found, p in truth.items() if found[: n + 1] == (*ids[:n], token))
            found = math.exp(min(total + float(scores[0, token]), 0.0))
            assert found == pytest.approx(wanted, abs=1e-6)
        assert math.exp(min(total + float(scores[0, 0]), 0.0)) == pytest.approx(truth.get(ids[:n], 0.0), abs=1e-6)
        total += float(scores[0, ids[n]]) if n < len(ids) else 0.0


@pytest.mark.parametrize("seed", range(5))
@torch.inference_mode()
def test_with_all_weight_the_likeliest_labellings_of_ctc_are_found(seed):
    encoder_out, lengths = states(seed, 2), torch.tensor([U, U - 1])
    found = label_search(ModelOutput(encoder_out, lengths, {}), JointHead(Even(), ctc_head(), 1.0), 30, 30)
    for b, n in enumerate(lengths.tolist()):
        truth = labellings(encoder_out[b, :n])
        scores = {tuple(h.ids): h.score for h in found[b]}
        assert scores.keys() <= truth.keys() and len(scores) >= 8
        for ids, score in scores.items():
            assert score == pytest.approx(math.log(truth[ids]), abs=1e-4)
        by_token = {ids: math.log(p) / (len(ids) + 1) for ids, p in truth.items()}
        assert tuple(found[b][0].ids) == max(by_token, key=by_token.get)


@torch.inference_mode()
def test_a_hypothesis_has_the_weighted_sum_of_both_scores():
    encoder_out = states(1)
    truth = labellings(encoder_out[0])
    found = label_search(ModelOutput(encoder_out, torch.tensor([U]), {}), JointHead(Even(), ctc_head(), 0.3), 8, 8)[0]
    for h in found:
        decoder = -math.log(V) * (len(h.ids) + 1)
        assert h.score == pytest.approx(0.7 * decoder + 0.3 * math.log(truth[tuple(h.ids)]), abs=1e-4)


@pytest.mark.parametrize("kind", ["greedy", "beam"])
@pytest.mark.parametrize("head", ["las", "transformer_decoder"])
@torch.inference_mode()
def test_attention_decoders_write_with_ctc(head, kind):
    heads = {head: {"dim": 16}, "ctc": {}}
    torch.manual_seed(0)
    model = Recogniser({"encoder": "lstm", "dim": 8}, 6, V, 10.0, heads=heads).eval()
    output = model(torch.randn(2, 40, 6), torch.tensor([40, 0]))
    for weight in (0.0, 0.4, 1.0):
        found = decoder_of(DecodeConfig(kind, ctc_weight=weight), model)(output)
        assert all(len(h.confidence) == len(h.ids) for nbest in found for h in nbest) and found[1][0].ids == []
    only = Recogniser({"encoder": "lstm", "dim": 8}, 6, V, 10.0, heads={head: {"dim": 16}})
    with pytest.raises(UsageError, match=f"beside the head {head} there is no CTC of the same tokens"):
        decoder_of(DecodeConfig(kind, ctc_weight=0.4), only)
