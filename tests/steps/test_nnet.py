import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from steps.nnet.attention import SelfAttention, rotate, sinusoids
from steps.nnet.inference import batches_by_length, pad
from steps.nnet.model import ModelConfig, Recogniser, load_model, new_model
from steps.nnet.output import is_frame
from steps.nnet.registry import ENCODERS, PRETRAINED, encoder_class
from steps.nnet.streaming import Past
from steps.nnet.tdnn import TdnnLayer
from steps.nnet.tensor_file import load_tensors, save_tensors
from steps.tokens.token_table import TokenTable
from tests.support import ROOT
from utils.jobs.errors import DataError, StaleError, UsageError
from utils.jobs.files import sha256

F, V = 10, 5
SMALL = {"dim": 8, "num_layers": 2, "num_heads": 2, "channels": 4}
CHUNKED = SMALL | {"chunk_ms": 80, "left_context_ms": 160}
SETTINGS = {
    "cnn": [
        {"dim": 8, "channels": 2},
        {"dim": 8, "channels": 2, "num_blocks": 2, "subsampling": 3},
        {"dim": 8, "channels": 2, "is_causal": True, "subsampling": 6},
    ],
    "conformer": [
        SMALL,
        {"dim": 8, "num_layers": 1, "num_heads": 1, "channels": 4, "subsampling": 1, "kernel_size": 3},
        {"dim": 8, "num_layers": 1, "num_heads": 2, "channels": 4, "subsampling": 8},
        CHUNKED,
        {**SMALL, "chunk_ms": 60, "kernel_size": 4, "subsampling": 6},
    ],
    "dnn": [
        {"dim": 8, "num_layers": 2},
        {"dim": 8, "num_layers": 1, "left_frames": 0, "right_frames": 0, "subsampling": 1},
        {"dim": 8, "num_layers": 2, "left_frames": 6, "right_frames": 2, "subsampling": 3},
    ],
    "ebranchformer": [SMALL, CHUNKED, {**SMALL, "subsampling": 3}],
    "gru": [{"dim": 8}, {"dim": 8, "num_layers": 2, "bidirectional": True}],
    "lstm": [
        {"dim": 8},
        {"dim": 8, "num_layers": 2, "bidirectional": True},
        {"dim": 8, "subsampling": 3},
        {"dim": 8, "num_layers": 2, "layer_norm": True},
        {"dim": 8, "num_layers": 1, "mean_norm": "utterance"},
        {"dim": 8, "num_layers": 1, "mean_norm": "running"},
    ],
    "tdnn": [
        {"dim": 8, "num_layers": 3},
        {"dim": 8, "num_layers": 2, "bottleneck": 4, "dilation": 2, "subsampling": 2},
        {"dim": 8, "num_layers": 3, "bottleneck": 4, "is_causal": True},
    ],
    "transformer": [
        SMALL,
        {**SMALL, "positions": "sinusoidal", "subsampling": 2},
        CHUNKED,
        {**CHUNKED, "positions": "sinusoidal", "subsampling": 8},
    ],
}
CASES = [(name, settings) for name, several in SETTINGS.items() for settings in several]
LENGTHS = [37, 12, 5, 1]


def make_model(name, settings):
    torch.manual_seed(0)
    model = Recogniser({"encoder": name, **settings}, F, V, 10.0).eval()
    generator = np.random.default_rng(0)
    model.set_cmvn(generator.normal(3, 1, F).astype(np.float32), generator.uniform(1, 2, F).astype(np.float32))
    return model


def utterances():
    generator = np.random.default_rng(1)
    return [generator.normal(3, 1, (n, F)).astype(np.float32) for n in LENGTHS]


def test_all_encoders_are_tested():
    assert set(SETTINGS) == set(ENCODERS) - set(PRETRAINED)


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
    torch.manual_seed(1)
    feats = torch.randn(1, 240, F)
    factor, before = settings.get("subsampling", 4), model(feats, torch.tensor([240])).logits["ctc"]
    earliest = 240
    for t in range(120, 168):
        louder = feats.clone()
        louder[:, t] += 1
        is_same = (model(louder, torch.tensor([240])).logits["ctc"] - before).abs().amax(-1)[0] < 1e-6
        earliest = min(earliest, int((~is_same).nonzero()[0]) * factor - t)
    assert earliest == -frames


@pytest.mark.parametrize(("name", "settings"), CASES)
@torch.inference_mode()
def test_a_stream_says_what_is_said_at_once(name, settings):
    model = make_model(name, settings)
    if not model.chunk_frames:
        return
    for matrix in utterances():
        whole, past, heard = model(*pad([matrix])), Past(), []
        for start in range(0, len(matrix), model.chunk_frames):
            chunk = model(*pad([matrix[start : start + model.chunk_frames]]), past=past)
            heard.append(chunk.logits["ctc"][0, : int(chunk.lengths[0])])
        assert torch.allclose(torch.cat(heard), whole.logits["ctc"][0, : int(whole.lengths[0])], atol=1e-5)


def test_every_encoder_can_stream():
    assert {name for name, settings in CASES if make_model(name, settings).chunk_frames} == set(SETTINGS)


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


def test_attention_equals_torchs():
    torch.manual_seed(0)
    ours, reference = SelfAttention(8, 2, is_rotary=False), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    reference.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x, lengths = torch.randn(3, 7, 8), torch.tensor([7, 4, 1])
    heard = is_frame(lengths, 7)
    with torch.inference_mode():
        y = ours.norm(x)
        expected, weights = reference(y, y, y, key_padding_mask=~heard, average_attn_weights=False)
        assert torch.allclose(ours(x, heard[:, None, None])[heard], expected[heard], atol=1e-6)
        assert torch.allclose(ours.weights(x, heard[:, None, None]), weights, atol=1e-6)


