import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from steps.nnet.inference import batches_by_length, pad
from steps.nnet.model import CtcModel, ModelConfig, load_model, new_model
from steps.nnet.registry import ENCODERS, encoder_class
from steps.nnet.tensor_file import load_tensors, save_tensors
from steps.tokens.token_table import TokenTable
from tests.support import ROOT
from utils.jobs.errors import DataError, StaleError, UsageError

F, V = 10, 5
SETTINGS = {
    "lstm": [
        {"dim": 8},
        {"dim": 8, "num_layers": 2, "bidirectional": True},
        {"dim": 8, "subsampling": 3},
        {"dim": 8, "num_layers": 2, "layer_norm": True},
    ],
    "conformer": [
        {"dim": 8, "num_layers": 2, "num_heads": 2, "channels": 4},
        {"dim": 8, "num_layers": 1, "num_heads": 1, "channels": 4, "subsampling": 1, "kernel_size": 3},
        {"dim": 8, "num_layers": 1, "num_heads": 2, "channels": 4, "subsampling": 8},
    ],
}
SETTINGS["lstm"] += [{"dim": 8, "num_layers": 1, "mean_norm": norm} for norm in ("utterance", "running")]
CASES = [(name, settings) for name, several in SETTINGS.items() for settings in several]
LENGTHS = [37, 12, 5, 1]


def make_model(name, settings):
    torch.manual_seed(0)
    model = CtcModel({"encoder": name, **settings}, F, V, 10.0).eval()
    generator = np.random.default_rng(0)
    model.set_cmvn(generator.normal(3, 1, F).astype(np.float32), generator.uniform(1, 2, F).astype(np.float32))
    return model


def utterances():
    generator = np.random.default_rng(1)
    return [generator.normal(3, 1, (n, F)).astype(np.float32) for n in LENGTHS]


def test_all_encoders_are_tested():
    assert set(SETTINGS) == set(ENCODERS)


@pytest.mark.parametrize(("name", "settings"), CASES)
@torch.inference_mode()
def test_a_batch_equals_its_utterances_one_by_one(name, settings):
    model = make_model(name, settings)
    whole = model(*pad(utterances()))
    for row, matrix in enumerate(utterances()):
        alone = model(*pad([matrix]))
        n = int(alone.lengths[0])
        assert int(whole.lengths[row]) == n
        assert torch.allclose(whole.logits["ctc"][row, :n], alone.logits["ctc"][0, :n], atol=1e-5)


@pytest.mark.parametrize(("name", "settings"), CASES)
@torch.inference_mode()
def test_what_stands_in_padding_changes_nothing(name, settings):
    model = make_model(name, settings)
    feats, lengths = pad(utterances())
    before = model(feats, lengths).logits["ctc"]
    feats[1, 12:], feats[3, 1:] = 1e6, -1e6
    assert torch.equal(model(feats, lengths).logits["ctc"], before)


