import pytest
import torch

from steps.config.load import load
from steps.nnet.normalisation import PRIOR_FRAMES, without_mean
from steps.nnet.registry import ENCODERS, PRETRAINED
from utils.jobs.errors import UsageError

LENGTHS = torch.tensor([50, 20, 1, 0])


def batch():
    torch.manual_seed(0)
    x = torch.randn(4, 50, 3) + 2
    return x * (torch.arange(50) < LENGTHS[:, None])[..., None]


def test_without_a_norm_features_stay():
    x = batch()
    assert without_mean(x, LENGTHS) is x


def test_the_mean_of_an_utterance_becomes_0():
    x = without_mean(batch(), LENGTHS, mean_norm="utterance")
    for row, length in enumerate(LENGTHS.tolist()):
        assert torch.allclose(x[row].sum(0), torch.zeros(3), atol=1e-4)
        assert (x[row, length:] == 0).all()
    assert torch.allclose(x[0, 1:] - x[0, :-1], batch()[0, 1:] - batch()[0, :-1], atol=1e-5)


def test_a_channel_that_adds_a_constant_is_not_heard():
    x, louder = batch(), batch()
    louder[0] += torch.tensor([3.0, -1.0, 0.5])
    outputs = [without_mean(given, LENGTHS, mean_norm="utterance")[0] for given in (x, louder)]
    assert torch.allclose(*outputs, atol=1e-5)


def test_the_running_mean_knows_what_was_heard_so_far():
    x = batch()
    found = without_mean(x, LENGTHS, mean_norm="running")
    for row, length in enumerate(LENGTHS.tolist()):
        for t in range(length):
            mean = x[row, : t + 1].sum(0) / (PRIOR_FRAMES + t + 1)
            assert torch.allclose(found[row, t], x[row, t] - mean, atol=1e-5)
        assert (found[row, length:] == 0).all()


@pytest.mark.parametrize("norm", ["utterance", "running"])
def test_a_long_recording_at_the_training_sets_mean_keeps_it(norm):
    torch.manual_seed(1)
    x = torch.randn(1, 100_000, 2)
    assert (without_mean(x, torch.tensor([100_000]), mean_norm=norm)[0, -1000:] - x[0, -1000:]).abs().max() < 0.05


def test_the_setting_is_one_of_every_model(tmp_path):
    path = tmp_path / "conf.toml"
    for encoder in ENCODERS.keys() - set(PRETRAINED):
        path.write_text(f'[teacher.model]\nencoder = "{encoder}"\nmean_norm = "running"\n')
        assert load(path).systems["teacher"].model["mean_norm"] == "running"
        path.write_text(f'[teacher.model]\nencoder = "{encoder}"\n')
        assert load(path).systems["teacher"].model["mean_norm"] == "none"
    path.write_text('[teacher.model]\nencoder = "lstm"\nmean_norm = "speaker"\n')
    with pytest.raises(UsageError, match="teacher.model.mean_norm"):
        load(path)
