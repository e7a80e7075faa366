"""Teachers and students with other frames or tokens, and several teachers."""

import math
from types import SimpleNamespace

import pytest
import torch

from steps.config.build import build_distill
from steps.distillation.bridges import FrameMap, TokenMap, map_tokens
from steps.distillation.sources import Average, Bridge, Ensemble, Heard, best_of, mean_of
from steps.distillation.targets import HiddenStates, Posteriors, from_logits
from steps.nnet.model import Recogniser
from steps.nnet.output import ModelOutput
from steps.tokens.token_table import TokenTable
from steps.training.examples import Example
from steps.training.teachers import Student, check_lengths
from steps.training.terms import make_term
from utils.jobs.errors import DataError, StaleError

V = 4


def target_of(paths, height=5.0, num_tokens=V):
    """Posteriors with these best paths, padded."""
    lengths = torch.tensor([len(path) for path in paths])
    logits = torch.zeros(len(paths), int(lengths.max()), num_tokens)
    for b, path in enumerate(paths):
        for u, token in enumerate(path):
            logits[b, u, token] = height
    return from_logits(logits, lengths, 0)


def path_of(target, row=0):
    return target.top()[row, : int(target.lengths[row])].tolist()


@pytest.mark.parametrize(
    ("teacher_ms", "student_ms", "path", "mapped"),
    [
        (40, 80, [0, 1, 0, 0, 2, 0, 3], [1, 0, 2, 3]),
        (20, 60, [0, 0, 1, 1, 0, 0, 0, 0, 0, 2], [1, 1, 0, 2]),
        (40, 20, [0, 1, 2], [0, 0, 1, 1, 2, 2]),
        (40, 60, [1, 0, 0, 2, 0, 0], [1, 0, 2, 0]),
        (60, 40, [1, 2], [1, 2, 2]),
        (40, 40, [0, 1, 2], [0, 1, 2]),
    ],
)
def test_frames_are_mapped_by_time_and_spikes_survive(teacher_ms, student_ms, path, mapped):
    found = FrameMap(teacher_ms, student_ms).posteriors(target_of([path]))
    assert path_of(found) == mapped
    assert torch.allclose(found.log_probs.exp().sum(-1), torch.ones(1, len(mapped)))


@pytest.mark.parametrize(("teacher_ms", "student_ms"), [(20, 40), (40, 20), (30, 40), (20, 60)])
@pytest.mark.parametrize("has_blank", [True, False])
def test_a_mapped_batch_holds_its_mapped_utterances(teacher_ms, student_ms, has_blank):
    paths = [[0, 1, 0, 2, 2, 0, 3], [1, 2, 0], [3]]
    bridge = FrameMap(teacher_ms, student_ms, has_blank)
    whole = bridge.posteriors(target_of(paths))
    states = bridge.states(HiddenStates(target_of(paths).log_probs, target_of(paths).lengths))
    for b, path in enumerate(paths):
        alone = bridge.posteriors(target_of([path]))
        n = int(alone.lengths[0])
        assert n == int(whole.lengths[b]) == math.ceil(len(path) * teacher_ms / student_ms)
        assert torch.allclose(whole.log_probs[b, :n], alone.log_probs[0], atol=1e-6)
        own = bridge.states(HiddenStates(target_of([path]).log_probs, torch.tensor([len(path)])))
        assert torch.allclose(states.states[b, :n], own.states[0], atol=1e-6)


def test_states_and_hmm_posteriors_of_several_frames_are_averaged():
    target = target_of([[0, 1, 2, 2]])
    found = FrameMap(20, 40, has_blank=False).posteriors(target)
    expected = target.log_probs.exp().view(1, 2, 2, V).mean(2)
    assert torch.allclose(found.log_probs.exp(), expected, atol=1e-6)
    states = FrameMap(20, 40).states(HiddenStates(target.log_probs, target.lengths))
    assert torch.allclose(states.states, target.log_probs.view(1, 2, 2, V).mean(2))


def test_a_sparse_target_is_mapped_as_its_dense_form():
    dense = target_of([[0, 1, 0, 2]], height=3.0)
    log_probs, ids = dense.log_probs.topk(2)
    rest = (1 - log_probs.exp().sum(-1)).log()
    sparse = Posteriors(log_probs, ids, rest, dense.lengths, V, 0)
    mapped = [FrameMap(20, 40).posteriors(x).log_probs for x in (sparse, dense)]
    assert torch.allclose(*mapped, atol=1e-5)


PHONES = TokenTable(("<blk>", "AA", "B", "S"), "phone")


def fine(*tokens):
    return TokenTable(("<blk>", *tokens), "phone")


@pytest.mark.parametrize(
    "tokens", [("S", "B", "AA"), ("AA0", "AA1", "B", "S"), ("AA1_B", "AA0_E", "B_I", "S_S"), ("aa", "b", "s")]
)
def test_finer_tokens_are_added_up(tmp_path, tokens):
    table = fine(*tokens)
    bridge = map_tokens(tmp_path, table, 0, PHONES, 0)
    names = [PHONES.tokens[i] for i in bridge.index.tolist()]
    assert names[0] == "<blk>" and [name[0] for name in names[1:]] == [token[0].upper() for token in tokens]
    target = from_logits(torch.randn(2, 3, len(table.tokens)), torch.tensor([3, 2]), 0)
    found = bridge.posteriors(target)
    assert found.num_tokens == 4 and torch.allclose(found.log_probs.exp().sum(-1), torch.ones(2, 3))
    parts = [i for i, name in enumerate(names) if name == "AA"]
    assert torch.allclose(found.log_probs[..., 1].exp(), target.log_probs[..., parts].exp().sum(-1))