@pytest.mark.parametrize(("name", "settings"), CASES)
@torch.inference_mode()
def test_output_lens_are_the_lengths_of_the_output(name, settings):
    model = make_model(name, settings)
    for frames in range(0, 20):
        output = model(torch.zeros(1, max(frames, 1), F), torch.tensor([frames]))
        expected = int(model.output_lens(torch.tensor(frames)))
        factor = settings.get("subsampling", 4)
        assert int(output.lengths[0]) == expected == -(-frames // factor)
        assert output.logits["ctc"].shape == (1, max(expected, 1), V)
        assert torch.isfinite(output.logits["ctc"]).all()


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_all_weights_get_a_gradient(name, settings):
    model = make_model(name, settings).train()
    model(*pad(utterances())).logits["ctc"].square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(("name", "settings"), CASES)
@torch.inference_mode()
def test_look_ahead_is_what_the_encoder_says(name, settings):
    model = make_model(name, settings)
    frames = model.look_ahead_ms / 10.0
    if frames == float("inf"):
        return
    feats = torch.randn(1, 40, F)
    factor, before = settings.get("subsampling", 4), model(feats, torch.tensor([40])).logits["ctc"]
    feats[:, 20:] += 1
    same = (model(feats, torch.tensor([40])).logits["ctc"] == before).all(-1)[0]
    assert same[: int(20 - frames - 1) // factor + 1].all() and not same[20 // factor]


def test_a_unidirectional_lstm_equals_torchs():
    model = make_model("lstm", {"dim": 8, "num_layers": 2, "subsampling": 1})
    feats, lengths = pad(utterances()[:1])
    x = (feats - model.mean) * model.inverse_sd
    reference = torch.nn.LSTM(8, 8, 2, batch_first=True)
    weights = {}
    for layer, directions in enumerate(model.encoder.layers):
        weights |= {f"{k[:-1]}{layer}": v for k, v in directions[0].state_dict().items()}
    reference.load_state_dict(weights)
    with torch.inference_mode():
        expected = reference(model.encoder.stack.linear(x))[0]
        assert torch.allclose(model(feats, lengths).encoder_out, expected, atol=1e-6)


def test_attention_knows_distances_only():
    from steps.nnet.conformer import rotate

    q, k = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    rows = rotate(q.expand(1, 1, 10, 8)) @ rotate(k.expand(1, 1, 10, 8)).transpose(-1, -2)
    products = rows[0, 0]
    assert torch.allclose(products[1:, 1:], products[:-1, :-1], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("conformer", {"dim": 9, "num_heads": 2}),
        ("conformer", {"dim": 8, "num_heads": 3}),
        ("conformer", {"dim": 6, "num_heads": 2}),
        ("conformer", {"dim": 8, "num_heads": 2, "kernel_size": 4}),
    ],
)
def test_settings_that_cannot_be_built_are_a_usage_error(name, settings):
    with pytest.raises(UsageError, match=f"the {name} cannot be built"):
        CtcModel({"encoder": name, **settings}, F, V, 10.0)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_states_what_it_needs(name):
    cls = encoder_class(name)
    assert cls.input in ("features", "waveform") and callable(cls.output_lens)


def test_batches_hold_each_utterance_once_and_are_bound_by_frames():
    num_frames = {f"a-{i:03}": int(n) for i, n in enumerate(np.random.default_rng(0).integers(1, 300, 200))}
    batches = batches_by_length(num_frames, 1000)
    assert sorted(u for batch in batches for u in batch) == sorted(num_frames)
    assert all(len(b) == 1 or max(num_frames[u] for u in b) * len(b) <= 1000 for b in batches)


def test_features_are_padded_with_0():
    feats, lengths = pad([np.ones((1, 2), np.float32), np.ones((3, 2), np.float32)])
    assert lengths.tolist() == [1, 3] and feats[0].tolist() == [[1, 1], [0, 0], [0, 0]]


@pytest.fixture
def folder(tmp_path):
    """A model folder, and the model that it holds."""
    table = TokenTable(("<blk>", "a", "b"), "char")
    (tmp_path / "cmvn").write_text(" [\n  " + "4 " * 40 + "2\n  " + "10 " * 40 + "0 ]\n")
    model = {"encoder": "lstm", "dim": 8, "num_layers": 1, "bidirectional": False, "subsampling": 4, "dropout": 0.1}
    features = {"num_mel_bins": 40, "frame_shift_ms": 10.0}
    config = ModelConfig("teacher", 0, model, features, "char", 3, table.sha256, 0, {})
    built = new_model(config, tmp_path / "cmvn", 0)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    (tmp_path / "tokens.txt").write_text(table.to_text())
    save_tensors(tmp_path / "model.safetensors", built.state_dict())
    return tmp_path, built


@pytest.mark.parametrize(
    ("features", "input_dim", "static_dim"),
    [
        ({"num_mel_bins": 40}, 40, 40),
        ({"num_mel_bins": 40, "deltas": 2}, 120, 40),
        ({"type": "mfcc", "num_ceps": 20, "deltas": 1}, 40, 20),
    ],
)
def test_a_model_hears_as_many_features_as_the_settings_give(folder, features, input_dim, static_dim):
    config = dataclasses.replace(load_model(folder[0]).config, features=features)
    model = config.build()
    assert (len(model.mean), model.static_dim) == (input_dim, static_dim)
    assert model(torch.zeros(1, 20, input_dim), torch.tensor([20])).logits["ctc"].shape == (1, 5, 3)


@pytest.mark.parametrize(("kind", "look_ahead_ms"), [("global", 30.0), ("speaker", math.inf), ("utterance", math.inf)])
def test_a_model_whose_features_wait_for_the_end_looks_ahead_to_it(folder, kind, look_ahead_ms):
    config = dataclasses.replace(load_model(folder[0]).config, features={"num_mel_bins": 40, "cmvn": kind})
    assert config.build().look_ahead_ms == look_ahead_ms


def test_a_model_is_loaded_as_it_was_saved(folder):
    path, built = folder
    loaded = load_model(path)
    assert all(torch.equal(v, built.state_dict()[k]) for k, v in loaded.model.state_dict().items())
    assert loaded.tokens.tokens == ("<blk>", "a", "b") and not loaded.model.training


def test_the_model_normalises_with_cmvn(folder):
    _, built = folder
    assert built.mean.unique().tolist() == [2.0] and built.inverse_sd.unique().tolist() == [1.0]


def test_weights_depend_on_the_seed_alone(folder):
    path, built = folder
    config = load_model(path).config
    torch.manual_seed(99)
    again, other = new_model(config, path / "cmvn", 0), new_model(config, path / "cmvn", 1)
    assert torch.equal(again.ctc.weight, built.ctc.weight) and not torch.equal(other.ctc.weight, built.ctc.weight)


@pytest.mark.parametrize(
    ("name", "change", "kind", "said"),
    [
        ("config.json", lambda p: p.unlink(), DataError, "not a model folder, config.json is missing"),
        ("config.json", lambda p: p.write_text("{"), StaleError, "cannot be read"),
        ("config.json", lambda p: p.write_text("{}"), StaleError, "cannot be read"),
        (
            "config.json",
            lambda p: p.write_text(p.read_text().replace('"dim": 8', '"dim": 9')),
            StaleError,
            "another model",
        ),
        ("tokens.txt", lambda p: p.write_text("<blk> 0\nb 1\na 2\n"), StaleError, "not the tokens that the model was"),
        ("model.safetensors", lambda p: p.unlink(), StaleError, "missing"),
        ("model.safetensors", lambda p: p.write_bytes(b""), StaleError, "cannot be read"),
        ("model.safetensors", lambda p: p.write_bytes(p.read_bytes()[:-1]), StaleError, "cannot be read"),
    ],
)
def test_a_model_folder_whose_files_do_not_fit_is_refused(folder, name, change, kind, said):
    path, _ = folder
    change(path / name)
    with pytest.raises(kind, match=said):
        load_model(path)


def test_each_flipped_bit_of_a_tensor_file_is_noticed(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.arange(4.0), "b": torch.ones(2, dtype=torch.int64)}, {"update": 3})
    data = path.read_bytes()
    generator = np.random.default_rng(0)
    for place in generator.integers(0, 8 * len(data), 300):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        with pytest.raises(StaleError):
            load_tensors(path)


