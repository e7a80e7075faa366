import dataclasses
import json
import re
from types import SimpleNamespace

import pytest
import torch

from steps.config.schema import InitConfig, SystemConfig, TrainConfig
from steps.nnet.model import ModelConfig, Recogniser
from steps.nnet.tensor_file import save_tensors
from steps.tokens.token_table import TokenTable
from steps.training.initialise import (
    LAYER,
    check_base,
    check_left_out,
    check_meaning,
    check_whole,
    freeze,
    lr_scales,
    take_weights,
)
from steps.training.loop import weight_groups
from steps.training.run import check_start
from utils.jobs.errors import StaleError, UsageError

TABLE = TokenTable(("<blk>", "a", "b", "c", "d"), "char")
LAYERS = {"encoder": "lstm", "dim": 6, "num_layers": 3}


def make(seed=0, num_tokens=5, **settings):
    torch.manual_seed(seed)
    return Recogniser(LAYERS | settings, 4, num_tokens, 10.0)


@pytest.fixture
def folder(tmp_path):
    save_tensors(tmp_path / "model.safetensors", make(seed=1).state_dict())
    return tmp_path


def test_all_weights_are_taken_that_fit(folder):
    model, other = make(num_tokens=7), make(seed=1)
    fresh = model.heads["ctc"].linear.weight.clone()
    found = take_weights(model, folder, InitConfig("x"))
    assert all(torch.equal(model.state_dict()[name], other.state_dict()[name]) for name in found.names)
    assert found.left == {
        "heads.ctc.linear.weight": "shape (5, 6) there, (7, 6) here",
        "heads.ctc.linear.bias": "shape (5,) there, (7,) here",
    }
    assert torch.equal(model.heads["ctc"].linear.weight, fresh)


def test_only_what_is_asked_for_is_taken_and_its_normalisation(folder):
    model = make()
    found = take_weights(model, folder, InitConfig("x", take=["encoder.stack"]))
    assert found.names == ["mean", "inverse_sd", "encoder.stack.linear.weight", "encoder.stack.linear.bias"]
    assert set(found.left.values()) == {"not asked for"}


def test_a_deeper_model_takes_the_layers_that_are_there(folder):
    found = take_weights(make(num_layers=4), folder, InitConfig("x"))
    assert {name.split(".")[2] for name, why in found.left.items() if why == "not there"} == {"3"}


def test_layers_are_taken_from_those_that_are_named(folder):
    whole, model = make(seed=1, layer_norm=True), make(num_layers=2, layer_norm=True)
    for i, norm in enumerate(whole.encoder.norms):
        torch.nn.init.constant_(norm.weight, i)
    save_tensors(folder / "model.safetensors", whole.state_dict())
    found = take_weights(model, folder, InitConfig("x", layers=[3, 2]))
    assert found.left == {}
    for here, there in ((0, 2), (1, 1)):
        assert all(
            x.equal(whole.state_dict()[name.replace(f"{part}.{here}", f"{part}.{there}")])
            for name, x in model.state_dict().items()
            for part in ("layers", "norms")
            if f"{part}.{here}" in name
        )


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([1], "init.layers = [1]: 1 of them, and the model has 2"),
        ([0, 1], "init.layers = [0, 1]: 0 is none of the 3 layers, from 1"),
        ([1, 4], "init.layers = [1, 4]: 4 is none of the 3 layers, from 1"),
    ],
)
def test_layers_that_are_not_there_are_refused(folder, layers, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        take_weights(make(num_layers=2), folder, InitConfig("x", layers=layers))


def test_a_model_of_other_shapes_is_refused(folder):
    with pytest.raises(StaleError, match=r"no weight of it fits \(shape \(6, 16\) there, \(9, 16\) here\)"):
        take_weights(make(dim=9, num_tokens=7), folder, InitConfig("x"))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(StaleError, match="model.safetensors: missing"):
        take_weights(make(), tmp_path, InitConfig("x"))


@pytest.mark.parametrize("prefix", ["encodr", "encoder.stac"])
def test_a_prefix_that_no_weight_has_is_refused(folder, prefix):
    with pytest.raises(UsageError, match=f"init.take: no weight begins with '{prefix}'; valid are encoder.layers, "):
        take_weights(make(), folder, InitConfig("x", take=[prefix]))
    with pytest.raises(UsageError, match="init.freeze"):
        freeze(make(), [prefix])


def test_frozen_weights_are_not_trained():
    model = make()
    freeze(model, ["encoder.stack", "encoder.layers.0"])
    groups = weight_groups(model, 0.1, lr_scales(model, 1.0))
    trained = {id(weight) for group in groups for weight in group["params"]}
    names = [name for name, weight in model.named_parameters() if id(weight) not in trained]
    assert names and all(name.startswith(("encoder.stack.", "encoder.layers.0.")) for name in names)


def test_nothing_left_to_train_is_refused():
    with pytest.raises(UsageError, match="no weight to train"):
        freeze(make(), ["encoder", "heads"])


def test_learning_rates_fall_from_layer_to_layer():
    scales = lr_scales(make(), 0.5)
    assert scales["heads.ctc.linear.weight"] == 1.0
    assert [scales[f"encoder.layers.{i}.0.weight_hh_l0"] for i in range(3)] == [0.125, 0.25, 0.5]
    assert scales["encoder.stack.linear.weight"] == 0.0625


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("encoder.layers.3.weight", "3"),
        ("encoder.model.encoder.layers.1.attention.k_proj.weight", "1"),  # Hugging Face
        ("encoder.model.encoder.transformer.layers.0.attention.k_proj.weight", "0"),  # torchaudio
        ("encoder.model.feature_extractor.conv_layers.2.conv.weight", None),
        ("heads.hmm.layers.0.weight", None),
    ],
)
def test_layers_are_found_in_encoders_of_others_too(name, layer):
    found = LAYER.match(name)
    assert (found and found[1]) == layer


