import dataclasses
import json
import sys

import pytest
import torch

from steps.config.schema import LoraConfig
from steps.nnet.lora import adapter_weights, add_adapters
from steps.nnet.model import ModelConfig, Recogniser, load_model, new_model
from steps.nnet.tensor_file import save_tensors
from steps.tokens.token_table import TokenTable
from steps.training.run import base_of
from tests.pretrained import CLASSES, save_ctc_model
from utils.jobs.errors import MachineError, StaleError, UsageError

TABLE = TokenTable(("<blk>", "a", "b"), "char")
MODEL = {"encoder": "conformer", "dim": 16, "num_layers": 2, "num_heads": 2, "channels": 4}
SETTINGS = LoraConfig(rank=2, targets=["qkv", "ctc.linear"])


def write(folder, config, weights):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "tokens.txt").write_text(TABLE.to_text())
    save_tensors(folder / "model.safetensors", weights)


@pytest.fixture
def base(tmp_path):
    """A model folder."""
    cmvn = tmp_path / "cmvn"
    cmvn.write_text(" [\n  " + "4 " * 20 + "2\n  " + "10 " * 20 + "0 ]\n")
    config = ModelConfig("teacher", 0, MODEL, {"num_mel_bins": 20}, "char", 3, TABLE.sha256, 0, {})
    write(tmp_path / "base", config, new_model(config, cmvn, 0).state_dict())
    return tmp_path / "base"


def outputs(model):
    feats = torch.randn(2, 40, 20, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.eval()(feats, torch.tensor([40, 23])).logits["ctc"]


def test_fresh_adapters_change_nothing_and_they_alone_are_trained(base):
    model = load_model(base).model
    before = outputs(model)
    add_adapters(model, SETTINGS)
    assert torch.allclose(outputs(model), before, atol=1e-6)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == set(adapter_weights(dict(model.named_parameters()))) and len(trained) == 2 * 3
    assert all(".qkv." in name or ".ctc.linear." in name for name in trained)


def adapted(base, out):
    """Writes a folder of adapters that were trained; returns what the model said then."""
    loaded = load_model(base)
    add_adapters(loaded.model, SETTINGS)
    with torch.no_grad():
        for weight in adapter_weights(dict(loaded.model.named_parameters())).values():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    config = dataclasses.replace(loaded.config, lora=dataclasses.asdict(SETTINGS), base=base_of(base, out))
    write(out, config, adapter_weights(loaded.model.state_dict()))
    return outputs(loaded.model)


def test_a_folder_of_adapters_is_small_and_says_the_same(base, tmp_path):
    expected = adapted(base, tmp_path / "customers" / "ada")
    loaded = load_model(tmp_path / "customers" / "ada")
    assert torch.equal(outputs(loaded.model), expected)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (base, tmp_path / "customers" / "ada")]
    assert sizes[1] < 0.1 * sizes[0]


def test_adapters_of_another_base_are_refused(base, tmp_path):
    adapted(base, tmp_path / "ada")
    weights = load_model(base).model.state_dict()
    save_tensors(base / "model.safetensors", {name: value + 1 for name, value in weights.items()})
    with pytest.raises(StaleError, match="its base model .* is another"):
        load_model(tmp_path / "ada")
    (base / "model.safetensors").unlink()
    with pytest.raises(StaleError, match="its base model .* is missing"):
        load_model(tmp_path / "ada")


def test_targets_that_no_linear_map_has_are_refused(base):
    with pytest.raises(
        UsageError, match="lora.targets: no linear map ends in vkq; there are encoder.subsample.linear,"
    ):
        add_adapters(load_model(base).model, LoraConfig(rank=2, targets=["vkq"]))


def test_each_adapter_is_used():
    heads = {"transformer_decoder": {"dim": 8, "num_heads": 2, "num_layers": 1}}
    model = Recogniser(MODEL, 20, 3, 10.0, heads=heads)
    add_adapters(model, LoraConfig(rank=2))
    output = model(torch.randn(1, 40, 20), torch.tensor([40]))
    model.heads["transformer_decoder"].loss(output, [(1, 2)])[0].backward()
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained and all(weight.grad is not None for weight in trained.values())


@pytest.mark.parametrize("kind", CLASSES)
def test_each_adapter_of_a_pretrained_encoder_is_used(tmp_path, kind):
    settings = {"encoder": "huggingface", "model": str(save_ctc_model(tmp_path / kind, kind))}
    model = Recogniser(settings, 1, 3, 1000 / 16000).train()
    add_adapters(model, LoraConfig(rank=2))
    output = model(torch.randn(1, 8000, 1), torch.tensor([8000]))
    output.logits["ctc"].sum().backward()
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained and all(weight.grad is not None for weight in trained.values())


def test_a_head_is_used_as_the_adapters_say_not_as_their_base_does(tmp_path):
    features, heads = {"num_mel_bins": 20}, {"hmm": {"type": "hmm", "tokens": "", "lm_scale": 1.0}}
    config = ModelConfig("teacher", 0, MODEL, features, "char", 3, TABLE.sha256, 0, {}, heads=heads)
    write(tmp_path / "base", config, config.build().state_dict())
    own = {"hmm": heads["hmm"] | {"lm_scale": 0.0}}
    base, adapters = base_of(tmp_path / "base", tmp_path / "ada"), dataclasses.asdict(LoraConfig(rank=2))
    write(tmp_path / "ada", dataclasses.replace(config, heads=own, lora=adapters, base=base), {})
    assert [load_model(tmp_path / name).model.heads["hmm"].lm_scale for name in ("base", "ada")] == [1.0, 0.0]


def test_a_machine_without_peft_is_told_what_to_install(base, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MachineError, match="python3 -m pip install peft"):
        add_adapters(load_model(base).model, SETTINGS)


def test_all_adapters_are_used_in_a_transformer_decoder():
    heads = {"transformer_decoder": {"dim": 16, "num_heads": 2}}
    model = Recogniser({"encoder": "lstm", "dim": 8}, 6, 5, 10.0, heads=heads).train()
    add_adapters(model, LoraConfig(rank=2))
    output = model(torch.randn(1, 30, 6), torch.tensor([30]))
    model.heads["transformer_decoder"].loss(output, [(1, 2)])[0].backward()
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)


def test_a_normalisation_of_other_features_is_refused(base, tmp_path):
    config = ModelConfig("other", 0, MODEL, {"num_mel_bins": 24}, "char", 3, TABLE.sha256, 0, {})
    with pytest.raises(StaleError, match="cmvn: of 20 features a frame, and the model hears 24"):
        new_model(config, tmp_path / "cmvn", 0)


def test_adapters_keep_what_a_hidden_markov_model_found_in_their_training():
    model = Recogniser({"encoder": "lstm", "dim": 8}, 6, 5, 10.0, heads={"hmm": {}})
    add_adapters(model, LoraConfig(rank=2, targets=["hmm.linear"]))
    kept = sorted(name.rpartition(".")[2] for name in adapter_weights(model.state_dict()))
    assert kept == ["log_bigram", "log_prior", "weight", "weight"]
