import itertools
import math

import pytest
import torch

from steps.config.schema import DecodeConfig
from steps.decoding.decode_set import decoder_of
from steps.decoding.label_search import label_search
from steps.heads.hmm import HmmHead, best_alignment
from steps.heads.registry import WRITING as ALL_WRITING
from steps.heads.shape import HeadShape
from steps.heads.transcripts import label_cross_entropy, transcribed
from steps.nnet.output import ModelOutput
from tests.models import F, V, batch, make

WRITING = [head for head in ALL_WRITING if head != "whisper_decoder"]  # which is not trained


@pytest.mark.parametrize("head", WRITING)
def test_the_loss_of_a_batch_is_the_sum_of_its_utterances(head):
    feats, feat_lens, labels = batch()
    labels = [*labels[:3], None, *labels[4:]]
    model = make("lstm", head).eval()
    with torch.inference_mode():
        total, count = model.heads[head].loss(model(feats, feat_lens), labels)
        alone = [
            model.heads[head].loss(model(feats[i : i + 1, :n], feat_lens[i : i + 1]), [labels[i]])
            for i, n in enumerate(feat_lens.tolist())
        ]
    assert float(total) == pytest.approx(sum(float(loss) for loss, _ in alone), rel=1e-4)
    assert count == sum(number for _, number in alone)


@pytest.mark.parametrize("head", WRITING)
def test_a_batch_without_transcripts_has_no_loss_and_a_gradient(head):
    feats, feat_lens, labels = batch()
    model = make("lstm", head)
    loss, count = model.heads[head].loss(model(feats, feat_lens), [None] * len(labels))
    loss.backward()
    assert (loss.item(), count) == (0.0, 0)


@pytest.mark.parametrize("head", WRITING)
def test_an_utterance_is_decoded_alike_alone_and_in_a_batch(head):
    feats, feat_lens, _ = batch()
    model = make("conformer", head).eval()
    for kind in ("greedy", "beam")[: 1 if head == "hmm" else 2]:
        decode = decoder_of(DecodeConfig(kind, beam_size=3, nbest=2), model)
        with torch.inference_mode():
            whole = decode(model(feats, feat_lens))
            for i, n in enumerate(feat_lens.tolist()):
                (alone,) = decode(model(feats[i : i + 1, :n], feat_lens[i : i + 1]))
                assert [h.ids for h in alone] == [h.ids for h in whole[i]]
                assert [h.score for h in alone] == pytest.approx([h.score for h in whole[i]], abs=1e-3)
                for a, b in zip(alone, whole[i], strict=True):
                    assert len(a.confidence) == len(a.ids) and all(0 < sure <= 1 for sure in a.confidence)
                    assert a.confidence == pytest.approx(b.confidence, abs=1e-3)


@pytest.mark.parametrize("predictor", ["stateless", "lstm"])
@pytest.mark.parametrize("tokens", [(1,), (2, 1), (1, 1)])
def test_the_transducers_loss_is_the_sum_over_all_paths(tokens, predictor):
    model = make("lstm", "transducer", predictor=predictor).eval()
    head = model.heads["transducer"]
    output = model(torch.randn(1, 8, F, generator=torch.Generator().manual_seed(1)), torch.tensor([8]))
    with torch.inference_mode():
        loss, count = head.loss(output, [tokens])
        encoded, predicted = head.enter(output.encoder_out)[0], head.predictor(torch.tensor([tokens]))[0]
        log_probs = head.join(encoded[:, None], predicted).log_softmax(-1)  # (U, L + 1, V)
    U, L, total = len(encoded), len(tokens), 0.0
    for places in itertools.combinations_with_replacement(range(U), L):  # the frame in which each token is written
        score, written = 0.0, 0
        for u in range(U):
            while written < L and places[written] == u:
                score += float(log_probs[u, written, tokens[written]])
                written += 1
            score += float(log_probs[u, written, 0])
        total += math.exp(score)
    assert (float(loss), count) == (pytest.approx(-math.log(total), rel=1e-4), L)


