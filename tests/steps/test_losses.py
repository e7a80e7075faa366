"""What holds of every distillation loss in the registry."""

import ast
import math
import re

import pytest
import torch

from steps.config.signature import settings_of
from steps.distillation.targets import HiddenStates, Lattice, Posteriors, from_logits
from steps.distillation.transcripts import Transcripts
from steps.heads.ctc import CtcHead
from steps.heads.shape import HeadShape
from steps.losses.registry import KINDS, LOSSES, find_loss, loss_file
from steps.losses.shape import LossShape
from steps.nnet.output import ModelOutput, is_frame

B, U, V, D, L = 3, 9, 6, 5, 4
LENGTHS, SIZES = torch.tensor([9, 6, 2]), torch.tensor([4, 2, 1])
NUM_CODEBOOKS, CODEBOOK_SIZE = 5, 7


def randn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ctc_head():
    return CtcHead(HeadShape("ctc", D, V, 0))


class Case:
    """One loss on a random batch: the student's tensor that it looks at, and what it makes of it."""

    def __init__(self, name, **settings):
        self.name, self.kind = name, LOSSES[name][1]
        loss, self.unit = find_loss(name)
        if isinstance(loss, type):
            torch.manual_seed(0)
            shape = LossShape(D, D, V, NUM_CODEBOOKS, CODEBOOK_SIZE)
            self.loss = loss(shape, **settings)
        else:
            self.loss = lambda output, target: loss(output, target, **settings)
        self.settings = settings
        self.is_hidden = self.kind == "hidden_codes" or name == "inner_kl"

    def student(self, seed=0):
        """The tensor that varies."""
        if self.is_hidden:
            return randn(seed, B, U, D)
        return {"token_topk": randn(seed, B, L + 1, V), "lattice": randn(seed, B, U, L + 1, 3)}.get(
            self.kind, 2 * randn(seed, B, U, V)
        )

    def output(self, x):
        """What the student says."""
        if self.is_hidden:
            return ModelOutput(x, LENGTHS, {"ctc": randn(9, B, U, V)}, [x])
        return ModelOutput(randn(9, B, U, D), LENGTHS, {"ctc": x, "las": x, "transducer": x})

    def target(self, x):
        """The target of a teacher whose tensor this is."""
        if self.kind == "hidden_codes":
            codes = torch.randint(CODEBOOK_SIZE, (B, U, NUM_CODEBOOKS), generator=torch.Generator().manual_seed(3))
            return HiddenStates(x, LENGTHS, codes)
        if self.kind == "frame_topk":
            return from_logits(x if not self.is_hidden else 3 * randn(4, B, U, V), LENGTHS, 0)
        if self.kind == "token_topk":
            return from_logits(x, SIZES + 1, 0, "las")
        if self.kind == "lattice":
            return Lattice(x.log_softmax(-1), LENGTHS, SIZES)
        return Transcripts([(1, 2), (3, 3), None], ctc_head().loss)

    def mask(self):
        """True where the student's tensor is more than padding."""
        frames = is_frame(LENGTHS, U)
        if self.kind == "token_topk":
            return is_frame(SIZES + 1, L + 1)[..., None]
        if self.kind == "lattice":
            return (frames[..., None] & is_frame(SIZES + 1, L + 1)[:, None])[..., None]
        return frames[..., None]

    def __call__(self, x, target=None):
        return self.loss(self.output(x), self.target(self.student(1)) if target is None else target)


CASES = [(name, {}) for name in LOSSES] + [
    ("frame_kl", {"divergence": "reverse"}),
    ("frame_kl", {"divergence": "jensen_shannon", "temperature": 2.0}),
    ("frame_kl", {"divergence": "reverse", "top_k": 3}),
    ("decoupled_kl", {"others_weight": 4.0, "temperature": 2.0, "blank": "drop"}),
    ("decoupled_kl", {"delay_frames": 2}),
    ("codebook", {"per_frame": 1}),
    ("codebook", {"per_frame": 0}),
    ("hint", {"distance": "cosine"}),
    ("inner_kl", {"temperature": 2.0, "blank": "drop"}),
    ("token_kl", {"temperature": 2.0}),
    ("tolerant_ctc", {"early_frames": 0, "late_frames": 0}),
    ("tolerant_ctc", {"early_frames": 9, "late_frames": 9}),
]
IDS = [name + "".join(f"-{value}" for value in settings.values()) for name, settings in CASES]


