"""A narrow model from a wide one."""

import pytest
import torch

from steps.config.schema import InitConfig
from steps.nnet.model import Recogniser
from steps.nnet.pruning import narrowed, units_of
from steps.nnet.tensor_file import save_tensors
from steps.training.initialise import check_prunable, take_weights
from utils.jobs.errors import StaleError, UsageError

WIDE = {
    "lstm": ({"encoder": "lstm", "dim": 12, "num_layers": 2}, {"dim": 5}),
    "bidirectional": ({"encoder": "lstm", "dim": 12, "num_layers": 2, "bidirectional": True}, {"dim": 5}),
    "gru": ({"encoder": "gru", "dim": 12, "num_layers": 2}, {"dim": 5}),
    "conformer": (
        {"encoder": "conformer", "dim": 16, "num_layers": 2, "num_heads": 2, "expansion": 4},
        {"expansion": 2},
    ),
    "transformer": ({"encoder": "transformer", "dim": 16, "num_layers": 2, "num_heads": 2}, {"expansion": 1}),
}


NORMED = {  # over the units, so that silent ones are heard
    "normed lstm": ({"encoder": "lstm", "dim": 12, "num_layers": 2, "layer_norm": True}, {"dim": 5}),
    "ebranchformer": (
        {"encoder": "ebranchformer", "dim": 16, "num_layers": 2, "num_heads": 2, "expansion": 4},
        {"expansion": 2},
    ),
}


def make(settings, seed=0):
    torch.manual_seed(seed)
    return Recogniser({"dropout": 0.0} | settings, 4, 6, 10.0).eval()


def silence(model, share):
    """Sets all weights of units to 0 but for a share of them."""
    state = model.state_dict()
    for units in units_of(model):
        size = units[0].view(state[units[0].name]).size(1)
        gone = torch.ones(size, dtype=torch.bool)
        gone[torch.randperm(size, generator=torch.Generator().manual_seed(1))[: round(share * size)]] = False
        for place in units:
            place.view(state[place.name])[:, gone] = 0.0


@pytest.mark.parametrize("name", WIDE)
def test_a_model_that_does_without_some_units_says_the_same_when_they_are_cut(name):
    wide, change = WIDE[name]
    model, narrow = make(wide), make(wide | change, seed=1)
    silence(model, change["dim"] / wide["dim"] if "dim" in change else change["expansion"] / 4)
    found, told = narrowed(model.state_dict(), narrow)
    narrow.load_state_dict(found)
    feats, lens = torch.randn(2, 50, 4), torch.tensor([50, 37])
    assert told and torch.allclose(model(feats, lens).logits["ctc"], narrow(feats, lens).logits["ctc"], atol=1e-4)


def start(folder, wide, narrow):
    """Takes what fits of a wide model."""
    save_tensors(folder / "model.safetensors", make(wide).state_dict())
    return take_weights(make(narrow, seed=1), folder, InitConfig("x", prune=True))


@pytest.mark.parametrize("name", WIDE | NORMED)
def test_a_narrow_model_takes_all_of_a_wide_one(tmp_path, name):
    wide, change = (WIDE | NORMED)[name]
    assert start(tmp_path, wide, wide | change).left == {}


@pytest.mark.parametrize(
    ("wide", "change"),
    [
        ("conformer", {"dim": 8, "expansion": 4}),
        ("transformer", {"dim": 8, "expansion": 4}),
        ("conformer", {"dim": 8, "expansion": 2}),
        ("lstm", {"encoder": "gru", "dim": 5}),
        ("lstm", {"bidirectional": True, "dim": 5}),
    ],
)
def test_a_model_of_which_most_does_not_fit_though_units_were_cut_is_refused(tmp_path, wide, change):
    with pytest.raises(StaleError, match="what stands around the units must be the same"):
        start(tmp_path, WIDE[wide][0], WIDE[wide][0] | change)


@pytest.mark.parametrize("encoder", ["dnn", "cnn", "tdnn"])
def test_an_encoder_without_units_to_cut_is_refused(encoder):
    with pytest.raises(UsageError, match="has no units that can be cut"):
        check_prunable(make({"encoder": encoder, "dim": 8}))


def test_a_transducer_keeps_what_it_reads_of_the_cells_that_stay():
    wide, heads = {"encoder": "lstm", "dim": 12, "num_layers": 1}, {"transducer": {"dim": 8}}
    models = [Recogniser(settings, 4, 6, 10.0, heads=heads) for settings in (wide, wide | {"dim": 5})]
    found, _ = narrowed(models[0].state_dict(), models[1])
    models[1].load_state_dict(found)
    columns = models[0].heads["transducer"].enter.weight.T.tolist()
    assert all(column in columns for column in models[1].heads["transducer"].enter.weight.T.tolist())


def test_what_was_cut_is_logged_and_fits_whole(tmp_path):
    model = make({"encoder": "lstm", "dim": 12, "num_layers": 2})
    save_tensors(tmp_path / "model.safetensors", model.state_dict())
    narrow = make({"encoder": "lstm", "dim": 6, "num_layers": 1}, seed=1)
    found = take_weights(narrow, tmp_path, InitConfig("x", layers=[2], prune=True))
    assert found.left == {}


def test_a_model_without_more_units_is_refused(tmp_path):
    save_tensors(tmp_path / "model.safetensors", make({"encoder": "lstm", "dim": 6}).state_dict())
    with pytest.raises(StaleError, match="no more units than the model that starts from it"):
        take_weights(make({"encoder": "lstm", "dim": 6}), tmp_path, InitConfig("x", prune=True))