def test_the_collapsed_lattice_has_the_probabilities_of_next_token_blank_and_all_others():
    model = make("lstm", "transducer").eval()
    head, labels = model.heads["transducer"], [(1, 2, 2), (3,)]
    with torch.inference_mode():
        found = transcribed(model(torch.randn(2, 12, F), torch.tensor([12, 8])), labels)
        whole, collapsed = head.joint(found).softmax(-1), head.forced(found).exp()
    assert collapsed.shape == (*whole.shape[:-1], 3)
    assert torch.allclose(collapsed.sum(-1), torch.ones(collapsed.shape[:-1]), atol=1e-5)
    for n, tokens in enumerate(labels):
        for place, following in enumerate([*tokens, None]):
            for u in range(int(found.lengths[n])):
                p = whole[n, u, place]
                label = p[following] if following is not None else torch.tensor(0.0)
                expected = torch.stack((label, p[head.blank_id], 1 - label - p[head.blank_id]))
                assert torch.allclose(collapsed[n, u, place], expected, atol=1e-5)


def test_cross_entropy_counts_tokens_and_ends():
    logits = torch.randn(2, 4, V, generator=torch.Generator().manual_seed(0))
    output = ModelOutput(torch.zeros(2, 3, 1), torch.tensor([3, 3]), {})
    found = transcribed(output, [(1, 2, 3), (4,)])
    loss, count = label_cross_entropy(logits, found, 0, 0.0)
    log_probs = logits.log_softmax(-1)
    wanted = [(0, 0, 1), (0, 1, 2), (0, 2, 3), (0, 3, 0), (1, 0, 4), (1, 1, 0)]
    assert float(loss) == pytest.approx(-sum(float(log_probs[place]) for place in wanted), rel=1e-5)
    assert count == 6


@pytest.mark.parametrize("seed", range(6))
def test_the_alignment_is_the_best_of_all(seed):
    n, tokens, U = 2, (1, 2), 6
    head = HmmHead(HeadShape("hmm", 3, 4, 0), num_states=n)
    chain = head.chain(torch.tensor([tokens]))[0]
    scores = torch.randn(1, U, len(chain), generator=torch.Generator().manual_seed(seed))
    path = best_alignment(scores, torch.tensor([U]), torch.tensor([len(tokens)]), n)[0].tolist()
    best = max(
        (sum(float(scores[0, u, p]) for u, p in enumerate(places)), places)
        for places in itertools.product(range(len(chain)), repeat=U)
        if is_way(places, n, len(chain))
    )
    assert tuple(path) == best[1]


def is_way(places, n, count):
    """Whether places follow each other from left to right, and only silence is left out."""
    steps = [(0, places[0]), *itertools.pairwise(places)]
    jumps = all(b - a in (0, 1) or (b - a == 2 and (a + 1) % (n + 1) == 0) for a, b in steps[1:])
    return places[0] in (0, 1) and places[-1] in (count - 1, count - 2) and jumps


def test_a_flat_start_shares_frames_evenly():
    head = HmmHead(HeadShape("hmm", 3, 4, 0), num_states=2)
    path = head.even_path(torch.tensor([12, 6]), torch.tensor([2, 1]), 12)
    assert path[0].tolist() == [0, 0, 1, 1, 2, 2, 4, 4, 5, 5, 6, 6]
    assert path[1, :6].tolist() == [0, 0, 1, 2, 2, 3]


def test_the_bigram_is_that_of_the_transcripts():
    head = HmmHead(HeadShape("hmm", 3, 3, 0))
    head.learn_bigram([(1, 2), (1, 1)])
    expected = torch.tensor([[0.5, 2.5, 0.5], [1.5, 1.5, 1.5], [1.5, 0.5, 0.5]])
    assert torch.allclose(head.log_bigram.exp(), expected / expected.sum(1, keepdim=True))