def test_the_sinusoids_are_those_of_the_paper():
    found = sinusoids(5, 6, start=3)
    for row, position in enumerate(range(3, 8)):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            assert found[row, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[row, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_the_first_factor_of_a_tdnn_becomes_semi_orthogonal():
    torch.manual_seed(0)
    layer = TdnnLayer(12, 5, 1, False, 0.0)
    for _ in range(30):
        layer.constrain()
    M = layer.factor.conv.weight.detach().flatten(1)
    P = M @ M.T
    assert torch.allclose(P / P.trace() * 5, torch.eye(5), atol=1e-4)


def test_hearing_leaves_the_factors_of_a_tdnn_alone_and_a_constraint_those_that_are_frozen():
    """Else parts of a batch, rehearsals and processes without a part would count in the weights."""
    torch.manual_seed(0)
    model = Recogniser({"encoder": "tdnn", "dim": 12, "num_layers": 2, "bottleneck": 4}, 6, 3, 10.0).train()
    weight = model.encoder.layers[0].factor.conv.weight
    before = weight.detach().clone()
    losses = [model(torch.randn(1, 30, 6), torch.tensor([30])).logits["ctc"].sum() for _ in range(2)]
    for loss in losses:
        loss.backward()
    assert torch.equal(weight, before)
    model.constrain()
    assert not torch.equal(weight, before)
    before = weight.detach().clone()
    model.requires_grad_(False).constrain()
    assert torch.equal(weight, before)


def test_a_dnn_hears_its_neighbours():
    model = make_model("dnn", {"dim": 8, "num_layers": 1, "left_frames": 2, "right_frames": 1, "subsampling": 3})
    x = torch.arange(70.0).view(1, 7, F)
    spliced = torch.nn.functional.pad(x, (0, 0, 2, 1))[0]
    expected = model.encoder.layers[0](torch.stack([spliced[u : u + 4].flatten() for u in (0, 3, 6)]))
    found = model.encoder(x, torch.tensor([7]))[0][0]
    assert torch.allclose(found, expected, atol=1e-5)


def test_attention_knows_distances_only():
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
        Recogniser({"encoder": name, **settings}, F, V, 10.0)


@pytest.mark.parametrize("name", ["type", "a.b", "inner_ctc"])
def test_a_name_that_means_something_else_is_none_of_a_head(name):
    heads = {"ctc": {}, name: {"type": "classifier", "classes": ["a", "b"]}}
    with pytest.raises(UsageError, match=f"a head cannot be called '{name}'"):
        Recogniser({"encoder": "lstm", "dim": 4}, F, V, 10.0, heads=heads)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_states_what_it_needs(name):
    cls = encoder_class(name)
    assert cls.input in ("features", "waveform")


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


@pytest.mark.parametrize(
    ("features", "look_ahead_ms"),
    [
        ({}, 30.0),
        ({"deltas": 1}, 50.0),
        ({"deltas": 2}, 70.0),
        ({"cmvn": "speaker"}, math.inf),
        ({"cmvn": "utterance"}, math.inf),
        ({"type": "model", "model": "maker", "dim": 40}, math.inf),
    ],
)
def test_a_model_looks_ahead_as_far_as_its_features_do(folder, features, look_ahead_ms):
    config = dataclasses.replace(load_model(folder[0]).config, features={"num_mel_bins": 40} | features)
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
    models = [built, new_model(config, path / "cmvn", 0), new_model(config, path / "cmvn", 1)]
    first, again, other = (model.heads["ctc"].linear.weight for model in models)
    assert torch.equal(again, first) and not torch.equal(other, first)


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


def test_a_changed_configuration_is_told_before_a_model_is_built_from_it(folder):
    path, built = folder
    config = path / "config.json"
    save_tensors(path / "model.safetensors", built.state_dict(), {"files": {"config.json": sha256(config)}})
    assert load_model(path)
    config.write_text(config.read_text().replace("lstm", "mlst"))
    with pytest.raises(StaleError, match="config.json: not what the model was trained with; restore the file"):
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
    model = Recogniser(settings, 20, 7, frame_shift_ms=10.0).eval()
    shorter = Recogniser({**settings, "num_layers": 2}, 20, 7, frame_shift_ms=10.0).eval()
    shorter.load_state_dict(model.state_dict(), strict=False)
    feats, feat_lens = torch.randn(2, 30, 20), torch.tensor([30, 17])
    output = model(feats, feat_lens)
    assert len(output.hidden) == 3
    inner = model.inner_output(output).logits["ctc"]
    expected = shorter(feats, feat_lens).logits["ctc"]
    for row, length in enumerate(output.lengths.tolist()):
        assert torch.allclose(inner[row, :length], expected[row, :length], atol=1e-5)


def test_an_encoder_of_one_layer_has_no_inner_output():
    model = Recogniser({"encoder": "lstm", "dim": 8, "num_layers": 1}, 20, 7, frame_shift_ms=10.0)
    with pytest.raises(UsageError, match="at least two layers"):
        model.inner_output(model(torch.randn(1, 20, 20), torch.tensor([20])))


@pytest.mark.parametrize("name", ["keys", "train", "type"])
def test_a_head_cannot_have_a_name_of_pytorch(name):
    with pytest.raises(UsageError, match=f"a head cannot be called '{name}'"):
        Recogniser({"encoder": "lstm", "dim": 4}, 3, 5, 10.0, heads={name: {"type": "ctc"}})