def losses_where(holds):
    """The cases for which `holds(name, settings)`."""
    chosen = [(case, case_id) for case, case_id in zip(CASES, IDS, strict=True) if holds(*case)]
    return pytest.mark.parametrize(("name", "settings"), [case for case, _ in chosen], ids=[i for _, i in chosen])


every_loss = losses_where(lambda name, settings: True)
NOT_ZERO_AT_EQUALITY = ("codebook", "pseudo_labels", "tolerant_ctc")  # by themselves
OF_A_MAP = ("hint", "inner_kl")  # which compare what they make of the student's states


def test_every_file_of_losses_is_in_the_registry():
    files = {path.stem for path in loss_file("x").parent.glob("*.py")}
    assert files - {"__init__", "registry", "shape"} == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_says_its_unit_its_source_and_its_value_at_equality(name):
    loss, unit = find_loss(name)
    text = f"{loss.__doc__} {getattr(loss, 'forward', loss).__doc__}"
    assert unit and ("equality" in text or "0 where" in text)
    source = f"{ast.get_docstring(ast.parse(loss_file(name).read_text()))} {text}"
    assert re.search(r"[A-Z][a-z]+ .*\b(19|20)\d\d\b", source, re.DOTALL), "no author and year"
    settings_of(loss_file(name), LOSSES[name][0])
    assert LOSSES[name][1] in KINDS


@every_loss
def test_its_gradient_equals_finite_differences(name, settings):
    case = Case(name, **settings)
    x = case.student().requires_grad_()
    total, _ = case(x)
    total.backward()
    step = 1e-2
    for seed in range(3):
        way = randn(seed + 5, *x.shape) * case.mask()
        ahead, behind = (float(case(x.detach() + sign * step * way)[0].detach()) for sign in (1, -1))
        found = float((x.grad * way).sum())
        assert found == pytest.approx((ahead - behind) / (2 * step), rel=0.02, abs=2e-2), seed


@every_loss
def test_padding_changes_nothing_and_gets_no_gradient(name, settings):
    case = Case(name, **settings)
    x = case.student()
    target = case.target(case.student(1))
    before = case(x, target)
    moved = torch.where(case.mask(), x, 50 * randn(7, *x.shape)).requires_grad_()
    after = case(moved, target)
    assert float(after[0].detach()) == pytest.approx(float(before[0].detach()), rel=1e-5)
    assert int(after[1]) == int(before[1]) > 0
    after[0].backward()
    assert not moved.grad.masked_fill(case.mask(), 0.0).any()


@losses_where(lambda name, _: LOSSES[name][1] != "transcripts" and name != "inner_kl")
def test_what_the_teacher_says_on_padding_changes_nothing(name, settings):
    case = Case(name, **settings)
    x, theirs = case.student(), case.student(1)
    other = torch.where(case.mask(), theirs, 9 * randn(8, *theirs.shape))
    assert float(case(x, case.target(other))[0]) == pytest.approx(float(case(x, case.target(theirs))[0]), rel=1e-5)


@losses_where(
    lambda name, settings: (
        name not in (*NOT_ZERO_AT_EQUALITY, *OF_A_MAP) and not {"delay_frames", "top_k"} & settings.keys()
    )
)
def test_a_student_that_equals_its_teacher_has_no_loss(name, settings):
    case = Case(name, **settings)
    x = case.student().requires_grad_()
    target = case.target(x.detach())
    total, _ = case(x, target)
    total.backward()
    assert abs(float(total.detach())) < 1e-4 and x.grad.abs().max() < 1e-4


