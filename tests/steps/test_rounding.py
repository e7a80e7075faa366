"""Weights on a grid of few bits."""

import copy

import pytest
import torch

from steps.nnet.model import Recogniser
from steps.nnet.rounding import load_weights, megabytes, pack, round_all, rounded, rounded_weights
from steps.nnet.tensor_file import save_tensors


def make(encoder="lstm", **settings):
    torch.manual_seed(0)
    return Recogniser({"encoder": encoder, "dim": 8, "dropout": 0.0, **settings}, 4, 5, 10.0).train()


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_each_row_lies_on_its_own_grid(bits):
    weight = torch.randn(6, 7, 3, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 6)[:, None, None]
    found = rounded(weight, bits)
    most = 2 ** (bits - 1) - 1
    steps = found / (weight.abs().amax((1, 2), keepdim=True) / most)
    assert torch.allclose(steps, steps.round(), atol=1e-4) and steps.abs().max() <= most + 1e-4
    assert ((found - weight).abs() <= 0.5001 * weight.abs().amax((1, 2), keepdim=True) / most).all()
    assert torch.allclose(rounded(found, bits), found)


def test_a_row_of_zeros_stays():
    assert rounded(torch.zeros(2, 3), 8).equal(torch.zeros(2, 3))


def loss_of(model):
    feats = torch.randn(2, 40, 4, generator=torch.Generator().manual_seed(1))
    output = model(feats, torch.tensor([40, 30]))
    return model.heads["ctc"].loss(output, [(1, 2), (3,)])[0]


@pytest.mark.parametrize("encoder", ["lstm", "conformer", "cnn"])
def test_outputs_and_gradients_are_those_of_rounded_weights_and_the_own_ones_come_back(encoder):
    settings = {"channels": 4} if encoder == "cnn" else {"num_layers": 2}
    model = make(encoder, **settings).eval()
    before = copy.deepcopy(model.state_dict())
    copied = copy.deepcopy(model)
    names = {name for name, _ in model.named_parameters()}
    copied.load_state_dict(round_all(copied.state_dict(), names, 4))
    expected = loss_of(copied)
    expected.backward()
    with rounded_weights(model, 4):
        found = loss_of(model)
    with rounded_weights(model, 4):
        found.backward()
    assert float(found.detach()) == float(expected.detach())
    grads = {name: p.grad for name, p in copied.named_parameters() if p.grad is not None}
    assert all(torch.allclose(p.grad, grads[name]) for name, p in model.named_parameters() if name in grads)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_no_bits_round_nothing():
    model = make()
    with rounded_weights(model, 0):
        assert loss_of(model).item() == loss_of(make()).item()
    weights = model.state_dict()
    assert all(value is weights[name] for name, value in round_all(weights, set(weights), 0).items())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_file_holds_rounded_weights_in_their_bits(tmp_path, bits):
    model = make("tdnn", num_layers=2)
    state, names = model.state_dict(), {name for name, _ in model.named_parameters()}
    tensors, facts = pack(state, names, bits)
    save_tensors(tmp_path / "model.safetensors", tensors, facts)
    found, _ = load_weights(tmp_path / "model.safetensors")
    expected = round_all(state, names, bits)
    assert found.keys() == expected.keys()
    assert all(value.equal(expected[name]) for name, value in found.items())
    size = sum(x.nbytes for name, x in tensors.items() if name.removesuffix(".codes").removesuffix(".scale") in names)
    assert size == pytest.approx(1e6 * megabytes(model, bits), abs=len(tensors))


def test_a_file_of_whole_weights_is_read_as_it_is(tmp_path):
    state = make().state_dict()
    tensors, facts = pack(state, set(state), 0)
    assert facts == {} and all(tensors[name] is value for name, value in state.items())


def test_the_size_counts_matrices_in_their_bits():
    model = torch.nn.Linear(100, 10)
    assert megabytes(model, 0) == pytest.approx(4 * 1010 / 1e6)
    assert megabytes(model, 8) == pytest.approx((1000 + 4 * 10 + 4 * 10) / 1e6)
