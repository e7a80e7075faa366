"""The teacher's best token, and its doubts, apart."""

import pytest
import torch

from steps.distillation.targets import from_logits
from steps.losses.decoupled_kl import decoupled_kl
from steps.losses.frame_kl import frame_kl
from steps.nnet.output import ModelOutput

LENGTHS = torch.tensor([5, 3])


def pair():
    """(student, teacher) logits; the teacher is as sure in each frame, of another token."""
    generator = torch.Generator().manual_seed(0)
    row = torch.tensor([3.0, 1.0, 0.5, -1.0, 0.0, 0.2])
    teacher = torch.stack([row[torch.randperm(6, generator=generator)] for _ in range(10)]).view(2, 5, 6)
    return torch.randn(2, 5, 6, generator=generator), teacher


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_doubts_weighted_by_their_mass_make_it_the_kullback_leibler_divergence(temperature):
    student, teacher = pair()
    output, target = ModelOutput(student, LENGTHS, {"ctc": student}), from_logits(teacher, LENGTHS, 0)
    doubt = 1.0 - float((teacher[0, 0] / temperature).softmax(-1).max())
    found = decoupled_kl(output, target, others_weight=doubt, temperature=temperature)
    expected = frame_kl(output, target, temperature=temperature)
    assert float(found[0]) == pytest.approx(float(expected[0]), rel=1e-5) and int(found[1]) == int(expected[1])


def test_its_parts_add_up():
    student, teacher = pair()
    output, target = ModelOutput(student, LENGTHS, {"ctc": student}), from_logits(teacher, LENGTHS, 0)
    best, others = (decoupled_kl(output, target, best_weight=a, others_weight=1.0 - a)[0] for a in (1.0, 0.0))
    whole = decoupled_kl(output, target, best_weight=2.0, others_weight=3.0)[0]
    assert float(whole) == pytest.approx(2.0 * float(best) + 3.0 * float(others), rel=1e-5) and float(others) > 0