@pytest.mark.parametrize(
    ("teacher", "student", "why"),
    [
        (TokenTable(("<blk>", "a", "b"), "char"), PHONES, "are of unit char, the student's of unit phone"),
        (TokenTable(("<blk>", "a"), "bpe"), TokenTable(("<blk>", "a", "ab"), "bpe"), "the student's of another bpe"),
        (fine("AA", "ZH"), PHONES, r"1 of the teacher's 3 tokens have no place among the student's \('ZH'\)"),
    ],
)
def test_where_no_bridge_is_sound_one_line_says_why(tmp_path, teacher, student, why):
    with pytest.raises(StaleError, match=why + ".*no bridge frame by frame"):
        map_tokens(tmp_path, teacher, 0, student, 0)


def test_a_file_says_which_token_is_which(tmp_path):
    path = tmp_path / "map"
    path.write_text("AA AA\nAO AA\nB B\n")
    found = map_tokens(tmp_path, fine("AO", "AA", "B"), 0, PHONES, 0, str(path))
    assert found.index.tolist() == [0, 1, 1, 2]
    with pytest.raises(StaleError, match="no place among the student's.*in .*map"):
        map_tokens(tmp_path, fine("AO", "AA", "B", "S"), 0, PHONES, 0, str(path))
    with pytest.raises(DataError, match="'AO' is none of the teacher's tokens"):
        map_tokens(tmp_path, fine("AA", "B"), 0, PHONES, 0, str(path))


def test_a_blank_goes_to_the_students_blank():
    bridge = TokenMap(torch.tensor([1, 0]), 2, 1)
    found = bridge.posteriors(target_of([[0, 1]], num_tokens=2))
    assert found.blank_id == 1 and path_of(found) == [1, 0]


OUTPUT = ModelOutput(torch.zeros(1, 1, 1), torch.tensor([1]), {})


def heard(update=0, labels=None):
    return Heard(["a"], labels or [None], torch.zeros(1, 1, 1), torch.tensor([1]), update)


def test_the_mean_of_two_teachers_is_that_of_their_probabilities():
    pair = [target_of([[0, 1, 2]]), target_of([[0, 2, 2]])]
    found = mean_of(pair, [0.25, 0.75])
    expected = 0.25 * pair[0].log_probs.exp() + 0.75 * pair[1].log_probs.exp()
    assert torch.allclose(found.log_probs.exp(), expected) and path_of(found) == [0, 2, 2]


def test_the_best_teacher_of_an_utterance_has_the_fewest_errors_or_is_the_surest():
    first, second = target_of([[0, 1, 2], [0, 1, 0]], height=9.0), target_of([[0, 2, 2], [0, 0, 1]], height=2.0)
    assert [path_of(best_of([first, second], [None, None]), b) for b in range(2)] == [[0, 1, 2], [0, 1, 0]]
    known = best_of([first, second], [(2,), (1,)])
    assert [path_of(known, b) for b in range(2)] == [[0, 2, 2], [0, 1, 0]]


def test_one_of_several_teachers_is_drawn_for_each_batch():
    drawn = [Ensemble([lambda *_: "a", lambda *_: "b"], "sampled", [0.5, 0.5])(heard(u), OUTPUT) for u in range(200)]
    assert 60 < drawn.count("a") < 140
    again = [Ensemble([lambda *_: "a", lambda *_: "b"], "sampled", [0.5, 0.5])(heard(u), OUTPUT) for u in range(200)]
    assert drawn == again


def test_an_average_of_the_student_follows_it_slowly():
    model = Recogniser({"encoder": "lstm", "dim": 4}, 3, V, 10.0)
    average = Average(model, 0.9)
    start = model.heads["ctc"].linear.bias.detach().clone()
    with torch.no_grad():
        model.heads["ctc"].linear.bias += 1.0
    for update in range(1000, 1005):
        average.follow(model, update)
    moved = average.model.heads["ctc"].linear.bias - start
    assert torch.allclose(moved, torch.full((V,), 1 - 0.9**5), atol=1e-5)
    assert not average.model.training and not any(p.requires_grad for p in average.model.parameters())


@pytest.mark.parametrize(("theirs", "ours"), [(4, 1), (8, 3), (6, 4), (2, 4), (3, 3)])
def test_stored_labels_may_differ_by_a_frame_of_the_slower_one(theirs, ours):
    model = Recogniser({"encoder": "lstm", "dim": 4, "subsampling": ours}, 4, 3, 10.0)
    bridge = Bridge(FrameMap(10.0 * theirs, 10.0 * ours) if theirs != ours else None)
    for T in range(100, 130):
        example = Example("a", "", T, None)
        store = SimpleNamespace(num_rows=lambda _, T=T: -(-T // theirs))
        check_lengths("x", store, [example], model, bridge)
        more = SimpleNamespace(num_rows=lambda _, T=T: -(-T // theirs) + 3 + ours)
        with pytest.raises(StaleError, match="stored frames, the student"):
            check_lengths("x", more, [example], model, bridge)


def test_utterances_without_a_frame_teach_nothing(tmp_path):
    model = Recogniser({"encoder": "lstm", "dim": 4}, 4, 3, 10.0)
    student = Student(SimpleNamespace(heads={"ctc": {"type": "ctc"}}), model, {}, "cpu", 0)
    examples = [Example(f"u{frames}", "", frames, None) for frames in (0, 9)]
    settings = build_distill({"loss": "frame_kl", "source": "ema"}, "test")
    assert make_term(None, settings, tmp_path, examples, student, {}).utt_ids == {"u9"}
