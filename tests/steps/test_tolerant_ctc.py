"""The loss that lets the student speak earlier or later than its teacher."""

import itertools
import math

import pytest
import torch

from steps.distillation.targets import from_logits
from steps.losses.frame_kl import frame_kl
from steps.losses.tolerant_ctc import find_spikes, tolerant_ctc
from steps.nnet.output import ModelOutput


def output_of(logits):
    lengths = torch.full((len(logits),), logits.size(1))
    return ModelOutput(logits, lengths, {"ctc": logits})


def target_of(logits):
    return from_logits(logits, torch.full((len(logits),), logits.size(1)), 0)


def spiky(tokens, num_tokens=5, height=6.0):
    """Logits (1, U, V) with these tokens on the best path."""
    x = torch.zeros(1, len(tokens), num_tokens)
    for u, token in enumerate(tokens):
        x[0, u, token] = height - 0.1 * u
    return x


def enumerated(student, teacher, early, late):
    """-ln of the sum over all alignments of one utterance, each written out, with a blank between equal labels."""
    q, p = student[0].log_softmax(-1).double(), teacher[0].log_softmax(-1).double()
    path = p.argmax(-1).tolist()
    spikes, labels = [], []
    for token, run in itertools.groupby(range(len(path)), key=lambda u: path[u]):
        frames = list(run)
        if token:
            spikes.append(max(frames, key=lambda u: float(p[u, token])))
            labels.append(token)
    total = 0.0
    for states in itertools.product(range(len(spikes) + 1), repeat=len(q)):
        runs = [k for k, _ in itertools.groupby(states)]
        if [k for k in runs if k] != list(range(1, len(spikes) + 1)):
            continue
        if any(a and b and a != b and labels[a - 1] == labels[b - 1] for a, b in itertools.pairwise(states)):
            continue
        score = 0.0
        for u, k in enumerate(states):
            if k == 0:
                score += float(q[u, 0])
                continue
            run = [i for i in range(len(labels)) if len(set(labels[min(i, k - 1) : max(i, k - 1) + 1])) == 1]
            t = min((spikes[i] for i in run), key=lambda t: (abs(t - u), t))
            score -= float((p[t].exp() * (p[t] - q[u])).sum()) if t - early <= u <= t + late else math.inf
        total += math.exp(score)
    return -math.log(total)


PATHS = [[0, 1, 0, 2, 2, 0], [3, 0, 0, 3, 1, 1], [0, 0, 0, 0, 0, 4], [1, 0, 1, 0, 0, 1], [1, 0, 0, 1, 2, 1]]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("early", "late"), [(0, 0), (1, 2), (6, 6)])
def test_it_is_the_sum_over_all_alignments(path, early, late):
    student = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(0))
    total, count = tolerant_ctc(
        output_of(student), target_of(spiky(path, height=2.0)), early_frames=early, late_frames=late
    )
    assert float(total) == pytest.approx(enumerated(student, spiky(path, height=2.0), early, late), rel=1e-4)
    assert count == len([k for k, _ in itertools.groupby(path) if k])


def test_the_utterances_of_a_batch_do_not_change_each_other():
    student = torch.randn(len(PATHS), 6, 5, generator=torch.Generator().manual_seed(0))
    teacher = torch.cat([spiky(path, height=2.0) for path in PATHS])
    together, _ = tolerant_ctc(output_of(student), target_of(teacher))
    alone = [tolerant_ctc(output_of(s[None]), target_of(t[None]))[0] for s, t in zip(student, teacher, strict=True)]
    assert float(together) == pytest.approx(float(sum(alone)), rel=1e-5)


def test_a_teacher_without_spikes_asks_for_silence():
    student = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(0))
    total, count = tolerant_ctc(output_of(student), target_of(spiky([0] * 6)))
    assert float(total) == pytest.approx(-float(student.log_softmax(-1)[0, :, 0].sum()), rel=1e-5) and count == 1


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_a_student_that_speaks_later_loses_by_frame_kl_and_not_here(shift):
    path = [0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0]
    teacher = spiky(path)
    student = torch.cat((spiky([0] * shift), teacher[:, :-shift]), 1)
    same = float(tolerant_ctc(output_of(teacher), target_of(teacher), late_frames=3)[0])
    later = float(tolerant_ctc(output_of(student), target_of(teacher), late_frames=3)[0])
    assert later == pytest.approx(same, abs=0.2)
    assert float(frame_kl(output_of(student), target_of(teacher))[0]) > 20
    assert float(tolerant_ctc(output_of(student), target_of(teacher), late_frames=shift - 1)[0]) > same + 3


def test_a_student_that_drops_a_repeated_label_loses():
    teacher = spiky([0, 1, 0, 0, 1, 0, 0, 0], height=12.0)
    same, late, merged = (
        float(tolerant_ctc(output_of(spiky(path, height=12.0)), target_of(teacher))[0])
        for path in ([0, 1, 0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0])
    )
    assert -1e-3 < same < 0.01 and -1e-3 < late < 0.01 and merged > 5


def test_a_spike_is_where_the_teacher_is_surest():
    teacher = spiky([0, 1, 1, 1, 0, 2])
    teacher[0, 2, 1] = 9.0
    found = find_spikes(target_of(teacher))
    assert found.frames.tolist() == [[2, 5]] and found.sizes.tolist() == [2]
    assert torch.allclose(found.probs[0, 0], teacher[0, 2].softmax(-1))