def test_tensors_and_facts_are_read_back(tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.tensor(5), "c": torch.ones(2).bfloat16(), "d": torch.zeros(0, 3)}
    save_tensors(tmp_path / "x.safetensors", tensors, {"é": [1, 2.5, None]})
    found, facts = load_tensors(tmp_path / "x.safetensors")
    assert all(torch.equal(found[k], tensors[k]) and found[k].dtype == tensors[k].dtype for k in tensors)
    assert facts == {"é": [1, 2.5, None]}


def test_a_loss_never_divides():
    """One place normalises: the training loop."""
    for path in (ROOT / "steps" / "losses").glob("*.py"):
        assert ".mean(" not in path.read_text()


@pytest.mark.parametrize(
    "settings",
    [
        {"encoder": "conformer", "dim": 16, "num_layers": 4},
        {"encoder": "lstm", "dim": 8, "num_layers": 4, "bidirectional": True},
    ],
    ids=lambda s: s["encoder"],
)
def test_the_inner_output_is_that_of_the_head_on_the_middle_layer(settings):
    torch.manual_seed(0)
    model = CtcModel(settings, 20, 7, frame_shift_ms=10.0).eval()
    shorter = CtcModel({**settings, "num_layers": 2}, 20, 7, frame_shift_ms=10.0).eval()
    shorter.load_state_dict(model.state_dict(), strict=False)
    feats, feat_lens = torch.randn(2, 30, 20), torch.tensor([30, 17])
    output = model(feats, feat_lens)
    assert len(output.hidden) == 3
    inner = model.inner_output(output).logits["ctc"]
    expected = shorter(feats, feat_lens).logits["ctc"]
    for row, length in enumerate(output.lengths.tolist()):
        assert torch.allclose(inner[row, :length], expected[row, :length], atol=1e-5)


def test_an_encoder_of_one_layer_has_no_inner_output():
    model = CtcModel({"encoder": "lstm", "dim": 8, "num_layers": 1}, 20, 7, frame_shift_ms=10.0)
    with pytest.raises(UsageError, match="at least two layers"):
        model.inner_output(model(torch.randn(1, 20, 20), torch.tensor([20])))
