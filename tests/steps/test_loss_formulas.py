"""What losses are by hand, from formulas or on small numbers."""

import numpy as np
import pytest
import torch

from steps.distillation.targets import HiddenStates, Lattice, from_logits
from steps.losses.attention_transfer import attention_transfer
from steps.losses.decoupled_kl import decoupled_kl
from steps.losses.frame_kl import frame_kl
from steps.losses.hint import Hint
from steps.losses.inner_kl import InnerKl
from steps.losses.lattice_kl import lattice_kl
from steps.losses.shape import LossShape
from steps.losses.similarity import similarity
from steps.losses.token_kl import token_kl
from steps.nnet.output import ModelOutput

B, U, V, D = 2, 5, 6, 4
LENGTHS = torch.tensor([5, 3])


def randn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kl(p, q, T=1.0):
    """(..., V) logits -> (...) KL in float64."""
    p, q = (torch.softmax(x.double() / T, -1) for x in (p, q))
    return (p * (p / q).log()).sum(-1)


def heard(values):
    return float(sum(values[b, :n].sum() for b, n in enumerate(LENGTHS.tolist())))


@pytest.mark.parametrize("settings", [{}, {"temperature": 2.0}, {"blank": "drop"}])
def test_inner_kl_is_frame_kl_of_what_its_map_says(settings):
    lower, upper, teacher = randn(0, B, U, D), randn(1, B, U, D), 3 * randn(2, B, U, V)
    loss = InnerKl(LossShape(D, 0, V), student_layer=1, **settings)
    target = from_logits(teacher, LENGTHS, 0)
    expected = frame_kl(ModelOutput(upper, LENGTHS, {"ctc": loss.linear(lower)}), target, **settings)
    found = loss(ModelOutput(upper, LENGTHS, {}, [lower]), target)
    assert float(found[0].detach()) == pytest.approx(float(expected[0].detach()), rel=1e-5) and found[1] == expected[1]


@pytest.mark.parametrize("T", [1.0, 3.0])
def test_token_kl_is_the_plain_formula(T):
    student, teacher = 2 * randn(0, B, U, V), 2 * randn(1, B, U, V)
    total, count = token_kl(
        ModelOutput(student, LENGTHS, {"las": student}), from_logits(teacher, LENGTHS, 0, "las"), temperature=T
    )
    assert float(total) == pytest.approx(T * T * heard(kl(teacher, student, T)), rel=1e-5) and int(count) == 8


def test_lattice_kl_is_from_teacher_to_student():
    student, teacher = 2 * randn(0, 1, 3, 2, 3), 2 * randn(1, 1, 3, 2, 3)
    n, s = torch.tensor([3]), torch.tensor([1])
    out = ModelOutput(student, n, {"transducer": student})
    total, count = lattice_kl(out, Lattice(teacher.log_softmax(-1), n, s))
    assert float(total) == pytest.approx(float(kl(teacher, student).sum()), rel=1e-5) and int(count) == 6


def alone(x):
    return ModelOutput(x, torch.tensor([x.size(1)]), {})


def test_similarity_by_hand():
    student, teacher = torch.eye(2)[None], torch.ones(1, 2, 2)
    # G_s = I, G_t = 1 / sqrt(2) everywhere: 2 (1 - 1/sqrt 2)^2 + 2 (1/2), over 2 frames
    total, count = similarity(alone(student), HiddenStates(teacher, torch.tensor([2])))
    assert float(total) == pytest.approx((1 - 0.5**0.5) ** 2 + 0.5) and count == 1


def test_attention_transfer_by_hand():
    student, teacher = torch.tensor([[[1.0, 1.0], [2.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    # sums of squares 2 and 4, scaled to length 1, against 1 and 0
    a = np.array([2, 4]) / 20**0.5
    total, _ = attention_transfer(alone(student), HiddenStates(teacher, torch.tensor([2])))
    assert float(total) == pytest.approx((1 - a[0]) ** 2 + a[1] ** 2)


@pytest.mark.parametrize(
    "settings", [{"delay_frames": 2}, {"blank": "drop"}, {"blank": "either"}, {"blank": "either", "delay_frames": 1}]
)
def test_decoupled_kl_compares_the_frames_of_frame_kl(settings):
    generator = torch.Generator().manual_seed(0)
    row = torch.tensor([3.0, 1.0, 0.5, -1.0, 0.0, 0.2])
    teacher = torch.stack([row[torch.randperm(6, generator=generator)] for _ in range(10)]).view(2, 5, 6)
    student = torch.randn(2, 5, 6, generator=generator)
    out, target = (
        ModelOutput(student, LENGTHS, {"ctc": student}),
        from_logits(teacher, LENGTHS, int(teacher[0, 0].argmax())),
    )
    doubt = 1.0 - float(row.softmax(-1).max())
    found, expected = decoupled_kl(out, target, others_weight=doubt, **settings), frame_kl(out, target, **settings)
    assert float(found[0]) == pytest.approx(float(expected[0]), rel=1e-5) and int(found[1]) == int(expected[1]) > 0


@pytest.mark.parametrize("T", [1.0, 2.0])
def test_reverse_and_jensen_shannon_are_the_plain_formulas(T):
    student, teacher = 2 * randn(0, B, U, V), 2 * randn(1, B, U, V)
    out, target = ModelOutput(student, LENGTHS, {"ctc": student}), from_logits(teacher, LENGTHS, 0)
    reverse = frame_kl(out, target, divergence="reverse", temperature=T)[0]
    assert float(reverse) == pytest.approx(T * T * heard(kl(student, teacher, T)), rel=1e-5)
    p, q = (torch.softmax(x.double() / T, -1) for x in (teacher, student))
    m = ((p + q) / 2).log()
    js = 0.5 * (kl(teacher, m * T, T) + kl(student, m * T, T))
    found = frame_kl(out, target, divergence="jensen_shannon", temperature=T)[0]
    assert float(found) == pytest.approx(T * T * heard(js), rel=1e-5)


def test_a_hint_learns_from_the_layer_asked_for():
    lower, upper = randn(0, B, U, D), randn(1, B, U, D)
    target = HiddenStates(randn(2, B, U, D), LENGTHS)
    loss = Hint(LossShape(D, D), student_layer=1)
    found = loss(ModelOutput(upper, LENGTHS, {}, [lower]), target)[0]
    loss.student_layer = 0
    assert float(found.detach()) == pytest.approx(float(loss(ModelOutput(lower, LENGTHS, {}), target)[0].detach()))