@losses_where(lambda name, _: name in OF_A_MAP)
def test_a_student_whose_map_gives_what_the_teacher_says_has_no_loss(name, settings):
    case = Case(name, **settings)
    x = case.student().requires_grad_()
    said = case.loss.linear(x).detach()
    if name == "hint":
        with torch.no_grad():  # a map to what is scaled to mean 0 and variance 1 already
            case.loss.linear.weight.copy_(torch.eye(D))
            case.loss.linear.bias.zero_()
        x = torch.nn.functional.layer_norm(x.detach(), (D,), eps=1e-12).requires_grad_()
        target = case.target(x.detach())
    else:
        target = from_logits(said, LENGTHS, 0)
    total, _ = case(x, target)
    total.backward()
    assert abs(float(total.detach())) < 1e-3 and x.grad.abs().max() < 1e-3


def test_at_equality_the_teachers_own_alignment_is_one_of_those_that_tolerant_ctc_sums():
    case = Case("tolerant_ctc")
    x = torch.zeros(B, U, V)  # each label in one frame, blanks between
    for u in range(0, U, 2):
        x[:, u, 1 + u // 2 % (V - 1)] = 4.0
    x[:, 1::2, 0] = 4.0
    silence = float(-(x.log_softmax(-1)[:, 1::2, 0] * is_frame(LENGTHS, U)[:, 1::2]).sum())
    total = float(case(x, case.target(x))[0])
    assert total < silence and float(Case("tolerant_ctc", early_frames=0, late_frames=0)(x, case.target(x))[0]) > 0


HOT = 40.0


@pytest.mark.parametrize(
    ("name", "settings", "factor"),
    [
        ("frame_kl", {}, 1.0),
        ("frame_kl", {"divergence": "reverse"}, 1.0),
        ("frame_kl", {"divergence": "jensen_shannon"}, 0.25),
        ("decoupled_kl", {"others_weight": 1 - 1 / V}, 1.0),  # where all are alike these are its weights in frame_kl
        ("token_kl", {}, 1.0),
        ("inner_kl", {}, 1.0),
    ],
)
def test_at_a_high_temperature_logits_are_compared(name, settings, factor):
    case = Case(name, temperature=HOT, **settings)
    x, theirs = case.student(), case.student(1)
    ours = x
    if name == "inner_kl":
        ours, theirs = case.loss.linear(x).detach(), 3 * randn(4, B, U, V)
    target = from_logits(theirs, SIZES + 1, 0, "las") if name == "token_kl" else from_logits(theirs, LENGTHS, 0)
    gap = (ours - theirs) - (ours - theirs).mean(-1, keepdim=True)
    expected = factor * float((0.5 * (gap**2).mean(-1, keepdim=True)).masked_fill(~case.mask(), 0.0).sum())
    assert float(case(x, target)[0].detach()) == pytest.approx(expected, rel=0.05)


def test_a_decoder_learns_the_teachers_doubts_and_not_its_best_token_alone():
    case = Case("token_kl")
    theirs = case.student(1)
    x = torch.zeros_like(theirs).requires_grad_()
    for _ in range(300):
        (grad,) = torch.autograd.grad(case(x, case.target(theirs))[0], x)
        x = (x - 2.0 * grad).detach().requires_grad_()
    gap = (x.softmax(-1) - theirs.softmax(-1)).abs().masked_fill(~case.mask(), 0.0)
    assert float(gap.max()) < 0.01


def test_a_lower_layer_learns_and_its_teacher_does_not():
    case = Case("inner_kl")
    x = case.student().requires_grad_()
    teacher = (3 * randn(4, B, U, V)).requires_grad_()
    output = ModelOutput(x, LENGTHS, {"ctc": teacher}, [x])
    total, _ = case.loss(output, from_logits(teacher.detach(), LENGTHS, 0))
    total.backward()
    assert x.grad.abs().sum() > 0 and teacher.grad is None


@losses_where(lambda name, _: LOSSES[name][1] == "hidden_codes" or name == "inner_kl")
def test_states_of_half_precision_are_compared_too(name, settings):
    case = Case(name, **settings)
    x = case.student()
    output = case.output(x)
    half = ModelOutput(x.bfloat16(), LENGTHS, output.logits, [x.bfloat16()])
    target = case.target(case.student(1))
    assert float(case.loss(half, target)[0].detach()) == pytest.approx(float(case(x, target)[0].detach()), rel=0.03)


@every_loss
def test_it_falls_when_the_student_follows_it(name, settings):
    case = Case(name, **settings)
    x = case.student().requires_grad_()
    first = None
    for _ in range(30):
        total, count = case(x)
        loss = total / count
        first = first if first is not None else float(loss.detach())
        (grad,) = torch.autograd.grad(loss, x)
        x = (x - 0.5 * grad).detach().requires_grad_()
    assert float((case(x)[0] / case(x)[1]).detach()) < first


def split(case, x, b):
    """One utterance of a batch without padding: (output, target)."""
    n, size = int(LENGTHS[b]), int(SIZES[b])
    output, target = case.output(x), case.target(case.student(1))
    logits = {key: value[b : b + 1] for key, value in output.logits.items()}
    if case.kind == "token_topk":
        logits = {key: value[:, : size + 1] for key, value in logits.items()}
    else:
        logits = {key: value[:, :n] for key, value in logits.items()}
    if case.kind == "lattice":
        logits = {key: value[:, :, : size + 1] for key, value in logits.items()}
    alone = ModelOutput(
        output.encoder_out[b : b + 1, :n], LENGTHS[b : b + 1], logits, [h[b : b + 1, :n] for h in output.hidden]
    )
    if isinstance(target, Transcripts):
        return alone, Transcripts(target.labels[b : b + 1], target.learn)
    if isinstance(target, HiddenStates):
        return alone, HiddenStates(target.states[b : b + 1, :n], LENGTHS[b : b + 1], target.codes[b : b + 1, :n])
    if isinstance(target, Lattice):
        return alone, Lattice(target.log_probs[b : b + 1, :n, : size + 1], LENGTHS[b : b + 1], SIZES[b : b + 1])
    end = int(target.lengths[b])
    return alone, Posteriors(
        target.log_probs[b : b + 1, :end], None, None, target.lengths[b : b + 1], V, 0, target.head
    )


@every_loss
def test_a_batch_has_the_sum_of_its_utterances(name, settings):
    case = Case(name, **settings)
    x = case.student()
    parts = [case.loss(*split(case, x, b)) for b in range(B)]
    total, count = case(x)
    assert float(total) == pytest.approx(sum(float(part) for part, _ in parts), rel=1e-4)
    assert int(count) == sum(int(n) for _, n in parts)


@pytest.mark.parametrize("per_frame", [0, 1, 2, 3, 5, 8])
def test_each_frame_compares_the_codebooks_of_its_turn(per_frame):
    case = Case("codebook", per_frame=per_frame)
    x = case.student()
    target = case.target(x)
    states, turns = case.output(x).layer(0), case.loss.turns
    expected = 0.0
    for b in range(B):
        for u in range(int(LENGTHS[b])):
            turn = u % turns
            logits = states[b, u] @ case.loss.maps[turn] + case.loss.bias[turn, 0]
            compared = [(n, n // turns) for n in range(turn, NUM_CODEBOOKS, turns)]
            for n, row in compared:
                log_probs = logits[row * CODEBOOK_SIZE : (row + 1) * CODEBOOK_SIZE].log_softmax(0)
                expected -= float(log_probs[target.codes[b, u, n]].detach()) / len(compared)
    total, count = case(x, target)
    assert float(total.detach()) == pytest.approx(expected, rel=1e-5)
    assert int(count) == int(LENGTHS.sum())


def test_the_value_of_codebooks_is_between_0_and_that_of_a_guess():
    case = Case("codebook")
    for weights in case.loss.parameters():
        torch.nn.init.zeros_(weights)
    total, count = case(case.student())
    assert float(total / count) == pytest.approx(math.log(CODEBOOK_SIZE))
