"""What losses on hidden states are for, and what their store holds."""

import numpy as np
import pytest
import torch

from steps.distillation.hidden_codes import decode_states, encode_states, share_lost, train_codebooks
from steps.distillation.targets import HiddenStates
from steps.losses.attention_transfer import attention_transfer
from steps.losses.codebook import Codebook
from steps.losses.hint import Hint
from steps.losses.shape import LossShape
from steps.losses.similarity import similarity
from steps.nnet.output import ModelOutput
from utils.jobs.errors import UsageError

U, D = 40, 6
LENGTHS = torch.tensor([U, U - 10])


def states(seed, dim=D):
    return torch.randn(2, U, dim, generator=torch.Generator().manual_seed(seed))


def output_of(x, *hidden):
    return ModelOutput(x, LENGTHS, {}, list(hidden))


def learn(loss, output, target, updates=300):
    """The mean of a loss with weights before and after they were trained alone."""
    optimizer = torch.optim.Adam(loss.parameters(), 0.05)
    values = []
    for _ in range(updates):
        total, count = loss(output, target)
        values.append(float((total / count).detach()))
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    return values[0], values[-1]


@pytest.mark.parametrize("distance", ["l2", "cosine"])
def test_a_hint_finds_states_that_are_a_linear_map_of_the_students(distance):
    student = states(0, 8)
    teacher = student @ torch.randn(8, D, generator=torch.Generator().manual_seed(1)) * 30 + 5
    loss = Hint(LossShape(8, D), distance=distance)
    before, after = learn(loss, output_of(student), HiddenStates(teacher, LENGTHS), 600)
    assert after < 0.2 < 0.3 < before
    guess = learn(Hint(LossShape(8, D), distance=distance), output_of(states(3, 8)), HiddenStates(teacher, LENGTHS))
    assert guess[1] > 3 * after


def test_a_hint_does_not_depend_on_the_size_of_the_teachers_states():
    small, large = (HiddenStates(states(1) * scale, LENGTHS) for scale in (1.0, 100.0))
    loss = Hint(LossShape(D, D))
    torch.nn.init.zeros_(loss.linear.weight), torch.nn.init.zeros_(loss.linear.bias)
    pair = [float(loss(output_of(states(0)), target)[0].detach()) for target in (small, large)]
    assert pair[0] == pytest.approx(pair[1], rel=1e-4)


def test_layers_are_counted_from_1_and_0_is_the_last():
    lower, upper = states(0), states(1)
    output = output_of(upper, lower)
    assert output.layer(1) is lower and output.layer(2) is upper and output.layer(0) is upper
    with pytest.raises(UsageError, match="there is no layer 3; the encoder has 2"):
        output.layer(3)


def test_attention_transfer_compares_where_states_are_large_whatever_their_size_and_width():
    student = states(0)
    wider = torch.cat((student, student), -1) * 7
    assert float(attention_transfer(output_of(student), HiddenStates(wider, LENGTHS))[0]) < 1e-9
    loud = student.clone()
    loud[:, 5] *= 10
    total, count = attention_transfer(output_of(student), HiddenStates(loud, LENGTHS))
    assert float(total) > 0.5 and count == 2


def test_similarity_compares_which_frames_are_alike_whatever_the_axes():
    student = states(0)
    turned = student @ torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(2)))[0] * 3
    assert float(similarity(output_of(student), HiddenStates(turned, LENGTHS))[0]) < 1e-9
    assert float(similarity(output_of(student), HiddenStates(states(1), LENGTHS))[0]) > 0.5


def test_codes_that_follow_from_the_students_states_are_learnt():
    student = states(0)
    codes = torch.stack((student[..., 0] > 0, student[..., 1] + student[..., 2] > 0), -1).long()
    loss = Codebook(LossShape(D, D, 0, 2, 4))
    before, after = learn(loss, output_of(student), HiddenStates(student, LENGTHS, codes))
    assert after < 0.1 < 1.0 < before


def test_more_codebooks_lose_less():
    x = np.random.default_rng(0).standard_normal((3000, 16)).astype(np.float32)
    x[:, :4] *= 5
    lost = [share_lost(torch.from_numpy(x), torch.from_numpy(train_codebooks(x, n))) for n in (1, 2, 4, 8)]
    assert lost == sorted(lost, reverse=True) and lost[0] < 0.3 and lost[-1] < 0.02


def test_codebooks_are_the_same_for_the_same_states_and_hold_their_own_entries():
    x = np.random.default_rng(0).standard_normal((1000, 5)).astype(np.float32)
    books = train_codebooks(x, 2)
    assert (books == train_codebooks(x, 2)).all() and books.shape == (2, 256, 5)
    books = torch.from_numpy(books)
    codes = torch.randint(256, (1, 1))
    first = decode_states(torch.cat((codes, torch.zeros(1, 1, dtype=torch.long)), -1), books)
    assert torch.allclose(first, books[0, codes[0, 0]] + books[1, 0])
    assert encode_states(torch.from_numpy(x), books).dtype == torch.uint8


def test_there_may_be_fewer_frames_than_entries():
    x = np.random.default_rng(0).standard_normal((30, 5)).astype(np.float32)
    assert share_lost(torch.from_numpy(x), torch.from_numpy(train_codebooks(x, 1))) < 1e-6
