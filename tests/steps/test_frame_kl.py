import numpy as np
import pytest
import torch

from steps.distillation.targets import Posteriors, from_logits
from steps.losses.frame_kl import frame_kl
from steps.nnet.output import ModelOutput

B, U, V = 3, 6, 5
LENGTHS = [6, 4, 1]


def peaky(seed, *shape):
    """Random logits, most of their mass on one token."""
    return 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def output_of(logits, lengths=LENGTHS):
    return ModelOutput(logits, torch.tensor(lengths), {"ctc": logits})


def target_of(logits, lengths=LENGTHS, blank_id=0):
    return from_logits(logits, torch.tensor(lengths), blank_id)


def topk_target(logits, k, lengths=LENGTHS):
    """The best k tokens, and the rest of the mass."""
    log_probs, ids = logits.log_softmax(-1).sort(-1, descending=True)
    rest = log_probs[..., k:].logsumexp(-1) if k < logits.size(-1) else None
    return Posteriors(log_probs[..., :k], ids[..., :k], rest, torch.tensor(lengths), logits.size(-1), 0)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def plain_kl(student, teacher, temperature, frames):
    """T^2 sum of p ln(p / q) in float64 over the frames given, computed without torch."""
    p = softmax(teacher.double().numpy() / temperature)
    q = softmax(student.double().numpy() / temperature)
    kl = (p * np.log(p / q)).sum(-1)
    return temperature**2 * sum(kl[b, u] for b, u in frames)


ALL = [(b, u) for b, n in enumerate(LENGTHS) for u in range(n)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_frame_kl_equals_the_plain_formula(temperature):
    student, teacher = peaky(0, B, U, V), peaky(1, B, U, V)
    total, count = frame_kl(output_of(student), target_of(teacher), temperature=temperature)
    assert int(count) == 11
    assert float(total) == pytest.approx(plain_kl(student, teacher, temperature, ALL), rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_frame_kl_and_its_gradient_are_zero_when_student_equals_teacher(temperature):
    logits = peaky(0, B, U, V).requires_grad_()
    total, _ = frame_kl(output_of(logits), target_of(logits.detach()), temperature=temperature)
    total.backward()
    assert abs(total.item()) < 1e-5 and logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 2.0}, {"delay_frames": 1}, {"temperature": 4.0, "blank": "drop"}]
)
@pytest.mark.parametrize("k", [3, V])
def test_the_gradient_of_frame_kl_equals_finite_differences(options, k):
    student, teacher = peaky(0, B, U, V) / 4, peaky(1, B, U, V) / 4
    target = topk_target(teacher, k)
    variable = student.clone().requires_grad_()
    frame_kl(output_of(variable), target, **options)[0].backward()
    step = 0.02
    for place in [(0, 0, 0), (0, 5, 4), (1, 3, 2), (1, 4, 0), (2, 0, 1), (2, 1, 1)]:
        values = []
        for sign in (1, -1):
            moved = student.clone()
            moved[place] += sign * step
            values.append(float(frame_kl(output_of(moved), target, **options)[0]))
        assert float(variable.grad[place]) == pytest.approx((values[0] - values[1]) / (2 * step), abs=2e-3)