@pytest.mark.parametrize("seed", range(6))
def test_viterbi_decoding_finds_the_best_of_all_ways(seed):
    from steps.decoding.viterbi import viterbi_search

    U = 5
    head = HmmHead(HeadShape("hmm", 3, 3, 0), num_states=2, acoustic_scale=0.7, lm_scale=1.3)
    head.learn_bigram([(1, 2, 1), (2, 2), (1,)])
    logits = torch.randn(1, U, 5, generator=torch.Generator().manual_seed(seed)) * 2
    ((found,),) = viterbi_search(ModelOutput(logits, torch.tensor([U]), {"hmm": logits}), head)
    scores, best = (logits[0].log_softmax(-1) - head.log_prior) * 0.7, (-math.inf, None)
    for size in range(4):
        for tokens in itertools.product((1, 2), repeat=size):
            chain = head.chain(torch.tensor([tokens], dtype=torch.long).view(1, size))[0].tolist()
            path = (0, *tokens, 0)
            lm = 1.3 * sum(float(head.log_bigram[a, b]) for a, b in itertools.pairwise(path))
            for places in itertools.combinations_with_replacement(range(len(chain)), U):
                if is_way(places, 2, len(chain)):
                    score = lm + sum(float(scores[u, chain[p]]) for u, p in enumerate(places))
                    best = max(best, (score, tokens))
    assert (found.score, tuple(found.ids)) == (pytest.approx(best[0], abs=1e-4), best[1])


@pytest.mark.parametrize("encoder", ["conformer", "lstm"])
@pytest.mark.parametrize("head", WRITING)
def test_a_head_learns_from_an_encoder_in_bf16(encoder, head):
    feats, feat_lens, labels = batch()
    model = make(encoder, head).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(feats, feat_lens)
    loss, _ = model.heads[head].loss(output, labels)
    loss.backward()
    assert math.isfinite(loss.item()) and all(torch.isfinite(p.grad).all() for p in model.heads.parameters())


def test_frames_are_shared_out_by_what_is_likely_now_not_by_an_old_prior():
    """A model that calls most of a word silence gives it its frames back, and does not end in silence alone."""
    model = make("lstm", "hmm", num_states=1).train()
    head = model.heads["hmm"]
    log_probs = torch.full((1, 20, V), 0.01).index_fill(2, torch.tensor([0]), 0.9)
    log_probs[0, 8:14, 0], log_probs[0, 8:14, 2] = 0.75, 0.2
    output = ModelOutput(torch.zeros(1, 20, 24), torch.tensor([20]), {"hmm": log_probs.log()})
    chosen = []
    for prior in (head.log_prior, head.prior_of(output.log_probs("hmm"), output.lengths)):
        chain = head.chain(torch.tensor([[2]]))
        scores = (output.log_probs("hmm") - prior).gather(-1, chain[:, None].expand(-1, 20, -1))
        path = best_alignment(scores, output.lengths, torch.tensor([1]), 1)
        chosen.append(int((chain.gather(1, path) == 2).sum()))
    assert chosen == [1, 6]


class MadeUp:
    """A head whose scores depend on the tokens so far and on what the encoder says of the utterance."""

    end_id = 0

    def start(self, encoder_out, lengths):
        return {"encoder_out": encoder_out}

    def step(self, tokens, state):
        places = state["encoder_out"][:, 0, 0].int().tolist()
        seeds = [hash((*row, x)) % 2**31 for row, x in zip(tokens.tolist(), places, strict=True)]
        rows = [torch.randn(4, generator=torch.Generator().manual_seed(seed)) * 3 for seed in seeds]
        return torch.stack(rows).log_softmax(-1), state


def test_a_label_search_finds_the_same_beside_longer_utterances():
    for i in range(60):
        encoder_out = torch.tensor([float(i), -1.0]).view(2, 1, 1).expand(2, 12, 1)
        both = label_search(ModelOutput(encoder_out, torch.tensor([6, 12]), {}), MadeUp(), 4, 4)
        alone = label_search(ModelOutput(encoder_out[:1, :6], torch.tensor([6]), {}), MadeUp(), 4, 4)
        assert [h.ids for h in both[0]] == [h.ids for h in alone[0]]


@pytest.mark.parametrize("num_frames", [0, 1, 10])
def test_an_utterance_in_which_viterbi_decoding_finds_no_token_is_empty(num_frames):
    from steps.decoding.viterbi import viterbi_search

    head = HmmHead(HeadShape("hmm", 3, 3, 0), num_states=2)
    head.learn_bigram([(1, 2)])
    logits = torch.zeros(1, max(num_frames, 1), 5)
    logits[..., 0] = 50.0  # silence
    ((found,),) = viterbi_search(ModelOutput(logits, torch.tensor([num_frames]), {"hmm": logits}), head)
    assert (list(found.ids), found.confidence) == ([], [])
