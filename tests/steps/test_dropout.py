import pytest
import torch

from steps.nnet.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.15, 0.5, 0.9])
def test_the_rate_and_the_mean_are_right(rate):
    torch.manual_seed(0)
    x = torch.ones(301, 1001, requires_grad=True)
    y = Dropout(rate)(x)
    assert float((y == 0).float().mean()) == pytest.approx(rate, abs=0.005)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.02)
    assert y.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)], rel=1e-3)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_values_are_dropped_independently():
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(400_000)) > 0).float() - 0.5
    for lag in (1, 2, 3, 4, 8):
        assert abs(float((kept[lag:] * kept[:-lag]).mean())) < 0.002


def test_a_seed_chooses_the_mask():
    def mask(seed):
        torch.manual_seed(seed)
        return Dropout(0.3)(torch.ones(7, 11))

    assert torch.equal(mask(0), mask(0)) and not torch.equal(mask(0), mask(1))


@pytest.mark.parametrize(("rate", "is_training"), [(0.0, True), (0.4, False), (1.0, True)])
def test_the_edges_are_those_of_torch(rate, is_training):
    x = torch.randn(5, 3)
    assert torch.equal(Dropout(rate).train(is_training)(x), torch.nn.Dropout(rate).train(is_training)(x))
    assert Dropout(0.3)(torch.zeros(0, 4)).shape == (0, 4)