def test_the_gradient_of_frame_kl_is_t_times_the_difference_of_posteriors():
    student, teacher = peaky(0, B, U, V).requires_grad_(), peaky(1, B, U, V)
    frame_kl(output_of(student), target_of(teacher), temperature=2.0)[0].backward()
    expected = 2.0 * ((student / 2).softmax(-1) - (teacher / 2).softmax(-1))
    assert torch.allclose(student.grad[0], expected[0], atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("k", [V, V - 1])
def test_frame_kl_of_the_best_k_is_exact_when_they_say_all(temperature, k):
    student, teacher = peaky(0, B, U, V), peaky(1, B, U, V)
    found = frame_kl(output_of(student), topk_target(teacher, k), temperature=temperature)[0]
    assert float(found) == pytest.approx(plain_kl(student, teacher, temperature, ALL), rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_frame_kl_spreads_unknown_mass_evenly(temperature):
    teacher = torch.tensor([0.6, 0.3, 0.05, 0.04, 0.01]).log().view(1, 1, V)
    student = peaky(0, 1, 1, V)
    spread = torch.tensor([0.6, 0.3, 0.1 / 3, 0.1 / 3, 0.1 / 3]).log().view(1, 1, V)
    expected = pytest.approx(plain_kl(student, spread, temperature, [(0, 0)]), rel=1e-5)
    for target, top_k in ((topk_target(teacher, 2, [1]), 0), (target_of(teacher, [1]), 2)):
        assert float(frame_kl(output_of(student, [1]), target, temperature=temperature, top_k=top_k)[0]) == expected


def test_at_a_high_temperature_frame_kl_compares_logits():
    """T^2 KL -> sum of (z - mean z - v + mean v)^2 / 2 V, z and v the logits (Hinton et al. 2015, section 2.1)."""
    student, teacher = peaky(0, B, U, V), peaky(1, B, U, V)
    found = float(frame_kl(output_of(student), target_of(teacher), temperature=200.0)[0])
    apart = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    assert found == pytest.approx(sum(float((apart[b, u] ** 2).sum()) for b, u in ALL) / (2 * V), rel=0.03)


def test_frame_kl_ignores_padding():
    student, teacher = peaky(0, B, U, V), peaky(1, B, U, V)
    before = frame_kl(output_of(student), target_of(teacher))
    student[1, 4:], teacher[2, 1:] = 1e4, -1e4
    assert frame_kl(output_of(student), target_of(teacher)) == before


def test_a_batch_has_the_sum_of_its_utterances():
    student, teacher = peaky(0, B, U, V), peaky(1, B, U, V)
    whole = frame_kl(output_of(student), target_of(teacher), temperature=2.0)
    parts = [
        frame_kl(output_of(student[b : b + 1, :n], [n]), target_of(teacher[b : b + 1, :n], [n]), temperature=2.0)
        for b, n in enumerate(LENGTHS)
    ]
    assert float(whole[0]) == pytest.approx(sum(float(total) for total, _ in parts), rel=1e-5)
    assert int(whole[1]) == sum(int(count) for _, count in parts)


@pytest.mark.parametrize("delay", [1, 3, 5, 6, 7, 20])
def test_a_delayed_student_is_compared_with_earlier_frames(delay):
    student, teacher = peaky(0, B, U, V), peaky(1, B, U, V)
    total, count = frame_kl(output_of(student), target_of(teacher), delay_frames=delay)
    earlier = torch.roll(teacher, delay, dims=1)
    frames = [(b, u) for b, u in ALL if u >= delay]
    assert int(count) == len(frames)
    assert float(total) == pytest.approx(plain_kl(student, earlier, 1.0, frames), rel=1e-5)


def test_a_delayed_copy_of_the_teacher_has_no_loss():
    teacher = peaky(1, 1, U, V)
    student = torch.roll(teacher, 2, dims=1)
    total, count = frame_kl(output_of(student, [U]), target_of(teacher, [U]), delay_frames=2)
    assert (abs(float(total)) < 1e-5, int(count)) == (True, 4)


@pytest.mark.parametrize(("blank", "frames"), [("keep", [0, 1, 2, 3]), ("drop", [1, 3]), ("either", [1, 2, 3])])
@pytest.mark.parametrize("k", [2, 3])
def test_blank_frames_are_left_out_as_asked_for(blank, frames, k):
    """Frame 0: both blank; 1: neither; 2: the teacher; 3: the student."""
    teacher = torch.tensor([[[9.0, 1, 0], [1, 9, 0], [9, 0, 1], [0, 1, 9]]])
    student = torch.tensor([[[5.0, 1, 0], [1, 0, 5], [1, 5, 0], [5, 0, 1]]])
    target = topk_target(teacher, k, [4])
    total, count = frame_kl(output_of(student, [4]), target, blank=blank)
    assert int(count) == len(frames)
    expected = plain_kl(student, teacher, 1.0, [(0, u) for u in frames])
    assert float(total) == pytest.approx(expected, rel=1e-3)


def test_the_teachers_own_blank_is_used():
    teacher = torch.tensor([[[0.0, 9], [9, 0]]])
    _, count = frame_kl(output_of(torch.zeros(1, 2, 2), [2]), target_of(teacher, [2], blank_id=1), blank="drop")
    assert int(count) == 1


@pytest.mark.parametrize("stored", [3, V])
def test_fewer_tokens_than_are_stored_are_compared_as_if_no_more_were(stored):
    student, teacher = peaky(0, B, U, V), peaky(1, B, U, V)
    total, count = frame_kl(output_of(student), topk_target(teacher, stored), top_k=2)
    expected, expected_count = frame_kl(output_of(student), topk_target(teacher, 2))
    assert float(total) == pytest.approx(float(expected), rel=1e-5) and int(count) == int(expected_count)
    assert float(total) != pytest.approx(float(frame_kl(output_of(student), target_of(teacher))[0]), rel=1e-3)


@pytest.mark.parametrize("top_k", [V, V + 3])
def test_all_tokens_are_compared_where_more_are_asked_for(top_k):
    student, target = output_of(peaky(0, B, U, V)), target_of(peaky(1, B, U, V))
    assert torch.equal(frame_kl(student, target, top_k=top_k)[0], frame_kl(student, target)[0])