def test_each_weight_is_in_one_group_and_only_matrices_decay():
    model = make()
    groups = weight_groups(model, 0.1, lr_scales(model, 0.5))
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    for group in groups:
        assert {weight.ndim > 1 for weight in group["params"]} == {group["weight_decay"] > 0}
    assert len({group["lr_scale"] for group in groups}) == 5


@pytest.mark.parametrize(
    "prefix", ["model.encoder.layers", "model.layers", "model.encoder.transformer.layers", "layers"]
)
def test_learning_rates_fall_in_pretrained_encoders_too(prefix):
    names = [f"encoder.{prefix}.{i}.fc.layers.0.weight" for i in range(3)]
    names += ["encoder.model.feature_extractor.conv_layers.0.conv.weight", "heads.ctc.linear.weight"]
    names.append("encoder.model.norm.weight")
    model = SimpleNamespace(named_parameters=lambda: [(name, None) for name in names], encoder=SimpleNamespace())
    assert list(lr_scales(model, 0.5).values()) == [0.125, 0.25, 0.5, 0.0625, 1.0, 0.0625]
    model.encoder.behind_layers = ("model.norm",)
    assert list(lr_scales(model, 0.5).values())[-1] == 1.0


TABLE = TokenTable(("<blk>", "a", "b", "c", "d"), "char")
HEADS = {
    "ctc": {"type": "ctc", "weight": 1.0, "tokens": ""},
    "age": {"type": "classifier", "weight": 1.0, "tokens": "", "classes": ["old", "young"]},
}


@pytest.fixture
def whole(tmp_path):
    """(a folder, a new model, its configuration), alike in all."""
    config = ModelConfig("a", 0, LAYERS, {"num_mel_bins": 4}, "char", 5, TABLE.sha256, 0, {}, heads=HEADS)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    (tmp_path / "tokens.txt").write_text(TABLE.to_text())
    save_tensors(tmp_path / "model.safetensors", config.build().state_dict())
    return tmp_path, config.build(), config


def test_heads_of_other_tokens_or_classes_are_refused_though_their_shapes_fit(whole):
    folder, model, _ = whole
    taken = take_weights(model, folder, InitConfig("x"))
    check_meaning(taken, folder, HEADS, TABLE, {})
    swapped = TokenTable(("<blk>", "b", "a", "c", "d"), "char")
    with pytest.raises(StaleError, match="its head ctc has as many tokens, but others; leave the head out"):
        check_meaning(taken, folder, HEADS, swapped, {})
    classes = HEADS | {"age": HEADS["age"] | {"classes": ["child", "adult"]}}
    with pytest.raises(StaleError, match="its head age has as many classes, but others"):
        check_meaning(taken, folder, classes, TABLE, {})
    encoder = take_weights(model, folder, InitConfig("x", take=["encoder"]))
    check_meaning(encoder, folder, classes, swapped, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": LAYERS | {"bidirectional": True}}, "model.bidirectional"),
        ({"features": {"num_mel_bins": 4, "frame_shift_ms": 12.5}}, "features.frame_shift_ms"),
        ({"tokens_sha256": "0"}, "tokens"),
    ],
)
def test_a_base_of_adapters_that_is_not_like_them_is_refused(whole, change, said):
    folder, model, config = whole
    taken = take_weights(model, folder, InitConfig("x"))
    check_base(taken, folder, dataclasses.replace(config, model=LAYERS | {"dropout": 0.5}))
    saved = config.to_dict() | {"features": {"num_mel_bins": 4, "frame_shift_ms": 10.0}}
    (folder / "config.json").write_text(json.dumps(saved))
    with pytest.raises(StaleError, match=f"and this one differs in {said}"):
        check_base(taken, folder, dataclasses.replace(config, **change))


def test_a_base_of_adapters_that_lacks_weights_is_refused(whole):
    folder, model, config = whole
    taken = take_weights(make(num_tokens=7), folder, InitConfig("x"))
    with pytest.raises(StaleError, match="differs in heads.ctc.linear.weight"):
        check_base(taken, folder, config)


def test_adapters_alone_are_no_start(whole):
    folder, _, config = whole
    check_whole(folder)
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"base": {"path": "../base"}}))
    with pytest.raises(StaleError, match="holds adapters alone; start from the model they stand beside, ../base"):
        check_whole(folder)


def test_a_fold_starts_from_no_model_that_read_whom_it_leaves_out(tmp_path):
    def write(heads, left_out):
        facts = {"heads": heads, "left_out": left_out}
        (tmp_path / "config.json").write_text(json.dumps(facts))

    write({"ctc": {"type": "ctc"}}, ["ada", "bob"])
    check_left_out(tmp_path, ["ada"])
    check_left_out(tmp_path, [])
    with pytest.raises(StaleError, match="knows the transcripts of 'cleo', whom this fold leaves out"):
        check_left_out(tmp_path, ["ada", "cleo"])
    write({"best_rq": {"type": "best_rq"}}, [])
    check_left_out(tmp_path, ["cleo"])


def test_a_system_that_is_used_as_it_is_takes_all_weights(whole):
    folder, model, config = whole
    system = SystemConfig("a", LAYERS, train=TrainConfig(updates=0))
    check_start(take_weights(model, folder, InitConfig("x")), folder, system, config, model)
    taken = take_weights(model, folder, InitConfig("x", take=["encoder"]))
    with pytest.raises(StaleError, match=r"a.train.updates = 0, and 8 weights are not taken \(heads.ctc.linear.weight"):
        check_start(taken, folder, system, config, model)
